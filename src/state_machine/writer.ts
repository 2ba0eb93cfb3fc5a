/**
 * The only read-write connection and what keeps it deterministic (architecture, section 6): the clock
 * that stands still within an entry, chance from the entry's seed, the allow-list, fixed limits.
 *
 * Knows nothing of threads or messages, so that tests run it as it is. Where its file lies and when
 * it is copied is decided elsewhere; nothing here opens files but through SQLite (rule S1).
 */
import { assert } from "../base/assert.ts";
import { encodeMemberTable } from "../command/member_table.ts";
import { Connection } from "../sqlite/connection.ts";
import { ClockVfs } from "../sqlite/clock_vfs.ts";
import { SqliteError } from "../sqlite/errors.ts";
import type { Library } from "../sqlite/library.ts";
import { setLimits, setSwitches } from "../sqlite/settings.ts";
import { setAutomaticCheckpoint } from "../sqlite/wal.ts";
import type { ApplyBatch } from "./apply_batch.ts";
import { type BatchHost, type BatchOutcome, BatchRunner, type Verdict } from "./batch_runner.ts";
import type { EntryWatch } from "./entry_watch.ts";
import { EntryRunner } from "./entry_runner.ts";
import { freezeArithmetic, freezeChance } from "./frozen_functions.ts";
import { BUSY_PAUSE_MS, BUSY_TIMEOUT_MS, WRITER_CACHE_KIB } from "./limits.ts";
import { SQL_LIMITS } from "./replicated_limits.ts";
import { RandomSource } from "./random_source.ts";
import { RetryLedger } from "./retry_ledger.ts";
import { Savepoints } from "./savepoints.ts";
import { SqlSession } from "./sql_session.ts";
import { readState, type StateRecord, StateWriter } from "./state_record.ts";
import { StatementRunner } from "./statement_runner.ts";
import { StepBudget } from "./step_budget.ts";
import { WriterContext } from "./writer_context.ts";

/** How commits reach the disk: `off` where the file need not survive a power cut. */
export type Synchronous = "off" | "normal" | "full";

/** What the writer needs to know. */
export interface WriterOptions {
  readonly library: Library;
  /** The live file, which exists and holds a state. */
  readonly path: string;
  readonly synchronous: Synchronous;
  /** A monotonic clock in milliseconds. */
  readonly nowMs: () => number;
  /** Blocks the thread for so long. */
  readonly sleepMs: (durationMs: number) => void;
  /** Where to show that entries get on (rule A4b); undefined where nobody looks. */
  readonly watch?: EntryWatch | undefined;
  /** The entry from which an earlier process did not come back: it is not run before its verdict. 0 for none. */
  readonly stuckIndex?: number | undefined;
  /** How many prepared statements are kept, which no result may depend on; undefined for the usual. */
  readonly statementsCachedMax?: number;
}

/** The name of the clock's VFS must be free in the whole process. */
let clockCount = 0;

/** See the file's header. */
export class Writer implements Disposable {
  readonly connection: Connection;
  readonly clusterId: Uint8Array;
  readonly #clock: ClockVfs;
  readonly #random = new RandomSource();
  readonly #session: SqlSession;
  readonly #context: WriterContext;
  readonly #batches: BatchRunner;
  readonly #sleepMs: (durationMs: number) => void;
  #timeMs = -1;
  #synchronous: Synchronous;

