/**
 * Bytes with the two kinds of number that the log's files hold: unsigned 32-bit and safe integers in
 * 8 bytes, both little-endian. No bit operators on the latter: they end at 32 bits, offsets do not.
 */
import { assert } from "../base/assert.ts";

const LITTLE_ENDIAN = true;
const TWO_32 = 0x1_0000_0000;
const HIGH_WORD_MAX = 0x1f_ffff;

/** A view of bytes that belong to whoever made it. Places outside are a RangeError: callers check first. */
export class ByteView {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The unsigned 32-bit number at `at`. */
  u32(at: number): number {
    return this.#view.getUint32(at, LITTLE_ENDIAN);
  }

  /** Writes `value` modulo 2^32, so that signed words may be passed. */
  setU32(at: number, value: number): void {
    this.#view.setUint32(at, value, LITTLE_ENDIAN);
  }

  /** The number that `setU53` wrote. A larger one, which it never writes, comes out as the largest safe integer. */
  u53(at: number): number {
    const high = this.u32(at + 4);
    return high > HIGH_WORD_MAX ? Number.MAX_SAFE_INTEGER : high * TWO_32 + this.u32(at);
  }

  /** Writes a safe integer of at least 0. */
  setU53(at: number, value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, "setU53: not a safe integer of at least 0");
    this.setU32(at, value % TWO_32);
    this.setU32(at + 4, Math.floor(value / TWO_32));
  }

  /** Whether `[from, to)` is zero. */
  isZero(from: number, to: number): boolean {
    return this.usedEnd(from, to) === from;
  }

  /** The end of the last non-zero byte in `[from, to)`, or `from`. */
  usedEnd(from: number, to: number): number {
    let end = to;
    while (end >= from + 4 && this.u32(end - 4) === 0) end -= 4;
    while (end > from && this.bytes[end - 1] === 0) end -= 1;
    return end;
  }
}
