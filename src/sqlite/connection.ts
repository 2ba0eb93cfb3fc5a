/**
 * One connection to one database file, owned by one thread.
 *
 * Only `address` may leave the thread, for `interruptConnection`. Every exception of a callback is
 * kept and thrown by the call that it happened in (rule Q8). Closing finalizes what is left.
 * Not here: which SQL, functions and pragmas are allowed (state_machine/).
 */
import { assert } from "../base/assert.ts";
import { CallbackError, ResultCode, SqliteError } from "./errors.ts";
import {
  allocate,
  cString,
  type Library,
  MAIN_SCHEMA,
  readCString,
  type Symbols,
} from "./library.ts";
import { SqlText } from "./sql_text.ts";
import { Statement } from "./statement.ts";
import { type BindValue, fromInt64, type ReadValue, toInt64 } from "./values.ts";

const OPEN_READONLY = 0x1;
const OPEN_READWRITE = 0x2;
const OPEN_CREATE = 0x4;
const OPEN_NOMUTEX = 0x8000;
const OPEN_EXRESCODE = 0x0200_0000;
const OPEN_NOFOLLOW = 0x0100_0000;
const OPEN_URI = 0x40;

const PREPARE_PERSISTENT = 0x01;

const OUT = allocate(8);
const OUT_VIEW = new DataView(OUT.buffer);
/** Where a result code goes that must not come back as a result (call_source.ts). */
const CODE = allocate(4);
const CODE_VIEW = new Int32Array(CODE.buffer);
const TAIL = allocate(8);
const TAIL_VIEW = new DataView(TAIL.buffer);
const LITTLE_ENDIAN = true;

/** How to open a database file. */
export interface OpenOptions {
  /** Path, or `:memory:`. */
  readonly path: string;
  /**
   * `create` makes the file when it is missing. `immutable` reads the file alone, whatever lies beside it, takes
   * no lock and makes no file: for one that nobody can change meanwhile.
   */
  readonly mode: "readonly" | "readwrite" | "create" | "immutable";
  /** Name of a registered VFS, for example a `ClockVfs`; the default one when left out. */
  readonly vfs?: string;
  /** Refuses a path that is a symbolic link, or has one in it. */
  readonly noFollow?: boolean;
}

/** What came of preparing the first statement in a string. */
export interface Prepared {
  /** Undefined when only blanks and comments were left. */
  readonly statement: Statement | undefined;
  /** Offset in bytes just behind the statement; the size of the SQL at its end. */
  readonly tail: number;
}

/** State of a transaction as `sqlite3_txn_state` has it. */
export type TransactionState = "none" | "read" | "write";

/** @see the header */
export class Connection implements Disposable {
  readonly library: Library;
  readonly path: string;
  readonly #symbols: Symbols;
  /** Null once closed. */
  #pointer: Deno.PointerValue;
  readonly #statements = new Set<Statement>();
  /** Run by `close`, last registered first; each frees what SQLite must not call any more. */
  readonly #closers: (() => void)[] = [];
  /** The first exception of a callback since the last check. Boxed: anything can be thrown. */
  #callbackFailure: { readonly cause: unknown } | undefined;

  constructor(library: Library, path: string, pointer: Deno.PointerValue) {
    this.library = library;
    this.path = path;
    this.#symbols = library.symbols;
    this.#pointer = pointer;
  }

  /** @throws {SqliteError} CANTOPEN, NOTADB and the like. */
  static open(library: Library, options: OpenOptions): Connection {
    const modes = {
      readonly: OPEN_READONLY,
      readwrite: OPEN_READWRITE,
      create: OPEN_READWRITE | OPEN_CREATE,
      immutable: OPEN_READONLY | OPEN_URI,
    };
    const flags = modes[options.mode] | OPEN_NOMUTEX | OPEN_EXRESCODE |
      (options.noFollow === true ? OPEN_NOFOLLOW : 0);
    const vfs = options.vfs === undefined ? null : cString(options.vfs);
    const path = options.mode === "immutable" ? immutableUri(options.path) : options.path;
    const code = library.symbols.sqlite3_open_v2(cString(path), OUT, flags, vfs);
    const pointer = Deno.UnsafePointer.create(OUT_VIEW.getBigUint64(0, LITTLE_ENDIAN));
    const connection = new Connection(library, options.path, pointer);
    if (code === ResultCode.OK) return connection;
    const error = connection.lastError(code);
    connection.close();
    throw error;
  }

