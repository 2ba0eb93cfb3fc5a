/**
 * Applies batches: one batch, one SQLite transaction, with the state row in it (rules A1, A2, A4c).
 *
 * When an entry ends the transaction, the batch starts over from its last commit: entries before the
 * offender are run again and committed, the offender runs alone, then the rest. So a batch's
 * boundaries never show in the state, and a hostile batch costs twice, not the square.
 * Not here: one entry (entry_runner.ts), the connection and its files (writer.ts).
 */
import { assert, unreachable } from "../base/assert.ts";
import { type EntryChain, nextEntryChain } from "../base/entry_chain.ts";
import { FatalError, OperatingError } from "../base/errors.ts";
import { ELAPSED_MS_MAX, KIND } from "../command/command_format.ts";
import { assertLevelIsKnown } from "../command/feature_level.ts";
import { CommandReader } from "../command/command_reader.ts";
import { FORMAT, type ResultFormat } from "../command/request.ts";
import type { EntryResult } from "../node/ports.ts";
import { SqliteError } from "../sqlite/errors.ts";
import type { ApplyBatch } from "./apply_batch.ts";
import type { EntryRunner } from "./entry_runner.ts";
import { Interruption, type InterruptionCause, type KnownFailure } from "./interruption.ts";
import type { OwnStatement } from "./sql_session.ts";
import { errorResult } from "./result_encoder.ts";
import type { RetryLedger } from "./retry_ledger.ts";
import type { StateRecord, StateWriter } from "./state_record.ts";
import { notAResult } from "./statement_runner.ts";
import type { RunMode } from "./step_budget.ts";
import type { WriterContext } from "./writer_context.ts";

/** What came of a batch. */
export interface BatchOutcome {
  /** Aligned with the entries that were applied; undefined where nobody waits. */
  readonly answers: readonly (EntryResult | undefined)[];
  readonly parked: { readonly index: number; readonly timeoutMs: number } | undefined;
  readonly isDiskFull: boolean;
}

/** The log's word on an entry that used up its steps. */
export interface Verdict {
  readonly index: number;
  readonly verdict: "run" | "void";
  readonly reason: string;
}

/** What the runner asks of the writer. */
export interface BatchHost {
  /** Sets time and seed for an entry; both are known from its command. */
  beginEntry(entry: { readonly nowMs: number; readonly seed: readonly [number, number] }): void;
  /** Forgets what is cached of the schema (rule Q5). Within a transaction. */
  reloadSchema(): void;
  /** Runs VACUUM outside of transactions. @returns the error's text if SQLite refuses. */
  vacuum(sql: string): string | undefined;
  /** Waits a little before a lock is tried again. */
  pause(): void;
}

const NO_FAILURES: readonly KnownFailure[] = [];
/** The end of SQLite's calendar, year 9999. */
const UNIX_MS_MAX = 253_402_300_799_999;

/** See the file's header. One per writer. */
export class BatchRunner {
  readonly #context: WriterContext;
  readonly #entries: EntryRunner;
  readonly #retries: RetryLedger;
  readonly #host: BatchHost;
  readonly #stateWriter: StateWriter;
  readonly #begin: OwnStatement;
  readonly #commit: OwnStatement;
  readonly #rollback: OwnStatement;
  readonly #resetChanges: OwnStatement;
  readonly #undefer: OwnStatement;
  readonly #reader = new CommandReader();
  /** The record as it was last committed. */
  #committed: StateRecord;
  #configuration: Uint8Array;
  #members: Uint8Array;
  /** Written in the open transaction. */
  #nextConfiguration: Uint8Array | undefined;
  #nextMembers: Uint8Array | undefined;
  #verdict: Verdict | undefined;
  /** Learned about the entry at `#knownIndex` by earlier tries. */
  #failures: KnownFailure[] = [];
  #knownIndex = 0;
  #mustReload = false;

  constructor(options: {
    readonly context: WriterContext;
    readonly entries: EntryRunner;
    readonly retries: RetryLedger;
    readonly host: BatchHost;
    readonly stateWriter: StateWriter;
    readonly configuration: Uint8Array;
    readonly members: Uint8Array;
  }) {
    this.#context = options.context;
    this.#entries = options.entries;
    this.#retries = options.retries;
    this.#host = options.host;
    this.#stateWriter = options.stateWriter;
    this.#committed = { ...options.context.record };
    this.#configuration = options.configuration;
    this.#members = options.members;
    const { session } = options.context;
    this.#begin = session.own("BEGIN IMMEDIATE");
    this.#commit = session.own("COMMIT");
    this.#rollback = session.own("ROLLBACK");
    this.#resetChanges = session.own("DELETE FROM sqlite_dust_state WHERE 0");
    this.#undefer = session.own("PRAGMA defer_foreign_keys=OFF");
  }

