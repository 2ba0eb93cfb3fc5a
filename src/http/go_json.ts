/**
 * JSON as the wire has it where it differs from JSON.stringify: strings with the escapes that Go
 * adds (the wire contract, section 5.6), and objects with sorted keys.
 */
import type { FactTree } from "./database_port.ts";

const ESCAPED = /[<>&\u2028\u2029]/g;

/** `text` as a JSON string; `<`, `>`, `&`, U+2028 and U+2029 are escaped. */
export function goString(text: string): string {
  return JSON.stringify(text).replace(
    ESCAPED,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A tree of facts as compact JSON; the keys of objects are sorted by their UTF-16 units. */
export function goJson(tree: FactTree): string {
  if (typeof tree === "string") return goString(tree);
  if (tree === null || typeof tree !== "object") return String(tree);
  if (isList(tree)) return `[${tree.map(goJson).join()}]`;
  const members = Object.keys(tree).sort()
    .map((key) => `${goString(key)}:${goJson(tree[key] ?? null)}`);
  return `{${members.join()}}`;
}

/** `Array.isArray` does not narrow readonly arrays. */
export function isList(tree: object): tree is readonly FactTree[] {
  return Array.isArray(tree);
}

/**
 * A duration as the wire's `time` members have it: seconds as a number. No finer than a nanosecond,
 * since more digits would only be noise of the division.
 */
export function goSeconds(durationMs: number): string {
  return String(Math.round(durationMs * 1e6) / 1e9);
}
