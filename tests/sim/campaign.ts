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
  /** See `RunSettings`. */
  readonly isShort: boolean;
  /** See `RunSettings`. */
  readonly diverges: boolean;
  /** Runs every seed twice and compares. */
  readonly isTwice: boolean;
  /** Prints traces of seeds that are fine, too. */
  readonly isTraced: boolean;
  /** Prints the sum so far after so many seeds. */
  readonly every: number;
  readonly print: (text: string) => void;
}

/** Sums of the seeds run so far. */
interface Sum {
  readonly counters: Counters;
  done: number;
  failures: number;
  simulatedMs: number;
  events: number;
}

/** Runs a campaign. @returns how many seeds failed. */
export async function campaign(options: CampaignOptions): Promise<number> {
  const { first, count, isShort, diverges, print } = options;
  const sum: Sum = { counters: noCounters(), done: 0, failures: 0, simulatedMs: 0, events: 0 };
  const startMs = performance.now();
  for (let seed = first; seed < first + count && sum.failures < options.failuresMax; seed++) {
    const outcome = await runSeed(seed, { hasText: options.isTraced, isShort, diverges });
    if (options.isTraced) print(outcome.lines.join("\n") + "\n");
    addCounters(sum.counters, outcome.counters);
    sum.simulatedMs += outcome.simulatedMs;
    sum.events += outcome.events;
    sum.done += 1;
    if (outcome.violation !== undefined || await isUnrepeatable(outcome, options)) {
      sum.failures += 1;
      await report(outcome, options);
    }
    if (sum.done % options.every === 0 && sum.done < count) {
      print(sumText(sum, performance.now() - startMs));
    }
  }
  print(sumText(sum, performance.now() - startMs));
  return sum.failures;
}

function sumText(sum: Sum, elapsedMs: number): string {
  const seconds = elapsedMs / 1000;
  const hours = (sum.simulatedMs / 3_600_000).toFixed(2);
  const speed = (sum.simulatedMs / elapsedMs).toFixed(0);
  return countersText(sum.counters) +
    `${sum.done} seeds, ${hours} simulated hours, ${sum.events} events in ` +
    `${seconds.toFixed(1)} s (${speed} simulated seconds a second), ${sum.failures} failed\n`;
}

async function isUnrepeatable(outcome: RunOutcome, options: CampaignOptions): Promise<boolean> {
  if (!options.isTwice) return false;
  const { isShort, diverges } = options;
  const again = await runSeed(outcome.seed, { hasText: false, isShort, diverges });
  if (again.hash === outcome.hash && again.events === outcome.events) return false;
  options.print(`Seed ${outcome.seed} is not repeatable: ${outcome.hash}, then ${again.hash}\n`);
  return true;
}

async function report(outcome: RunOutcome, options: CampaignOptions): Promise<void> {
  const { seed, violation } = outcome;
  const { isShort, diverges } = options;
  const again = await runSeed(seed, { hasText: true, isShort, diverges });
  const lines = again.lines.slice(-options.traceLines);
  options.print(`\n${lines.join("\n")}\n`);
  options.print(`Seed ${seed} failed: ${violation ?? "not repeatable"}\n`);
  options.print(`  options ${JSON.stringify(outcome.options)}\n`);
  options.print(`  commit ${commit()}, trace hash ${outcome.hash}`);
  options.print(again.hash === outcome.hash ? "\n" : `, but ${again.hash} the second time\n`);
  options.print(
    `  repeat: deno task sim -- --seed ${seed} --trace${diverges ? " --diverge" : ""}${
      isShort ? " --short" : ""
    }\n\n`,
  );
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
