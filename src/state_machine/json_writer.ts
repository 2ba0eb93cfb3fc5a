/**
 * JSON as bytes, written from left to right into one buffer that grows.
 *
 * Strings come out as Go's encoder writes them: `<`, `>`, `&`, U+2028 and U+2029 are escaped, other
 * text is raw UTF-8, and what is not UTF-8 becomes U+FFFD.
 * Invariant: bytes below `size` are the document so far; `truncate` takes an unfinished part back.
 * Not here: what a result looks like (result_encoder.ts).
 */
import { Buffer } from "node:buffer";
import type { Statement } from "../sqlite/statement.ts";

const INITIAL_SIZE_BYTES = 64 * 1024;
/** A buffer that one large answer made grow past this is given back. */
const KEEP_SIZE_BYTES_MAX = 1024 * 1024;
/** Up to here a loop over characters is faster than the call into the runtime's encoder. */
const LOOP_LENGTH_MAX = 32;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NON_ASCII = 2;

const UTF8 = new TextEncoder();
const HEX = UTF8.encode("0123456789abcdef");

/** What to do about a byte: 0 as it is, 1 escape it, `NON_ASCII` look at the text as a whole. */
const CLASS = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  if (byte < 0x20 || byte === QUOTE || byte === BACKSLASH) CLASS[byte] = 1;
  if (byte === 0x3c || byte === 0x3e || byte === 0x26) CLASS[byte] = 1;
  if (byte >= 0x80) CLASS[byte] = NON_ASCII;
}

/** The letter behind the backslash, for the characters that have a short form. */
const SHORT_FORM = new Map<number, number>([
  [QUOTE, QUOTE],
  [BACKSLASH, BACKSLASH],
  [0x08, 0x62],
  [0x09, 0x74],
  [0x0a, 0x6e],
  [0x0c, 0x66],
  [0x0d, 0x72],
]);

