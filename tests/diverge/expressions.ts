/**
 * Expressions of SQL drawn at random: literals, parameters, columns, operators, subqueries, and calls
 * of every allowed function with arguments that mostly fit. An expression that SQLite refuses is fine,
 * so long as all replicas refuse it alike; too many of them would test little.
 */
import { boundValue, DOCUMENTS, type Draw, literal, quoteText, TEXTS } from "./draw.ts";
import { AGGREGATES, FROZEN, PURE, type Shapes, TIME_WORDS, WINDOWS } from "./functions.ts";

/** Where an expression stands. */
export interface Place {
  /** Columns that can be named. */
  readonly columns: readonly string[];
  /** Whether parameters are allowed: not in the schema. */
  readonly isBound: boolean;
  /** Whether functions may give another value the next time: not in indexes and generated columns. */
  readonly isPure?: boolean;
  /** How deep it may nest further. */
  readonly depth: number;
}

const PURE_NAMES = Object.keys(PURE);
const FROZEN_NAMES = Object.keys(FROZEN);
const PATHS = ["$", "$.a", "$.b[1]", "$.b[#-1]", '$."é"', "$[0]", "$.a.b.c", "$.x[", "a"];
const MODIFIERS = (
  "+1 day|-7 hours|start of month|start of year|weekday 0|localtime|utc|subsec|auto|unixepoch|" +
  "julianday|+1.5 seconds|ceiling|floor|+0001-02-03 04:05|nonsense"
).split("|");
const TIME_FORMATS = "%Y-%m-%d %H:%M:%f|%s|%J|%j %w %W|%G-%V|%p %I %k %l|%R%T|%e%F|now".split("|");
const PRINT_FORMATS = (
  "%s|%d|%5.2f|%e|%g|%x|%c|%q|%Q|%w|%%|%-10s!|%010d|%,d|%!.20g|%lld|%.3s|%+d|%*d|%z|%p|%o|%i%i|a%"
).split("|");
const POLYGONS = (
  "[[0,0],[1,0],[0,1],[0,0]]|[[0,0],[4,0],[4,4],[0,4],[0,0]]|[[2.5,1],[7,3],[3,9],[2.5,1]]|" +
  "[[0,0]]|not a polygon"
).split("|");
const BINARY =
  "+ - * / % || & | << >> < <= = == <> > >= AND OR IS|IS NOT|IS DISTINCT FROM|LIKE|GLOB"
    .split("|").flatMap((part) => part.includes("IS ") ? [part] : part.trim().split(" "))
    .filter((word) => word !== "");
const COLLATIONS = ["BINARY", "NOCASE", "RTRIM"];
const TYPES = ["INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC", "VARCHAR(10)", "ANY"];

function deeper(place: Place): Place {
  return { ...place, depth: place.depth - 1 };
}

/** Any expression. */
export function expression(draw: Draw, place: Place): string {
  if (place.depth <= 0) return leaf(draw, place);
  const inner = deeper(place);
  const next = (): string => expression(draw, inner);
  return draw.choose([
    [6, () => leaf(draw, place)],
    [5, () => call(draw, PURE_NAMES, PURE, inner)],
    [place.isPure === true ? 0 : 3, () => call(draw, FROZEN_NAMES, FROZEN, inner)],
    [place.isPure === true ? 0 : 1, () => timeWord(draw)],
    [3, () => draw.mark("operator", `(${next()} ${draw.pick(BINARY)} ${next()})`)],
    [1, () => `(${draw.pick(["-", "+", "~", "NOT "])}${next()})`],
    [1, () => draw.mark("CASE", `CASE WHEN ${next()} THEN ${next()} ELSE ${next()} END`)],
    [1, () => draw.mark("CAST", `CAST(${next()} AS ${draw.pick(TYPES)})`)],
    [1, () => `(${next()} COLLATE ${draw.pick(COLLATIONS)})`],
    [1, () => `(${next()} IS ${draw.pick(["NULL", "NOT NULL"])})`],
    [1, () => `(${next()} BETWEEN ${next()} AND ${next()})`],
    [1, () => `(${next()} IN (${next()}, ${next()}))`],
    [1, () => jsonOperator(draw, inner)],
    [place.isPure === true || !place.isBound ? 0 : 1, () => subquery(draw, inner)],
  ]);
}

function leaf(draw: Draw, place: Place): string {
  return draw.choose([
    [3, () => literal(draw)],
    [place.columns.length > 0 ? 4 : 0, () => draw.pick(place.columns)],
    [place.isBound && draw.values.length < 40 ? 2 : 0, () => draw.bind(boundValue(draw))],
  ]);
}

function timeWord(draw: Draw): string {
  const word = draw.pick(TIME_WORDS);
  return draw.mark(word, draw.happens(0.5) ? word.toUpperCase() : word);
}

function jsonOperator(draw: Draw, place: Place): string {
  const operator = draw.pick(["->", "->>"]);
  return draw.mark(operator, `(${argument(draw, "j", place)} ${operator} ${json(draw, place)})`);
}