  /** @throws {FatalError} when the file holds no state. @throws {SqliteError} when it cannot be opened. */
  constructor(options: WriterOptions) {
    this.#sleepMs = options.sleepMs;
    this.#synchronous = options.synchronous;
    this.#clock = new ClockVfs(options.library, `dust-clock-${++clockCount}`);
    this.connection = Connection.open(options.library, {
      path: options.path,
      mode: "readwrite",
      vfs: this.#clock.name,
      noFollow: true,
    });
    this.#clock.reportTo(this.connection);
    this.#clock.setTimeMs(0);
    configureWriter(this.connection, options.synchronous);
    const { record, identity } = readState(this.connection);
    this.clusterId = identity.clusterId;
    setSwitches(this.connection, { foreignKeys: record.foreignKeys });
    freezeArithmetic(this.connection);
    freezeChance(this.connection, {
      random: this.#random,
      totalChanges: () => this.connection.totalChanges - this.#context.totalChangesBefore,
    });
    this.#session = new SqlSession(this.connection, {
      isWriter: true,
      statementsCachedMax: options.statementsCachedMax,
    });
    this.#context = new WriterContext({
      session: this.#session,
      savepoints: new Savepoints(this.#session),
      budget: new StepBudget(this.connection, options),
      nowMs: options.nowMs,
      record,
    });
    const statements = new StatementRunner(this.#context);
    this.#batches = new BatchRunner({
      context: this.#context,
      entries: new EntryRunner(this.#context, statements),
      retries: new RetryLedger(this.#context),
      host: this.#host(),
      stateWriter: new StateWriter(this.#session),
      configuration: identity.configuration,
      members: encodeMemberTable(identity.members),
    });
  }

  /** The engine's configuration, as committed. A new array whenever it changes. */
  get configuration(): Uint8Array {
    return this.#batches.configuration;
  }

  /** The member table, encoded, as committed. A new array whenever it changes. */
  get members(): Uint8Array {
    return this.#batches.members;
  }

  /** As committed. */
  get record(): StateRecord {
    return this.#batches.committed;
  }

  /** Applies a batch that begins behind the applied index. @throws {FatalError} */
  apply(batch: ApplyBatch): BatchOutcome {
    return this.#batches.apply(batch);
  }

  /** @see BatchRunner.try */
  try(batch: ApplyBatch, at: number): { readonly isEnded: boolean } {
    return this.#batches.try(batch, at);
  }

  /** @see BatchRunner.setVerdict */
  setVerdict(verdict: Verdict): void {
    this.#batches.setVerdict(verdict);
  }

  /**
   * Makes all that is committed durable, whatever checkpoints and readers do: a commit under FULL syncs
   * all earlier frames of the `-wal` (rule D3).
   * @returns the index that is durable now; undefined when the disk is full.
   */
  sync(): number | undefined {
    this.#setSynchronous("full");
    try {
      return this.#batches.touch() ? this.record.appliedIndex : undefined;
    } finally {
      this.#setSynchronous(this.#synchronous);
    }
  }

  /** Closes the connection. Again is allowed. */
  [Symbol.dispose](): void {
    this.connection.close();
    this.#clock.unregister();
  }

  #setSynchronous(mode: Synchronous): void {
    this.#session.trusted(() => this.connection.exec(`PRAGMA synchronous=${mode}`));
  }

  #host(): BatchHost {
    return {
      beginEntry: ({ nowMs, seed }) => {
        if (nowMs !== this.#timeMs) this.#clock.setTimeMs(nowMs);
        this.#timeMs = nowMs;
        this.#random.seed(seed[0], seed[1]);
      },
      reloadSchema: () => this.#session.reloadSchema(),
      vacuum: (sql) => this.#vacuum(sql),
      pause: () => this.#sleepMs(BUSY_PAUSE_MS),
    };
  }

  #vacuum(sql: string): string | undefined {
    assert(this.connection.isAutocommit, "Writer: VACUUM within a transaction");
    const { authorizer } = this.#session;
    // Compiled as everything is: what the authorizer lets pass is what this one statement does inside.
    using statement = this.connection.prepare(sql);
    authorizer.isVacuum = true;
    try {
      statement.run();
      return undefined;
    } catch (error) {
      if (error instanceof SqliteError && error.class === "result") return error.message;
      throw error;
    } finally {
      authorizer.isVacuum = false;
    }
  }
}

function configureWriter(connection: Connection, synchronous: Synchronous): void {
  connection.setBusyTimeoutMs(BUSY_TIMEOUT_MS);
  const [[mode] = []] = connection.query("PRAGMA journal_mode=WAL");
  assert(mode === "wal", "Writer: the file is not in WAL mode");
  connection.exec(`PRAGMA synchronous=${synchronous};
    PRAGMA cache_size=-${WRITER_CACHE_KIB}; PRAGMA temp_store=MEMORY`);
  setAutomaticCheckpoint(connection, 0);
  setLimits(connection, SQL_LIMITS);
  setSwitches(connection, {
    defensive: true,
    trustedSchema: false,
    noCheckpointOnClose: true,
    // A plan must not follow the values that happened to be bound when it was made.
    queryPlannerStability: true,
    doubleQuotedStringsInDml: true,
    doubleQuotedStringsInDdl: true,
    loadExtension: false,
    fts3Tokenizer: false,
  });
}
