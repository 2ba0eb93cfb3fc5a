/**
 * A VFS that is SQLite's default one with another clock (rule Q9). Whatever asks for the time on a
 * connection opened with it gets the time that was set: `'now'` in any spelling, CURRENT_TIMESTAMP,
 * in defaults, triggers, views, checks.
 *
 * The structure lives in SQLite's memory, since SQLite keeps pointers to it; the two callbacks belong
 * to the thread that made it, so only connections of that thread may use it.
 */
import { assert } from "../base/assert.ts";
import type { Connection } from "./connection.ts";
import { ResultCode } from "./errors.ts";
import { allocate, cString, type Library } from "./library.ts";

// struct sqlite3_vfs, version 3, on a 64-bit machine.
const VFS_SIZE_BYTES = 168;
const AT_VERSION = 0;
const AT_NEXT = 16;
const AT_NAME = 24;
const AT_CURRENT_TIME = 120;
const AT_CURRENT_TIME_INT64 = 136;

const LITTLE_ENDIAN = true;
const TIME_SIZE_BYTES = 8;
const DAY_MS = 86_400_000;
/** 1970-01-01 in milliseconds of the Julian calendar, SQLite's unit. */
const UNIX_EPOCH_JULIAN_MS = 210_866_760_000_000;
/** 9999-12-31 23:59:59.999, the end of SQLite's calendar. */
const UNIX_MS_MAX = 253_402_300_799_999;

const CURRENT_TIME = { parameters: ["pointer", "pointer"], result: "i32" } as const;

/** @see the header */
export class ClockVfs implements Disposable {
  /** For `OpenOptions.vfs`. */
  readonly name: string;
  readonly #library: Library;
  /** Null once unregistered. */
  #pointer: Deno.PointerValue;
  readonly #callbacks: readonly { close(): void }[];
  /** The time in both of SQLite's forms: Julian milliseconds as int64, Julian days as double. */
  readonly #int64 = allocate(TIME_SIZE_BYTES);
  readonly #double = allocate(TIME_SIZE_BYTES);
  readonly #int64View = new DataView(this.#int64.buffer);
  readonly #doubleView = new DataView(this.#double.buffer);
  #isSet = false;
  #connection: Connection | undefined;

  /**
   * Registers the VFS under `name`, which must be free in the whole process.
   * @throws {AssertionError} when the name is taken or the default VFS has another layout.
   */
  constructor(library: Library, name: string) {
    this.name = name;
    this.#library = library;
    const { symbols } = library;
    const nameBytes = cString(name);
    assert(
      symbols.sqlite3_vfs_find(Deno.UnsafePointer.of(nameBytes)) === null,
      "ClockVfs: name taken",
    );
    const integer = new Deno.UnsafeCallback(
      CURRENT_TIME,
      (_vfs, out) => this.#write(out, this.#int64),
    );
    const double = new Deno.UnsafeCallback(
      CURRENT_TIME,
      (_vfs, out) => this.#write(out, this.#double),
    );
    this.#callbacks = [integer, double];
    this.#pointer = symbols.sqlite3_malloc64(BigInt(VFS_SIZE_BYTES + nameBytes.length));
    assert(this.#pointer !== null, "ClockVfs: no memory");
    const bytes = allocate(VFS_SIZE_BYTES + nameBytes.length);
    symbols.memcpy_out(bytes, symbols.sqlite3_vfs_find(null), VFS_SIZE_BYTES);
    bytes.set(nameBytes, VFS_SIZE_BYTES);
    const view = new DataView(bytes.buffer);
    assert(
      view.getInt32(AT_VERSION, LITTLE_ENDIAN) === 3,
      "ClockVfs: unknown layout of the default",
    );
    const setPointer = (at: number, address: bigint): void =>
      view.setBigUint64(at, address, LITTLE_ENDIAN);
    setPointer(AT_NEXT, 0n);
    setPointer(AT_NAME, Deno.UnsafePointer.value(this.#pointer) + BigInt(VFS_SIZE_BYTES));
    setPointer(AT_CURRENT_TIME, Deno.UnsafePointer.value(double.pointer));
    setPointer(AT_CURRENT_TIME_INT64, Deno.UnsafePointer.value(integer.pointer));
    symbols.memcpy_in(this.#pointer, bytes, bytes.length);
    const code = symbols.sqlite3_vfs_register(this.#pointer, 0);
    assert(code === ResultCode.OK, "ClockVfs: cannot register");
  }

  /**
   * Sets the time that statements see from their next run on.
   * @param unixMs Milliseconds since 1970, from 0 to the end of the year 9999, whole.
   * @throws {RangeError} for anything else: SQLite would say NULL.
   */
  setTimeMs(unixMs: number): void {
    if (!Number.isInteger(unixMs) || unixMs < 0 || unixMs > UNIX_MS_MAX) {
      throw new RangeError(`Cannot set the clock to ${unixMs} ms`);
    }
    const julianMs = unixMs + UNIX_EPOCH_JULIAN_MS;
    this.#int64View.setBigInt64(0, BigInt(julianMs), LITTLE_ENDIAN);
    this.#doubleView.setFloat64(0, julianMs / DAY_MS, LITTLE_ENDIAN);
    this.#isSet = true;
  }

  /** Has a failure of the clock's callbacks thrown by this connection's calls (rule Q8). */
  reportTo(connection: Connection): void {
    this.#connection = connection;
  }

  /** Takes it back, after all connections that use it are closed. Again is allowed. */
  unregister(): void {
    if (this.#pointer === null) return;
    const { symbols } = this.#library;
    symbols.sqlite3_vfs_unregister(this.#pointer);
    symbols.sqlite3_free(this.#pointer);
    this.#pointer = null;
    for (const callback of this.#callbacks) callback.close();
  }

  [Symbol.dispose](): void {
    this.unregister();
  }

  #write(target: Deno.PointerValue, time: Uint8Array<ArrayBuffer>): number {
    try {
      assert(this.#isSet, "ClockVfs: the time was asked for before it was set");
      this.#library.symbols.memcpy_in(target, time, TIME_SIZE_BYTES);
      return ResultCode.OK;
    } catch (error) {
      this.#connection?.reportCallbackFailure(error);
      return ResultCode.ERROR;
    }
  }
}