  /** What the state row says. */
  get committed(): StateRecord {
    return this.#committed;
  }

  /** The engine's configuration, as committed. */
  get configuration(): Uint8Array {
    return this.#configuration;
  }

  /** The member table, as committed. A new array whenever it changes. */
  get members(): Uint8Array {
    return this.#members;
  }

  /** From now on the entry is run without limits, or not at all. */
  setVerdict(verdict: Verdict): void {
    this.#verdict = verdict;
  }

  /** Applies all entries of a batch, or a prefix. @throws {FatalError} when the node must stop. */
  apply(batch: ApplyBatch): BatchOutcome {
    const answers: (EntryResult | undefined)[] = new Array(batch.count);
    const stopped = (count: number): BatchOutcome => ({
      answers: answers.slice(0, count),
      parked: undefined,
      isDiskFull: false,
    });
    let committed = 0;
    /** Entries up to here are run before the next commit. */
    let target = batch.count;
    while (committed < batch.count) {
      const stop = this.#transaction(batch, { from: committed, to: target, answers });
      if (stop === undefined) {
        committed = target;
        target = batch.count;
        continue;
      }
      const { at, cause } = stop;
      if (cause.kind === "full") return { ...stopped(committed), isDiskFull: true };
      if (cause.kind === "busy") {
        this.#host.pause();
        continue;
      }
      if (at > committed) {
        target = at;
        continue;
      }
      switch (cause.kind) {
        case "exhausted":
          return { ...stopped(committed), parked: this.#parked(batch, at) };
        case "outside":
          answers[at] = this.#vacuum(batch, at);
          committed = at + 1;
          break;
        case "rolled_back":
          this.#learn(batch.index(at), cause.failure);
          target = at + 1;
          break;
        default:
          unreachable(cause);
      }
    }
    return stopped(batch.count);
  }

  /** Runs the next entry up to the hard limit and rolls it back. @returns whether it came to its end. */
  try(batch: ApplyBatch, at: number): { readonly isEnded: boolean } {
    for (;;) {
      let cause: InterruptionCause | undefined;
      try {
        this.#start();
        this.#entry(batch, at, "trial");
      } catch (error) {
        cause = causeOf(error);
      }
      this.#undo();
      if (cause === undefined || cause.kind === "outside") return { isEnded: true };
      if (cause.kind === "exhausted" || cause.kind === "full") return { isEnded: false };
      if (cause.kind === "rolled_back") this.#learn(batch.index(at), cause.failure);
      else this.#host.pause();
    }
  }

  /**
   * Commits a transaction that changes nothing, for the sake of its being synced.
   * @returns false when there was no room for it.
   */
  touch(): boolean {
    for (;;) {
      try {
        this.#start();
        // A row that is written as it was is not written at all, and a commit without pages syncs nothing.
        const { record } = this.#context;
        this.#stateWriter.write({ ...record, lastWriteIndex: record.lastWriteIndex + 1 });
        this.#stateWriter.write(record);
        this.#finish();
        return true;
      } catch (error) {
        const cause = causeOf(error);
        this.#undo();
        if (cause.kind === "full") return false;
        assert(cause.kind === "busy", "BatchRunner: a touch was interrupted");
        this.#host.pause();
      }
    }
  }

  /** Runs entries `[from, to)` and commits. @returns what stopped it; then nothing of it remains. */
  #transaction(
    batch: ApplyBatch,
    run: {
      readonly from: number;
      readonly to: number;
      readonly answers: (EntryResult | undefined)[];
    },
  ): { readonly at: number; readonly cause: InterruptionCause } | undefined {
    let at = run.from;
    try {
      this.#start();
      for (; at < run.to; at++) run.answers[at] = this.#entry(batch, at, "apply");
      this.#stateWriter.write(this.#context.record);
      this.#finish();
      return undefined;
    } catch (error) {
      const cause = causeOf(error);
      this.#undo();
      return { at: Math.min(at, run.to - 1), cause };
    }
  }

