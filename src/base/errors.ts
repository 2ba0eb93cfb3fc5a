/**
 * The kinds of failure that are not bugs: an `OperatingError` is expected and has a code that the
 * HTTP layer maps to a status; a `FatalError` means that the ground is gone and the node must stop.
 * Bugs are `AssertionError` (assert.ts). Messages: capital, no period, the action, then the state.
 */

/** Every way in which a request can fail without a bug. Closed: a new code needs its HTTP status. */
export type ErrorCode =
  | "bad_request" // The input is unusable; nothing happened.
  | "too_large" // The input passes a limit; nothing happened.
  | "not_leader" // Not this node; nothing happened.
  | "not_ready" // This node cannot serve yet; nothing happened.
  | "overloaded" // A bounded queue is full; nothing happened.
  | "disk_full" // No room for new writes; nothing happened.
  | "timeout" // A wait ended before the work did; reads only, or before a proposal.
  | "canceled" // The client went away.
  | "stale_read" // The freshness that was asked for is not there.
  | "outcome_unknown" // A write that may still commit.
  | "unauthorized"
  | "conflict" // Another state was expected.
  | "key_reused" // The idempotency key belongs to another request; nothing happened.
  | "keys_full" // No idempotency key can be taken until older ones expire; nothing happened.
  | "session_refused" // A forwarded write came too late to be told from its repetition; nothing happened.
  | "quarantined" // This node's state is known to differ from the others': it answers no reads (rule V2).
  | "index_not_reached" // This node had not applied the index that a read asked for in time.
  | "internal"; // A statement or a result that cannot be answered; see the message.

/** An expected failure, shown to the caller. @see ErrorCode */
export class OperatingError extends Error {
  override readonly name: string = "OperatingError";
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * The node cannot go on: a failed fsync, a damaged log, a state file that disagrees. It stops voting
 * and exits with `exitStatus`; the message is for the operator and names file and offset where known.
 */
export class FatalError extends Error {
  override readonly name = "FatalError";
  /** 1 configuration or data directory, 74 I/O error (EX_IOERR), 65 damaged data (EX_DATAERR). */
  readonly exitStatus: 1 | 65 | 74;
  /** Whether it is the state's file that cannot be used any more: the next start must not go on with it. */
  readonly isStateDamaged: boolean;
  constructor(
    exitStatus: 1 | 65 | 74,
    message: string,
    options?: ErrorOptions & { readonly isStateDamaged?: boolean },
  ) {
    super(message, options);
    this.exitStatus = exitStatus;
    this.isStateDamaged = options?.isStateDamaged ?? false;
  }
}
