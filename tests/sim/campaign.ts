/**
 * Many runs, summed up: seeds, simulated hours, faults that happened, speed. A failed seed prints itself,
 * the commit, the end of its trace and the command that repeats it.
 */
import { addCounters, type Counters, noCounters } from "./counters.ts";
import { type RunOutcome, runSeed } from "./run.ts";

/** What to run, and where to say how it goes. */
export interface CampaignOptions {
  readonly first: number;
  readonly count: number;
  /** The campaign ends after so many failed seeds. */
  readonly failuresMax: number;
  /** Lines of a failed seed's trace, from its end. */
  readonly traceLines: number;
  /** Runs every seed twice and compares. */
  readonly isTwice: boolean;
  /** Prints traces of seeds that are fine, too. */
  readonly isTraced: boolean;
  readonly print: (text: string) => void;
}

/** Runs a campaign. @returns how many seeds failed. */
export async function campaign(options: CampaignOptions): Promise<number> {
  const { first, count, print } = options;
  const sum = noCounters();
  let simulatedMs = 0;
  let failures = 0;
  let events = 0;
  let done = 0;
  const startMs = performance.now();
  for (let seed = first; seed < first + count && failures < options.failuresMax; seed++) {
    const outcome = await runSeed(seed, { hasText: options.isTraced });
    if (options.isTraced) print(outcome.lines.join("\n") + "\n");
    addCounters(sum, outcome.counters);
    simulatedMs += outcome.simulatedMs;
    events += outcome.events;
    done += 1;
    if (outcome.violation !== undefined || await isUnrepeatable(outcome, options)) {
      failures += 1;
      await report(outcome, options);
    }
  }
  const seconds = (performance.now() - startMs) / 1000;
  print(countersText(sum));
  const hours = simulatedMs / 3_600_000;
  print(
    `${done} seeds, ${hours.toFixed(2)} simulated hours, ${events} events in ${
      seconds.toFixed(1)
    } s ` +
      `(${
        (simulatedMs / 1000 / seconds).toFixed(0)
      } simulated seconds a second), ${failures} failed\n`,
  );
  return failures;
}

async function isUnrepeatable(outcome: RunOutcome, options: CampaignOptions): Promise<boolean> {
  if (!options.isTwice) return false;
  const again = await runSeed(outcome.seed, { hasText: false });
  if (again.hash === outcome.hash && again.events === outcome.events) return false;
  options.print(`Seed ${outcome.seed} is not repeatable: ${outcome.hash}, then ${again.hash}\n`);
  return true;
}

async function report(outcome: RunOutcome, options: CampaignOptions): Promise<void> {
  const { seed, violation } = outcome;
  const again = await runSeed(seed, { hasText: true });
  const lines = again.lines.slice(-options.traceLines);
  options.print(`\n${lines.join("\n")}\n`);
  options.print(`Seed ${seed} failed: ${violation ?? "not repeatable"}\n`);
  options.print(`  options ${JSON.stringify(outcome.options)}\n`);
  options.print(`  commit ${commit()}, trace hash ${outcome.hash}`);
  options.print(again.hash === outcome.hash ? "\n" : `, but ${again.hash} the second time\n`);
  options.print(`  repeat: deno task sim -- --seed ${seed} --trace\n\n`);
}

function commit(): string {
  try {
    const { stdout } = new Deno.Command("git", { args: ["rev-parse", "--short", "HEAD"] })
      .outputSync();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    return error instanceof Error ? `unknown (${error.message})` : "unknown";
  }
}

function countersText(counters: Counters): string {
  const parts = Object.entries(counters).map(([name, value]) => `${name} ${value}`);
  const lines: string[] = [];
  for (let at = 0; at < parts.length; at += 6) lines.push(parts.slice(at, at + 6).join(", "));
  return `${lines.join("\n")}\n`;
}
