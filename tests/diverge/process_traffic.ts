/**
 * What clients do to a cluster of processes: a generated log's entries as requests, through any node that runs
 * now, several at once. An entry is a request, or some entries in a row are one, as is the first schema; behind that
 * their order is what the cluster makes of it. What only a log has does not go: an entry's time and its seed, which
 * the leader gives, and infinite values, which JSON has no words for.
 */
import { findDisallowedPragma } from "../../src/command/pragma_filter.ts";
import { Real, type Value } from "../../src/command/value.ts";
import type { Member } from "../cluster.ts";
import { sleep } from "../process.ts";
import type { Chance } from "../sim/chance.ts";
import { Draw } from "./draw.ts";
import type { GeneratedEntry, GeneratedStatement } from "./generated_log.ts";
import { firstSchema } from "./schema.ts";

/** Requests under way at once. */
const CLIENTS = 32;
const REQUEST_MS_MAX = 30_000;
/** What takes so long is worth a note. */
const SLOW_MS = 5_000;
const SHOWN_CHARACTERS = 300;
/** How often a request is sent that nobody takes now, and how far apart. */
const ATTEMPTS_MAX = 150;
const ATTEMPT_MS = 100;
/** Of entries without a name and a transaction: they take the next ones along. */
const TOGETHER_SHARE = 0.7;
const TOGETHER_STATEMENTS_MAX = 40;
/** In so many entries in a row the same name is the same key: it is kept for minutes, and names are few. */
const KEY_ENTRIES = 300;
/** What a write that never ends may take: verdicts on it are to be quick. */
const WRITE_LIMITS = ["100ms", "100ms", "300ms"];
const LEVELS = ["none", "weak", "linearizable"];
/** Errors of whole requests: nobody took it, and nobody knows. Others say that it came to nothing. */
const NEVER_TAKEN = /not ready|already shutdown|leader not found|node is closed|not open/;
const PERHAPS_DONE = /leadership lost|timeout|answer|unknown/;
const LARGEST = "1.7976931348623157e308";

/** What became of statements, and of requests. */
export interface TrafficCounts {
  requests: number;
  accepted: number;
  /** By SQLite, each for itself. */
  refused: number;
  /** Statements in requests that were refused as a whole, or were never taken. */
  refusedWithRequest: number;
  /** Statements in `unknownRequests`. */
  unknown: number;
  /** Requests without an answer, or with one that knows nothing. */
  unknownRequests: number;
  /** Requests that were sent again since nobody could take them. */
  again: number;
}

interface Request {
  readonly path: string;
  readonly key: string | undefined;
  readonly body: string;
  readonly statementCount: number;
}

const SET_TIME: Request = { path: "/time", key: undefined, body: "", statementCount: 0 };

type Outcome =
  | { readonly kind: "answered"; readonly accepted: number; readonly refused: number }
  | { readonly kind: "refused" | "unknown" | "unavailable"; readonly why: string };

/** See the file's header. */
export class Traffic {
  readonly counts: TrafficCounts = {
    requests: 0,
    accepted: 0,
    refused: 0,
    refusedWithRequest: 0,
    unknown: 0,
    unknownRequests: 0,
    again: 0,
  };
  /** Whole requests that were not answered statement by statement, by reason. */
  readonly reasons = new Map<string, number>();
  readonly #random: Chance;
  readonly #available: () => readonly Member[];
  readonly #note: (text: string) => void;

  constructor(options: {
    readonly random: Chance;
    /** Takes what took long. */
    readonly note: (text: string) => void;
    /** Members that are not about to be stopped. */
    readonly available: () => readonly Member[];
  }) {
    this.#random = options.random;
    this.#available = options.available;
    this.#note = options.note;
  }

  /** Statements that SQLite has accepted or refused. */
  get answered(): number {
    return this.counts.accepted + this.counts.refused;
  }

  /** Sends the log of a seed, the first schema before all else. */
  async send(seed: number, entries: readonly GeneratedEntry[]): Promise<void> {
    const first = firstSchema(new Draw(seed)).length;
    await this.#one(this.#requestOf(entries.slice(0, first), seed));
    const groups = this.#grouped(entries.slice(first));
    let next = 0;
    const client = async (): Promise<void> => {
      for (let group = groups[next++]; group !== undefined; group = groups[next++]) {
        await this.#one(this.#requestOf(group, seed));
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
  }

  /** Statements of the test itself, until they were taken. @throws {Error} when nobody takes them. */
  async order(statements: readonly unknown[]): Promise<void> {
    const body = JSON.stringify(statements);
    const request = { path: "/db/execute", key: undefined, body, statementCount: 0 };
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const outcome = await this.#try(request);
      if (outcome.kind === "answered") return;
      await sleep(ATTEMPT_MS);
    }
    throw new Error(`Nobody takes ${body.slice(0, 500)}`);
  }

  #grouped(entries: readonly GeneratedEntry[]): GeneratedEntry[][] {
    const groups: GeneratedEntry[][] = [];
    for (let at = 0; at < entries.length;) {
      const group: GeneratedEntry[] = [];
      const isOpen = this.#random.happens(TOGETHER_SHARE);
      let count = 0;
      do {
        const entry = entries[at];
        if (entry === undefined || (group.length > 0 && !goesAlong(entry))) break;
        group.push(entry);
        count += entry.statements.length;
        at++;
        if (!goesAlong(entry)) break;
      } while (isOpen && count < TOGETHER_STATEMENTS_MAX);
      groups.push(group);
    }
    return groups;
  }

