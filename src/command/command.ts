/**
 * What a log entry says (rule F2). An entry of kind "normal" with an empty payload is the leader's
 * own no-op; every other payload is one `Command`, laid out as `command_format.ts` says.
 *
 * A command is complete: with it and the state before it, every replica computes the same state.
 * So it carries the proposer's time and a random seed; these sit at fixed places in the encoded form,
 * because the leader sets them at the moment it proposes (rule T1).
 */
import type { RetryName } from "./retry.ts";
import type { NamedValue, Value } from "./value.ts";

/** One string of SQL, which may hold several statements, and what is bound to it. */
export interface Statement {
  readonly sql: string;
  readonly positional: readonly Value[];
  readonly named: readonly NamedValue[];
}

/** Client SQL: the statements of one request, in order. */
export interface ExecuteCommand {
  readonly kind: "execute";
  readonly options: ExecuteOptions;
  /** Proposed wall time in milliseconds since 1970; apply clamps it (rule T1). */
  readonly nowMs: number;
  /**
   * Milliseconds on the proposer's monotonic clock since the entry that it proposed before, at most
   * `ELAPSED_MS_MAX`: by these the log's own clock moves (rule T1).
   */
  readonly elapsedMs: number;
  /** Seeds `random()` and `randomblob()` of this entry. */
  readonly seed: bigint;
  readonly statements: readonly Statement[];
  /** What makes it happen once however often it is sent (rules X1, X2). */
  readonly retry?: RetryName;
}

/** How the statements of an `ExecuteCommand` run. All of it changes meaning, so all is replicated. */
export interface ExecuteOptions {
  /** One transaction around all statements: the first error rolls back and stops. */
  readonly transaction: boolean;
  /** Statements that only read answer with rows (`/db/request`), not with the counters (`/db/execute`). */
  readonly rows: boolean;
  /**
   * The client's `db_timeout` in milliseconds, 0 for none. It lowers the count of VM steps after which
   * the entry needs a verdict (rule A4); it never ends a statement by the clock of one replica.
   */
  readonly timeoutMs: number;
  /** Rule F2, for interactive transactions: apply only if the last write's index is at most this. */
  readonly lastWriteIndexMax?: number;
}

/** An entry without SQL that strong reads wait for (rule A5). */
export interface BarrierCommand {
  readonly kind: "barrier";
}

/** Whether the entry at `index`, which passed its soft limit, runs to its end or never happened (rule A4). */
export interface VerdictCommand {
  readonly kind: "verdict";
  readonly index: number;
  readonly verdict: "run" | "void";
  /** The error text that a void entry answers with, for example `execute timeout`. */
  readonly reason: string;
}

/**
 * Begins the forwarding session of a node's process (rule X1), in place of that of an earlier one.
 * `seenIndex` is an index that this node had seen applied: an opening that was under way for long, and
 * knows nothing of the session there is, must not replace it.
 */
export interface OpenSessionCommand {
  readonly kind: "open_session";
  readonly nodeId: number;
  /** Unsigned 64 bits. */
  readonly bootNonce: bigint;
  readonly seenIndex: number;
}

/** All replicas take a digest of the state right behind this entry, to be compared (rule V1). */
export interface CompareCommand {
  readonly kind: "compare";
}

/** What a member has found its state to be. */
export interface MemberDigest {
  readonly nodeId: number;
  /** Of the content of its state, as text. */
  readonly digest: string;
}

/** The digests that members have reported of their states at `index`, where an entry `compare` is (rule V1). */
export interface DigestVerdictCommand {
  readonly kind: "digest_verdict";
  readonly index: number;
  readonly digests: readonly MemberDigest[];
}

/**
 * Takes the state's time to that of this entry, back too: the only thing that does (rule T1). For an operator
 * whose clocks were far ahead once.
 */
export interface SetTimeCommand {
  readonly kind: "set_time";
  /** As in `ExecuteCommand`; stamped by the leader. */
  readonly nowMs: number;
}

/** Every member runs a build of this feature level, or a higher one: what comes with it may be written (rule F1). */
export interface RaiseLevelCommand {
  readonly kind: "raise_level";
  readonly level: number;
}

/** All that can be in a log entry today. */
export type Command =
  | ExecuteCommand
  | BarrierCommand
  | VerdictCommand
  | OpenSessionCommand
  | CompareCommand
  | DigestVerdictCommand
  | SetTimeCommand
  | RaiseLevelCommand;
