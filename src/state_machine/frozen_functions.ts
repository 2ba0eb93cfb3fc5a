/**
 * Functions that replace SQLite's own so that every replica computes the same (rules Q2 to Q4, A4b).
 *
 * Mathematics by V8 where its `Math` is software and does not ask the processor, else by arithmetic.ts;
 * searches in text with a
 * bound on their work, because nothing can interrupt them; chance from the entry's seed; facts of the
 * connection or of the build replaced by errors. A function replaces the one of equal name and number
 * of arguments; all of them must work in DEFAULT, CHECK, triggers and views, hence innocuous (rule Q4).
 */
import type { Connection } from "../sqlite/connection.ts";
import { SqlFunctionError } from "../sqlite/errors.ts";
import {
  createFunction,
  type FunctionArguments,
  type ScalarFunction,
} from "../sqlite/functions.ts";
import { type BindValue, ValueType } from "../sqlite/values.ts";
import { VALUE_BYTES_MAX } from "./replicated_limits.ts";
import { hyperbolicTangent, power } from "./arithmetic.ts";
import type { RandomSource } from "./random_source.ts";
import { FUNCTION_RULES } from "./sql_policy.ts";
import { instr, replace, trim } from "./text_search.ts";

const NUMERIC_TEXT = /^[ \t\n\v\f\r]*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[ \t\n\v\f\r]*$/;

/** Functions of one number. A result that is no number becomes NULL, as SQLite has it. */
const MATHEMATICS: Readonly<Record<string, (x: number) => number>> = {
  acos: Math.acos,
  acosh: Math.acosh,
  asin: Math.asin,
  asinh: Math.asinh,
  atan: Math.atan,
  atanh: Math.atanh,
  cos: Math.cos,
  cosh: Math.cosh,
  exp: Math.exp,
  ln: (x) => x > 0 ? Math.log(x) : NaN,
  log: (x) => x > 0 ? Math.log10(x) : NaN,
  log10: (x) => x > 0 ? Math.log10(x) : NaN,
  log2: (x) => x > 0 ? Math.log2(x) : NaN,
  sin: Math.sin,
  sinh: Math.sinh,
  tan: Math.tan,
  tanh: hyperbolicTangent,
};

/** Numbers of arguments of the refused functions. */
const REFUSED_ARGUMENT_COUNTS: Readonly<Record<string, readonly number[]>> = {
  fts3_tokenizer: [1, 2],
  fts5: [1],
  fts5_source_id: [0],
  sqlite_compileoption_get: [1],
  sqlite_compileoption_used: [1],
  sqlite_log: [2],
  sqlite_source_id: [0],
  sqlite_version: [0],
};

/** Names of all replaced functions, for the comparison of builds (rule Q16). */
export const FROZEN_NAMES: readonly string[] = [
  ...Object.keys(MATHEMATICS),
  ..."atan2 pow power log/2 instr replace trim ltrim rtrim random randomblob total_changes".split(
    " ",
  ),
];

/** What every connection gets, readers too. */
export function freezeArithmetic(connection: Connection): void {
  const define = definer(connection, { deterministic: true });
  for (const [name, compute] of Object.entries(MATHEMATICS)) {
    define(name, 1, (args) => real(number(args, 0), compute));
  }
  define("atan2", 2, (args) => real2(args, Math.atan2));
  define("pow", 2, (args) => real2(args, power));
  define("power", 2, (args) => real2(args, power));
  define("log", 2, (args) => real2(args, logarithm));
  define("instr", 2, instr);
  define("replace", 3, replace);
  for (const [name, side] of [["trim", "both"], ["ltrim", "left"], ["rtrim", "right"]] as const) {
    define(name, 1, (args) => trim(args, side));
    define(name, 2, (args) => trim(args, side));
  }
  refuse(connection, "refuse");
}

/** What the writer gets besides. */
export function freezeChance(
  connection: Connection,
  options: {
    readonly random: RandomSource;
    /** Rows changed since the entry began (rule Q6). */
    readonly totalChanges: () => number;
  },
): void {
  const define = definer(connection, { deterministic: false });
  define("random", 0, () => options.random.int64());
  define("randomblob", 1, (args) => {
    const size = Number(args.integer(0));
    if (size > VALUE_BYTES_MAX) throw new SqlFunctionError("string or blob too big");
    return options.random.bytes(Math.max(1, size));
  });
  define("total_changes", 0, () => options.totalChanges());
  refuse(connection, "local");
}

function definer(
  connection: Connection,
  options: { readonly deterministic: boolean },
): (name: string, argumentCount: number, implementation: ScalarFunction) => void {
  return (name, argumentCount, implementation) =>
    createFunction(
      connection,
      { name, argumentCount, innocuous: true, ...options },
      implementation,
    );
}

function refuse(connection: Connection, rule: "refuse" | "local"): void {
  const define = definer(connection, { deterministic: false });
  for (const [name, counts] of Object.entries(REFUSED_ARGUMENT_COUNTS)) {
    if (FUNCTION_RULES.get(name) !== rule) continue;
    for (const count of counts) {
      define(name, count, () => {
        throw new SqlFunctionError(`not authorized to use function: ${name}`);
      });
    }
  }
}

/** An argument as a number, or undefined when SQLite's functions would answer NULL to it. */
function number(args: FunctionArguments, index: number): number | undefined {
  switch (args.type(index)) {
    case ValueType.INTEGER:
    case ValueType.REAL:
      return args.real(index);
    case ValueType.TEXT: {
      const text = args.text(index);
      return NUMERIC_TEXT.test(text) ? Number(text) : undefined;
    }
    default:
      return undefined;
  }
}

function real(x: number | undefined, compute: (x: number) => number): BindValue {
  if (x === undefined) return null;
  const value = compute(x);
  return Number.isNaN(value) ? null : { value };
}

function real2(args: FunctionArguments, compute: (x: number, y: number) => number): BindValue {
  const x = number(args, 0);
  const y = number(args, 1);
  return x === undefined || y === undefined ? null : real(x, () => compute(x, y));
}

function logarithm(base: number, x: number): number {
  if (!(base > 0) || !(x > 0)) return NaN;
  const divisor = Math.log(base);
  return divisor > 0 ? Math.log(x) / divisor : NaN;
}
