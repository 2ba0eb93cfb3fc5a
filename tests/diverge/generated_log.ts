/**
 * The log of a seed: entries of statements, as short forms for a reader and as encoded commands for a
 * state machine. Every replica draws it anew; that it is the same one is what the entry chain shows.
 */
import { CommandEncoder, stampCommand } from "../../src/command/command_encoder.ts";
import { FORMAT } from "../../src/command/request.ts";
import type { Value } from "../../src/command/value.ts";
import { Draw } from "./draw.ts";
import { firstSchema, joining, planning, schemaChange } from "./schema.ts";
import {
  change,
  control,
  endless,
  explain,
  hostile,
  insert,
  pragma,
  prune,
  query,
  virtual,
} from "./statements.ts";

/** A string of SQL with its values. */
export interface GeneratedStatement {
  readonly sql: string;
  readonly values: readonly Value[];
  /** Functions and constructs in it. */
  readonly marks: readonly string[];
}

/** One entry. Its number, from 0, names it also when others are left out. */
export interface GeneratedEntry {
  readonly number: number;
  /** It takes the time back, and has no statements. */
  readonly isSetTime: boolean;
  /** The client's `db_timeout`, in milliseconds; 0 for none. */
  readonly timeoutMs: number;
  readonly statements: readonly GeneratedStatement[];
  readonly isTransaction: boolean;
  readonly isRows: boolean;
  readonly nowMs: number;
  readonly elapsedMs: number;
  readonly seed: bigint;
  /** The client's name for it: what happens again under the same one happens once. */
  readonly key: string | undefined;
}

/** Statements of one entry at most. */
const STATEMENTS_MAX = 5;
const FIRST_MS = Date.UTC(2024, 1, 28, 23, 59, 0);
const ENDLESS_SHARE = 0.0005;
const VACUUM_SHARE = 0.002;
const KEY_SHARE = 0.12;
/** Of entries with a key: sent again at once. */
const AGAIN_SHARE = 0.3;
const KEYS_COUNT = 400;
/** Statements that were sent before, word by word, so that those kept by a replica are run again. */
const REPEATED_SHARE = 0.1;
const REPEATED_COUNT = 60;
/** In turn. */
const TIMEOUTS_MS = [0, 1, 0, 100, 0];
/** Of the times that the clock went back: so many are by an entry that says so. */
const SET_TIME_TURN = 3;
/** Of entries that take something away: what follows lacks values. */
const TOO_FEW_SHARE = 0.5;
/** Of entries that take something away: explain what may be gone by then, as did an entry before them. */
const EXPLAINED_SHARE = 0.4;

/** The entries of a seed, with `statementCount` statements or a few more. */
export function generateLog(seed: number, statementCount: number): GeneratedEntry[] {
  const draw = new Draw(seed);
  const entries: GeneratedEntry[] = [];
  const recent: GeneratedStatement[] = [];
  let nowMs = FIRST_MS;
  const add = (statements: readonly GeneratedStatement[], key?: string): void => {
    // Clocks of leaders go back now and then.
    const stepMs = draw.happens(0.05) ? -draw.below(5000) : draw.below(400_000);
    nowMs += stepMs;
    const number = entries.length;
    if (stepMs < 0 && number % SET_TIME_TURN === 0) entries.push(setTime(number, nowMs));
    entries.push({
      number: entries.length,
      isSetTime: false,
      timeoutMs: TIMEOUTS_MS[number % TIMEOUTS_MS.length] ?? 0,
      statements,
      isTransaction: draw.happens(0.25),
      isRows: draw.happens(0.4),
      nowMs,
      elapsedMs: Math.max(0, Math.min(stepMs, 1000)),
      seed: draw.seed(),
      key,
    });
  };
  for (const sql of firstSchema(draw)) add([{ sql, ...draw.take() }]);
  for (let count = entries.length; count < statementCount;) {
    const statements = drawEntry(draw, recent);
    if (statements.some(takesAway) && draw.happens(EXPLAINED_SHARE)) {
      const before = explained(draw);
      count += before.length;
      add(before);
      statements.push(...before.slice(0, 1));
    }
    const key = draw.happens(KEY_SHARE) ? `key${draw.below(KEYS_COUNT)}` : undefined;
    const isAgain = key !== undefined && draw.happens(AGAIN_SHARE);
    for (let times = isAgain ? 2 : 1; times > 0; times--) {
      count += statements.length;
      add(statements, key);
    }
    if (!statements.some(takesAway) || !draw.happens(TOO_FEW_SHARE)) continue;
    const broken = tooFewValues(draw, recent);
    count += broken.length;
    if (broken.length > 0) add(broken);
  }
  return entries;
}

function setTime(number: number, nowMs: number): GeneratedEntry {
  return {
    number,
    isSetTime: true,
    timeoutMs: 0,
    statements: [],
    isTransaction: false,
    isRows: false,
    nowMs,
    elapsedMs: 0,
    seed: 0n,
    key: undefined,
  };
}

