/**
 * What makes a write happen once (rules X1, X2): who has sent what, and what it answered. Asked before an
 * entry is run, written behind it in the same transaction, so that the entry's effects and the memory of
 * them are there together or not at all. Everything here follows from the log alone.
 *
 *   sqlite_dust_key       (user, key) -> hash of the request, index, answer
 *   sqlite_dust_key_age   the same keys in the order of the log. Gapless: the difference of the numbers
 *                         is the count, of the running totals the bytes
 *   sqlite_dust_session   a node's process that forwards writes, and its lowest outstanding sequence
 *   sqlite_dust_answer    (node, sequence) -> index, answer; from the lowest outstanding one on
 *
 * Keys go by age on the log's own clock (rule T1), oldest first and never early: a full table refuses.
 */
import { assert } from "../base/assert.ts";
import { entryChainText, nextEntryChain } from "../base/entry_chain.ts";
import { FLAG } from "../command/command_format.ts";
import type { CommandReader } from "../command/command_reader.ts";
import type { EntryResult } from "../node/ports.ts";
import type { ReadValue } from "../sqlite/values.ts";
import {
  KEPT_ANSWER_BYTES_MAX,
  KEY_AGE_MS_MAX,
  KEY_OVERHEAD_BYTES,
  KEYS_BYTES_MAX,
  KEYS_COUNT_MAX,
  KEYS_EXPIRED_AT_ONCE,
  SESSION_OUTSTANDING_MAX,
  SESSIONS_MAX,
} from "./replicated_limits.ts";
import type { OwnStatement } from "./sql_session.ts";
import type { WriterContext } from "./writer_context.ts";

/** What `createState` runs. */
export const RETRY_TABLES: readonly string[] = [
  `CREATE TABLE sqlite_dust_key(user TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL,
    raft_index INTEGER NOT NULL, outcome INTEGER NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY(user, key)) WITHOUT ROWID`,
  `CREATE TABLE sqlite_dust_key_age(number INTEGER PRIMARY KEY, clock_ms INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL, total_bytes INTEGER NOT NULL, user TEXT NOT NULL, key TEXT NOT NULL)`,
  `CREATE TABLE sqlite_dust_session(node_id INTEGER PRIMARY KEY, boot_nonce TEXT NOT NULL,
    opened_index INTEGER NOT NULL, lowest INTEGER NOT NULL, used_index INTEGER NOT NULL)`,
  `CREATE TABLE sqlite_dust_answer(node_id INTEGER NOT NULL, sequence INTEGER NOT NULL,
    raft_index INTEGER NOT NULL, outcome INTEGER NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY(node_id, sequence)) WITHOUT ROWID`,
];

/** What kind of answer was kept; on disks, so it stays. */
const OUTCOME = { results: 1, error: 2, tooLarge: 3 } as const;

const NAMED = FLAG.key | FLAG.session;
/** The options that make it another request. */
const REQUEST_FLAGS = FLAG.transaction | FLAG.rows | FLAG.lastWriteIndexMax;

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
const ENCODER = new TextEncoder();

/** Both ends of the keys in the order of the log. */
interface KeyRange {
  readonly count: number;
  readonly sizeBytes: number;
  readonly oldestMs: number;
  readonly lastNumber: number;
  readonly totalBytes: number;
}

const NO_KEYS: KeyRange = {
  count: 0,
  sizeBytes: 0,
  oldestMs: Infinity,
  lastNumber: 0,
  totalBytes: 0,
};

/** See the file's header. One per writer. */
export class RetryLedger {
  readonly #context: WriterContext;
  readonly #statements: Statements;
  /** What the tables say, entries of the open transaction included; undefined when that is not known. */
  #range: KeyRange | undefined;

  constructor(context: WriterContext) {
    this.#context = context;
    this.#statements = new Statements(context);
  }

  /** To be called when a transaction was rolled back. */
  forget(): void {
    this.#range = undefined;
  }

  /** Whether the command at which `reader` was opened has a name. */
  isNamed(reader: CommandReader): boolean {
    return (reader.flags & NAMED) !== 0;
  }

