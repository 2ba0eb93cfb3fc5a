/**
 * `instr`, `replace`, `trim`, `ltrim`, `rtrim`: SQLite's own run for seconds on long arguments and
 * cannot be interrupted meanwhile (rule A4b). These do the same, and refuse more work than
 * `SEARCH_PRODUCT_MAX`, on every replica alike. Positions count characters, of blobs bytes.
 */
import { Buffer } from "node:buffer";
import { SqlFunctionError } from "../sqlite/errors.ts";
import type { FunctionArguments } from "../sqlite/functions.ts";
import { type BindValue, ValueType } from "../sqlite/values.ts";
import { SEARCH_PRODUCT_MAX, VALUE_BYTES_MAX } from "./replicated_limits.ts";

/** Position of the second argument in the first, from 1; 0 when it is not in it. */
export function instr(args: FunctionArguments): BindValue {
  const types = [args.type(0), args.type(1)];
  if (types.includes(ValueType.NULL)) return null;
  assertBounded(args, "instr");
  if (types.every((type) => type === ValueType.BLOB)) {
    return Buffer.from(args.bytes(0).buffer).indexOf(args.bytes(1)) + 1;
  }
  const text = args.text(0);
  const at = text.indexOf(args.text(1));
  return at < 0 ? 0 : characterCount(text, at) + 1;
}

/** The first argument with every occurrence of the second replaced by the third. */
export function replace(args: FunctionArguments): BindValue {
  if ([0, 1, 2].some((index) => args.type(index) === ValueType.NULL)) return null;
  assertBounded(args, "replace");
  const text = args.text(0);
  const pattern = args.text(1);
  if (pattern === "" || pattern.charCodeAt(0) === 0) return text;
  const replacement = args.text(2);
  const growth = args.size(2) - args.size(1);
  let size = args.size(0);
  const parts: string[] = [];
  let from = 0;
  for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, from)) {
    size += growth;
    if (size > VALUE_BYTES_MAX) throw new SqlFunctionError("string or blob too big");
    parts.push(text.substring(from, at), replacement);
    from = at + pattern.length;
  }
  parts.push(text.substring(from));
  return parts.join("");
}

/** The first argument without the characters of the second, blanks if there is none, at its ends. */
export function trim(args: FunctionArguments, side: "both" | "left" | "right"): BindValue {
  if (args.type(0) === ValueType.NULL) return null;
  if (args.count === 2 && args.type(1) === ValueType.NULL) return null;
  const text = args.text(0);
  const set = new Set(args.count === 2 ? beforeNul(args.text(1)) : " ");
  let from = 0;
  let to = text.length;
  if (side !== "right") {
    for (; from < to; from++) {
      const character = String.fromCodePoint(text.codePointAt(from) ?? 0);
      if (!set.has(character)) break;
      from += character.length - 1;
    }
  }
  if (side !== "left") {
    while (to > from) {
      const size = isPair(text, to - 2) && to - 2 >= from ? 2 : 1;
      if (!set.has(text.substring(to - size, to))) break;
      to -= size;
    }
  }
  return text.substring(from, to);
}

function assertBounded(args: FunctionArguments, name: string): void {
  if (args.size(0) * args.size(1) > SEARCH_PRODUCT_MAX) {
    throw new SqlFunctionError(`${name}: arguments are too long`);
  }
}

function beforeNul(text: string): string {
  const at = text.indexOf("\0");
  return at < 0 ? text : text.substring(0, at);
}

function characterCount(text: string, to: number): number {
  let count = 0;
  for (let at = 0; at < to; at++, count++) if (isPair(text, at)) at++;
  return count;
}

function isPair(text: string, at: number): boolean {
  return at >= 0 && (text.charCodeAt(at) & 0xfc00) === 0xd800 &&
    (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
}
