/**
 * What the parts of the writer share while they apply entries. One per writer, one thread.
 * Invariant: `record` is what the state row will say when the open transaction is committed.
 */
import { setSwitches } from "../sqlite/settings.ts";
import { JsonWriter } from "./json_writer.ts";
import { ResultDigest } from "./result_digest.ts";
import type { Savepoints } from "./savepoints.ts";
import type { SqlSession } from "./sql_session.ts";
import type { StateRecord } from "./state_record.ts";
import type { StepBudget } from "./step_budget.ts";

/** See the file's header. */
export class WriterContext {
  readonly session: SqlSession;
  readonly savepoints: Savepoints;
  readonly budget: StepBudget;
  readonly digest = new ResultDigest();
  readonly json = new JsonWriter();
  /** A monotonic clock in milliseconds, for `timings` only. */
  readonly nowMs: () => number;
  record: StateRecord;
  /**
   * Whether the entry at hand did anything that its count of changed rows does not show. Must not depend
   * on whether an error came while a statement was compiled or while it ran: the cache decides that.
   */
  hasWritten = false;
  /** The connection's count of changed rows when the entry began (rule Q6). */
  totalChangesBefore = 0;
  /** Bytes of values in the rows that the entry at hand has answered with. */
  resultBytes = 0;
  /**
   * Whether the answer of the entry at hand is kept, as part of the state: then it must not depend on
   * this connection's past.
   */
  isNamed = false;
  /** Whether the entry at hand has put foreign keys off, which must not outlive it (rule Q6). */
  hasDeferredKeys = false;

  constructor(options: {
    readonly session: SqlSession;
    readonly savepoints: Savepoints;
    readonly budget: StepBudget;
    readonly nowMs: () => number;
    readonly record: StateRecord;
  }) {
    this.session = options.session;
    this.savepoints = options.savepoints;
    this.budget = options.budget;
    this.nowMs = options.nowMs;
    this.record = options.record;
  }

  /** Changes the replicated setting, and the connection with it. */
  setForeignKeys(options: { readonly isOn: boolean }): void {
    this.record.foreignKeys = options.isOn;
    this.hasWritten = true;
    setSwitches(this.session.connection, { foreignKeys: options.isOn });
  }
}
