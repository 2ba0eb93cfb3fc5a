/**
 * What the load generator sends: the table, and one request after the other for each mode. Numbers
 * come from a counter per client, so that two runs send the same and no client repeats another.
 */
import { encodeRequest } from "./bench_connection.ts";

/** write: inserts with two parameters. bulk: rows of literals. read: a row by key. range: many rows. */
export const BENCH_MODES = ["write", "bulk", "read", "range"] as const;

/** One of `BENCH_MODES`. */
export type BenchMode = typeof BENCH_MODES[number];

/** What a request consists of. */
export interface Workload {
  readonly mode: BenchMode;
  readonly level: string;
  /** Statements (write) or rows (bulk, range) in one request, at least 1. */
  readonly batch: number;
  /** Rows that reads pick from, at least 1. */
  readonly rows: number;
  /** Characters of text in a row. */
  readonly size: number;
  /** More of the query string, such as `queue`; "" for none. */
  readonly query: string;
}

/** The table that is dropped, made and filled at the start of each run. */
export const BENCH_TABLE = "dust_bench";

const FILL_ROWS = 500;
const CLIENT_STRIDE = 7919;

/** The statements that make the table; then as many fill requests as `rows` need. */
export function* setupBodies(workload: Workload): Generator<string> {
  yield JSON.stringify([
    `DROP TABLE IF EXISTS ${BENCH_TABLE}`,
    `CREATE TABLE ${BENCH_TABLE}(id INTEGER PRIMARY KEY, name TEXT, n INTEGER)`,
  ]);
  if (workload.mode === "write" || workload.mode === "bulk") return;
  const text = "x".repeat(workload.size);
  for (let from = 0; from < workload.rows; from += FILL_ROWS) {
    const count = Math.min(FILL_ROWS, workload.rows - from);
    yield JSON.stringify([insertLiterals({ text, first: from, count })]);
  }
}

/** Makes the requests of one client. */
export class RequestMaker {
  readonly #workload: Workload;
  readonly #address: string;
  readonly #text: string;
  #seed: number;

  constructor(options: {
    readonly workload: Workload;
    readonly address: string;
    /** Counts from 0. */
    readonly client: number;
  }) {
    this.#workload = options.workload;
    this.#address = options.address;
    this.#text = "x".repeat(options.workload.size);
    this.#seed = options.client * CLIENT_STRIDE;
  }

  /** The next request's bytes. */
  next(): Uint8Array {
    const { path, body } = this.nextRequest();
    return encodeRequest({ address: this.#address, path, body });
  }

  /** The next request's path and body. */
  nextRequest(): { readonly path: string; readonly body: string } {
    const { mode, batch, level, rows, query } = this.#workload;
    const number = this.#nextNumber();
    const key = 1 + number % rows;
    switch (mode) {
      case "write":
        return batch === 1
          ? { path: path("/db/execute", query), body: `[${this.#insert(number)}]` }
          : { path: path("/db/execute", "transaction", query), body: this.#inserts(number) };
      case "bulk": {
        const sql = insertLiterals({ text: this.#text, first: number, count: batch });
        return { path: path("/db/execute", query), body: JSON.stringify([sql]) };
      }
      case "read":
        return {
          path: path("/db/query", `level=${level}`, query),
          body: `[["SELECT id,name,n FROM ${BENCH_TABLE} WHERE id=?",${key}]]`,
        };
      case "range":
        return {
          path: path("/db/query", `level=${level}`, query),
          body: `[["SELECT id,name,n FROM ${BENCH_TABLE} WHERE id>=? LIMIT ${batch}",${key}]]`,
        };
    }
  }

  #inserts(number: number): string {
    const statements = Array.from(
      { length: this.#workload.batch },
      (_, at) => this.#insert(number + at),
    );
    return `[${statements.join(",")}]`;
  }

  #insert(number: number): string {
    return `["INSERT INTO ${BENCH_TABLE}(name,n) VALUES(?,?)","${this.#text}",${number}]`;
  }

  /** A linear congruential generator: cheap, and the same in every run. `[0, 2^31)`. */
  #nextNumber(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#seed >>> 1;
  }
}

function insertLiterals(rows: {
  readonly text: string;
  readonly first: number;
  readonly count: number;
}): string {
  const values = Array.from(
    { length: rows.count },
    (_, at) => `('${rows.text}',${rows.first + at})`,
  );
  return `INSERT INTO ${BENCH_TABLE}(name,n) VALUES${values.join(",")}`;
}

function path(base: string, ...parameters: readonly string[]): string {
  const given = parameters.filter((parameter) => parameter !== "");
  return given.length === 0 ? base : `${base}?${given.join("&")}`;
}
