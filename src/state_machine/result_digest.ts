/**
 * The result chain (rules S3, V1): what every entry answered, in a form that depends on neither the
 * client's format nor on whether a client waits here. Replicas whose chains differ have diverged.
 * Each result adds its kind and its content to a buffer; `close` folds that into the chain.
 */
import { type EntryChain, nextEntryChain } from "../base/entry_chain.ts";
import type { Statement } from "../sqlite/statement.ts";
import { ValueType } from "../sqlite/values.ts";

const INITIAL_SIZE_BYTES = 4096;
/** A longer record is folded into the chain before the entry ends. */
const FOLD_SIZE_BYTES = 256 * 1024;
const LITTLE_ENDIAN = true;
const UTF8 = new TextEncoder();
const KIND = { counters: 1, error: 2, row: 3, end: 4, void: 5, notRun: 6 } as const;

/** See the file's header. One per writer. */
export class ResultDigest {
  #bytes = new Uint8Array(new ArrayBuffer(INITIAL_SIZE_BYTES));
  #view = new DataView(this.#bytes.buffer);
  #at = 0;
  #chain: EntryChain = { high: 0, low: 0 };
  #index = 0;

  /** Begins an entry. */
  open(chain: EntryChain, index: number): void {
    this.#chain = chain;
    this.#index = index;
    this.#at = 0;
  }

  /** @returns the chain at this entry. */
  close(): EntryChain {
    return nextEntryChain(this.#chain, {
      index: this.#index,
      term: 0,
      payload: this.#bytes.subarray(0, this.#at),
    });
  }

  /** A statement that answered with counters. */
  counters(lastInsertId: number | bigint, rowsAffected: number): void {
    this.#reserve(17);
    this.#byte(KIND.counters);
    this.#integer(lastInsertId);
    this.#view.setFloat64(this.#at, rowsAffected, LITTLE_ENDIAN);
    this.#at += 8;
  }

  /** A statement that failed. */
  error(message: string): void {
    this.#text(KIND.error, UTF8.encode(message));
  }

  /** An entry that the log's verdict voided. */
  voided(reason: string): void {
    this.#text(KIND.void, UTF8.encode(reason));
  }

  /** An entry that was not run: the write was there already, or refused. */
  notRun(answer: string): void {
    this.#text(KIND.notRun, UTF8.encode(answer));
  }

  /** The end of a result with rows. */
  end(): void {
    this.#reserve(1);
    this.#byte(KIND.end);
  }

  /** The row at which a statement stands. @returns the bytes of its values. */
  row(statement: Statement, columnCount: number): number {
    this.#reserve(1);
    this.#byte(KIND.row);
    let size = 0;
    for (let column = 0; column < columnCount; column++) size += this.#value(statement, column);
    return size;
  }

  #value(statement: Statement, column: number): number {
    const type = statement.columnType(column);
    switch (type) {
      case ValueType.INTEGER:
        this.#reserve(9);
        this.#byte(type);
        this.#integer(statement.columnInteger(column));
        return 8;
      case ValueType.REAL:
        this.#reserve(9);
        this.#byte(type);
        this.#view.setFloat64(this.#at, statement.columnReal(column), LITTLE_ENDIAN);
        this.#at += 8;
        return 8;
      case ValueType.TEXT:
      case ValueType.BLOB: {
        const content = statement.columnBytes(column);
        this.#text(type, content);
        return content.length;
      }
      default:
        this.#reserve(1);
        this.#byte(type);
        return 1;
    }
  }

  #text(kind: number, content: Uint8Array): void {
    this.#reserve(5 + content.length);
    this.#byte(kind);
    this.#view.setUint32(this.#at, content.length, LITTLE_ENDIAN);
    this.#bytes.set(content, this.#at + 4);
    this.#at += 4 + content.length;
  }

  /** Eight bytes that tell all 64-bit integers apart. */
  #integer(value: number | bigint): void {
    if (typeof value === "number") this.#view.setFloat64(this.#at, value, LITTLE_ENDIAN);
    else this.#view.setBigInt64(this.#at, value, LITTLE_ENDIAN);
    this.#at += 8;
  }

  #byte(value: number): void {
    this.#bytes[this.#at++] = value;
  }

  #reserve(size: number): void {
    if (this.#at >= FOLD_SIZE_BYTES) {
      this.#chain = this.close();
      this.#at = 0;
    }
    if (this.#at + size <= this.#bytes.length) return;
    const written = this.#bytes.subarray(0, this.#at);
    this.#bytes = new Uint8Array(
      new ArrayBuffer(Math.max(2 * this.#bytes.length, this.#at + size)),
    );
    this.#bytes.set(written);
    this.#view = new DataView(this.#bytes.buffer);
  }
}