  /**
   * Address of SQLite's own structure, which may be posted to another thread for
   * `interruptConnection`. Valid until `close`, so that thread must have dropped it by then (rule Q12).
   */
  get address(): bigint {
    return Deno.UnsafePointer.value(this.pointer);
  }

  /** For the files of this folder. @throws {AssertionError} once closed. */
  get pointer(): Deno.PointerValue {
    assert(this.#pointer !== null, "Connection: used after close");
    return this.#pointer;
  }

  // --- statements ---------------------------------------------------------------------------------

  /**
   * Prepares the only statement of `sql`.
   * @throws {SqliteError} when SQLite refuses it.
   * @throws {AssertionError} when there is none, or a second one behind it.
   */
  prepare(sql: string): Statement {
    const text = new SqlText(sql);
    const { statement, tail } = this.prepareNext(text, 0);
    assert(statement !== undefined, "Connection.prepare: no statement");
    const rest = tail < text.sizeBytes ? this.prepareNext(text, tail).statement : undefined;
    assert(rest === undefined, "Connection.prepare: a second statement");
    return statement;
  }

  /**
   * Prepares the statement that begins at byte `from` of `sql`.
   * @param options.persistent When it will be kept and run many times.
   * @throws {SqliteError} when SQLite refuses it; `offset` counts from the start of `sql`.
   */
  prepareNext(
    sql: SqlText,
    from: number,
    options: { readonly persistent: boolean } = { persistent: false },
  ): Prepared {
    assert(from >= 0 && from <= sql.sizeBytes, "prepareNext: from is outside the text");
    const code = this.#prepare(
      Deno.UnsafePointer.create(sql.address + BigInt(from)),
      sql.sizeBytes - from + 1,
      options.persistent ? PREPARE_PERSISTENT : 0,
    );
    const address = OUT_VIEW.getBigUint64(0, LITTLE_ENDIAN);
    const statement = address === 0n ? undefined : this.#adopt(address);
    if (this.#callbackFailure !== undefined) statement?.finalize();
    this.checkCallbacks();
    if (code !== ResultCode.OK) throw this.#errorAt(code, from);
    // Behind blanks at the end SQLite's tail may be the closing NUL's far side.
    const end = Number(TAIL_VIEW.getBigUint64(0, LITTLE_ENDIAN) - sql.address);
    return { statement, tail: Math.min(end, sql.sizeBytes) };
  }

  /** Leaves the statement in OUT and the rest of the text in TAIL. @returns the result code. */
  #prepare(text: Deno.PointerValue, sizeBytes: number, flags: number): number {
    const { dust_prepare, sqlite3_prepare_v3 } = this.#symbols;
    if (dust_prepare === null) {
      return sqlite3_prepare_v3(this.pointer, text, sizeBytes, flags, OUT, TAIL);
    }
    dust_prepare(this.pointer, text, sizeBytes, flags, OUT, TAIL, CODE);
    return CODE_VIEW[0] ?? 0;
  }

  /** Runs all statements of a string, rows ignored. @throws as `prepareNext` and `Statement.step`. */
  exec(sql: string): void {
    const text = new SqlText(sql);
    for (let from = 0; from < text.sizeBytes;) {
      const { statement, tail } = this.prepareNext(text, from);
      from = tail;
      if (statement === undefined) continue;
      using running = statement;
      running.run();
    }
  }

  /** Prepares, binds, runs and forgets one statement: for small, rare queries. @throws as `exec`. */
  query(sql: string, ...values: readonly BindValue[]): ReadValue[][] {
    using statement = this.prepare(sql);
    return statement.all(...values);
  }

  /** Called by a statement that was finalized. */
  forget(statement: Statement): void {
    this.#statements.delete(statement);
  }

