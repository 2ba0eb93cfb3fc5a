/**
 * What a flag is: a value with a type, a default and a sentence of help. A command's flags are one
 * object, name to `Flag`; parsing (flag_parser.ts) and the help text (flag_help.ts) both read it.
 * Invariant: `parse` accepts every text that the documentation shows, and nothing by accident: an
 * octal-looking number, a duration without unit, an empty number are all refused.
 */
import { parseDuration } from "../base/duration.ts";

/** One flag of a command; `Value` is what its text means. */
export interface Flag<Value> {
  /** A `switch` needs no value and takes one only behind `=`; an `option` always takes one. */
  readonly kind: "switch" | "option";
  /** Headline in the help text. */
  readonly group: string;
  /** One line of help, without a period. */
  readonly meaning: string;
  /** What the value looks like, for the help text; "" for switches. */
  readonly placeholder: string;
  readonly defaultValue: Value;
  /** The default as the help text shows it; "" when there is nothing to show. */
  readonly defaultText: string;
  /** Other names, such as one letter. */
  readonly aliases: readonly string[];
  /** Not looked up in the environment. */
  readonly commandLineOnly: boolean;
  /** What a value must be, completing "must be ..." in messages. */
  readonly expected: string;
  /** The value of a text; undefined when it is not of this type. */
  readonly parse: (text: string) => Value | undefined;
}

/** Help of a flag, as the makers below take it. */
export interface FlagHelp {
  readonly group: string;
  readonly meaning: string;
  readonly aliases?: readonly string[];
  /** Shown in place of the default, where that is computed. */
  readonly defaultText?: string;
  readonly commandLineOnly?: boolean;
}

const TRUE_TEXTS: ReadonlySet<string> = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE_TEXTS: ReadonlySet<string> = new Set(["0", "f", "F", "false", "FALSE", "False"]);
const COUNT_PATTERN = /^(0|[1-9]\d*)$/;
const SIZE_PATTERN = /^(0|[1-9]\d*)(B|KiB|MiB|GiB|TiB)?$/;
const SIZE_UNITS: ReadonlyMap<string, number> = new Map([
  ["B", 1],
  ["KiB", 2 ** 10],
  ["MiB", 2 ** 20],
  ["GiB", 2 ** 30],
  ["TiB", 2 ** 40],
]);

/** Off unless given, or on unless given as `=false`. Takes Go's words for true and false. */
export function switchFlag(help: FlagHelp & { readonly on?: boolean }): Flag<boolean> {
  const defaultValue = help.on ?? false;
  return {
    ...common(help, defaultValue ? "true" : ""),
    kind: "switch",
    placeholder: "",
    defaultValue,
    expected: "true or false",
    parse: (text) => TRUE_TEXTS.has(text) ? true : FALSE_TEXTS.has(text) ? false : undefined,
  };
}

/** Any text; "" unless given. */
export function textFlag(
  help: FlagHelp & { readonly placeholder: string; readonly initial?: string },
): Flag<string> {
  const defaultValue = help.initial ?? "";
  return {
    ...common(help, defaultValue),
    kind: "option",
    placeholder: help.placeholder,
    defaultValue,
    expected: "a text",
    parse: (text) => text,
  };
}

/** Texts with commas between them; none unless given. Blanks around a text do not count. */
export function listFlag(
  help: FlagHelp & { readonly placeholder: string },
): Flag<readonly string[]> {
  return {
    ...common(help, ""),
    kind: "option",
    placeholder: help.placeholder,
    defaultValue: [],
    expected: "a list with commas",
    parse: (text) => text.split(",").map((part) => part.trim()).filter((part) => part !== ""),
  };
}

/** One of `choices`, in their own spelling whatever the case of the text. */
export function choiceFlag<Choice extends string>(
  help: FlagHelp & { readonly choices: readonly Choice[]; readonly initial: Choice },
): Flag<Choice> {
  const { choices } = help;
  return {
    ...common(help, help.initial),
    kind: "option",
    placeholder: choices.join("|"),
    defaultValue: help.initial,
    expected: `one of ${choices.join(", ")}`,
    parse: (text) => choices.find((choice) => choice.toLowerCase() === text.toLowerCase()),
  };
}

/** A whole number `[min, max]`; decimal, no sign. */
export function countFlag(
  help: FlagHelp & { readonly initial: number; readonly min?: number; readonly max?: number },
): Flag<number> {
  const min = help.min ?? 0;
  const max = help.max ?? Number.MAX_SAFE_INTEGER;
  return {
    ...common(help, String(help.initial)),
    kind: "option",
    placeholder: "N",
    defaultValue: help.initial,
    expected: max === Number.MAX_SAFE_INTEGER
      ? `a whole number of at least ${min}`
      : `a whole number from ${min} to ${max}`,
    parse: (text) => COUNT_PATTERN.test(text) ? within(Number(text), { min, max }) : undefined,
  };
}

/** Bytes `[min, max]`: a whole number, as it is or with B, KiB, MiB, GiB, TiB. */
export function sizeFlag(
  help: FlagHelp & { readonly initial: number; readonly min?: number; readonly max?: number },
): Flag<number> {
  const min = help.min ?? 0;
  const max = help.max ?? Number.MAX_SAFE_INTEGER;
  return {
    ...common(help, sizeText(help.initial)),
    kind: "option",
    placeholder: "BYTES",
    defaultValue: help.initial,
    expected: `a number of bytes from ${sizeText(min)} to ${
      sizeText(max)
    }, such as 1048576 or 1MiB`,
    parse: (text) => {
      const match = SIZE_PATTERN.exec(text);
      if (match === null) return undefined;
      const unit = SIZE_UNITS.get(match[2] ?? "B") ?? NaN;
      return within(Number(match[1]) * unit, { min, max });
    },
  };
}

/** A duration in Go's syntax, in milliseconds, not below `minMs` (0 unless told). */
export function durationFlag(
  help: FlagHelp & { readonly initial: string; readonly minMs?: number },
): Flag<number> {
  const minMs = help.minMs ?? 0;
  const parse = (text: string): number | undefined => {
    const milliseconds = parseDuration(text);
    return milliseconds === undefined || milliseconds < minMs ? undefined : milliseconds;
  };
  return {
    ...common(help, help.initial),
    kind: "option",
    placeholder: "DURATION",
    defaultValue: parse(help.initial) ?? 0,
    expected: minMs > 0
      ? `a duration of at least ${minMs}ms, such as 500ms, 10s or 1m30s`
      : "a duration, such as 500ms, 10s or 1m30s",
    parse,
  };
}

function common(
  help: FlagHelp,
  defaultText: string,
): Pick<Flag<unknown>, "group" | "meaning" | "aliases" | "defaultText" | "commandLineOnly"> {
  return {
    group: help.group,
    meaning: help.meaning,
    aliases: help.aliases ?? [],
    commandLineOnly: help.commandLineOnly ?? false,
    defaultText: help.defaultText ?? defaultText,
  };
}

/** In the largest unit that needs no fraction. */
function sizeText(bytes: number): string {
  if (bytes === 0) return "0";
  const units = [...SIZE_UNITS].reverse();
  const [name, unit] = units.find(([, size]) => bytes % size === 0) ?? ["B", 1];
  return unit === 1 ? String(bytes) : `${bytes / unit}${name}`;
}

function within(
  value: number,
  range: { readonly min: number; readonly max: number },
): number | undefined {
  return value >= range.min && value <= range.max ? value : undefined;
}
