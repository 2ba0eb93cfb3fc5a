/**
 * SQL text in the form that SQLite parses: UTF-8 with a NUL behind it, at a fixed address.
 * So a string of many statements is encoded once, not copied again for each of them.
 * Invariant: holds no NUL itself, and is never modified.
 */
import { OperatingError } from "../base/errors.ts";
import { allocate } from "./library.ts";

const encoder = new TextEncoder();

/** @see the header */
export class SqlText {
  /** The text and one NUL; must stay referenced while `address` is in use. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Size without the NUL. */
  readonly sizeBytes: number;
  /** Where `bytes` begin. */
  readonly address: bigint;

  /**
   * @param sql A string, or UTF-8, which is copied.
   * @throws {OperatingError} `bad_request` for a NUL, behind which SQLite would ignore all (fault S11).
   */
  constructor(sql: string | Uint8Array) {
    const source = typeof sql === "string" ? encoder.encode(sql) : sql;
    const nul = source.indexOf(0);
    if (nul >= 0) {
      throw new OperatingError("bad_request", `Cannot prepare SQL: it holds NUL at byte ${nul}`);
    }
    this.sizeBytes = source.length;
    this.bytes = allocate(source.length + 1);
    this.bytes.set(source);
    this.address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.bytes));
  }
}
