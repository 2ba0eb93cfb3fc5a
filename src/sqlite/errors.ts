/**
 * SQLite's result codes and what they mean to Dust (rule A3): which are results of a statement, equal
 * on every replica, and which are facts about this node. Decided by the *extended* code, because
 * CORRUPT_VTAB is a misuse of FTS5 and CORRUPT is the end of the node.
 */
import { OperatingError } from "../base/errors.ts";

/** The result codes that the code names. sqlite.org/rescode.html has the rest. */
export const ResultCode = {
  OK: 0,
  ERROR: 1,
  INTERNAL: 2,
  PERM: 3,
  ABORT: 4,
  BUSY: 5,
  LOCKED: 6,
  NOMEM: 7,
  READONLY: 8,
  INTERRUPT: 9,
  IOERR: 10,
  CORRUPT: 11,
  NOTFOUND: 12,
  FULL: 13,
  CANTOPEN: 14,
  SCHEMA: 17,
  TOOBIG: 18,
  CONSTRAINT: 19,
  MISMATCH: 20,
  MISUSE: 21,
  AUTH: 23,
  RANGE: 25,
  NOTADB: 26,
  ROW: 100,
  DONE: 101,
  CORRUPT_VTAB: 267,
  BUSY_SNAPSHOT: 517,
  CONSTRAINT_FOREIGNKEY: 787,
} as const;

/**
 * What to do about an error:
 *
 *   result       the statement's outcome, the same everywhere; recorded and answered
 *   busy         BUSY, LOCKED: another connection is in the way; try again
 *   full         no room on the disk: pause and try again, never a result
 *   interrupted  somebody asked for it; what it means depends on who did
 *   readonly     a write on a read-only connection: the user's fault on a reader, fatal on the writer
 *   fatal        IOERR, CORRUPT, NOMEM, ...: the ground is gone
 */
export type ErrorClass = "result" | "busy" | "full" | "interrupted" | "readonly" | "fatal";

/** Sorts an extended result code. ROW, DONE and OK are no errors and count as fatal here. */
export function classifyError(extendedCode: number): ErrorClass {
  if (extendedCode === ResultCode.CORRUPT_VTAB) return "result";
  switch (extendedCode & 0xff) {
    case ResultCode.ERROR:
    case ResultCode.CONSTRAINT:
    case ResultCode.MISMATCH:
    case ResultCode.TOOBIG:
    case ResultCode.RANGE:
    case ResultCode.AUTH:
      return "result";
    case ResultCode.BUSY:
    case ResultCode.LOCKED:
      return "busy";
    case ResultCode.FULL:
      return "full";
    case ResultCode.INTERRUPT:
      return "interrupted";
    case ResultCode.READONLY:
      return "readonly";
    default:
      return "fatal";
  }
}

/** An error that SQLite reported. The message is SQLite's own, as clients of rqlite know it. */
export class SqliteError extends OperatingError {
  override readonly name = "SqliteError";
  /** For example 2067, SQLITE_CONSTRAINT_UNIQUE. */
  readonly extendedCode: number;
  /** Byte offset in the SQL of the token at fault, or -1 when none is known. */
  readonly offset: number;

  constructor(extendedCode: number, message: string, offset = -1) {
    super("internal", message);
    this.extendedCode = extendedCode;
    this.offset = offset;
  }

  /** @see ErrorClass */
  get class(): ErrorClass {
    return classifyError(this.extendedCode);
  }

  /** Whether the file is no sound database. */
  get isDamage(): boolean {
    const code = this.extendedCode & 0xff;
    return this.class === "fatal" && (code === ResultCode.CORRUPT || code === ResultCode.NOTADB);
  }

  /** Whether the file cannot be read: it is damaged, or the disk is. */
  get isUnreadable(): boolean {
    const code = this.extendedCode & 0xff;
    return code === ResultCode.CORRUPT || code === ResultCode.NOTADB || code === ResultCode.IOERR;
  }
}

/**
 * A function, authorizer or progress handler of ours threw (rule Q8). What SQLite computed meanwhile
 * is worthless: roll back and stop. The exception is the `cause`.
 */
export class CallbackError extends Error {
  override readonly name = "CallbackError";
}

/** Thrown by an SQL function of ours to fail the statement with SQLITE_ERROR and this message. */
export class SqlFunctionError extends Error {
  override readonly name = "SqlFunctionError";
}
