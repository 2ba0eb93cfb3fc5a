/**
 * The grammar of scenario files: a directive line, optional input, `----`, the expected output up to a
 * blank line (or, behind a doubled `----`, up to the next doubled one). Comments and blank lines stand
 * where a directive is expected. What directives mean is not decided here.
 */

/** `key`, `key=value` or `key=(a,b)`; a key alone has no values. */
export interface Argument {
  readonly key: string;
  readonly values: readonly string[];
}

/** One directive with its input and what must come of it. */
export interface Case {
  /** From 1, of the directive. */
  readonly line: number;
  readonly command: string;
  readonly args: readonly Argument[];
  /** Lines between directive and separator, trimmed as a whole. */
  readonly input: string;
  /** Every line with its line end; empty when nothing is expected. */
  readonly expected: string;
}

/** The file or a directive in it cannot be understood: a fault of the test, not of the engine. */
export class ScriptError extends Error {
  override readonly name = "ScriptError";
}

const SEPARATOR = "----";

/** Reads lines one by one. */
class Lines {
  readonly #lines: readonly string[];
  #at = 0;

  constructor(text: string) {
    const lines = text.split("\n");
    if (lines.at(-1) === "") lines.pop();
    this.#lines = lines;
  }

  /** Of the line that `next` gives, from 1. */
  get number(): number {
    return this.#at + 1;
  }

  peek(offset = 0): string | undefined {
    return this.#lines[this.#at + offset];
  }

  next(): string | undefined {
    const line = this.#lines[this.#at];
    this.#at++;
    return line;
  }
}

/** All cases of a file, in order. @throws {ScriptError} when the text is no scenario. */
export function parseScript(text: string): readonly Case[] {
  const lines = new Lines(text);
  const cases: Case[] = [];
  for (;;) {
    const line = lines.number;
    const text = lines.next();
    if (text === undefined) return cases;
    const directive = joinContinuation(text.trim(), lines);
    if (directive === "" || directive.startsWith("#")) continue;
    const [command = "", ...rest] = directive.split(" ");
    if (command === "subtest") continue;
    const args = parseArguments(rest.join(" "));
    cases.push({ line, command, args, input: readInput(lines), expected: readExpected(lines) });
  }
}

function joinContinuation(first: string, lines: Lines): string {
  let directive = first;
  while (directive.endsWith("\\") && !directive.startsWith("#")) {
    directive = `${directive.slice(0, -1)} ${(lines.next() ?? "").trim()}`.trim();
  }
  return directive;
}

function readInput(lines: Lines): string {
  const input: string[] = [];
  for (;;) {
    const at = lines.number;
    const line = lines.next();
    if (line === undefined) throw new ScriptError(`line ${at}: no ---- behind the directive`);
    if (line === SEPARATOR) return input.join("\n").trim();
    input.push(line);
  }
}

function readExpected(lines: Lines): string {
  if (lines.peek() === SEPARATOR) return readLongExpected(lines);
  let expected = "";
  for (;;) {
    const line = lines.next();
    if (line === undefined || line.trim() === "") return expected;
    expected += `${line}\n`;
  }
}

function readLongExpected(lines: Lines): string {
  lines.next();
  let expected = "";
  for (;;) {
    const at = lines.number;
    const line = lines.next();
    if (line === undefined) throw new ScriptError(`line ${at}: no ---- ---- at the end`);
    if (line === SEPARATOR && lines.peek() === SEPARATOR) {
      lines.next();
      if (lines.peek()?.trim() === "") lines.next();
      return expected;
    }
    expected += `${line}\n`;
  }
}

/** Splits at spaces outside of parentheses. */
export function parseArguments(text: string): readonly Argument[] {
  const args: Argument[] = [];
  let at = 0;
  while (at < text.length) {
    if (text[at] === " ") {
      at++;
      continue;
    }
    let end = at;
    while (end < text.length && text[end] !== " " && text[end] !== "=") end++;
    const key = text.slice(at, end);
    if (text[end] !== "=") {
      args.push({ key, values: [] });
      at = end;
      continue;
    }
    const value = readValue(text, end + 1);
    args.push({ key, values: value.values });
    at = value.end;
  }
  return args;
}

function readValue(text: string, start: number): { values: readonly string[]; end: number } {
  if (text[start] !== "(") {
    const space = text.indexOf(" ", start);
    const end = space < 0 ? text.length : space;
    return { values: [text.slice(start, end)], end };
  }
  const values: string[] = [];
  let depth = 0;
  let value = "";
  for (let at = start; at < text.length; at++) {
    const char = text[at] as string;
    if (char === "(" && ++depth === 1) continue;
    if (char === ")" && --depth === 0) {
      if (values.length > 0 || value !== "") values.push(value);
      return { values, end: at + 1 };
    }
    if (char === "," && depth === 1) {
      values.push(value);
      value = "";
      while (text[at + 1] === " ") at++;
      continue;
    }
    value += char;
  }
  throw new ScriptError(`no closing parenthesis in: ${text}`);
}

/** A decimal number. @throws {ScriptError} when it is none. */
export function parseNumber(text: string | undefined): number {
  const value = /^\d+$/.test(text ?? "") ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new ScriptError(`not a number: ${text}`);
  return value;
}

const TRUE_WORDS = ["true", "True", "TRUE", "t", "T", "1"];
const FALSE_WORDS = ["false", "False", "FALSE", "f", "F", "0"];

/** A truth value. @throws {ScriptError} when it is none. */
export function parseBoolean(text: string | undefined): boolean {
  if (TRUE_WORDS.includes(text ?? "")) return true;
  if (FALSE_WORDS.includes(text ?? "")) return false;
  throw new ScriptError(`not a truth value: ${text}`);
}

/** The one value of `key`, or undefined when the argument is absent. */
export function valueOf(args: readonly Argument[], key: string): string | undefined {
  const found = args.find((arg) => arg.key === key);
  if (found === undefined) return undefined;
  if (found.values.length !== 1) throw new ScriptError(`${key} needs one value`);
  return found.values[0];
}

/** All values of `key`, none when it is absent. */
export function valuesOf(args: readonly Argument[], key: string): readonly string[] {
  return args.find((arg) => arg.key === key)?.values ?? [];
}

/** The keys of arguments without values, in order: node ids, payloads, names of levels. */
export function plainKeys(args: readonly Argument[]): readonly string[] {
  return args.filter((arg) => arg.values.length === 0).map((arg) => arg.key);
}
