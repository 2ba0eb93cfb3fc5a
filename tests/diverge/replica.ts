/**
 * One state machine that applies a generated log in a manner of its own. What it does between entries
 * (the end of a batch, a restart, a copy instead of itself, a checkpoint, reads) is drawn for the number
 * of each entry, so that it stays the same when other entries are left out.
 */
import type { Connection } from "../../src/sqlite/connection.ts";
import { SqliteError } from "../../src/sqlite/errors.ts";
import { checkpoint } from "../../src/sqlite/wal.ts";
import { checkDatabase } from "../../src/state_machine/database_check.ts";
import { BUSY_TIMEOUT_MS } from "../../src/state_machine/limits.ts";
import type { SqlSession } from "../../src/state_machine/sql_session.ts";
import { openReader } from "../../src/state_machine/reader.ts";
import { copyState, createStateFile } from "../../src/state_machine/state_file.ts";
import { CLUSTER_ID, CONFIGURATION } from "../../src/state_machine/testing.ts";
import { Writer } from "../../src/state_machine/writer.ts";
import { ApplyBatch, packBatch } from "../../src/state_machine/apply_batch.ts";
import type { BatchOutcome } from "../../src/state_machine/batch_runner.ts";
import { FORMAT } from "../../src/command/request.ts";
import { testLibrary } from "../../src/sqlite/testing.ts";
import type { ApplyEntry } from "../../src/node/ports.ts";
import { stream } from "../sim/chance.ts";
import type { Chance } from "../sim/chance.ts";
import { type Manner, placeOf } from "./manners.ts";

/** Low, so that a write that never ends costs little. */
const SOFT_LIMIT_STEPS = 100_000;
const VERDICT = "time limit exceeded";

/** Chosen by a test to end a batch in its middle, as if the process had ended. */
class Killed extends Error {}

/** See the file's header. Its files are in a folder of its own, which the caller removes. */
export class Replica implements Disposable {
  readonly #manner: Manner;
  readonly #folder: string;
  readonly #seed: number;
  #fileNumber = 0;
  #writer: Writer;
  #reader: SqlSession | undefined;
  /** Statements until the process is killed in the middle of a batch; Infinity for never. */
  #killAfter = Infinity;
  /** What was done, in order, for a reader. */
  readonly deeds: string[] = [];

  constructor(options: {
    readonly manner: Manner;
    readonly folder: string;
    readonly seed: number;
  }) {
    this.#manner = options.manner;
    this.#folder = options.folder;
    this.#seed = options.seed;
    createStateFile(testLibrary(), {
      path: this.path,
      identity: { clusterId: CLUSTER_ID, configuration: CONFIGURATION },
      foreignKeys: options.seed % 2 === 0,
      softLimitSteps: SOFT_LIMIT_STEPS,
    });
    this.#writer = this.#open();
  }

  /** Where its database lies now. */
  get path(): string {
    return `${this.#folder}/db${this.#fileNumber}.sqlite`;
  }

  /** What its state says. */
  get record(): Writer["record"] {
    return this.#writer.record;
  }

  /** Whether the batch ends behind the entry of this number. */
  endsBatch(number: number): boolean {
    return this.#chance(number, "batch").happens(1 / this.#manner.batchSize);
  }

  /** Applies entries as one batch, with a process that may end in its middle. @returns the answers. */
  apply(entries: readonly ApplyEntry[], number: number): BatchOutcome["answers"] {
    const chance = this.#chance(number, "kill");
    const isKilled = chance.happens(this.#manner.killWithin);
    if (!isKilled) return this.#applyAll(entries);
    this.#killAfter = 1 + chance.below(4 * entries.length);
    try {
      const answers = this.#applyAll(entries);
      this.#killAfter = Infinity;
      return answers;
    } catch (error) {
      if (!isKill(error)) throw error;
      this.#killAfter = Infinity;
      this.deeds.push(`killed within the batch that ends at entry ${number}`);
      this.#abandon();
      // The log has them still; what was committed is not run again.
      const done = this.record.appliedIndex;
      const rest = entries.filter(({ index }) => index > done);
      return rest.length === 0 ? [] : this.#applyAll(rest);
    }
  }

  /** What happens between two batches. */
  rest(number: number): void {
    const chance = this.#chance(number, "rest");
    const manner = this.#manner;
    if (chance.happens(manner.reads)) this.#read(chance);
    if (chance.happens(manner.checkpoint)) {
      const { connection } = this.#writer;
      // It would wait for our own reader.
      connection.setBusyTimeoutMs(0);
      checkpoint(connection, chance.happens(0.5) ? "passive" : "truncate");
      connection.setBusyTimeoutMs(BUSY_TIMEOUT_MS);
    }
    if (chance.happens(manner.restart)) this.#deed(number, "restarted", () => this.#restart());
    if (chance.happens(manner.kill)) this.#deed(number, "killed", () => this.#abandon());
    if (chance.happens(manner.copy)) this.#deed(number, "replaced by a copy", () => this.#copy());
  }

  #chance(number: number, concern: string): Chance {
    return stream(this.#seed, `${this.#manner.name} ${concern}`, number);
  }

  #deed(number: number, name: string, act: () => void): void {
    this.deeds.push(`${name} behind entry ${number}`);
    act();
  }

