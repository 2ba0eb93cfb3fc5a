/**
 * Why a batch cannot simply go on: the transaction is gone, or must be given up. None of these is a
 * result; the batch starts over from its last commit and knows more then.
 */

/** What a statement left behind that ended the whole transaction, found out by a first try (rule A4c). */
export interface KnownFailure {
  /** Counts the statements of the entry from 0, in the order in which they run. */
  readonly statement: number;
  readonly message: string;
  readonly lastInsertRowid: number | bigint;
  readonly changes: number;
}

/**
 *   rolled_back  a statement ended the transaction, as OR ROLLBACK does; its error is a result
 *   exhausted    the entry has used up its steps: it needs a verdict (rule A4)
 *   outside      the entry is a VACUUM, which runs outside of transactions (rule A2)
 *   busy         another connection is in the way: again, for ever
 *   full         no room on the disk: again later
 */
export type InterruptionCause =
  | { readonly kind: "rolled_back"; readonly failure: KnownFailure }
  | { readonly kind: "exhausted" }
  | { readonly kind: "outside" }
  | { readonly kind: "busy" }
  | { readonly kind: "full" };

/** Thrown through an entry's run; caught by the batch only. */
export class Interruption extends Error {
  override readonly name = "Interruption";
  readonly reason: InterruptionCause;

  constructor(cause: InterruptionCause) {
    super(`Entry interrupted: ${cause.kind}`);
    this.reason = cause;
  }
}