// deno-lint-ignore no-control-regex -- the control characters are what is looked for.
const NEEDS_ESCAPE = /[\x00-\x1f"\\<>&\u2028\u2029]/;
// deno-lint-ignore no-control-regex -- as above.
const ESCAPED = /[\x00-\x1f"\\<>&\u2028\u2029]/g;

/** `text` as a JSON string, quotes included. A lone surrogate becomes U+FFFD. */
export function jsonString(text: string): string {
  if (!NEEDS_ESCAPE.test(text)) return `"${text.toWellFormed()}"`;
  const escaped = text.toWellFormed().replace(ESCAPED, (character) => {
    const code = character.charCodeAt(0);
    const letter = SHORT_FORM.get(code);
    if (letter !== undefined) return "\\" + String.fromCharCode(letter);
    return "\\u" + code.toString(16).padStart(4, "0");
  });
  return `"${escaped}"`;
}

/** See the file's header. One per thread; `clear` it between documents. */
export class JsonWriter {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(new ArrayBuffer(INITIAL_SIZE_BYTES));
  #buffer: Buffer<ArrayBuffer> = Buffer.from(this.#bytes.buffer);
  #at = 0;

  /** Bytes written. */
  get size(): number {
    return this.#at;
  }

  /** Forgets everything. */
  clear(): void {
    this.#at = 0;
    if (this.#bytes.length > KEEP_SIZE_BYTES_MAX) this.#use(INITIAL_SIZE_BYTES);
  }

  /** Forgets everything behind the first `size` bytes. */
  truncate(size: number): void {
    this.#at = size;
  }

  /** The document from byte `from` on as a string. */
  text(from = 0): string {
    return this.#buffer.toString("utf8", from, this.#at);
  }

  /** A copy of the document, the caller's to transfer. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#at);
  }

  /** One ASCII character. */
  byte(code: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = code;
  }

  /** JSON that is ready: nothing in it is escaped. */
  raw(json: string): void {
    this.#reserve(json.length * 3);
    if (json.length <= LOOP_LENGTH_MAX && this.#ascii(json)) return;
    this.#at += UTF8.encodeInto(json, this.#bytes.subarray(this.#at)).written;
  }

  /** JSON bytes that are ready. */
  rawBytes(json: Uint8Array): void {
    this.#reserve(json.length);
    this.#bytes.set(json, this.#at);
    this.#at += json.length;
  }

  /** A string with its quotes. */
  string(text: string): void {
    this.raw(jsonString(text));
  }

  /** A whole number of at most 2^53 in size. */
  integer(value: number): void {
    this.#reserve(24);
    if (value < 0 ? value < -99_999_999 : value > 99_999_999) {
      this.#ascii(String(value));
      return;
    }
    const bytes = this.#bytes;
    let rest = value;
    if (rest < 0) {
      bytes[this.#at++] = MINUS;
      rest = -rest;
    }
    const end = this.#at + digitCount(rest);
    for (let at = end - 1; at >= this.#at; at--) {
      const next = (rest / 10) | 0;
      bytes[at] = ZERO + rest - next * 10;
      rest = next;
    }
    this.#at = end;
  }

  /** A REAL in its shortest form; the infinities as `9.0e+999` and `-9.0e+999`, which JSON can hold. */
  real(value: number): void {
    this.#reserve(32);
    if (Number.isFinite(value)) this.#ascii(Object.is(value, -0) ? "-0" : String(value));
    else this.#ascii(value > 0 ? "9.0e+999" : "-9.0e+999");
  }

  /** The TEXT in a column of the present row, straight from SQLite's memory. */
  columnText(statement: Statement, column: number): void {
    const size = statement.columnSize(column);
    this.#reserve(size + 2);
    this.#bytes[this.#at++] = QUOTE;
    const from = this.#at;
    if (size > 0) {
      statement.copyColumnText(column, this.#bytes.subarray(from, from + size), size);
      this.#closeText(from, from + size);
    }
    this.byte(QUOTE);
  }

  /** The bytes of a BLOB as a JSON string, as if they were UTF-8. */
  bytesAsText(content: Uint8Array): void {
    this.#reserve(content.length + 2);
    this.#bytes[this.#at++] = QUOTE;
    const from = this.#at;
    this.#bytes.set(content, from);
    this.#closeText(from, from + content.length);
    this.byte(QUOTE);
  }

  /** Judges text that was copied to `[from, to)`; most of it stays as it is. */
  #closeText(from: number, to: number): void {
    const bytes = this.#bytes;
    let at = from;
    while (at < to && CLASS[bytes[at] as number] === 0) at++;
    this.#at = at;
    if (at === to) return;
    for (let rest = at; rest < to; rest++) {
      if (CLASS[bytes[rest] as number] === NON_ASCII) {
        const text = jsonString(this.#buffer.toString("utf8", at, to));
        return this.raw(text.substring(1, text.length - 1));
      }
    }
    this.#escapeAscii(bytes.slice(at, to));
  }

  #escapeAscii(text: Uint8Array): void {
    this.#reserve(text.length * 6);
    const bytes = this.#bytes;
    let at = this.#at;
    for (let index = 0; index < text.length; index++) {
      const code = text[index] as number;
      if (CLASS[code] === 0) {
        bytes[at++] = code;
        continue;
      }
      const letter = SHORT_FORM.get(code);
      bytes[at++] = BACKSLASH;
      if (letter !== undefined) {
        bytes[at++] = letter;
        continue;
      }
      bytes[at++] = 0x75;
      bytes[at++] = ZERO;
      bytes[at++] = ZERO;
      bytes[at++] = HEX[code >> 4] as number;
      bytes[at++] = HEX[code & 15] as number;
    }
    this.#at = at;
  }

  /** Writes `text`, for which there is room, and returns true if it is ASCII. */
  #ascii(text: string): boolean {
    const bytes = this.#bytes;
    const at = this.#at;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) return false;
      bytes[at + index] = code;
    }
    this.#at = at + text.length;
    return true;
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#bytes.length) return;
    const written = this.#bytes.subarray(0, this.#at);
    this.#use(Math.max(2 * this.#bytes.length, this.#at + size));
    this.#bytes.set(written);
  }

  #use(size: number): void {
    this.#bytes = new Uint8Array(new ArrayBuffer(size));
    this.#buffer = Buffer.from(this.#bytes.buffer);
  }
}

function digitCount(value: number): number {
  if (value < 10_000) {
    if (value < 100) return value < 10 ? 1 : 2;
    return value < 1000 ? 3 : 4;
  }
  if (value < 1_000_000) return value < 100_000 ? 5 : 6;
  return value < 10_000_000 ? 7 : 8;
}