  #adopt(address: bigint): Statement {
    const pointer = Deno.UnsafePointer.create(address);
    const statement = new Statement(this, this.library, pointer);
    this.#statements.add(statement);
    return statement;
  }

  // --- errors -------------------------------------------------------------------------------------

  /** The error of the call before this one, which gave `code`. */
  lastError(code: number): SqliteError {
    return this.#errorAt(code, 0);
  }

  #errorAt(code: number, from: number): SqliteError {
    const message = readCString(this.#symbols.sqlite3_errmsg(this.#pointer)) ?? "";
    const offset = this.#symbols.sqlite3_error_offset?.(this.#pointer) ?? -1;
    return new SqliteError(code, message, offset < 0 ? -1 : from + offset);
  }

  /** @throws {SqliteError} unless `code` is OK. @throws {CallbackError} as `checkCallbacks`. */
  check(code: number): void {
    this.checkCallbacks();
    if (code !== ResultCode.OK) throw this.lastError(code);
  }

  /** Called from within callbacks, which must never throw through SQLite. */
  reportCallbackFailure(cause: unknown): void {
    this.#callbackFailure ??= { cause };
  }

  /** @throws {CallbackError} once, when a callback threw since the last check (rule Q8). */
  checkCallbacks(): void {
    const failure = this.#callbackFailure;
    if (failure === undefined) return;
    this.#callbackFailure = undefined;
    const { cause } = failure;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CallbackError(`Cannot trust the last call of SQLite: a callback threw: ${reason}`, {
      cause,
    });
  }

  // --- facts --------------------------------------------------------------------------------------

  /** Rows changed by the last INSERT, UPDATE or DELETE that ended. */
  get changes(): number {
    return Number(this.#symbols.sqlite3_changes64(this.pointer));
  }

  /** Rows changed since the connection was opened. */
  get totalChanges(): number {
    return Number(this.#symbols.sqlite3_total_changes64(this.pointer));
  }

  /** Rowid of the last INSERT, or what was set. */
  get lastInsertRowid(): number | bigint {
    return fromInt64(this.#symbols.sqlite3_last_insert_rowid(this.pointer));
  }

  /** Rule Q6. @throws {RangeError} when it is no 64-bit integer. */
  setLastInsertRowid(rowid: number | bigint): void {
    this.#symbols.sqlite3_set_last_insert_rowid(this.pointer, toInt64(rowid));
  }

  /** False within a transaction, also one that a savepoint began. */
  get isAutocommit(): boolean {
    return this.#symbols.sqlite3_get_autocommit(this.pointer) !== 0;
  }

  /** Of the main database. */
  get transactionState(): TransactionState {
    switch (this.#symbols.sqlite3_txn_state(this.pointer, MAIN_SCHEMA)) {
      case 1:
        return "read";
      case 2:
        return "write";
      default:
        return "none";
    }
  }

  /** How long a call waits for a lock before it gives BUSY. */
  setBusyTimeoutMs(timeoutMs: number): void {
    this.check(this.#symbols.sqlite3_busy_timeout(this.pointer, timeoutMs));
  }

  /** Ends what runs now; for the owner's own callbacks. @see interruptConnection */
  interrupt(): void {
    this.#symbols.sqlite3_interrupt(this.pointer);
  }

  // --- the end ------------------------------------------------------------------------------------

  /** Has `closer` run when the connection is closed and SQLite can call nothing any more. */
  onClose(closer: () => void): void {
    this.#closers.push(closer);
  }

  /** Finalizes all statements and closes. Again is allowed and does nothing. */
  close(): void {
    if (this.#pointer === null) return;
    for (const statement of this.#statements) statement.finalize();
    const code = this.#symbols.sqlite3_close(this.#pointer);
    assert(code === ResultCode.OK, "Connection.close: a backup or blob is still open");
    this.#pointer = null;
    while (this.#closers.length > 0) this.#closers.pop()?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Ends whatever the connection at `address` runs or prepares now, from any thread: it gives INTERRUPT
 * there. While it is idle this does nothing to its next statement, but may end its next checkpoint. The connection must not be closed meanwhile (rule Q12).
 */
export function interruptConnection(library: Library, address: bigint): void {
  library.symbols.sqlite3_interrupt(Deno.UnsafePointer.create(address));
}

/** @see sqlite.org/uri.html; a path that begins with two slashes would name a host. */
function immutableUri(path: string): string {
  return `file:${encodeURI(path).replaceAll("?", "%3F").replaceAll("#", "%23")}?immutable=1`;
}
