/**
 * Request bodies to statements: an array of SQL strings and of [SQL, parameters...] (the wire
 * contract, section 4). The texts of the refusals are part of that contract.
 *
 * A scanner of our own rather than JSON.parse: a number's type lies in how it was written (`1` is an
 * INTEGER, `1.0` a REAL, and 2^53+1 must stay exact), and JSON.parse forgets that unless it is given
 * a reviver, which makes it seven times slower. Nothing here recurses, since the deepest legal body
 * is four brackets deep.
 *
 * Text that JSON spells with a lone surrogate (`"\ud800"`) gets U+FFFD in its place, as Go has it.
 * Not here: binding, hence names and counts of placeholders; what statements may do (sql_policy.ts).
 */
import { OperatingError } from "../base/errors.ts";
import type { Statement } from "./command.ts";
import { blobFromText } from "./hex_literal.ts";
import {
  PARAMETERS_MAX,
  QUOTED_NUMBER_LENGTH_MAX,
  REFUSED_BODY_CHECK_LENGTH_MAX,
  STATEMENTS_MAX,
} from "./limits.ts";
import { findDisallowedPragma } from "./pragma_filter.ts";
import { decodeBody, type RequestBody } from "./request.ts";
import { type NamedValue, Real, type Value } from "./value.ts";

/** Strings up to here are scanned by character; longer ones are searched. */
const SHORT_STRING_LENGTH = 256;

/** Strings from here on are not given to JSON.parse, which copies, when they need no decoding. */
const HUGE_STRING_LENGTH = 1_048_576;

/** What a byte array gets to begin with; then twice as much. */
const BYTE_ARRAY_LENGTH = 64;

/** A backslash or a control character. */
const NEEDS_DECODING = /[^ -[\]-\uffff]/;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

const NO_VALUES: readonly Value[] = [];
const NO_NAMED: readonly NamedValue[] = [];

/**
 * Reads the statements of a request, in order; empty statements are kept. A body of kind `sql` is
 * one statement. Names may repeat, within one object too: the last one counts.
 * @throws {OperatingError} `bad_request` with the wire's text; `too_large` past a limit;
 *   `internal` with `disallowed pragma`, which the wire wants as an error of the request.
 */
export function parseStatements(body: RequestBody): readonly Statement[] {
  const text = decodeBody(body.text);
  const statements = body.kind === "sql"
    ? [{ sql: checkSql(text), positional: NO_VALUES, named: NO_NAMED }]
    : new StatementScanner(text).scan();
  for (let at = 0; at < statements.length; at++) {
    const statement = statements[at];
    if (statement !== undefined && findDisallowedPragma(statement.sql)) {
      throw new OperatingError("internal", "disallowed pragma");
    }
  }
  return statements;
}

