/**
 * Query strings to request options: decoding, and the checks that the wire wants on every path before
 * anything else happens (the wire contract, section 2). Flags are true by being there, whatever their
 * value; of a repeated key the first counts; unknown keys are ignored.
 *
 * `QueryStrings` keeps the parsed form of recent short strings, since clients send the same few.
 */
import { OperatingError } from "../base/errors.ts";
import { parseDuration } from "../base/duration.ts";
import { FORMAT, type ReadLevel, type ResultFormat } from "../command/request.ts";
import {
  DURATION_MS_MAX,
  LINEARIZABLE_TIMEOUT_MS_DEFAULT,
  QUERY_STRING_KEPT_LENGTH_MAX,
  QUERY_STRINGS_KEPT_MAX,
  TIMEOUT_MS_DEFAULT,
} from "./limits.ts";

/** What a query string asks for. Durations are whole milliseconds, at least 0; see section 2 for each. */
export interface RequestOptions {
  readonly q: string | undefined;
  readonly pretty: boolean;
  readonly timings: boolean;
  readonly transaction: boolean;
  readonly raftIndex: boolean;
  /** `associative`, `timings`, `blob_array` and `qualify_columns` together. */
  readonly format: ResultFormat;
  /** Undefined when the level that was asked for does not exist. */
  readonly level: ReadLevel | undefined;
  readonly freshnessMs: number;
  readonly freshnessStrict: boolean;
  readonly linearizableTimeoutMs: number;
  readonly timeoutMs: number;
  readonly dbTimeoutMs: number;
  readonly redirect: boolean;
  readonly queue: boolean;
  readonly wait: boolean;
  readonly noLeader: boolean;
  readonly trailingLogs: number;
  /** The index that this node must have applied before a read; 0 for none. */
  readonly minIndex: number;
  readonly nonVoters: boolean;
  readonly version: string | undefined;
  readonly sync: boolean;
  readonly key: string | undefined;
}

/** The levels, for the check and for the text that lists them. */
export const READ_LEVELS: readonly ReadLevel[] = [
  "none",
  "weak",
  "linearizable",
  "strong",
  "auto",
];

/** Parses query strings and remembers the last few. */
export class QueryStrings {
  readonly #kept = new Map<string, RequestOptions>();

  /** @param query what follows the question mark. @throws {OperatingError} as `parseQueryString`. */
  parse(query: string): RequestOptions {
    const kept = this.#kept.get(query);
    if (kept !== undefined) return kept;
    const options = parseQueryString(query);
    if (query.length <= QUERY_STRING_KEPT_LENGTH_MAX) {
      if (this.#kept.size === QUERY_STRINGS_KEPT_MAX) this.#kept.clear();
      this.#kept.set(query, options);
    }
    return options;
  }
}

/** Parses and checks a query string. @throws {OperatingError} `bad_request` with the wire's text. */
export function parseQueryString(query: string): RequestOptions {
  const values = decodePairs(query);
  if (values.has("freshness_strict") && !values.has("freshness")) {
    throw new OperatingError("bad_request", "freshness_strict requires freshness");
  }
  const timeoutMs = duration(values, { name: "timeout", fallbackMs: TIMEOUT_MS_DEFAULT });
  const freshnessMs = duration(values, { name: "freshness", fallbackMs: 0 });
  const dbTimeoutMs = duration(values, { name: "db_timeout", fallbackMs: 0 });
  const linearizableTimeoutMs = duration(values, {
    name: "linearizable_timeout",
    fallbackMs: LINEARIZABLE_TIMEOUT_MS_DEFAULT,
  });
  integer(values, "retries");
  const trailingLogs = integer(values, "trailing_logs");
  const minIndex = integer(values, "min_index");
  const q = values.get("q");
  if (q === "") throw new OperatingError("bad_request", "query parameter not set");
  return {
    q,
    pretty: values.has("pretty"),
    timings: values.has("timings"),
    transaction: values.has("transaction"),
    raftIndex: values.has("raft_index"),
    format: resultFormat(values),
    level: readLevel(values.get("level")),
    freshnessMs,
    freshnessStrict: values.has("freshness_strict"),
    linearizableTimeoutMs,
    timeoutMs,
    dbTimeoutMs,
    redirect: values.has("redirect"),
    queue: values.has("queue"),
    wait: values.has("wait"),
    noLeader: values.has("noleader"),
    trailingLogs,
    minIndex,
    nonVoters: values.has("nonvoters"),
    version: values.get("ver"),
    sync: values.has("sync"),
    key: values.get("key"),
  };
}

type Values = ReadonlyMap<string, string>;

function decodePairs(query: string): Values {
  const values = new Map<string, string>();
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    if (pair.includes(";")) {
      throw new OperatingError("bad_request", "invalid semicolon separator in query");
    }
    const equals = pair.indexOf("=");
    const key = decodeComponent(equals === -1 ? pair : pair.slice(0, equals));
    const value = equals === -1 ? "" : decodeComponent(pair.slice(equals + 1));
    if (!values.has(key)) values.set(key, value);
  }
  return values;
}

/** `+` is a blank; escapes spell bytes of UTF-8, and what is not UTF-8 becomes U+FFFD. */
function decodeComponent(text: string): string {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  const percent = spaced.indexOf("%");
  if (percent === -1) return spaced;
  const bad = /%(?![0-9a-fA-F]{2})/.exec(spaced);
  if (bad !== null) {
    const escape = JSON.stringify(spaced.slice(bad.index, bad.index + 3));
    throw new OperatingError("bad_request", `invalid URL escape ${escape}`);
  }
  try {
    return decodeURIComponent(spaced);
  } catch (error) {
    if (error instanceof URIError) return decodeLeniently(spaced);
    throw error;
  }
}

function decodeLeniently(text: string): string {
  const bytes: number[] = [];
  for (const part of text.split(/(%..)/)) {
    if (part.startsWith("%")) bytes.push(Number.parseInt(part.slice(1), 16));
    else bytes.push(...new TextEncoder().encode(part));
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

function duration(
  values: Values,
  options: { readonly name: string; readonly fallbackMs: number },
): number {
  const text = values.get(options.name);
  if (text === undefined) return options.fallbackMs;
  const durationMs = parseDuration(text);
  if (durationMs === undefined) {
    throw new OperatingError("bad_request", `${options.name} is not a valid duration`);
  }
  // Rounded up: what is shorter than a millisecond must not turn into "no limit".
  return Math.min(Math.max(Math.ceil(durationMs), 0), DURATION_MS_MAX);
}

function integer(values: Values, name: string): number {
  const text = values.get(name);
  if (text === undefined) return 0;
  if (!/^[+-]?\d{1,19}$/.test(text) || BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) {
    throw new OperatingError("bad_request", `${name} is not a valid integer`);
  }
  return Math.min(Math.max(Number(text), 0), Number.MAX_SAFE_INTEGER);
}

function readLevel(text: string | undefined): ReadLevel | undefined {
  if (text === undefined || text === "") return "weak";
  const lower = text.toLowerCase();
  return READ_LEVELS.find((level) => level === lower);
}

function resultFormat(values: Values): ResultFormat {
  let format = 0;
  if (values.has("associative")) format |= FORMAT.associative;
  if (values.has("timings")) format |= FORMAT.timings;
  if (values.has("blob_array")) format |= FORMAT.blobArray;
  if (values.has("qualify_columns")) format |= FORMAT.qualifyColumns;
  return format;
}
