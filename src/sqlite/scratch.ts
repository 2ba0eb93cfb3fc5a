/**
 * A buffer that text and bytes pass through on their way into and out of SQLite.
 * Invariant: its memory never moves while a call uses it; it may be another buffer at the next call.
 * Owned by one `Library`, so by one thread; a content is valid only until the next use.
 */
import { Buffer } from "node:buffer";
import { SCRATCH_SIZE_BYTES_MAX } from "./limits.ts";

const INITIAL_SIZE_BYTES = 64 * 1024;

const encoder = new TextEncoder();

/** @see the header */
export class Scratch {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(new ArrayBuffer(INITIAL_SIZE_BYTES));
  #buffer: Buffer<ArrayBuffer> = Buffer.from(this.bytes.buffer);

  /** Makes room for `sizeBytes`; the content is lost. */
  reserve(sizeBytes: number): Uint8Array<ArrayBuffer> {
    const size = this.bytes.length;
    if (sizeBytes > size || (size > SCRATCH_SIZE_BYTES_MAX && sizeBytes <= INITIAL_SIZE_BYTES)) {
      this.#replace(Math.max(sizeBytes, INITIAL_SIZE_BYTES));
    }
    return this.bytes;
  }

  /** Writes `text` as UTF-8 from offset 0. @returns its size in bytes. */
  encode(text: string): number {
    // Three bytes at most for each UTF-16 unit: a surrogate pair, two units, takes four.
    const bytes = this.reserve(text.length * 3);
    return encoder.encodeInto(text, bytes).written;
  }

  /** The first `sizeBytes` as text; what is not UTF-8 becomes U+FFFD. */
  decode(sizeBytes: number): string {
    return this.#buffer.toString("utf8", 0, sizeBytes);
  }

  #replace(sizeBytes: number): void {
    this.bytes = new Uint8Array(new ArrayBuffer(sizeBytes));
    this.#buffer = Buffer.from(this.bytes.buffer);
  }
}
