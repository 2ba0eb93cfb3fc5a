/**
 * Clients of the cluster: each speaks to any node, one request at a time, and writes down what it asked and
 * what came of it. An answer that did not come, or that says so, leaves the outcome unknown; 4xx and 5xx
 * with a status of their own mean that nothing happened, and the judge holds the nodes to that.
 */
import { sleep } from "../process.ts";
import type { ChaosCluster } from "./chaos_cluster.ts";
import type { ListStep, ListTransaction } from "./list_checker.ts";
import type { SeededRandom } from "../raft_chaos/random.ts";
import type { RegisterOperation } from "./register_checker.ts";

/** Registers and lists that are in use at a time; they are left for new ones, so that histories stay short. */
const KEYS = 4;
const KEY_MS = 8_000;
const TIMEOUT_MS = 4_000;
const RETRIES_MAX = 6;

/** On a connection that is kept, the runtime sends a POST again by itself when it ends before the answer. */
const CONNECTION_EACH = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });

/** Statuses by which a node says that it has done nothing. */
const REFUSALS: ReadonlySet<number> = new Set([400, 413, 422, 429, 503, 507]);

/** The tables that the clients use. */
export const SCHEMA = [
  "CREATE TABLE IF NOT EXISTS register(k INTEGER PRIMARY KEY, v INTEGER)",
  "CREATE TABLE IF NOT EXISTS list(n INTEGER PRIMARY KEY, k INTEGER, element INTEGER)",
  "CREATE INDEX IF NOT EXISTS list_k ON list(k, n)",
  "CREATE TABLE IF NOT EXISTS row(id TEXT)",
];

/** A row that was inserted, and how sure that is. */
export interface InsertedRow {
  readonly id: string;
  readonly hasKey: boolean;
  readonly outcome: "done" | "refused" | "unknown";
}

interface Reply {
  readonly outcome: "done" | "refused" | "unknown";
  readonly results: readonly Record<string, unknown>[];
  readonly index: number;
}

const UNKNOWN: Reply = { outcome: "unknown", results: [], index: 0 };

/** All that was done. */
export class History {
  readonly registers = new Map<number, RegisterOperation[]>();
  readonly lists: ListTransaction[] = [];
  readonly rows: InsertedRow[] = [];
  readonly anomalies: string[] = [];
  readonly counts = {
    acknowledged: 0,
    refused: 0,
    unknown: 0,
    reads: 0,
    sets: 0,
    retries: 0,
    waits: 0,
  };
}

/** One of them. */
export class Client {
  readonly #cluster: ChaosCluster;
  readonly #random: SeededRandom;
  readonly #history: History;
  readonly #name: number;
  #next = 1;
  #isOver = false;

  constructor(
    options: {
      readonly cluster: ChaosCluster;
      readonly random: SeededRandom;
      readonly history: History;
      readonly name: number;
    },
  ) {
    this.#cluster = options.cluster;
    this.#random = options.random;
    this.#history = options.history;
    this.#name = options.name;
  }

  end(): void {
    this.#isOver = true;
  }

  /** Goes on until `end`. */
  async run(): Promise<void> {
    const works = [
      () => this.#register(),
      () => this.#register(),
      () => this.#transact(),
      () => this.#insert(),
      () => this.#waitForIndex(),
    ];
    while (!this.#isOver) {
      await works[this.#random.below(works.length)]?.();
      await sleep(this.#random.below(30));
    }
  }

  /** Unique over all clients. */
  #unique(): number {
    return this.#next++ * 64 + this.#name;
  }

  #key(): number {
    return Math.floor(performance.now() / KEY_MS) * KEYS + this.#random.below(KEYS);
  }

