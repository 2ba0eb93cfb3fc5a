/**
 * The processes of all manners, and the verdict on what they report: the first checkpoint at which they
 * hold different states, or a state machine that broke.
 */
import type { Checkpoint, Job, Report } from "./job.ts";
import { type Manner, MANNERS } from "./manners.ts";

const MAIN = new URL("replica_process.ts", import.meta.url).pathname;

/**
 * A job takes a second or two of the processor; whoever is at it for so long has lost itself. How busy the
 * machine is does not count, but whoever sleeps for so long does not wake up either.
 */
const JOB_PROCESSOR_MS_MAX = 60_000;
const JOB_MS_MAX = 1_200_000;
const LOOK_EVERY_MS = 2_000;
/** The kernel counts a process's time in hundredths of a second. */
const TICK_MS = 10;

/** What a process has used of the processor so far; 0 when it is gone. */
function processorMs(pid: number): number {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // Behind the name, which may hold anything, from the third field on: user is the 14th, system the 15th.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** One process; it takes one job after the other. A new one takes its place when it ends. */
class ReplicaProcess {
  readonly #start: () => Deno.ChildProcess;
  #process: Deno.ChildProcess;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #reader: ReadableStreamDefaultReader<string>;
  #rest = "";
  #last: Promise<unknown> = Promise.resolve();

  constructor(number: number, manner: Manner) {
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--no-lock", "--no-prompt", MAIN, String(number)],
      env: { ...manner.environment },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    });
    this.#start = () => command.spawn();
    this.#process = this.#start();
    this.#writer = this.#process.stdin.getWriter();
    this.#reader = readerOf(this.#process);
  }

  /** Runs a job behind those that it was given before. */
  run(job: Job): Promise<Report> {
    const report = this.#last.then(() => this.#run(job));
    this.#last = report;
    return report;
  }

  /** A process that dies of its job, or does not end, has broken. */
  async #run(job: Job): Promise<Report> {
    let isLate = false;
    const process = this.#process;
    const beginMs = performance.now();
    const usedMs = processorMs(process.pid);
    const timer = setInterval(() => {
      isLate = processorMs(process.pid) - usedMs > JOB_PROCESSOR_MS_MAX ||
        performance.now() - beginMs > JOB_MS_MAX;
      if (isLate) process.kill("SIGKILL");
    }, LOOK_EVERY_MS);
    try {
      await this.#writer.write(new TextEncoder().encode(`${JSON.stringify(job)}\n`));
      const line = await this.#line();
      if (line !== undefined) return JSON.parse(line) as Report;
    } finally {
      clearInterval(timer);
    }
    const status = await process.status;
    this.#rest = "";
    this.#process = this.#start();
    this.#writer = this.#process.stdin.getWriter();
    this.#reader = readerOf(this.#process);
    const error = isLate ? "it does not end" : `its process ended with ${status.code}`;
    return { ...NOTHING, error };
  }

  /** The next line; undefined at the end. */
  async #line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#rest += value;
    }
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.#process.status;
  }
}

const NOTHING: Report = {
  checkpoints: [],
  faults: [],
  entryCount: 0,
  statementCount: 0,
  counts: {},
  deeds: [],
};

function readerOf(process: Deno.ChildProcess): ReadableStreamDefaultReader<string> {
  return process.stdout.pipeThrough(new TextDecoderStream()).getReader();
}

/** What was found wrong with a job. */
export interface Failure {
  /** In a few words, the same for the same kind of failure. */
  readonly kind: "broken" | "damaged" | "entries" | "content" | "results";
  readonly text: string;
  /** The entry behind which it was noticed. */
  readonly number: number;
  /** Tables that differ. */
  readonly tables: readonly string[];
}

/** What came of a job on all replicas. */
export interface Outcome {
  readonly reports: readonly Report[];
  readonly failure: Failure | undefined;
}

/** See the file's header. */
export class Replicas implements AsyncDisposable {
  readonly #processes = MANNERS.map((manner, number) => new ReplicaProcess(number, manner));

  /** Runs a job on all of them at once, behind those before. */
  async run(job: Job): Promise<Outcome> {
    const reports = await Promise.all(this.#processes.map((process) => process.run(job)));
    return { reports, failure: judge(reports) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.close()));
  }
}

function judge(reports: readonly Report[]): Failure | undefined {
  const first = reports[0];
  if (first === undefined) return undefined;
  const count = Math.min(...reports.map(({ checkpoints }) => checkpoints.length));
  for (let at = 0; at < count; at++) {
    const failure = compare(reports.map(({ checkpoints }) => checkpoints[at]));
    if (failure !== undefined) return failure;
  }
  for (const [at, { error, faults }] of reports.entries()) {
    const name = MANNERS[at]?.name ?? "";
    const number = first.checkpoints.at(-1)?.number ?? 0;
    if (error !== undefined) {
      return { kind: "broken", text: `${name} broke: ${error}`, number, tables: [] };
    }
    if (faults.length > 0) {
      const text = `${name} is damaged: ${faults.slice(0, 3).join("; ")}`;
      return { kind: "damaged", text, number, tables: [] };
    }
  }
  return undefined;
}

function compare(checkpoints: readonly (Checkpoint | undefined)[]): Failure | undefined {
  const [first, ...others] = checkpoints;
  if (first === undefined) return undefined;
  const { number } = first;
  for (const [at, other] of others.entries()) {
    if (other === undefined) continue;
    const who = `${MANNERS[0]?.name} and ${MANNERS[at + 1]?.name}`;
    const behind = `behind entry ${number}`;
    if (other.entryChain !== first.entryChain) {
      return { kind: "entries", text: `Entries of ${who} differ ${behind}`, number, tables: [] };
    }
    const names = new Set([...Object.keys(first.hashes), ...Object.keys(other.hashes)]);
    // The result chain stands in a table of ours, and differs with the results.
    const tables = [...names].filter((name) => first.hashes[name] !== other.hashes[name]);
    const theirs = tables.filter((name) => !name.startsWith("sqlite_dust"));
    if (theirs.length > 0) {
      const text = `Content of ${who} differs ${behind}: ${theirs.join(", ")}`;
      return { kind: "content", text, number, tables: theirs };
    }
    if (other.resultChain !== first.resultChain || tables.length > 0) {
      const text = `Results of ${who} differ ${behind}${tables.length > 0 ? `: ${tables}` : ""}`;
      return { kind: "results", text, number, tables };
    }
  }
  return undefined;
}