function json(draw: Draw, place: Place): string {
  return draw.happens(0.7) ? argument(draw, "p", place) : String(draw.below(3));
}

function subquery(draw: Draw, place: Place): string {
  const inner = { ...place, columns: ["a", "b", "c"] };
  return draw.mark(
    "subquery",
    draw.choose([
      [2, () => `(SELECT ${aggregate(draw, inner)} FROM t1)`],
      [1, () => `EXISTS(SELECT 1 FROM t0 WHERE ${expression(draw, inner)})`],
      [1, () => `(SELECT ${expression(draw, inner)} FROM t2 LIMIT 1)`],
      [1, () => `(${expression(draw, place)} IN (SELECT a FROM t3))`],
    ]),
  );
}

/** A call of one of `names`, spelled in one of the ways that SQLite takes for the same. */
function call(draw: Draw, names: readonly string[], table: Shapes, place: Place): string {
  const name = draw.pick(names);
  const signature = draw.pick(table[name] ?? [""]);
  draw.mark(name);
  if (name === "likelihood") return `likelihood(${expression(draw, place)}, 0.25)`;
  return `${spelled(draw, name)}(${callArguments(draw, signature, place)})`;
}

/** A function's name as a hostile client might write it. */
function spelled(draw: Draw, name: string): string {
  return draw.choose([
    [12, () => name],
    [2, () => name.toUpperCase()],
    [1, () => draw.mark("quoted function name", `"${name}"`)],
    [1, () => `[${name}]`],
    [1, () => draw.mark("comment in a call", `${name}/* c */ `)],
  ]);
}

function callArguments(draw: Draw, signature: string, place: Place): string {
  return [...signature].map((letter) => argument(draw, letter, place)).join(", ");
}

/** One argument of the kind that the letter stands for; see functions.ts. */
function argument(draw: Draw, letter: string, place: Place): string {
  if (place.depth > 0 && draw.happens(0.2)) return expression(draw, deeper(place));
  const own = (texts: readonly string[]): string => quoteText(draw.pick(texts));
  switch (letter) {
    case "*":
      return "*";
    case "n":
      return draw.happens(0.5) ? leaf(draw, place) : String(draw.below(2000) / 100 - 5);
    case "i":
      return String(draw.below(12));
    case "t":
      return draw.happens(0.4) ? leaf(draw, place) : own(TEXTS);
    case "b":
      return draw.happens(0.4) ? leaf(draw, place) : "x'0001ff80'";
    case "j":
      return draw.happens(0.2) ? leaf(draw, place) : own(DOCUMENTS);
    case "p":
      return own(PATHS);
    case "d":
      return timeValue(draw, place);
    case "m":
      return own(MODIFIERS);
    case "s":
      return own(TIME_FORMATS);
    case "f":
      return own(PRINT_FORMATS);
    case "g":
      return own(POLYGONS);
    default:
      return leaf(draw, place);
  }
}

/** A point in time; mostly now, in one of its spellings. */
function timeValue(draw: Draw, place: Place): string {
  return draw.choose([
    [3, () => "'now'"],
    [2, () => draw.mark("now, computed", "'n'||'ow'")],
    [place.isBound ? 2 : 0, () => draw.mark("now, bound", draw.bind("now"))],
    [1, () => "'subsec'"],
    [2, () => leaf(draw, place)],
    [2, () => quoteText(draw.pick(TEXTS))],
  ]);
}

/** A call of an aggregate. */
export function aggregate(draw: Draw, place: Place): string {
  const name = draw.pick(Object.keys(AGGREGATES));
  const signature = draw.pick(AGGREGATES[name] ?? [""]);
  draw.mark(name);
  const text = `${name}(${callArguments(draw, signature, place)})`;
  if (!draw.happens(0.1)) return text;
  return draw.mark("FILTER", `${text} FILTER (WHERE ${expression(draw, place)})`);
}

/** A call of a window function, or of an aggregate as one. */
export function windowCall(draw: Draw, place: Place): string {
  const order = draw.pick(["a", "b", "a, b", "c DESC", "random()"]);
  const frame = draw.pick([
    "",
    "",
    " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    " GROUPS 2 PRECEDING",
  ]);
  const partition = draw.happens(0.4) ? "PARTITION BY a " : "";
  const over = `OVER (${partition}ORDER BY ${order}${frame})`;
  draw.mark("OVER");
  if (draw.happens(0.3)) return `${aggregateAlone(draw, place)} ${over}`;
  const name = draw.pick(Object.keys(WINDOWS));
  draw.mark(name);
  if (name === "nth_value") return `nth_value(${leaf(draw, place)}, 2) ${over}`;
  if (name === "ntile") return `ntile(3) ${over}`;
  const signature = draw.pick(WINDOWS[name] ?? [""]);
  return `${name}(${callArguments(draw, signature, place)}) ${over}`;
}

function aggregateAlone(draw: Draw, place: Place): string {
  const name = draw.pick(["sum", "total", "avg", "count", "group_concat", "min", "max"]);
  return draw.mark(name, `${name}(${leaf(draw, place)})`);
}
