/**
 * Requests to the database and their answers, as plain data that can be posted between threads:
 * the HTTP room speaks to the node in these words, and the node to the threads that run SQL.
 */

/**
 * The text of a body. A large one stays UTF-8 until the thread that parses it has it: it goes there
 * without a copy, so whoever passes it on must not look at its bytes again.
 */
export type BodyText = string | Uint8Array<ArrayBuffer>;

/**
 * A client's body, not parsed yet: parsing happens where it costs least.
 * `json` is an array of statements (the wire contract, section 4), `sql` is one string of SQL.
 */
export type RequestBody =
  | { readonly kind: "json"; readonly text: BodyText }
  | { readonly kind: "sql"; readonly text: BodyText };

const UTF8 = new TextDecoder();

/** A body's text as a string; what is not UTF-8 becomes U+FFFD. */
export function decodeBody(text: BodyText): string {
  return typeof text === "string" ? text : UTF8.decode(text);
}

/** Bits of `ResultFormat`. */
export const FORMAT = {
  /** Rows as objects. */
  associative: 1,
  /** A `time` member in each result. */
  timings: 2,
  /** BLOBs as arrays of byte values. */
  blobArray: 4,
  /** Column names with their table in front. */
  qualifyColumns: 8,
} as const;

/** How results are written as JSON: a sum of `FORMAT` bits. Never part of the log entry. */
export type ResultFormat = number;

/** A write: `POST /db/execute`. One log entry. */
export interface ExecuteRequest {
  /** The client's own name for this write (rule X2), checked (`checkIdempotencyKey`). */
  readonly idempotencyKey?: string;
  readonly body: RequestBody;
  readonly transaction: boolean;
  readonly format: ResultFormat;
  /** `db_timeout` in milliseconds; 0 for none. */
  readonly timeoutMs: number;
  /** `timeout` in milliseconds: how long another node may be asked, when it is the leader. */
  readonly leaderTimeoutMs?: number;
}

/** How fresh a read must be; the wire contract, section 7. */
export type ReadLevel = "none" | "weak" | "linearizable" | "strong" | "auto";

/** A read: `/db/query`; or `/db/request`, which becomes a write when any statement is one. */
export interface QueryRequest {
  /** Chosen by the caller, unique among the requests in flight; names the request to `cancel`. */
  readonly id: number;
  readonly body: RequestBody;
  readonly transaction: boolean;
  readonly format: ResultFormat;
  /** `db_timeout` in milliseconds; 0 for none. Measured from the start of execution. */
  readonly timeoutMs: number;
  readonly level: ReadLevel;
  /** Limit on the age of the leader's last contact, level none only; 0 for no limit. Milliseconds. */
  readonly freshnessMs: number;
  readonly freshnessStrict: boolean;
  /** How long a linearizable read may wait for apply. Milliseconds. */
  readonly linearizableTimeoutMs: number;
  /** What this node must have applied before it reads, and how long the read waits for that. */
  readonly minIndex?: { readonly index: number; readonly timeoutMs: number };
  /** `timeout` in milliseconds: how long another node may be asked, when it is the leader. */
  readonly leaderTimeoutMs?: number;
  /** With it, `/db/request` is one log entry whatever its statements do; `/db/query` has none. */
  readonly idempotencyKey?: string;
}

/**
 * What came of a request. `results` is the text of the JSON array of results: whole when small,
 * a stream of its UTF-8 bytes when large. Whoever takes a stream reads it to its end or cancels it.
 */
export interface Answer {
  readonly results: string | ReadableStream<Uint8Array>;
  /** Index of the log entry behind the answer; 0 when it did not go through the log. */
  readonly raftIndex: number;
  /** A read: the last entry whose effects it shows; undefined where the answer is an entry's own. */
  readonly stateIndex?: number;
}