  async #register(): Promise<void> {
    const key = this.#key();
    const operations = this.#history.registers.get(key) ?? [];
    this.#history.registers.set(key, operations);
    const kind = this.#random.pick(["read", "read", "write", "compare_and_set"] as const);
    if (kind === "read") return await this.#readRegister(key, operations);
    const value = this.#unique();
    const seen = operations.findLast((operation) => operation.kind === "read")?.seen;
    const expected = kind === "write" ? undefined : seen;
    if (kind === "compare_and_set" && expected === undefined) return;
    const statement = kind === "write"
      ? [
        "INSERT INTO register VALUES(?, ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v",
        key,
        value,
      ]
      : ["UPDATE register SET v = ? WHERE k = ? AND v = ?", value, key, expected];
    const invokedMs = performance.now();
    const reply = await this.#send("/db/execute", [statement]);
    this.#count(reply);
    if (reply.outcome === "refused") return;
    const returnedMs = reply.outcome === "done" ? performance.now() : Infinity;
    const isSet = reply.results[0]?.["rows_affected"] === 1;
    if (kind === "compare_and_set" && isSet) this.#history.counts.sets += 1;
    operations.push({ kind, value, expected, isSet, invokedMs, returnedMs });
  }

  async #readRegister(key: number, operations: RegisterOperation[]): Promise<void> {
    const level = this.#random.pick(["linearizable", "linearizable", "strong"] as const);
    const invokedMs = performance.now();
    const query = ["SELECT v FROM register WHERE k = ?", key];
    const reply = await this.#send(`/db/query?level=${level}`, [query]);
    if (reply.outcome !== "done") return;
    this.#history.counts.reads += 1;
    const seen = rowsOf(reply.results[0])[0]?.[0];
    operations.push({ kind: "read", seen, invokedMs, returnedMs: performance.now() });
  }

  /** Appends to some lists and reads some, in one transaction; sometimes it only reads. */
  async #transact(): Promise<void> {
    const wanted:
      ({ kind: "append"; list: number; element: number } | { kind: "read"; list: number })[] = [];
    for (let count = 1 + this.#random.below(4); count > 0; count--) {
      const list = this.#key();
      if (this.#random.below(2) === 0) wanted.push({ kind: "read", list });
      else wanted.push({ kind: "append", list, element: this.#unique() });
    }
    const isReader = wanted.every(({ kind }) => kind === "read");
    const statements = wanted.map((step) =>
      step.kind === "append"
        ? ["INSERT INTO list(k, element) VALUES(?, ?)", step.list, step.element]
        : ["SELECT element FROM list WHERE k = ? ORDER BY n", step.list]
    );
    const invokedMs = performance.now();
    const reply = await this.#send("/db/request?transaction&level=linearizable", statements);
    if (isReader) this.#history.counts.reads += reply.outcome === "done" ? 1 : 0;
    else this.#count(reply);
    const returnedMs = performance.now();
    const steps = wanted.map((step, place): ListStep =>
      step.kind === "append"
        ? step
        : { ...step, elements: rowsOf(reply.results[place]).map(([element]) => element ?? NaN) }
    );
    const index = reply.index + (isReader ? 0.5 : 0);
    this.#history.lists.push({ outcome: reply.outcome, index, steps, invokedMs, returnedMs });
  }

  /** A row of its own: with a key it is sent until it is answered, without one only once. */
  async #insert(): Promise<void> {
    const id = `${this.#unique()}`;
    const hasKey = this.#random.below(2) === 0;
    const headers = hasKey ? { "idempotency-key": id } : undefined;
    let reply = UNKNOWN;
    for (let count = 0; count < RETRIES_MAX && reply.outcome === "unknown"; count++) {
      if (count > 0) {
        if (!hasKey) break;
        this.#history.counts.retries += 1;
      }
      reply = await this.#send("/db/execute", [["INSERT INTO row VALUES(?)", id]], headers);
    }
    this.#count(reply);
    // Refused now, but what was sent before may have happened.
    const isSure = !hasKey || reply.outcome === "done";
    this.#history.rows.push({ id, hasKey, outcome: isSure ? reply.outcome : "unknown" });
  }

  /** What was written by one node is seen through another that is told to wait for it. */
  async #waitForIndex(): Promise<void> {
    const id = `${this.#unique()}`;
    const reply = await this.#send("/db/execute", [["INSERT INTO row VALUES(?)", id]]);
    this.#count(reply);
    this.#history.rows.push({ id, hasKey: false, outcome: reply.outcome });
    if (reply.outcome !== "done") return;
    const query = `/db/query?level=none&min_index=${reply.index}`;
    const read = await this.#send(query, [["SELECT count(*) FROM row WHERE id = ?", id]]);
    if (read.outcome !== "done") return;
    this.#history.counts.waits += 1;
    const count = rowsOf(read.results[0])[0]?.[0];
    if (count === 1 && read.index >= reply.index) return;
    this.#history.anomalies.push(
      `A read with min_index=${reply.index} at ${read.index} saw ${count} rows`,
    );
  }

  #count({ outcome }: Reply): void {
    if (outcome === "done") this.#history.counts.acknowledged += 1;
    else this.#history.counts[outcome] += 1;
  }

  async #send(
    path: string,
    statements: readonly unknown[],
    headers: Record<string, string> = {},
  ): Promise<Reply> {
    const node = this.#random.pick(this.#cluster.nodes);
    try {
      const response = await fetch(`${node.url}${path}`, {
        client: CONNECTION_EACH,
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(statements),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await response.text();
      if (!response.ok) {
        return { ...UNKNOWN, outcome: REFUSALS.has(response.status) ? "refused" : "unknown" };
      }
      const body: { results?: Record<string, unknown>[]; error?: string } = JSON.parse(text);
      const results = body.results ?? [];
      if (body.error !== undefined || results.length < statements.length) return UNKNOWN;
      const error = results.find((each) => "error" in each)?.["error"];
      if (error !== undefined) {
        this.#history.anomalies.push(`${node.site.name} says to ${path}: ${error}`);
        return UNKNOWN;
      }
      const index = Number(response.headers.get("dust-raft-index") ?? 0);
      return { outcome: "done", results, index };
    } catch (error) {
      // No answer, or half of one: nobody knows.
      if (
        error instanceof TypeError || error instanceof DOMException || error instanceof SyntaxError
      ) {
        return UNKNOWN;
      }
      throw error;
    }
  }
}

function rowsOf(result: Record<string, unknown> | undefined): readonly (readonly number[])[] {
  const values = result?.["values"];
  return Array.isArray(values) ? values : [];
}
