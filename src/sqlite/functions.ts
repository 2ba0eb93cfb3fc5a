/**
 * SQL functions written in JavaScript, one call of which costs about 0.4 microseconds.
 *
 * What a function throws never passes through SQLite (rule Q8): an `SqlFunctionError` becomes the
 * statement's error, as if SQLite had raised it; anything else is a bug of ours, is kept by the
 * connection, and thrown by the call that ran the statement.
 * Not here: which functions Dust replaces, and by what (state_machine/).
 */
import { assert } from "../base/assert.ts";
import type { Connection } from "./connection.ts";
import { SqlFunctionError } from "./errors.ts";
import { allocate, cString, type Library, type Symbols, TRANSIENT } from "./library.ts";
import { type BindValue, fromInt64, type ReadValue, toInt64, ValueType } from "./values.ts";

const UTF8 = 0x1;
const DETERMINISTIC = 0x800;
const DIRECT_ONLY = 0x0008_0000;
const INNOCUOUS = 0x0020_0000;

const POINTER_SIZE_BYTES = 8;
/** SQLite's own bound on arguments, raised from 127 in 3.48. */
const ARGUMENT_COUNT_MAX = 1000;
const LITTLE_ENDIAN = true;
const EMPTY = allocate(1);

const SCALAR = { parameters: ["pointer", "i32", "pointer"], result: "void" } as const;

/** What SQLite must know of a function. */
export interface FunctionOptions {
  readonly name: string;
  /** Number of arguments, or -1 for any. A function replaces the built-in one of equal name and number. */
  readonly argumentCount: number;
  /** Same arguments, same result, within one statement at least: SQLite may call it once for many. */
  readonly deterministic?: boolean;
  /** Harmless: works in DEFAULT, CHECK, triggers and views although the schema is not trusted (rule Q4). */
  readonly innocuous?: boolean;
  /** Only in statements of a client, never in a schema. */
  readonly directOnly?: boolean;
}

/**
 * Computes the result. The arguments are valid during the call only.
 * @throws {SqlFunctionError} to fail the statement with that message.
 */
export type ScalarFunction = (args: FunctionArguments) => BindValue;

/** The arguments of one call. Each read costs a call into SQLite; ask for the type first. */
export class FunctionArguments {
  readonly #library: Library;
  readonly #symbols: Symbols;
  readonly #addresses = allocate(ARGUMENT_COUNT_MAX * POINTER_SIZE_BYTES);
  readonly #view = new DataView(this.#addresses.buffer);
  /** Number of arguments; 0 outside a call. */
  count = 0;

  constructor(library: Library) {
    this.#library = library;
    this.#symbols = library.symbols;
  }

  /** Called by the function's callback at its start. */
  begin(count: number, values: Deno.PointerValue): void {
    assert(count <= ARGUMENT_COUNT_MAX, "FunctionArguments: more than SQLite allows");
    if (count > 0) {
      this.#symbols.memcpy_out(this.#addresses, values, count * POINTER_SIZE_BYTES);
    }
    this.count = count;
  }

  /** One of `ValueType`. Ask before any other read of the argument: reads may convert. */
  type(index: number): number {
    return this.#symbols.sqlite3_value_type(this.#pointer(index));
  }