/** The statements of an entry; they join the `recent` ones. */
function drawEntry(draw: Draw, recent: GeneratedStatement[]): GeneratedStatement[] {
  if (draw.happens(VACUUM_SHARE)) return [{ sql: draw.mark("VACUUM", "VACUUM"), ...draw.take() }];
  const count = draw.happens(0.4) ? 1 : 1 + draw.below(STATEMENTS_MAX);
  return Array.from({ length: count }, () => {
    if (recent.length > 0 && draw.happens(REPEATED_SHARE)) return draw.pick(recent);
    const sql = draw.happens(0.06) ? severalStatements(draw) : oneStatement(draw);
    const statement = { sql, ...draw.take() };
    if (recent.length < REPEATED_COUNT) recent.push(statement);
    else recent[draw.below(REPEATED_COUNT)] = statement;
    return statement;
  });
}

/**
 * Statements once more with a value too few each, behind an entry that may have taken away what they
 * need: their errors must not tell who kept them.
 */
function tooFewValues(draw: Draw, recent: readonly GeneratedStatement[]): GeneratedStatement[] {
  const bound = recent.filter(({ values }) => values.length > 0);
  if (bound.length === 0) return [];
  const mark = "a value too few";
  return Array.from({ length: STATEMENTS_MAX }, () => draw.pick(bound))
    .map(({ sql, values, marks }) => ({ sql, values: values.slice(1), marks: [...marks, mark] }));
}

/** An EXPLAIN, and queries behind it, for which those who keep few statements forget it. */
function explained(draw: Draw): GeneratedStatement[] {
  return [explain, query, query].map((make) => ({ sql: make(draw), ...draw.take() }));
}

function takesAway({ marks }: GeneratedStatement): boolean {
  return marks.some((mark) => mark.startsWith("DROP") || mark.startsWith("RENAME"));
}

function severalStatements(draw: Draw): string {
  draw.mark("several in one string");
  return Array.from({ length: 2 + draw.below(3) }, () => oneStatement(draw))
    .join(draw.pick(["; ", ";\n-- and\n", ";;"]));
}

function oneStatement(draw: Draw): string {
  if (draw.happens(ENDLESS_SHARE)) return endless(draw);
  return draw.choose([
    [40, () => insert(draw)],
    [20, () => change(draw)],
    [10, () => query(draw)],
    [14, () => virtual(draw)],
    [7, () => schemaChange(draw)],
    [8, () => planning(draw)],
    [6, () => joining(draw)],
    [6, () => prune(draw)],
    [4, () => control(draw)],
    [3, () => pragma(draw)],
    [4, () => hostile(draw)],
  ]);
}

const encoder = new CommandEncoder();

/** The bytes of an entry's command, stamped as the leader stamps them. They are the caller's. */
export function encodeEntry(entry: GeneratedEntry): Uint8Array<ArrayBuffer> {
  const { nowMs, elapsedMs, seed, key, timeoutMs } = entry;
  const payload = encoder.encode(
    entry.isSetTime ? { kind: "set_time", nowMs: 0 } : {
      kind: "execute",
      options: { transaction: entry.isTransaction, rows: entry.isRows, timeoutMs },
      nowMs: 0,
      elapsedMs: 0,
      seed: 0n,
      statements: entry.statements.map(({ sql, values }) => ({
        sql,
        positional: values,
        named: [],
      })),
      ...(key === undefined
        ? {}
        : { retry: { kind: "key", user: "", key, format: formatOf(key) } }),
    },
  );
  stampCommand(payload, { nowMs, elapsedMs, seed });
  return payload;
}

/** How the answer to a named entry is kept. */
function formatOf(key: string): number {
  return key.length % 2 === 0 ? FORMAT.associative : 0;
}

/** An entry as SQL, for a reader. */
export function describeEntry(entry: GeneratedEntry): string {
  const flags = [
    entry.isSetTime ? "sets the time" : "",
    entry.timeoutMs > 0 ? `db_timeout ${entry.timeoutMs} ms` : "",
    entry.isTransaction ? "transaction" : "",
    entry.isRows ? "rows" : "",
    entry.key ?? "",
  ]
    .filter((flag) => flag !== "").join(", ");
  const lines = entry.statements.map(({ sql, values }) => {
    const bound = values.length === 0 ? "" : `  -- ${values.map(describeValue).join(" | ")}`;
    return `  ${sql};${bound}`;
  });
  const head = `-- entry ${entry.number}${flags === "" ? "" : `: ${flags}`}, now ${entry.nowMs}`;
  return [`${head}, seed ${entry.seed}`, ...lines].join("\n");
}

function describeValue(value: Value): string {
  if (value instanceof Uint8Array) return `x'${value.toHex()}'`;
  if (value !== null && typeof value === "object") return `${value.value} (real)`;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
