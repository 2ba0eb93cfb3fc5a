/**
 * How a thread of the state machine says that it cannot go on, and the error that the main thread makes of it:
 * what is thrown in one thread cannot be caught in another.
 */
import { FatalError } from "../base/errors.ts";
import { SqliteError } from "../sqlite/errors.ts";

/** An assertion or an unknown error: a bug of ours. */
const BUG_EXIT_STATUS = 70;

/** The last that is heard of a thread. */
export interface FatalReply {
  readonly kind: "fatal";
  readonly message: string;
  readonly exitStatus: 1 | 65 | 74 | typeof BUG_EXIT_STATUS;
  readonly isStateDamaged: boolean;
}

/** What to say of what was caught. */
export function fatalReply(caught: unknown): FatalReply {
  const kind = "fatal";
  const error = caught instanceof SqliteError ? sqliteFailed("go on", caught) : caught;
  if (error instanceof FatalError) {
    const { message, exitStatus, isStateDamaged } = error;
    return { kind, message, exitStatus, isStateDamaged };
  }
  const message = error instanceof Error ? error.stack ?? error.message : String(error);
  return { kind, message, exitStatus: BUG_EXIT_STATUS, isStateDamaged: false };
}

/** The same, to be thrown on the main thread. */
export function errorOfReply({ message, exitStatus, isStateDamaged }: FatalReply): Error {
  if (exitStatus === BUG_EXIT_STATUS) return new Error(message);
  return new FatalError(exitStatus, message, { isStateDamaged });
}

/** SQLite could not do what it was asked to, and it is no statement's fault (rule A3). */
export function sqliteFailed(deed: "apply" | "read" | "go on", error: SqliteError): FatalError {
  const { extendedCode, message, isDamage } = error;
  const text = `Cannot ${deed}: SQLite reported ${extendedCode}: ${message}`;
  return new FatalError(74, text, { cause: error, isStateDamaged: isDamage });
}