  /** An INTEGER, exact; other types as SQLite converts them. */
  integer(index: number): number | bigint {
    return fromInt64(this.#symbols.sqlite3_value_int64(this.#pointer(index)));
  }

  /** A REAL or INTEGER as double; other types as SQLite converts them. */
  real(index: number): number {
    return this.#symbols.sqlite3_value_double(this.#pointer(index));
  }

  /** A TEXT; other types as SQLite converts them. What is not UTF-8 becomes U+FFFD. */
  text(index: number): string {
    const pointer = this.#pointer(index);
    const source = this.#symbols.sqlite3_value_text(pointer);
    const sizeBytes = this.#symbols.sqlite3_value_bytes(pointer);
    if (source === null || sizeBytes === 0) return "";
    const scratch = this.#library.scratch;
    this.#symbols.memcpy_out(scratch.reserve(sizeBytes), source, sizeBytes);
    return scratch.decode(sizeBytes);
  }

  /** The bytes of a TEXT or BLOB, in an array of their own. */
  bytes(index: number): Uint8Array<ArrayBuffer> {
    const pointer = this.#pointer(index);
    const source = this.type(index) === ValueType.TEXT
      ? this.#symbols.sqlite3_value_text(pointer)
      : this.#symbols.sqlite3_value_blob(pointer);
    const bytes = allocate(this.#symbols.sqlite3_value_bytes(pointer));
    if (bytes.length > 0) this.#symbols.memcpy_out(bytes, source, bytes.length);
    return bytes;
  }

  /** Size in bytes of a TEXT or BLOB; other types as the text they convert to. */
  size(index: number): number {
    return this.#symbols.sqlite3_value_bytes(this.#pointer(index));
  }

  /** @see ReadValue */
  value(index: number): ReadValue {
    switch (this.type(index)) {
      case ValueType.INTEGER:
        return this.integer(index);
      case ValueType.REAL:
        return this.real(index);
      case ValueType.TEXT:
        return this.text(index);
      case ValueType.BLOB:
        return this.bytes(index);
      default:
        return null;
    }
  }

  #pointer(index: number): Deno.PointerValue {
    assert(index >= 0 && index < this.count, "FunctionArguments: no such argument");
    const address = this.#view.getBigUint64(index * POINTER_SIZE_BYTES, LITTLE_ENDIAN);
    return Deno.UnsafePointer.create(address);
  }
}

/**
 * Registers a function, or replaces one, until the connection is closed. Name and number of arguments
 * say which; built-in ones of another number stay (fault S4).
 * @throws {SqliteError} BUSY while a statement runs.
 */
export function createFunction(
  connection: Connection,
  options: FunctionOptions,
  implementation: ScalarFunction,
): void {
  const { library } = connection;
  const args = new FunctionArguments(library);
  const callback = new Deno.UnsafeCallback(SCALAR, (context, count, values) => {
    try {
      args.begin(count, values);
      setResult(library, context, implementation(args));
    } catch (error) {
      if (!(error instanceof SqlFunctionError)) connection.reportCallbackFailure(error);
      setError(library, context, error);
    } finally {
      args.count = 0;
    }
  });
  connection.onClose(() => callback.close());
  connection.check(library.symbols.sqlite3_create_function_v2(
    connection.pointer,
    cString(options.name),
    options.argumentCount,
    flagsOf(options),
    null,
    callback.pointer,
    null,
    null,
    null,
  ));
}

function flagsOf(options: FunctionOptions): number {
  return UTF8 | (options.deterministic === true ? DETERMINISTIC : 0) |
    (options.innocuous === true ? INNOCUOUS : 0) | (options.directOnly === true ? DIRECT_ONLY : 0);
}

function setResult(library: Library, context: Deno.PointerValue, value: BindValue): void {
  const s = library.symbols;
  if (value === null) return s.sqlite3_result_null(context);
  if (typeof value === "bigint") return s.sqlite3_result_int64(context, toInt64(value));
  if (typeof value === "number") {
    if ((value | 0) === value) return s.sqlite3_result_int(context, value);
    return s.sqlite3_result_int64(context, toInt64(value));
  }
  if (typeof value === "string") {
    const sizeBytes = library.scratch.encode(value);
    return s.sqlite3_result_text(context, library.scratch.bytes, sizeBytes, TRANSIENT);
  }
  if (value instanceof Uint8Array) {
    const source = value.length === 0 ? EMPTY : value as Uint8Array<ArrayBuffer>;
    return s.sqlite3_result_blob(context, source, value.length, TRANSIENT);
  }
  s.sqlite3_result_double(context, value.value);
}

function setError(library: Library, context: Deno.PointerValue, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const sizeBytes = library.scratch.encode(message);
  library.symbols.sqlite3_result_error(context, library.scratch.bytes, sizeBytes);
}