  /**
   * Looks for what a named command has answered before. Changes nothing.
   * @returns that answer, or a refusal; undefined when the command is to be run.
   */
  find(reader: CommandReader, bytes: Uint8Array): EntryResult | undefined {
    return (reader.flags & FLAG.key) !== 0
      ? this.#findKey(reader, bytes)
      : this.#findSession(reader);
  }

  /** Keeps the answer of a command that `find` let pass and that was run as entry `index`. */
  remember(
    reader: CommandReader,
    entry: { readonly bytes: Uint8Array; readonly index: number; readonly answer: EntryResult },
  ): void {
    const kept = keep(entry.answer);
    if ((reader.flags & FLAG.key) !== 0) this.#rememberKey(reader, { ...entry, ...kept });
    else this.#rememberSession(reader, { ...entry, ...kept });
  }

  /**
   * Begins a session, in place of the one that its node had. Again is allowed.
   * @returns what the entry answers.
   */
  openSession(reader: CommandReader, index: number): EntryResult {
    const { sessionNodeId: nodeId } = reader;
    const nonce = nonceText(reader);
    const [present] = this.#statements.session.rows(nodeId);
    if (present !== undefined) {
      const [boot, openedIndex] = present;
      if (boot === nonce) return "[]";
      // Late: it was sent before the present session began, by a process that is gone.
      if (reader.seenIndex < Number(openedIndex)) {
        return refusal("Cannot open session: its node has a later one");
      }
    }
    this.dropSession(nodeId);
    this.#makeRoomForSession();
    this.#statements.addSession.run(nodeId, nonce, index, index);
    return "[]";
  }

  /** Ends the session of a node, whose number never comes back: what is under way of it is refused. */
  dropSession(nodeId: number): void {
    this.#statements.dropAnswers.run(nodeId, Number.MAX_SAFE_INTEGER);
    this.#statements.dropSession.run(nodeId);
  }

  #findKey(reader: CommandReader, bytes: Uint8Array): EntryResult | undefined {
    const [user, key] = names(reader, bytes);
    const [seen] = this.#statements.key.rows(user, key);
    if (seen !== undefined) {
      const [request, index, outcome, answer] = seen;
      if (request === requestHash(reader, bytes)) return repeat({ index, outcome, answer });
      const error = "Idempotency-Key was used before, with another request";
      return { error, code: "key_reused" };
    }
    this.#range ??= this.#readRange();
    const { count, sizeBytes, oldestMs } = this.#range;
    const isFull = count >= KEYS_COUNT_MAX || sizeBytes >= KEYS_BYTES_MAX;
    if (!isFull || this.#isExpired(oldestMs)) return undefined;
    const error = `Cannot take another Idempotency-Key: ${count} are remembered, all in use`;
    return { error, code: "keys_full" };
  }