/** Reads one body from its start to its end. Invariant: all text before `#at` has been accepted. */
class StatementScanner {
  readonly #text: string;
  #at = 0;
  #parameterCount = 0;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): Statement[] {
    const first = this.#skipBlank();
    if (Number.isNaN(first)) throw invalidJson();
    if (first !== OPEN_BRACKET) throw this.#refusal("invalid request");
    this.#at++;
    if (this.#skipBlank() === CLOSE_BRACKET) {
      this.#at++;
      this.#expectEnd();
      throw new OperatingError("bad_request", "no statements");
    }
    const statements: Statement[] = [];
    do {
      if (statements.length === STATEMENTS_MAX) {
        throw new OperatingError(
          "too_large",
          `Cannot take request: over ${STATEMENTS_MAX} statements`,
        );
      }
      statements.push(this.#statement());
    } while (this.#hasNext(CLOSE_BRACKET));
    this.#expectEnd();
    return statements;
  }

  #statement(): Statement {
    const first = this.#skipBlank();
    if (first === QUOTE) {
      return { sql: checkSql(this.#string()), positional: NO_VALUES, named: NO_NAMED };
    }
    if (first !== OPEN_BRACKET) throw this.#refusal("invalid request");
    this.#at++;
    if (this.#skipBlank() !== QUOTE) throw this.#refusal("invalid request");
    const sql = checkSql(this.#string());
    let positional = NO_VALUES;
    let named = NO_NAMED;
    if (this.#hasNext(CLOSE_BRACKET)) {
      const values: Value[] = [];
      const namedValues: NamedValue[] = [];
      do this.#parameter(values, namedValues); while (this.#hasNext(CLOSE_BRACKET));
      positional = values;
      if (namedValues.length > 0) named = namedValues;
    }
    return { sql, positional, named };
  }

  #parameter(values: Value[], namedValues: NamedValue[]): void {
    if (this.#skipBlank() !== OPEN_BRACE) {
      values.push(this.#value());
      return;
    }
    this.#at++;
    if (this.#skipBlank() === CLOSE_BRACE) {
      this.#at++;
      return;
    }
    do {
      if (this.#skipBlank() !== QUOTE) throw invalidJson();
      const name = this.#string();
      if (this.#skipBlank() !== COLON) throw invalidJson();
      this.#at++;
      this.#skipBlank();
      namedValues.push({ name, value: this.#value() });
    } while (this.#hasNext(CLOSE_BRACE));
  }

  /** Behind an element: true at a comma, false at `close`; both are consumed. */
  #hasNext(close: number): boolean {
    const next = this.#skipBlank();
    this.#at++;
    if (next === COMMA) return true;
    if (next !== close) throw invalidJson();
    return false;
  }

  #value(): Value {
    if (++this.#parameterCount > PARAMETERS_MAX) {
      throw new OperatingError(
        "too_large",
        `Cannot take request: over ${PARAMETERS_MAX} parameters`,
      );
    }
    const first = this.#text.charCodeAt(this.#at);
    if (first === QUOTE) {
      const text = this.#string();
      return blobFromText(text) ?? text;
    }
    if (first === OPEN_BRACKET) return this.#byteArray();
    if (first === OPEN_BRACE) throw this.#refusal("unsupported type map[string]interface {}");
    if (isNumberStart(first)) return this.#number();
    if (this.#skipWord("null")) return null;
    if (this.#skipWord("true")) return 1;
    if (this.#skipWord("false")) return 0;
    throw invalidJson();
  }

  #byteArray(): Uint8Array {
    this.#at++;
    if (this.#skipBlank() === CLOSE_BRACKET) {
      this.#at++;
      return new Uint8Array(0);
    }
    // Not an array of numbers, which takes eight bytes for each.
    let bytes = new Uint8Array(BYTE_ARRAY_LENGTH);
    let count = 0;
    do {
      const first = this.#skipBlank();
      if (!isNumberStart(first)) throw this.#refusal(`unsupported type ${this.#goType(first)}`);
      const from = this.#at;
      const byte = this.#number();
      if (typeof byte !== "number" || byte < 0 || byte > 255) {
        throw this.#refusal(`unsupported type ${this.#quote(from)}`);
      }
      if (count === bytes.length) {
        const shorter = bytes;
        bytes = new Uint8Array(2 * count);
        bytes.set(shorter);
      }
      bytes[count++] = byte;
    } while (this.#hasNext(CLOSE_BRACKET));
    return bytes.slice(0, count);
  }

  /** How Go, hence the wire, names the type of the value that begins with `first`. */
  #goType(first: number): string {
    if (first === QUOTE) return "string";
    if (first === OPEN_BRACKET) return "[]interface {}";
    if (first === OPEN_BRACE) return "map[string]interface {}";
    if (this.#skipWord("null")) return "<nil>";
    if (this.#skipWord("true") || this.#skipWord("false")) return "bool";
    throw invalidJson();
  }

  /** JSON's grammar: an integer without superfluous zeros, then maybe a fraction and an exponent. */
  #number(): number | bigint | Real {
    const text = this.#text;
    const from = this.#at;
    const negative = text.charCodeAt(from) === MINUS;
    const digitsFrom = negative ? from + 1 : from;
    let at = digitsFrom;
    let value = 0;
    let code = text.charCodeAt(at);
    for (; code >= ZERO && code <= NINE; code = text.charCodeAt(++at)) {
      value = value * 10 + (code - ZERO);
    }
    const digitCount = at - digitsFrom;
    if (digitCount === 0 || (digitCount > 1 && text.charCodeAt(digitsFrom) === ZERO)) {
      throw invalidJson();
    }
    this.#at = at;
    if (code === DOT || isExponentMark(code)) return this.#fraction(from);
    if (digitCount <= 15) return negative ? 0 - value : value;
    return this.#wideInteger({ from, digitCount });
  }

  #fraction(from: number): Real {
    if (this.#text.charCodeAt(this.#at) === DOT) {
      this.#at++;
      this.#skipDigits();
    }
    if (isExponentMark(this.#text.charCodeAt(this.#at))) {
      this.#at++;
      const sign = this.#text.charCodeAt(this.#at);
      if (sign === MINUS || sign === 0x2b) this.#at++;
      this.#skipDigits();
    }
    return this.#real(from);
  }

  #skipDigits(): void {
    const from = this.#at;
    let code = this.#text.charCodeAt(this.#at);
    while (code >= ZERO && code <= NINE) code = this.#text.charCodeAt(++this.#at);
    if (this.#at === from) throw invalidJson();
  }

  /** Sixteen digits and more: exact within 64 bits, a REAL beyond. */
  #wideInteger(
    options: { readonly from: number; readonly digitCount: number },
  ): Value & (number | bigint | Real) {
    if (options.digitCount > 19) return this.#real(options.from);
    const exact = BigInt(this.#text.substring(options.from, this.#at));
    if (exact < INT64_MIN || exact > INT64_MAX) return this.#real(options.from);
    const double = Number(exact);
    return Number.isSafeInteger(double) ? double : exact;
  }

  #real(from: number): Real {
    const value = Number(this.#text.substring(from, this.#at));
    if (!Number.isFinite(value)) throw this.#refusal(`invalid number ${this.#quote(from)}`);
    return new Real(value);
  }

  #quote(from: number): string {
    return this.#text.substring(from, Math.min(this.#at, from + QUOTED_NUMBER_LENGTH_MAX));
  }

  #string(): string {
    const text = this.#text;
    const from = this.#at + 1;
    const to = from + SHORT_STRING_LENGTH;
    for (let at = from; at < to; at++) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        this.#at = at + 1;
        return text.substring(from, at);
      }
      // Past the end the code is NaN, which the last comparison turns into an end of the loop too.
      if (code === BACKSLASH || !(code >= 0x20)) break;
    }
    return this.#longString(from);
  }

  /**
   * Finds the quote that no backslash escapes, and lets JSON.parse judge and decode what is between.
   * A huge string that is text as it stands becomes a view of the body instead: slower, but no copy.
   */
  #longString(from: number): string {
    const text = this.#text;
    let end = text.indexOf('"', from);
    while (end !== -1 && isEscaped(text, { from, at: end })) end = text.indexOf('"', end + 1);
    if (end === -1) throw invalidJson();
    this.#at = end + 1;
    if (end - from >= HUGE_STRING_LENGTH) {
      const raw = text.substring(from, end);
      if (!NEEDS_DECODING.test(raw)) return raw;
    }
    try {
      return String(JSON.parse(text.substring(from - 1, end + 1))).toWellFormed();
    } catch (error) {
      if (error instanceof SyntaxError) throw invalidJson();
      throw error;
    }
  }

  #skipWord(word: "null" | "true" | "false"): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  /** Moves to the next character that is not blank and returns its code, NaN at the end. */
  #skipBlank(): number {
    let code = this.#text.charCodeAt(this.#at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      code = this.#text.charCodeAt(++this.#at);
    }
    return code;
  }

  #expectEnd(): void {
    if (!Number.isNaN(this.#skipBlank())) throw invalidJson();
  }

  /** For a body whose JSON is fine so far: if it turns out to be broken further on, that comes first. */
  #refusal(message: string): OperatingError {
    if (this.#text.length <= REFUSED_BODY_CHECK_LENGTH_MAX && !isJson(this.#text)) {
      return invalidJson();
    }
    return new OperatingError("bad_request", message);
  }
}

function isNumberStart(code: number): boolean {
  return code === MINUS || (code >= ZERO && code <= NINE);
}

function isExponentMark(code: number): boolean {
  return code === 0x65 || code === 0x45;
}

function isEscaped(text: string, range: { readonly from: number; readonly at: number }): boolean {
  let start = range.at;
  while (start > range.from && text.charCodeAt(start - 1) === BACKSLASH) start--;
  return (range.at - start) % 2 === 1;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

/** SQLite would stop reading at a NUL and run half of what was sent (faults S11). */
function checkSql(sql: string): string {
  if (sql.includes("\0")) {
    throw new OperatingError("bad_request", "Cannot take SQL with a NUL character in it");
  }
  return sql;
}

function invalidJson(): OperatingError {
  return new OperatingError("bad_request", "invalid JSON body");
}
