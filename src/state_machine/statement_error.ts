/**
 * The error of one statement that is ours rather than SQLite's: wrong parameters, something that is
 * not allowed, a value that cannot be shown. It is a result, the same on every replica.
 */

/** The message is what the client reads, as the wire words it. */
export class StatementError extends Error {
  override readonly name = "StatementError";
}

/** A value has no form on the wire, though the statement itself has succeeded. */
export class UnshowableValueError extends StatementError {}