  #rememberKey(reader: CommandReader, entry: KeptEntry): void {
    const { addKey, addKeyAge } = this.#statements;
    const [user, key] = names(reader, entry.bytes);
    const range = this.#range ?? this.#readRange();
    const { logClockMs } = this.#context.record;
    const sizeBytes = KEY_OVERHEAD_BYTES + user.length + key.length + entry.sizeBytes;
    const request = requestHash(reader, entry.bytes);
    addKey.run(user, key, request, entry.index, entry.outcome, entry.text);
    const lastNumber = range.lastNumber + 1;
    const totalBytes = range.totalBytes + sizeBytes;
    addKeyAge.run(lastNumber, logClockMs, sizeBytes, totalBytes, user, key);
    this.#range = {
      count: range.count + 1,
      sizeBytes: range.sizeBytes + sizeBytes,
      oldestMs: Math.min(range.oldestMs, logClockMs),
      lastNumber,
      totalBytes,
    };
    if (this.#isExpired(range.oldestMs)) this.#expireKeys();
  }

  #readRange(): KeyRange {
    const [ends] = this.#statements.keyEnds.rows();
    if (ends === undefined) return NO_KEYS;
    const [first, oldestMs, before, last, total] = ends.map(Number);
    assert(first !== undefined && oldestMs !== undefined, "RetryLedger: no first key");
    assert(before !== undefined && last !== undefined, "RetryLedger: no last key");
    assert(
      total !== undefined && total >= before && last >= first,
      "RetryLedger: keys are mixed up",
    );
    return {
      count: last - first + 1,
      sizeBytes: total - before,
      oldestMs,
      lastNumber: last,
      totalBytes: total,
    };
  }

  #isExpired(bornMs: number): boolean {
    return bornMs <= this.#context.record.logClockMs - KEY_AGE_MS_MAX;
  }

  /** A few for each that comes: so they go faster than they come, and no entry pays for all. */
  #expireKeys(): void {
    const { oldestKeys, dropKey, dropKeyAge } = this.#statements;
    this.forget();
    for (const [number, bornMs, user, key] of oldestKeys.rows(KEYS_EXPIRED_AT_ONCE)) {
      if (!this.#isExpired(Number(bornMs))) return;
      dropKey.run(String(user), String(key));
      dropKeyAge.run(Number(number));
    }
  }

  #findSession(reader: CommandReader): EntryResult | undefined {
    const { sessionNodeId: nodeId, sequence } = reader;
    const [session] = this.#statements.session.rows(nodeId);
    if (session === undefined || session[0] !== nonceText(reader)) {
      return refusal("Cannot apply forwarded write: its session is not known");
    }
    const lowest = Math.max(Number(session[2]), reader.lowestOutstanding);
    if (sequence < Number(session[2])) {
      return refusal("Cannot apply forwarded write: its sender has given it up");
    }
    const [seen] = this.#statements.answer.rows(nodeId, sequence);
    if (seen !== undefined) {
      const [index, outcome, answer] = seen;
      return repeat({ index, outcome, answer });
    }
    if (sequence - lowest >= SESSION_OUTSTANDING_MAX) {
      const error = "Cannot apply forwarded write: its session has too many that are not answered";
      return { error, code: "overloaded" };
    }
    return undefined;
  }

  #rememberSession(reader: CommandReader, entry: KeptEntry): void {
    const { sessionNodeId: nodeId, sequence, lowestOutstanding } = reader;
    const { useSession, dropAnswers, addAnswer } = this.#statements;
    useSession.run(lowestOutstanding, entry.index, nodeId);
    dropAnswers.run(nodeId, lowestOutstanding);
    addAnswer.run(nodeId, sequence, entry.index, entry.outcome, entry.text);
  }

  /** Whoever loses its session has its writes refused, and opens another one: safe, if not welcome. */
  #makeRoomForSession(): void {
    const [[count] = []] = this.#statements.sessionCount.rows();
    if (Number(count) < SESSIONS_MAX) return;
    const [[nodeId] = []] = this.#statements.idlestSession.rows();
    this.dropSession(Number(nodeId));
  }
}

/** An entry with the answer as it is kept. */
interface KeptEntry extends KeptAnswer {
  readonly bytes: Uint8Array;
  readonly index: number;
}

/** An answer as it is kept. */
interface KeptAnswer {
  readonly outcome: number;
  readonly text: string;
  readonly sizeBytes: number;
}

/** All statements, prepared once. */
class Statements {
  readonly key: OwnStatement;
  readonly keyEnds: OwnStatement;
  readonly oldestKeys: OwnStatement;
  readonly addKey: OwnStatement;
  readonly addKeyAge: OwnStatement;
  readonly dropKey: OwnStatement;
  readonly dropKeyAge: OwnStatement;
  readonly session: OwnStatement;
  readonly sessionCount: OwnStatement;
  readonly idlestSession: OwnStatement;
  readonly addSession: OwnStatement;
  readonly useSession: OwnStatement;
  readonly dropSession: OwnStatement;
  readonly answer: OwnStatement;
  readonly addAnswer: OwnStatement;
  readonly dropAnswers: OwnStatement;

