/**
 * A prepared statement: bind, step, read columns, reset. The hot path of the database.
 *
 * Parameters count from 1, columns from 0, as in SQLite. Values are copied at once in both
 * directions; nothing returned points into SQLite's memory. A finalized statement throws on use.
 * Not here: preparing (connection.ts), keeping (statement_cache.ts).
 */
import { assert } from "../base/assert.ts";
import type { Connection } from "./connection.ts";
import { ResultCode, SqliteError } from "./errors.ts";
import {
  allocate,
  cString,
  type Library,
  readCString,
  type Symbols,
  TRANSIENT,
} from "./library.ts";
import { SCRATCH_TEXT_LENGTH_MAX } from "./limits.ts";
import type { Scratch } from "./scratch.ts";
import { type BindValue, fromInt64, type ReadValue, toInt64, ValueType } from "./values.ts";

const BYTE = allocate(1);
/** Where a result code goes that must not come back as a result (call_source.ts). */
const CODE = allocate(4);
const CODE_VIEW = new Int32Array(CODE.buffer);
const SIZE_BYTES_MAX = 2 ** 31 - 1;

/** Counters of a statement, for `Statement.status`. */
export const StatementStatus = { FULLSCAN_STEP: 1, SORT: 2, VM_STEP: 4, REPREPARE: 5 } as const;

/** Where a result column comes from; undefined for expressions and where the library cannot tell. */
export interface ColumnOrigin {
  readonly database: string | undefined;
  readonly table: string | undefined;
  readonly column: string | undefined;
}

/** Made by `Connection.prepare` and `prepareNext`. @see the header */
export class Statement implements Disposable {
  readonly connection: Connection;
  /** Number of the largest parameter; 0 for none. */
  readonly parameterCount: number;
  /** Whether it makes no direct change to the database file. Functions and PRAGMA may still. */
  readonly isReadonly: boolean;
  /** 1 for EXPLAIN, 2 for EXPLAIN QUERY PLAN, otherwise 0. */
  readonly explain: 0 | 1 | 2;
  readonly #symbols: Symbols;
  readonly #scratch: Scratch;
  /** Null once finalized; every function of SQLite's then sees null and ours assert. */
  #pointer: Deno.PointerValue;
  #columnNames: readonly string[] | undefined;
  #columnNamesReprepares = 0;

  constructor(connection: Connection, library: Library, pointer: Deno.PointerValue) {
    assert(pointer !== null, "Statement: null pointer");
    this.connection = connection;
    this.#symbols = library.symbols;
    this.#scratch = library.scratch;
    this.#pointer = pointer;
    this.parameterCount = library.symbols.sqlite3_bind_parameter_count(pointer);
    this.isReadonly = library.symbols.sqlite3_stmt_readonly(pointer) !== 0;
    const explain = library.symbols.sqlite3_stmt_isexplain(pointer);
    this.explain = explain === 1 || explain === 2 ? explain : 0;
  }

  // --- parameters ---------------------------------------------------------------------------------

  /** Name of a parameter with its prefix (`:a`, `@a`, `$a`, `?7`), or undefined for a plain `?`. */
  parameterName(index: number): string | undefined {
    return readCString(this.#symbols.sqlite3_bind_parameter_name(this.#pointer, index));
  }

  /** Number of the parameter `name`, prefix included, or 0 when there is none. */
  parameterIndex(name: string): number {
    if (name.includes("\0")) return 0;
    return this.#symbols.sqlite3_bind_parameter_index(this.#pointer, cString(name));
  }

  /** @throws {SqliteError} RANGE when there is no such parameter; so do all that bind. */
  bindNull(index: number): void {
    this.#check(this.#symbols.sqlite3_bind_null(this.#pointer, index));
  }

  /** @throws {RangeError} when `value` is not an integer, as a number not a safe one, or over 64 bits. */
  bindInteger(index: number, value: number | bigint): void {
    const code = typeof value === "number" && (value | 0) === value
      ? this.#symbols.sqlite3_bind_int(this.#pointer, index, value)
      : this.#symbols.sqlite3_bind_int64(this.#pointer, index, toInt64(value));
    this.#check(code);
  }

  /** NaN becomes NULL, as SQLite has it. */
  bindReal(index: number, value: number): void {
    this.#check(this.#symbols.sqlite3_bind_double(this.#pointer, index, value));
  }

  /** May hold NUL. A lone surrogate becomes U+FFFD, so callers refuse those before. */
  bindText(index: number, text: string): void {
    if (text.length > SCRATCH_TEXT_LENGTH_MAX) {
      return this.bindTextBytes(index, new TextEncoder().encode(text));
    }
    const sizeBytes = this.#scratch.encode(text);
    const bytes = this.#scratch.bytes;
    this.#check(
      this.#symbols.sqlite3_bind_text(this.#pointer, index, bytes, sizeBytes, TRANSIENT),
    );
  }

