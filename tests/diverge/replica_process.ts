/**
 * The process of one manner: `replica_process.ts NUMBER`. It takes jobs from its input, applies each to a
 * fresh state machine, and writes a report, a line of JSON each. Time zone, locale and processor are
 * those of the process; SQLite's own clock, which no write may see, is set to another year.
 */
import { entryChainText } from "../../src/base/entry_chain.ts";
import { logIndex, term } from "../../src/base/ids.ts";
import type { ApplyEntry, EntryResult } from "../../src/node/ports.ts";
import { ClockVfs } from "../../src/sqlite/clock_vfs.ts";
import { cString } from "../../src/sqlite/library.ts";
import { testLibrary } from "../../src/sqlite/testing.ts";
import { contentHashes, contentRows, integrityFaults } from "./content_hash.ts";
import {
  encodeEntry,
  type GeneratedEntry,
  type GeneratedStatement,
  generateLog,
} from "./generated_log.ts";
import type { Checkpoint, Job, Report } from "./job.ts";
import { type Manner, MANNERS, placeOf } from "./manners.ts";
import { formatOf, Replica } from "./replica.ts";

/** Index of the genesis, which the first state already contains. */
const GENESIS = 1;

/** Everything that uses SQLite's default clock from here on sees another year. */
function skewDefaultClock(offsetMs: number): void {
  const library = testLibrary();
  const clock = new ClockVfs(library, "skewed");
  clock.setTimeMs(Date.now() + offsetMs);
  const { symbols } = library;
  symbols.sqlite3_vfs_register(
    symbols.sqlite3_vfs_find(Deno.UnsafePointer.of(cString(clock.name))),
    1,
  );
}

let drawn: { readonly name: string; readonly entries: GeneratedEntry[] } | undefined;

/** The whole log of a job; the same one is asked for again and again while it is shrunk. */
function logOf({ seed, statementCount }: Job): GeneratedEntry[] {
  const name = `${seed} ${statementCount}`;
  if (drawn?.name !== name) drawn = { name, entries: generateLog(seed, statementCount) };
  return drawn.entries;
}

/** The entries of a job, in order; what it leaves out is undefined. */
function entriesOf(job: Job): (GeneratedEntry | undefined)[] {
  const entries = logOf(job);
  if (job.kept === undefined) return entries;
  const kept = new Map(job.kept.map(({ number, statements }) => [number, statements]));
  return entries.map((entry) => {
    const numbers = kept.get(entry.number);
    if (numbers === undefined) return undefined;
    const statements = numbers.map((at) => entry.statements[at])
      .filter((statement) => statement !== undefined);
    return { ...entry, statements };
  });
}

class Counter {
  readonly counts: Record<string, [number, number]> = {};

  /** Counts what an entry was answered with. */
  add(entry: GeneratedEntry, answer: EntryResult | undefined): void {
    const results = typeof answer === "string" ? JSON.parse(answer) : [];
    if (entry.key !== undefined) this.#one({ marks: ["idempotency key"] }, {});
    const run = entry.statements.filter(({ sql }) => sql !== "");
    run.forEach((statement, at) => this.#one(statement, results[at]));
  }

  #one(
    { marks }: Pick<GeneratedStatement, "marks">,
    result: { readonly error?: string } | undefined,
  ): void {
    const isOk = result !== undefined && result.error === undefined;
    for (const mark of marks) (this.counts[mark] ??= [0, 0])[isOk ? 0 : 1]++;
  }
}

/** Applies a job's log to a new replica. */
class Run {
  readonly #job: Job;
  readonly #manner: Manner;
  readonly #replica: Replica;
  readonly #checkpoints: Checkpoint[] = [];
  readonly #counter = new Counter();
  #waiting: GeneratedEntry[] = [];
  #entryCount = 0;
  #statementCount = 0;

  constructor(job: Job, manner: Manner, replica: Replica) {
    this.#job = job;
    this.#manner = manner;
    this.#replica = replica;
  }

  run(): Report {
    const replica = this.#replica;
    let faults: readonly string[] = [];
    let error: string | undefined;
    let rows: readonly string[] | undefined;
    try {
      this.#applyAll();
      faults = integrityFaults(replica.path);
      if (this.#job.table !== undefined) rows = contentRows(replica.path, this.#job.table);
    } catch (caught) {
      error = caught instanceof Error ? caught.stack ?? caught.message : String(caught);
    }
    return {
      checkpoints: this.#checkpoints,
      faults,
      ...(error === undefined ? {} : { error }),
      entryCount: this.#entryCount,
      statementCount: this.#statementCount,
      counts: this.#counter.counts,
      deeds: replica.deeds,
      ...(rows === undefined ? {} : { rows }),
    };
  }

  #applyAll(): void {
    const entries = entriesOf(this.#job);
    entries.forEach((entry, number) => {
      if (entry !== undefined) this.#waiting.push(entry);
      const isCheckpoint = (number + 1) % this.#job.every === 0 || number === entries.length - 1;
      if (!isCheckpoint && !this.#replica.endsBatch(number)) return;
      const isEmpty = this.#waiting.length === 0;
      this.#flush(number);
      if (!isEmpty) this.#replica.rest(number);
      if (isCheckpoint) this.#checkpoints.push(this.#checkpoint(number));
    });
  }

  #flush(number: number): void {
    const batch = this.#waiting;
    if (batch.length === 0) return;
    this.#waiting = [];
    const from = this.#replica.record.appliedIndex + 1;
    const entries = batch.map((entry, at): ApplyEntry => ({
      index: logIndex(from + at),
      term: term(GENESIS),
      kind: "normal",
      payload: encodeEntry(entry),
      format: formatOf(this.#manner),
      configuration: undefined,
    }));
    const answers = this.#replica.apply(entries, number);
    this.#entryCount += batch.length;
    batch.forEach((entry, at) => {
      this.#statementCount += entry.statements.length;
      if (this.#manner.answers === "plain") this.#counter.add(entry, answers[at]);
    });
  }

  #checkpoint(number: number): Checkpoint {
    const { record, path } = this.#replica;
    return {
      number,
      appliedIndex: record.appliedIndex,
      entryChain: entryChainText(record.entryChain),
      resultChain: entryChainText(record.resultChain),
      hashes: contentHashes(path),
    };
  }
}

function runJob(job: Job, manner: Manner): Report {
  const folder = Deno.makeTempDirSync({
    dir: placeOf(manner, job.seed).parent,
    prefix: "dust-diverge-",
  });
  try {
    using replica = new Replica({ manner, folder, seed: job.seed });
    return new Run(job, manner, replica).run();
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** Lines of the input as they come. */
async function* inputLines(): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

async function main(): Promise<void> {
  const manner = MANNERS[Number(Deno.args[0])];
  if (manner === undefined) throw new RangeError("Cannot find the manner");
  // A log has thousands of errors, whose stacks nobody reads.
  Error.stackTraceLimit = 4;
  // As the writer's thread does.
  Deno.env.set("TZ", "UTC");
  skewDefaultClock(manner.clockOffsetMs);
  for await (const line of inputLines()) {
    const report = JSON.stringify(runJob(JSON.parse(line) as Job, manner));
    const bytes = new TextEncoder().encode(`${report}\n`);
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  }
}

if (import.meta.main) await main();