  #requestOf(group: readonly GeneratedEntry[], seed: number): Request {
    const statements = group.flatMap((entry) => entry.statements);
    const [first] = group;
    if (first?.isSetTime === true) return SET_TIME;
    const alone = group.length === 1 ? first : undefined;
    const words = [`db_timeout=${this.#pick(WRITE_LIMITS)}`];
    if (alone?.isTransaction === true) words.push("transaction");
    if (first?.isRows === true) words.push(`level=${this.#pick(LEVELS)}`);
    if (this.#random.happens(0.2)) words.push("timings");
    const key = alone?.key;
    const name = `${key}-${seed}-${Math.floor((alone?.number ?? 0) / KEY_ENTRIES)}`;
    return {
      path: `${first?.isRows === true ? "/db/request" : "/db/execute"}?${words.join("&")}`,
      key: key === undefined ? undefined : name,
      body: `[${statements.map(statementJson).join()}]`,
      statementCount: statements.length,
    };
  }

  /** Sends until somebody takes it, and counts. */
  async #one(request: Request): Promise<void> {
    let outcome = await this.#try(request);
    for (let attempt = 1; outcome.kind === "unavailable" && attempt < ATTEMPTS_MAX; attempt++) {
      this.counts.again++;
      await sleep(ATTEMPT_MS);
      outcome = await this.#try(request);
    }
    this.counts.requests++;
    if (outcome.kind === "answered") {
      this.counts.accepted += outcome.accepted;
      this.counts.refused += outcome.refused;
      return;
    }
    const why = `${outcome.kind}: ${outcome.why.slice(0, 80)}`;
    this.reasons.set(why, (this.reasons.get(why) ?? 0) + 1);
    if (outcome.kind === "unknown") {
      this.counts.unknown += request.statementCount;
      this.counts.unknownRequests++;
    } else this.counts.refusedWithRequest += request.statementCount;
  }

  async #try({ path, key, body }: Request): Promise<Outcome> {
    const member = this.#random.pick(this.#available());
    if (member === undefined) return { kind: "unavailable", why: "no node runs" };
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (key !== undefined) headers["idempotency-key"] = key;
    const startMs = performance.now();
    try {
      const signal = AbortSignal.timeout(REQUEST_MS_MAX);
      const url = `${member.node.url}${path}`;
      const response = await fetch(url, { method: "POST", headers, body, signal });
      return outcomeOf(response.status, await response.text());
    } catch (error) {
      const isLate = error instanceof DOMException;
      if (!isLate && !(error instanceof TypeError)) throw error;
      return { kind: "unknown", why: isLate ? "no answer in time" : "the connection broke" };
    } finally {
      const tookMs = performance.now() - startMs;
      if (tookMs > SLOW_MS) {
        const what = `${path} ${body.slice(0, SHOWN_CHARACTERS)}`;
        this.#note(`${member.name} took ${Math.round(tookMs)} ms for ${what}`);
      }
    }
  }

  #pick(words: readonly string[]): string {
    return this.#random.pick(words) ?? "";
  }
}

/** Whether an entry may be part of a larger request: none that is refused takes others with it. */
function goesAlong({ statements, key, isTransaction, isSetTime }: GeneratedEntry): boolean {
  return key === undefined && !isTransaction && !isSetTime &&
    !statements.some(({ sql }) => findDisallowedPragma(sql));
}

interface Envelope {
  readonly results?: readonly { readonly error?: string }[];
  readonly error?: string;
}

function outcomeOf(status: number, text: string): Outcome {
  if (status === 503 || status === 429) return { kind: "unavailable", why: `${status} ${text}` };
  if (status !== 200) {
    return { kind: status < 500 ? "refused" : "unknown", why: `${status} ${text}` };
  }
  if (text === "") return { kind: "answered", accepted: 0, refused: 0 };
  const { results = [], error } = JSON.parse(text) as Envelope;
  if (error === undefined) {
    const refused = results.filter((result) => result.error !== undefined).length;
    return { kind: "answered", accepted: results.length - refused, refused };
  }
  if (NEVER_TAKEN.test(error)) return { kind: "unavailable", why: error };
  return { kind: PERHAPS_DONE.test(error) ? "unknown" : "refused", why: error };
}

function statementJson({ sql, values }: GeneratedStatement): string {
  const text = JSON.stringify(sql);
  return values.length === 0 ? text : `[${text},${values.map(valueJson).join()}]`;
}

/** Numbers as JSON has them: a fraction or an exponent make a REAL, `-0.0` too. */
function valueJson(value: Value): string {
  if (value === null || typeof value === "string") return JSON.stringify(value);
  if (value instanceof Uint8Array) return `[${value.join()}]`;
  if (!(value instanceof Real)) return String(value);
  const real = value.value;
  if (!Number.isFinite(real)) return real > 0 ? LARGEST : `-${LARGEST}`;
  const text = Object.is(real, -0) ? "-0" : String(real);
  return /[.e]/.test(text) ? text : `${text}.0`;
}
