/**
 * Copies of whole databases, page by page (rule Q15), and databases as bytes.
 * A copy of one point in time wants a source connection of its own inside a read transaction; without
 * it, every write in between starts the copy over.
 */
import { assert } from "../base/assert.ts";
import type { Connection } from "./connection.ts";
import { ResultCode } from "./errors.ts";
import { allocate, MAIN_SCHEMA, type Symbols } from "./library.ts";

/** `more`: call again. `busy`: a lock was in the way, nothing was copied; wait and call again. */
export type BackupStep = "more" | "done" | "busy";

/** One `memcpy` takes a 32-bit size. */
const COPY_SIZE_BYTES_MAX = 2 ** 30;
const LITTLE_ENDIAN = true;
const SIZE = allocate(8);
const SIZE_VIEW = new DataView(SIZE.buffer);

const DESERIALIZE_FREE_ON_CLOSE = 1;
const DESERIALIZE_RESIZEABLE = 2;

/** A copy under way. The target is locked until `finish`, and must not be used by anyone. */
export class Backup implements Disposable {
  readonly #target: Connection;
  readonly #symbols: Symbols;
  /** Null once finished. */
  #pointer: Deno.PointerValue;

  /** @throws {SqliteError} when the target is in use or both are one. */
  constructor(options: { readonly source: Connection; readonly target: Connection }) {
    const { source, target } = options;
    this.#target = target;
    this.#symbols = target.library.symbols;
    this.#pointer = this.#symbols.sqlite3_backup_init(
      target.pointer,
      MAIN_SCHEMA,
      source.pointer,
      MAIN_SCHEMA,
    );
    if (this.#pointer !== null) return;
    throw target.lastError(this.#symbols.sqlite3_extended_errcode(target.pointer));
  }

  /** Copies up to `pageCount` pages, all when negative. @throws {SqliteError} for anything but BUSY. */
  step(pageCount: number): BackupStep {
    assert(this.#pointer !== null, "Backup: used after finish");
    const code = this.#symbols.sqlite3_backup_step(this.#pointer, pageCount);
    const primary = code & 0xff;
    if (code === ResultCode.DONE) return "done";
    if (primary === ResultCode.BUSY || primary === ResultCode.LOCKED) return "busy";
    this.#target.check(code);
    return "more";
  }

  /** Pages still to copy, as of the last step. */
  get remainingPageCount(): number {
    return this.#pointer === null ? 0 : this.#symbols.sqlite3_backup_remaining(this.#pointer);
  }

  /** Pages of the source, as of the last step. */
  get pageCount(): number {
    return this.#pointer === null ? 0 : this.#symbols.sqlite3_backup_pagecount(this.#pointer);
  }

  /** Ends it; before `done` the target is left as it was. Again is allowed and does nothing. */
  finish(): void {
    if (this.#pointer === null) return;
    this.#symbols.sqlite3_backup_finish(this.#pointer);
    this.#pointer = null;
  }

  [Symbol.dispose](): void {
    this.finish();
  }
}

/**
 * The main database as the bytes of a file. Of a WAL database they say so in their header.
 * @throws {SqliteError} NOMEM when it does not fit.
 */
export function serialize(connection: Connection): Uint8Array<ArrayBuffer> {
  const { symbols } = connection.library;
  SIZE_VIEW.setBigInt64(0, 0n, LITTLE_ENDIAN);
  const source = symbols.sqlite3_serialize(connection.pointer, MAIN_SCHEMA, SIZE, 0);
  connection.checkCallbacks();
  const sizeBytes = Number(SIZE_VIEW.getBigInt64(0, LITTLE_ENDIAN));
  if (source === null) {
    if (sizeBytes === 0) return allocate(0);
    throw connection.lastError(ResultCode.NOMEM);
  }
  try {
    const bytes = allocate(sizeBytes);
    for (let from = 0; from < sizeBytes; from += COPY_SIZE_BYTES_MAX) {
      const part = bytes.subarray(from, from + COPY_SIZE_BYTES_MAX);
      symbols.memcpy_out(part, Deno.UnsafePointer.offset(source, from), part.length);
    }
    return bytes;
  } finally {
    symbols.sqlite3_free(source);
  }
}

/**
 * Replaces the main database of the connection by one in memory with the bytes of a file, copied. A
 * file in WAL mode cannot be read so: bytes 18 and 19 must be 1.
 * @throws {SqliteError} when the connection is in a transaction, or for want of memory.
 */
export function deserialize(connection: Connection, bytes: Uint8Array<ArrayBuffer>): void {
  const { symbols } = connection.library;
  const sizeBytes = BigInt(bytes.length);
  const target = symbols.sqlite3_malloc64(sizeBytes === 0n ? 1n : sizeBytes);
  if (target === null) throw connection.lastError(ResultCode.NOMEM);
  for (let from = 0; from < bytes.length; from += COPY_SIZE_BYTES_MAX) {
    const part = bytes.subarray(from, from + COPY_SIZE_BYTES_MAX);
    symbols.memcpy_in(Deno.UnsafePointer.offset(target, from), part, part.length);
  }
  // SQLite owns the memory from here on, also when it fails.
  connection.check(symbols.sqlite3_deserialize(
    connection.pointer,
    MAIN_SCHEMA,
    target,
    sizeBytes,
    sizeBytes,
    DESERIALIZE_FREE_ON_CLOSE | DESERIALIZE_RESIZEABLE,
  ));
}
