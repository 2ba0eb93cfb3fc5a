/**
 * JSON whose numbers keep their spelling: SQLite's 64-bit integers do not fit JavaScript's numbers,
 * and 1.0 is not 1. What the shell shows is what the node sent.
 */

/** A number as it was written. */
export class JsonNumber {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

/** A parsed value; numbers are `JsonNumber`. */
export type Json = null | boolean | string | JsonNumber | readonly Json[] | JsonObject;

/** A parsed object, members in their order. */
export interface JsonObject {
  readonly [name: string]: Json;
}

/** @throws {SyntaxError} when `text` is not JSON. */
export function parseExactJson(text: string): Json {
  // The compiler's library does not know the reviver's third argument yet.
  const reviver = (
    _name: string,
    value: unknown,
    context?: { readonly source?: string },
  ): unknown =>
    typeof value === "number" ? new JsonNumber(context?.source ?? String(value)) : value;
  return JSON.parse(text, reviver) as Json;
}

/** Compact JSON again. */
export function formatExactJson(value: Json): string {
  if (value instanceof JsonNumber) return value.source;
  if (Array.isArray(value)) return `[${value.map(formatExactJson).join(",")}]`;
  if (isJsonObject(value)) {
    const members = Object.entries(value)
      .map(([name, member]) => `${JSON.stringify(name)}:${formatExactJson(member)}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}

/** Whether `value` is an object, and not an array, a number or null. */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof JsonNumber);
}

/** The elements of an array, none for anything else. */
export function elementsOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

/** A member of an object; undefined where there is none, or no object. */
export function memberOf(value: Json | undefined, name: string): Json | undefined {
  return isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/** The value as text for people: strings without quotes, the rest as JSON. */
export function plainText(value: Json | undefined): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : formatExactJson(value);
}
