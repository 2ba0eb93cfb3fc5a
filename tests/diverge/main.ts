/**
 * `deno task diverge -- --statements N [--seed S]`: draws logs of SQL, N statements in all, and applies
 * each to three state machines as unlike as possible. Prints what was used and ends with status 1 when
 * they came to differ; the log is then shrunk and printed as SQL.
 *
 *   --per-seed N   statements of one log, 3,000 unless told
 *   --failures N   goes on until N seeds have failed
 *   --tries N      logs that are tried to shrink one, 2,000 unless told; 0 leaves it as it is
 *   --quiet        without the counters
 *   --plant NAME   against a copy of the code with a planted bug, which it must catch; `all` for each
 *   --processes    as requests to clusters of three real nodes that are restarted, killed and replaced; with
 *                  --statements (20,000 unless told), --per-cluster N, --per-log N, --verbose, at most --minutes N;
 *                  --meddle changes a row behind a node's back: the run must fail (process_run.ts)
 */
import { describeEntry, generateLog } from "./generated_log.ts";
import type { Counts, Job } from "./job.ts";
import { MANNERS } from "./manners.ts";
import { type Failure, type Outcome, Replicas } from "./replicas.ts";
import { trial } from "./plant.ts";
import { PLANTED_BUGS } from "./planted_bugs.ts";
import { runProcesses } from "./process_run.ts";
import { shrink } from "./shrink.ts";

/** Entries between two comparisons. */
const COMPARE_EVERY = 1000;
const PROGRESS_EVERY_MS = 60_000;
/** Logs that wait for the slowest replica while the others go on. */
const JOBS_AHEAD = 3;
/** Statements after which a planted bug counts as missed. */
const PLANTED_STATEMENTS = 30_000;