  #applyAll(entries: readonly ApplyEntry[]): BatchOutcome["answers"] {
    const answers: BatchOutcome["answers"][number][] = [];
    while (answers.length < entries.length) {
      const batch = new ApplyBatch(packBatch(entries.slice(answers.length)));
      const outcome = this.#writer.apply(batch);
      answers.push(...outcome.answers);
      if (outcome.isDiskFull) throw new Error("Disk full: nothing can be said");
      if (outcome.parked !== undefined) this.#decide(entries.slice(answers.length), outcome.parked);
    }
    return answers;
  }

  /** What the leader would do about an entry that used up its steps. */
  #decide(entries: readonly ApplyEntry[], parked: { readonly index: number }): void {
    const { isEnded } = this.#writer.try(new ApplyBatch(packBatch(entries.slice(0, 1))), 0);
    this.#writer.setVerdict({
      index: parked.index,
      verdict: isEnded ? "run" : "void",
      reason: VERDICT,
    });
  }

  #open(): Writer {
    const { startMs, statementsCachedMax } = this.#manner;
    const { synchronous } = placeOf(this.#manner, this.#seed);
    return new Writer({
      library: testLibrary(),
      path: this.path,
      synchronous,
      nowMs: () => this.#now(startMs),
      sleepMs: () => {},
      statementsCachedMax,
    });
  }

  /** Asked before and after each statement when answers have timings. */
  #now(startMs: number): number {
    if (--this.#killAfter <= 0) throw new Killed("Killed within a batch");
    return startMs + performance.now();
  }

  #restart(): void {
    this.#closeReader();
    this.#writer[Symbol.dispose]();
    this.#writer = this.#open();
  }

  /** As `kill -9` would: the files as they are now, also in the middle of a batch, opened by another. */
  #abandon(): void {
    this.#closeReader();
    const from = this.path;
    this.#fileNumber++;
    Deno.copyFileSync(from, this.path);
    if (exists(`${from}-wal`)) Deno.copyFileSync(`${from}-wal`, `${this.path}-wal`);
    this.#writer[Symbol.dispose]();
    removeDatabase(from);
    this.#writer = this.#open();
  }

  /** As a snapshot is made and installed: a copy, and a live file copied from that. */
  #copy(): void {
    this.#closeReader();
    const from = this.path;
    const snapshot = `${this.#folder}/snapshot${this.#fileNumber}.sqlite`;
    const library = testLibrary();
    const isDurable = placeOf(this.#manner, this.#seed).synchronous !== "off";
    copyState(library, { from, to: snapshot, isDurable });
    // A node ends when this throws.
    checkDatabase(library, { path: snapshot, origin: "state" });
    this.#writer[Symbol.dispose]();
    removeDatabase(from);
    this.#fileNumber++;
    copyState(library, { from: snapshot, to: this.path, isDurable: false });
    removeDatabase(snapshot);
    this.#writer = this.#open();
  }

  /** A transaction of a reader that stays open for some batches, and its queries. */
  #read(chance: Chance): void {
    if (this.#reader !== undefined) return this.#closeReader();
    this.#reader = openReader(testLibrary(), { path: this.path, foreignKeys: true });
    const { connection } = this.#reader;
    this.#reader.trusted(() => {
      connection.exec("BEGIN");
      for (const table of ["t0", "t1", "log", "v1", "f5", "rt"]) {
        if (chance.happens(0.7)) queryAnything(connection, table);
      }
    });
  }

  #closeReader(): void {
    this.#reader?.connection.close();
    this.#reader = undefined;
  }

  [Symbol.dispose](): void {
    this.#closeReader();
    this.#writer[Symbol.dispose]();
  }
}

/** The format in which a manner's answers are asked for. */
export function formatOf(manner: Manner): number | undefined {
  switch (manner.answers) {
    case "plain":
      return 0;
    case "timed":
      return FORMAT.timings;
    case "unwaited":
      return undefined;
  }
}

/** A query whose rows nobody looks at; the log decides whether its table is there. */
function queryAnything(connection: Connection, table: string): void {
  try {
    connection.query(`SELECT *, random(), datetime('now') FROM ${table} ORDER BY random()`);
  } catch (error) {
    if (!(error instanceof SqliteError) || error.class !== "result") throw error;
  }
}

function isKill(error: unknown): boolean {
  return error instanceof Killed ||
    (error instanceof Error && error.cause !== undefined && isKill(error.cause));
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function removeDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) {
    if (exists(`${path}${suffix}`)) Deno.removeSync(`${path}${suffix}`);
  }
}
