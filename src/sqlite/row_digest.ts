/**
 * A digest of rows, 128 bits, taken in C by the pinned library (digest_source.ts): by order, type and
 * bits of the values. Equal everywhere where bytes have the same order, as on all processors that Dust runs on.
 */
import { assert } from "../base/assert.ts";
import { DIGEST_BYTES, DIGEST_STATE_BYTES } from "./digest_source.ts";
import { allocate, type Library } from "./library.ts";
import type { Statement } from "./statement.ts";

/** Whether the library has what a `RowDigest` needs. */
export function hasRowDigest(library: Library): boolean {
  return library.isPinned && library.symbols.dust_digest_rows !== null;
}

/** See the file's header. */
export class RowDigest {
  readonly #library: Library;
  readonly #state = allocate(DIGEST_STATE_BYTES);

  /** `library`: one with `hasRowDigest`. */
  constructor(library: Library) {
    assert(hasRowDigest(library), "RowDigest: not in this library");
    this.#library = library;
  }

  /**
   * Takes in rows from where the statement stands, until some `sizeBytes` of values were taken in.
   * @returns whether there may be more rows. @throws {SqliteError} as `Statement.step`.
   */
  add(statement: Statement, sizeBytes: number): boolean {
    return statement.digestRows(this.#state, sizeBytes);
  }

  /** The digest as 32 hex digits. Nothing can be added any more. */
  end(): string {
    this.#library.symbols.dust_digest_end?.(this.#state);
    return this.#state.subarray(0, DIGEST_BYTES).toHex();
  }
}