function print(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function numberAfter(args: readonly string[], name: string, otherwise: number): number {
  const at = args.indexOf(name);
  const value = at < 0 ? otherwise : Number(args[at + 1]);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${name} wants a whole number`);
  return value;
}

/** Sums over all seeds. */
class Totals {
  seeds = 0;
  entries = 0;
  statements = 0;
  readonly #counts = new Map<string, [number, number]>();
  readonly #deeds = new Map<string, number>();

  add(counts: Counts): void {
    for (const [name, [ok, failed]] of Object.entries(counts)) {
      const sum = this.#counts.get(name) ?? [0, 0];
      this.#counts.set(name, [sum[0] + ok, sum[1] + failed]);
    }
  }

  addDeeds(deeds: readonly string[]): void {
    for (const deed of deeds) {
      const name = deed.replace(/ (?:behind|the batch that).*/, "");
      this.#deeds.set(name, (this.#deeds.get(name) ?? 0) + 1);
    }
  }

  /** Functions and constructs with how often they were used, and how often in vain. */
  text(): string {
    const names = [...this.#counts.keys()].sort();
    const counts = names.map((name) => {
      const [ok, failed] = this.#counts.get(name) ?? [0, 0];
      return `${name} ${ok}${failed > 0 ? ` (+${failed} refused)` : ""}`;
    });
    const deeds = [...this.#deeds].map(([name, count]) => `${name} ${count}`);
    return `Used: ${counts.join(", ")}\nDone meanwhile: ${deeds.join(", ")}`;
  }

  line(failures: number): string {
    return `${this.seeds} seeds, ${this.statements} statements in ${this.entries} entries, ` +
      `${MANNERS.length} replicas, ${failures} divergences`;
  }
}

async function explain(
  job: Job,
  failure: Failure,
  options: { readonly replicas: Replicas; readonly triesMax: number },
): Promise<void> {
  print(`Seed ${job.seed} failed: ${failure.text}`);
  if (options.triesMax === 0) return;
  const shrunk = await shrink(job, failure, options);
  const { kept } = shrunk;
  print(`Shrunk in ${shrunk.triesCount} tries to ${kept.length} entries: ${shrunk.failure.text}`);
  const log = generateLog(job.seed, job.statementCount);
  for (const { number, statements } of kept) {
    const entry = log[number];
    if (entry === undefined) continue;
    const some = statements.map((at) => entry.statements[at]).filter((one) => one !== undefined);
    print(describeEntry({ ...entry, statements: some }));
  }
  const [table] = shrunk.failure.tables;
  const last = { ...job, kept, ...(table === undefined ? {} : { table }) };
  const { reports } = await options.replicas.run(last);
  reports.forEach(({ deeds, rows }, at) => {
    print(`${MANNERS[at]?.name}: ${deeds.slice(-10).join("; ")}`);
    for (const row of rows?.slice(0, 20) ?? []) print(`  ${table}: ${row}`);
  });
}

type JobOutcome = Outcome & { readonly job: Job };

/** What comes of the jobs of `count` consecutive seeds, some of them begun before their turn. */
async function* outcomes(
  replicas: Replicas,
  options: { readonly seed: number; readonly statementCount: number; readonly count: number },
): AsyncGenerator<JobOutcome> {
  const { statementCount, count } = options;
  const begun: Promise<JobOutcome>[] = [];
  try {
    for (let at = 0, next = 0; at < count; at++) {
      for (; next < Math.min(at + JOBS_AHEAD, count); next++) {
        const job: Job = { seed: options.seed + next, statementCount, every: COMPARE_EVERY };
        begun.push(replicas.run(job).then((outcome) => ({ ...outcome, job })));
      }
      const outcome = begun.shift();
      if (outcome !== undefined) yield await outcome;
    }
  } finally {
    // Whoever has seen enough leaves some behind.
    await Promise.all(begun);
  }
}

/** Tries planted bugs. @returns how many were missed. */
async function teeth(args: readonly string[], name: string): Promise<number> {
  const bugs = PLANTED_BUGS.filter((bug) => name === "all" || bug.name === name);
  if (bugs.length === 0) {
    throw new RangeError(`--plant wants one of ${PLANTED_BUGS.map((bug) => bug.name).join(", ")}`);
  }
  const statementCount = numberAfter(args, "--statements", PLANTED_STATEMENTS);
  const seed = numberAfter(args, "--seed", 1);
  let missed = 0;
  for (const bug of bugs) {
    const more = name === "all" ? [] : ["--tries", String(numberAfter(args, "--tries", 200))];
    const result = await trial(bug, { statementCount, seed, more });
    if (result.outcome !== "caught") missed++;
    const reason = name === "all" ? result.reason.split("\n")[0]?.slice(0, 110) : result.reason;
    const word = result.outcome === "caught" ? "caught" : result.outcome.toUpperCase();
    const count = String(result.statementCount).padStart(6);
    print(`${word} ${count} statements  ${bug.name.padEnd(30)} ${reason}`);
  }
  print(`${bugs.length - missed} of ${bugs.length} planted bugs caught`);
  return missed;
}

/** The fuzzer on real nodes. @returns whether nothing was wrong. */
async function onProcesses(args: readonly string[]): Promise<boolean> {
  return await runProcesses({
    seed: numberAfter(args, "--seed", 1),
    statementCount: numberAfter(args, "--statements", 20_000),
    perCluster: numberAfter(args, "--per-cluster", 50_000),
    perLog: numberAfter(args, "--per-log", 5000),
    minutesMax: numberAfter(args, "--minutes", Number.MAX_SAFE_INTEGER),
    isMeddled: args.includes("--meddle"),
    isVerbose: args.includes("--verbose"),
    print,
  });
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--processes")) return await onProcesses(args) ? 0 : 1;
  const plantAt = args.indexOf("--plant");
  if (plantAt >= 0) return await teeth(args, args[plantAt + 1] ?? "") === 0 ? 0 : 1;
  const statementCount = numberAfter(args, "--per-seed", 3000);
  const wanted = numberAfter(args, "--statements", statementCount);
  const failuresMax = numberAfter(args, "--failures", 1);
  const triesMax = numberAfter(args, "--tries", 2000);
  const totals = new Totals();
  const startMs = performance.now();
  let failures = 0;
  let printedMs = startMs;
  await using replicas = new Replicas();
  const seed = numberAfter(args, "--seed", 1);
  // A log has as many statements or a few more.
  const jobs = { seed, statementCount, count: Math.ceil(wanted / statementCount) };
  for await (const { job, reports, failure } of outcomes(replicas, jobs)) {
    totals.seeds++;
    totals.entries += reports[0]?.entryCount ?? 0;
    totals.statements += Math.max(1, reports[0]?.statementCount ?? 0);
    for (const { counts, deeds } of reports) {
      totals.add(counts);
      totals.addDeeds(deeds);
    }
    if (failure !== undefined) {
      failures++;
      await explain(job, failure, { replicas, triesMax });
      if (failures >= failuresMax) break;
    }
    if (performance.now() - printedMs > PROGRESS_EVERY_MS) {
      printedMs = performance.now();
      print(totals.line(failures));
    }
  }
  if (!args.includes("--quiet")) print(totals.text());
  print(`${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  print(totals.line(failures));
  return failures === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