  constructor({ session }: WriterContext) {
    const own = (sql: string): OwnStatement => session.own(sql);
    this.key = own(`SELECT request, raft_index, outcome, answer FROM sqlite_dust_key
      WHERE user=? AND key=?`);
    this.keyEnds = own(`SELECT a.number, a.clock_ms, a.total_bytes - a.size_bytes, b.number,
        b.total_bytes FROM sqlite_dust_key_age a, sqlite_dust_key_age b
      WHERE a.number=(SELECT min(number) FROM sqlite_dust_key_age)
        AND b.number=(SELECT max(number) FROM sqlite_dust_key_age)`);
    this.oldestKeys = own(`SELECT number, clock_ms, user, key FROM sqlite_dust_key_age
      ORDER BY number LIMIT ?`);
    this.addKey = own("INSERT INTO sqlite_dust_key VALUES(?, ?, ?, ?, ?, ?)");
    this.addKeyAge = own("INSERT INTO sqlite_dust_key_age VALUES(?, ?, ?, ?, ?, ?)");
    this.dropKey = own("DELETE FROM sqlite_dust_key WHERE user=? AND key=?");
    this.dropKeyAge = own("DELETE FROM sqlite_dust_key_age WHERE number=?");
    this.session = own(`SELECT boot_nonce, opened_index, lowest FROM sqlite_dust_session
      WHERE node_id=?`);
    this.sessionCount = own("SELECT count(*) FROM sqlite_dust_session");
    this.idlestSession = own(`SELECT node_id FROM sqlite_dust_session
      ORDER BY used_index, node_id LIMIT 1`);
    this.addSession = own("INSERT INTO sqlite_dust_session VALUES(?, ?, ?, 0, ?)");
    this.useSession = own(`UPDATE sqlite_dust_session SET lowest=max(lowest, ?), used_index=?
      WHERE node_id=?`);
    this.dropSession = own("DELETE FROM sqlite_dust_session WHERE node_id=?");
    this.answer = own(`SELECT raft_index, outcome, answer FROM sqlite_dust_answer
      WHERE node_id=? AND sequence=?`);
    this.addAnswer = own("INSERT INTO sqlite_dust_answer VALUES(?, ?, ?, ?, ?)");
    this.dropAnswers = own("DELETE FROM sqlite_dust_answer WHERE node_id=? AND sequence<?");
  }
}

function names(reader: CommandReader, bytes: Uint8Array): [user: string, key: string] {
  const { userFrom, userTo, keyFrom, keyTo } = reader;
  const user = userFrom === userTo ? "" : UTF8.decode(bytes.subarray(userFrom, userTo));
  return [user, UTF8.decode(bytes.subarray(keyFrom, keyTo))];
}

function nonceText(reader: CommandReader): string {
  return reader.bootNonce().toString(16).padStart(16, "0");
}

/** Over all that a client means by a request. Finds mistakes; it is no defence against a forger. */
function requestHash(reader: CommandReader, bytes: Uint8Array): string {
  const start = { high: reader.flags & REQUEST_FLAGS, low: reader.retryFormat };
  return entryChainText(nextEntryChain(start, {
    index: reader.lastWriteIndexMax ?? 0,
    term: reader.statementCount,
    payload: bytes.subarray(reader.bodyFrom, reader.bodyTo),
  }));
}

function keep(answer: EntryResult): KeptAnswer {
  assert(typeof answer === "string" || "error" in answer, "RetryLedger: a repeated answer");
  const text = typeof answer === "string" ? answer : answer.error;
  const sizeBytes = text.length > KEPT_ANSWER_BYTES_MAX ? text.length : ENCODER.encode(text).length;
  if (sizeBytes > KEPT_ANSWER_BYTES_MAX) {
    return { outcome: OUTCOME.tooLarge, text: "", sizeBytes: 0 };
  }
  const outcome = typeof answer === "string" ? OUTCOME.results : OUTCOME.error;
  return { outcome, text, sizeBytes };
}

function repeat(
  kept: {
    readonly index: ReadValue | undefined;
    readonly outcome: ReadValue | undefined;
    readonly answer: ReadValue | undefined;
  },
): EntryResult {
  const index = Number(kept.index);
  const text = String(kept.answer);
  switch (kept.outcome) {
    case OUTCOME.results:
      return { results: text, index };
    case OUTCOME.error:
      return { error: text };
    default: {
      assert(kept.outcome === OUTCOME.tooLarge, "RetryLedger: unknown outcome");
      const what = `its answer, over ${KEPT_ANSWER_BYTES_MAX} bytes, was not kept`;
      return { error: `Cannot repeat the answer of entry ${index}: ${what}`, code: "conflict" };
    }
  }
}

function refusal(error: string): EntryResult {
  return { error, code: "session_refused" };
}