  /** Text that is UTF-8 already; SQLite keeps the bytes as they are, valid or not. */
  bindTextBytes(index: number, bytes: Uint8Array): void {
    const source = toSource(bytes);
    this.#check(
      this.#symbols.sqlite3_bind_text(this.#pointer, index, source, bytes.length, TRANSIENT),
    );
  }

  /** Empty bytes become an empty blob, not NULL. */
  bindBlob(index: number, bytes: Uint8Array): void {
    const source = toSource(bytes);
    this.#check(
      this.#symbols.sqlite3_bind_blob(this.#pointer, index, source, bytes.length, TRANSIENT),
    );
  }

  /** A number is an INTEGER; see values.ts. @throws {RangeError} as `bindInteger`. */
  bindValue(index: number, value: BindValue): void {
    if (typeof value === "number" || typeof value === "bigint") this.bindInteger(index, value);
    else if (typeof value === "string") this.bindText(index, value);
    else if (value === null) this.bindNull(index);
    else if (value instanceof Uint8Array) this.bindBlob(index, value);
    else this.bindReal(index, value.value);
  }

  /** Binds parameters 1 and up in order. */
  bindAll(values: readonly BindValue[]): void {
    for (let index = 0; index < values.length; index++) {
      this.bindValue(index + 1, values[index] as BindValue);
    }
  }

  /** Sets all parameters to NULL. */
  clearBindings(): void {
    this.#symbols.sqlite3_clear_bindings(this.#pointer);
  }

  // --- running ------------------------------------------------------------------------------------

  /**
   * Runs to the next row. After an error or the last row, `reset` before the next run.
   * @returns true when a row is there, false at the end.
   * @throws {SqliteError} for whatever SQLite reports.
   * @throws {CallbackError} when a callback of ours threw (rule Q8).
   */
  step(): boolean {
    const code = this.stepCode();
    if (code === ResultCode.ROW) return true;
    if (code === ResultCode.DONE) return false;
    throw this.connection.lastError(code);
  }

  /**
   * `step` without an exception for SQLite's errors, which cost microseconds in a hot loop.
   * @returns ROW (100), DONE (101), or an extended result code; `Connection.lastError` has the rest.
   * @throws {CallbackError} when a callback of ours threw (rule Q8).
   */
  stepCode(): number {
    assert(this.#pointer !== null, "Statement: used after finalize");
    const { dust_step, sqlite3_step } = this.#symbols;
    const code = dust_step === null
      ? sqlite3_step(this.#pointer)
      : (dust_step(this.#pointer, CODE), CODE_VIEW[0] ?? 0);
    this.connection.checkCallbacks();
    return code;
  }

  /**
   * Steps on, and takes the rows into a digest's state, for `RowDigest`, until some `sizeBytes` were taken in.
   * @returns whether there may be more. @throws as `step`.
   */
  digestRows(state: Uint8Array<ArrayBuffer>, sizeBytes: number): boolean {
    assert(this.#pointer !== null, "Statement: used after finalize");
    const digest = this.#symbols.dust_digest_rows;
    assert(digest !== null, "Statement.digestRows: not in this library");
    digest(this.#pointer, state, sizeBytes, CODE);
    const code = CODE_VIEW[0] ?? 0;
    this.connection.checkCallbacks();
    if (code === ResultCode.ROW) return true;
    if (code === ResultCode.DONE) return false;
    throw this.connection.lastError(code);
  }

  /** Back to before the first row; bindings stay. The error of the last run, if any, is not repeated. */
  reset(): void {
    this.#symbols.sqlite3_reset(this.#pointer);
  }

  /** Runs to the end without reading rows, and resets, also after an error. @throws as `step`. */
  run(): void {
    try {
      while (this.step());
    } finally {
      this.reset();
    }
  }

  /** Whether it was stepped and neither ended nor reset: then it holds a transaction open. */
  get isBusy(): boolean {
    return this.#symbols.sqlite3_stmt_busy(this.#pointer) !== 0;
  }

  /** A counter of `StatementStatus` since the last reset of it. */
  status(counter: number, options: { readonly reset: boolean } = { reset: false }): number {
    return this.#symbols.sqlite3_stmt_status(this.#pointer, counter, options.reset ? 1 : 0) >>> 0;
  }

  /** The SQL it was prepared from. */
  get sql(): string {
    return readCString(this.#symbols.sqlite3_sql(this.#pointer)) ?? "";
  }

  // --- columns ------------------------------------------------------------------------------------

  /** Number of result columns, 0 for a statement that returns nothing. May change with the schema. */
  get columnCount(): number {
    return this.#symbols.sqlite3_column_count(this.#pointer);
  }

  /** Names of the result columns; read them after the first step, which may prepare anew. */
  columnNames(): readonly string[] {
    const reprepares = this.status(StatementStatus.REPREPARE);
    if (this.#columnNames === undefined || reprepares !== this.#columnNamesReprepares) {
      const count = this.columnCount;
      this.#columnNames = Array.from({ length: count }, (_, column) => this.columnName(column));
      this.#columnNamesReprepares = reprepares;
    }
    return this.#columnNames;
  }

  /** Name of one result column. */
  columnName(column: number): string {
    return readCString(this.#symbols.sqlite3_column_name(this.#pointer, column)) ?? "";
  }

  /** The declared type as the schema has it, or undefined for an expression. */
  columnDeclaredType(column: number): string | undefined {
    return readCString(this.#symbols.sqlite3_column_decltype(this.#pointer, column));
  }

  /** @see ColumnOrigin */
  columnOrigin(column: number): ColumnOrigin {
    const s = this.#symbols;
    const pointer = this.#pointer;
    return {
      database: readCString(s.sqlite3_column_database_name?.(pointer, column) ?? null),
      table: readCString(s.sqlite3_column_table_name?.(pointer, column) ?? null),
      column: readCString(s.sqlite3_column_origin_name?.(pointer, column) ?? null),
    };
  }

  /** One of `ValueType`. Ask before any other read of the column: reads may convert. */
  columnType(column: number): number {
    return this.#symbols.sqlite3_column_type(this.#pointer, column);
  }

  /** An INTEGER, exact: a number when it is safe, otherwise a bigint. Only for INTEGER columns. */
  columnInteger(column: number): number | bigint {
    // A safe integer is exact as a double, no other one rounds to it, and a bigint costs twice as much.
    const real = this.#symbols.sqlite3_column_double(this.#pointer, column);
    if (Number.isSafeInteger(real)) return real;
    return fromInt64(this.#symbols.sqlite3_column_int64(this.#pointer, column));
  }

  /** A REAL, bit for bit. */
  columnReal(column: number): number {
    return this.#symbols.sqlite3_column_double(this.#pointer, column);
  }

  /** A TEXT, NUL included. What is not UTF-8 becomes U+FFFD; `columnBytes` has it unchanged. */
  columnText(column: number): string {
    const sizeBytes = this.columnSize(column);
    if (sizeBytes === 0) return "";
    const bytes = this.#scratch.reserve(sizeBytes);
    this.copyColumnText(column, bytes, sizeBytes);
    return this.#scratch.decode(sizeBytes);
  }

  /** The bytes of a TEXT (UTF-8, unchanged) or BLOB, in an array of their own. */
  columnBytes(column: number): Uint8Array<ArrayBuffer> {
    const isText = this.columnType(column) === ValueType.TEXT;
    const sizeBytes = this.columnSize(column);
    const bytes = allocate(sizeBytes);
    if (isText) this.copyColumnText(column, bytes, sizeBytes);
    else this.copyColumnBlob(column, bytes, sizeBytes);
    return bytes;
  }

  /** Size in bytes of a TEXT or BLOB; for `copyColumnText` and `copyColumnBlob`. */
  columnSize(column: number): number {
    return this.#symbols.sqlite3_column_bytes(this.#pointer, column);
  }

  /** Copies `columnSize` bytes of a TEXT to the start of `target`, which has room for them. */
  copyColumnText(column: number, target: Uint8Array, sizeBytes: number): void {
    assert(target.length >= sizeBytes, "copyColumnText: no room");
    if (sizeBytes === 0) return;
    this.#copy(this.#symbols.sqlite3_column_text(this.#pointer, column), target, sizeBytes);
  }

  /** Copies `columnSize` bytes of a BLOB to the start of `target`, which has room for them. */
  copyColumnBlob(column: number, target: Uint8Array, sizeBytes: number): void {
    assert(target.length >= sizeBytes, "copyColumnBlob: no room");
    if (sizeBytes === 0) return;
    this.#copy(this.#symbols.sqlite3_column_blob(this.#pointer, column), target, sizeBytes);
  }

  /** @see ReadValue */
  columnValue(column: number): ReadValue {
    switch (this.columnType(column)) {
      case ValueType.INTEGER:
        return this.columnInteger(column);
      case ValueType.REAL:
        return this.columnReal(column);
      case ValueType.TEXT:
        return this.columnText(column);
      case ValueType.BLOB:
        return this.columnBytes(column);
      default:
        return null;
    }
  }

  /** The present row. */
  row(): ReadValue[] {
    return Array.from({ length: this.columnCount }, (_, column) => this.columnValue(column));
  }

  /** Binds, runs to the end, and resets: for small results. @throws as `step`. */
  all(...values: readonly BindValue[]): ReadValue[][] {
    this.bindAll(values);
    const rows: ReadValue[][] = [];
    try {
      while (this.step()) rows.push(this.row());
    } finally {
      this.reset();
    }
    return rows;
  }

  /** Gives it back to SQLite. Again is allowed and does nothing. */
  finalize(): void {
    if (this.#pointer === null) return;
    this.#symbols.sqlite3_finalize(this.#pointer);
    this.#pointer = null;
    this.connection.forget(this);
  }

  [Symbol.dispose](): void {
    this.finalize();
  }

  #copy(source: Deno.PointerValue, target: Uint8Array, sizeBytes: number): void {
    // Null where there are bytes: SQLite had no memory to end the text with NUL.
    if (source === null) throw this.connection.lastError(ResultCode.NOMEM);
    this.#symbols.memcpy_out(asBuffer(target), source, sizeBytes);
  }

  #check(code: number): void {
    if (code === ResultCode.OK) return;
    assert(this.#pointer !== null, "Statement: used after finalize");
    throw this.connection.lastError(code);
  }
}

/** Bytes as SQLite's functions take them. @throws {SqliteError} TOOBIG past their 32-bit size. */
function toSource(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.length > SIZE_BYTES_MAX) {
    throw new SqliteError(ResultCode.TOOBIG, "string or blob too big");
  }
  // The address of an empty array is null, which would bind NULL (rule Q13).
  return bytes.length === 0 ? BYTE : asBuffer(bytes);
}

/** The FFI's type for bytes excludes shared memory, which nobody hands to SQLite here. */
function asBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}
