/**
 * What the generator of SQL draws from: repeatable chance, the values of a statement's parameters, and
 * marks, the names of functions and constructs that a statement uses, for the counters.
 */
import { Chance } from "../sim/chance.ts";
import { Real, type Value } from "../../src/command/value.ts";

/** See the file's header. One per log. */
export class Draw {
  readonly #chance: Chance;
  #marks = new Set<string>();
  #values: Value[] = [];

  constructor(seed: number) {
    this.#chance = new Chance(seed);
  }

  /** Whether something that happens in `probability` of all cases happens. */
  happens(probability: number): boolean {
    return this.#chance.happens(probability);
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return this.#chance.below(limit);
  }

  /** One of `values`, of which there is at least one. */
  pick<T>(values: readonly T[]): T {
    const value = this.#chance.pick(values);
    if (value === undefined) throw new RangeError("Cannot pick from nothing");
    return value;
  }

  /** Calls one of `choices`, in proportion to their weights. */
  choose<T>(choices: readonly (readonly [weight: number, make: () => T])[]): T {
    let at = this.below(choices.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, make] of choices) {
      if (at < weight) return make();
      at -= weight;
    }
    throw new RangeError("Cannot choose from nothing");
  }

  /** `count` texts of `make`, joined by commas. */
  list(count: number, make: () => string): string {
    return Array.from({ length: count }, make).join(", ");
  }

  /** Notes that the statement at hand uses a function or construct, and gives `text` back. */
  mark(name: string, text = ""): string {
    this.#marks.add(name);
    return text;
  }

  /** A new positional parameter that holds `value`. */
  bind(value: Value): string {
    this.#values.push(value);
    return `?${this.#values.length}`;
  }

  /** Parameters of the statement at hand. */
  get values(): readonly Value[] {
    return this.#values;
  }

  /** What was marked and bound since the last call. */
  take(): { readonly marks: readonly string[]; readonly values: readonly Value[] } {
    const taken = { marks: [...this.#marks], values: this.#values };
    this.#marks = new Set();
    this.#values = [];
    return taken;
  }

  /** 64 bits: an entry's seed. */
  seed(): bigint {
    return BigInt(this.below(2 ** 32)) << 32n | BigInt(this.below(2 ** 32));
  }
}

/** Texts that are special to some function of SQLite. */
export const TEXTS: readonly string[] = [
  "",
  "a",
  "A",
  "apple",
  "the quick brown fox",
  "fox jumps over",
  "grüße",
  "ẞß",
  "日本語",
  "😀x",
  "0",
  "12",
  " 12 ",
  "1e3",
  "0x1F",
  "-0.0",
  "9223372036854775807",
  "9223372036854775808",
  "now",
  "NOW",
  "2024-02-29",
  "2024-02-29 12:34:56.789",
  "2460000.5",
  "12:00",
  "it's",
  'say "hi"',
  "a%_b",
  "[abc]",
  "x\u0000y",
  "null",
  "true",
];

/** JSON, and what almost is. */
export const DOCUMENTS: readonly string[] = [
  "{}",
  "[]",
  '{"a":1,"b":[1,2,{"c":null}]}',
  "[1,2.5,-0.0,1e400,true,null]",
  '{"a":{"b":{"c":"d"}}}',
  "{a:1,'b':0x1F,}",
  '"text"',
  "12345678901234567890",
  "[1,2",
  '{"é":"\\u00e9\\ud83d\\ude00"}',
];

const INTEGERS = "0 1 -1 2 3 5 7 10 42 100 255 -7 65536 2147483648 -2147483649 9007199254740993 " +
  "9223372036854775807 -9223372036854775808";
const REALS = "0.0 -0.0 0.5 -1.5 3.14159 1e10 -2.5e-7 1e300 -1e308 9e999 -9e999 0.1 1e16 " +
  "9007199254740992.0 9.2233720368547758e18 5e-324";
const INTEGER_LITERALS = INTEGERS.split(" ");
const REAL_LITERALS = REALS.split(" ");

/** `text` as a literal of SQL; NUL by way of char(). */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return quoted.includes("\0") ? quoted.split("\0").join("'||char(0)||'") : quoted;
}

/** A literal of any type. */
export function literal(draw: Draw): string {
  return draw.choose([
    [8, () => String(draw.below(30))],
    [3, () => draw.pick(INTEGER_LITERALS)],
    [3, () => draw.pick(REAL_LITERALS)],
    [4, () => quoteText(draw.pick(TEXTS))],
    [1, () => quoteText(draw.pick(DOCUMENTS))],
    [2, () => `x'${"00ff80c3a90a".slice(0, 2 * draw.below(7))}'`],
    [1, () => "NULL"],
    [1, () => draw.pick(["TRUE", "FALSE"])],
  ]);
}

/** A value to bind, of any type. */
export function boundValue(draw: Draw): Value {
  return draw.choose<Value>([
    [6, () => draw.below(30)],
    [2, () => BigInt(draw.pick(INTEGER_LITERALS))],
    [2, () => new Real(Number(draw.pick(REAL_LITERALS)))],
    [4, () => draw.pick(TEXTS)],
    [1, () => draw.pick(DOCUMENTS)],
    [1, () => Uint8Array.from({ length: draw.below(6) }, () => draw.below(256))],
    [1, () => null],
  ]);
}