  #start(): void {
    this.#begin.run();
    if (this.#mustReload) {
      this.#mustReload = false;
      this.#host.reloadSchema();
    }
  }

  #finish(): void {
    this.#commit.run();
    this.#committed = { ...this.#context.record };
    this.#configuration = this.#nextConfiguration ?? this.#configuration;
    this.#nextConfiguration = undefined;
    this.#members = this.#nextMembers ?? this.#members;
    this.#nextMembers = undefined;
  }

  #undo(): void {
    const { session } = this.#context;
    if (!session.connection.isAutocommit) this.#rollback.run();
    this.#retries.forget();
    const { foreignKeys } = this.#context.record;
    this.#context.record = { ...this.#committed };
    if (foreignKeys !== this.#committed.foreignKeys) {
      this.#context.setForeignKeys({ isOn: this.#committed.foreignKeys });
    }
    session.schemaTouched = false;
    this.#nextConfiguration = undefined;
    this.#nextMembers = undefined;
    this.#mustReload = true;
  }

  #learn(index: number, failure: KnownFailure): void {
    if (this.#knownIndex !== index) this.#failures = [];
    this.#knownIndex = index;
    this.#failures.push(failure);
  }

  /** One entry, in the open transaction. The record moves on; nothing is committed. */
  #entry(batch: ApplyBatch, at: number, mode: RunMode): EntryResult | undefined {
    const { record } = this.#context;
    const index = batch.index(at);
    assert(index === record.appliedIndex + 1, "BatchRunner: entries are not in order");
    const configuration = batch.configuration(at);
    const from = batch.from(at);
    const to = batch.to(at);
    const answer = batch.isCommand(at) ? this.#command(batch, at, mode) : undefined;
    if (configuration !== undefined) {
      this.#stateWriter.writeConfiguration(configuration);
      this.#nextConfiguration = configuration.slice();
    }
    const members = batch.members(at);
    if (members !== undefined) this.#writeMembers(members.slice());
    record.appliedIndex = index;
    record.appliedTerm = batch.term(at);
    record.entryChain = nextEntryChain(record.entryChain, {
      index,
      term: record.appliedTerm,
      payload: batch.bytes.subarray(from, to),
    });
    return batch.format(at) === undefined ? undefined : answer ?? "[]";
  }

  /** Whoever is gone takes its session along: what it has under way is refused from here on. */
  #writeMembers(members: Uint8Array): void {
    const gone = this.#stateWriter.writeMembers(members);
    for (const nodeId of gone) this.#retries.dropSession(nodeId);
    this.#nextMembers = members;
  }

  #command(batch: ApplyBatch, at: number, mode: RunMode): EntryResult | undefined {
    const reader = this.#reader;
    reader.use(batch.bytes);
    try {
      reader.open({ from: batch.from(at), to: batch.to(at) });
    } catch (error) {
      throw undecodable(batch.index(at), error);
    }
    const context = this.#context;
    const { digest, record } = context;
    const index = batch.index(at);
    record.logClockMs += Math.min(reader.elapsedMs, ELAPSED_MS_MAX);
    if (reader.kind === KIND.openSession) return this.#retries.openSession(reader, index);
    if (reader.kind === KIND.setTime) record.lastTimeMs = Math.min(reader.nowMs, UNIX_MS_MAX);
    if (reader.kind === KIND.raiseLevel) {
      assertLevelIsKnown(reader.featureLevel, `Cannot apply entry ${index}`);
      record.featureLevel = Math.max(record.featureLevel, reader.featureLevel);
    }
    if (reader.kind !== KIND.execute) return undefined;
    this.#reset(reader);
    digest.open(record.resultChain, index);
    const isNamed = this.#retries.isNamed(reader);
    context.isNamed = isNamed;
    const known = isNamed ? this.#retries.find(reader, batch.bytes) : undefined;
    if (known !== undefined) {
      digest.notRun(JSON.stringify(known));
      record.resultChain = digest.close();
      return known;
    }
    const answer = this.#execute(batch, at, mode);
    this.#close(index);
    record.resultChain = digest.close();
    if (isNamed) this.#retries.remember(reader, { bytes: batch.bytes, index, answer });
    return answer;
  }

  /** Runs a command, unless the log says that it never happened. */
  #execute(batch: ApplyBatch, at: number, mode: RunMode): EntryResult {
    const context = this.#context;
    const { digest } = context;
    const index = batch.index(at);
    const verdict = this.#verdict?.index === index ? this.#verdict : undefined;
    if (verdict?.verdict === "void") {
      digest.voided(verdict.reason);
      // Nobody knows which of its statements it was: the answer is one error.
      return `[${errorResult(verdict.reason, 0, { isQuery: false })}]`;
    }
    context.budget.open({
      index,
      mode: verdict === undefined ? mode : "unlimited",
      softLimitSteps: context.record.softLimitSteps,
      timeoutMs: this.#reader.timeoutMs,
    });
    try {
      return this.#run(batch, at, this.#knownIndex === index ? this.#failures : NO_FAILURES);
    } finally {
      context.budget.leave();
    }
  }

  #run(batch: ApplyBatch, at: number, failures: readonly KnownFailure[]): EntryResult {
    const format = this.#format(batch, at);
    try {
      return this.#entries.run(this.#reader, batch.bytes, { format, failures });
    } catch (error) {
      if (error instanceof OperatingError && error.code === "bad_request") {
        throw undecodable(batch.index(at), error);
      }
      throw error;
    }
  }

  /** A named command is answered everywhere alike, since the answer is kept: without how long it took. */
  #format(batch: ApplyBatch, at: number): ResultFormat | undefined {
    const reader = this.#reader;
    return this.#retries.isNamed(reader) ? reader.retryFormat & ~FORMAT.timings : batch.format(at);
  }

  /** Nothing of the entries before may show in this one (rule Q6). */
  #reset(reader: CommandReader): void {
    const context = this.#context;
    const { record } = context;
    context.hasWritten = false;
    context.resultBytes = 0;
    context.session.connection.setLastInsertRowid(0);
    this.#resetChanges.run();
    context.totalChangesBefore = context.session.connection.totalChanges;
    if (reader.nowMs > record.lastTimeMs) {
      record.lastTimeMs = Math.min(reader.nowMs, UNIX_MS_MAX);
    }
    this.#host.beginEntry({
      nowMs: record.lastTimeMs,
      seed: [reader.seedLow, reader.seedHigh],
    });
  }

  #close(index: number): void {
    const context = this.#context;
    const { session } = context;
    const isChanged = session.connection.totalChanges !== context.totalChangesBefore;
    if (isChanged || context.hasWritten || session.schemaTouched) {
      context.record.lastWriteIndex = index;
      // FTS keeps new rows in memory until a savepoint or the commit. Here, or in some later entry of
      // the batch, whose counters it would change: then the batch's boundaries would show (rule A1).
      context.savepoints.open("flush");
      context.savepoints.release("flush");
    }
    if (context.hasDeferredKeys) {
      context.hasDeferredKeys = false;
      this.#undefer.run();
    }
    if (session.schemaTouched) {
      session.schemaTouched = false;
      this.#host.reloadSchema();
    }
  }

  /** The entry's statement outside, its index behind it: a crash in between vacuums twice. */
  #vacuum(batch: ApplyBatch, at: number): EntryResult | undefined {
    const reader = this.#reader;
    reader.use(batch.bytes);
    reader.open({ from: batch.from(at), to: batch.to(at) });
    reader.nextStatement();
    const sql = new TextDecoder().decode(batch.bytes.subarray(reader.sqlFrom, reader.sqlTo));
    const failure = this.#host.vacuum(sql);
    for (;;) {
      try {
        this.#start();
        const { record, digest } = this.#context;
        const index = batch.index(at);
        record.logClockMs += Math.min(reader.elapsedMs, ELAPSED_MS_MAX);
        digest.open(record.resultChain, index);
        const answer = this.#entries.answerVacuum(failure, this.#format(batch, at));
        record.resultChain = digest.close();
        if (this.#retries.isNamed(reader)) {
          this.#retries.find(reader, batch.bytes);
          this.#retries.remember(reader, { bytes: batch.bytes, index, answer });
        }
        record.appliedIndex = index;
        record.appliedTerm = batch.term(at);
        record.lastWriteIndex = index;
        record.entryChain = this.#chain(batch, at, record.entryChain);
        this.#stateWriter.write(record);
        this.#finish();
        this.#mustReload = true;
        return batch.format(at) === undefined ? undefined : answer;
      } catch (error) {
        const cause = causeOf(error);
        this.#undo();
        assert(
          cause.kind === "busy" || cause.kind === "full",
          "BatchRunner: vacuum was interrupted",
        );
        this.#host.pause();
      }
    }
  }

  #chain(batch: ApplyBatch, at: number, before: EntryChain): EntryChain {
    return nextEntryChain(before, {
      index: batch.index(at),
      term: batch.term(at),
      payload: batch.bytes.subarray(batch.from(at), batch.to(at)),
    });
  }

  #parked(
    batch: ApplyBatch,
    at: number,
  ): { readonly index: number; readonly timeoutMs: number } {
    this.#reader.use(batch.bytes);
    this.#reader.open({ from: batch.from(at), to: batch.to(at) });
    return { index: batch.index(at), timeoutMs: this.#reader.timeoutMs };
  }
}

/** @throws whatever is no interruption: it stops the node. */
function causeOf(error: unknown): InterruptionCause {
  if (error instanceof Interruption) return error.reason;
  if (error instanceof SqliteError) return causeOf(notAResult(error));
  throw error;
}

function undecodable(index: number, cause: unknown): FatalError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FatalError(65, `Cannot apply entry ${index}: ${reason}`, { cause });
}
