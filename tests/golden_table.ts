/**
 * The form of the golden tables: blocks of requests to one fresh node, each with the answer that the
 * wire contract gives, byte for byte. State carries over within a block. The tables themselves are
 * golden_statements.ts, golden_values.ts and golden_http.ts; golden_test.ts runs them.
 */

/** One request and what must come back. */
export interface Step {
  readonly method: string;
  /** Path and query string, as sent. */
  readonly path: string;
  /** Sent as it is; undefined for no body. */
  readonly body: string | undefined;
  /** Undefined for no header at all, as the e2e scripts have it. */
  readonly contentType: string | undefined;
  readonly status: number;
  /** The whole body, or a pattern for it. */
  readonly answer: string | RegExp;
  /** Headers that must be there, by lower-case name. */
  readonly headers: { readonly [name: string]: string | RegExp };
}

/** Steps that begin on an empty node. `name` says which part of the contract they come from. */
export interface Block {
  readonly name: string;
  readonly steps: readonly Step[];
}

/** A statement: SQL, or SQL and parameters. */
export type GoldenStatement = string | readonly unknown[];

/** Any step; what is not given is a GET without body, answered with 200. */
export function step(
  request: string,
  answer: string | RegExp,
  options: {
    readonly body?: string;
    readonly contentType?: string;
    readonly status?: number;
    readonly headers?: Step["headers"];
  } = {},
): Step {
  const [method = "", path = ""] = request.split(" ");
  const { body, contentType, status = 200, headers = {} } = options;
  return { method, path, body, contentType, status, answer, headers };
}

/** POSTs statements to a path below /db/; `results` is what stands between the brackets. */
export function post(
  path: string,
  statements: readonly GoldenStatement[],
  results: string | RegExp,
): Step {
  const answer = typeof results === "string" ? `{"results":[${results}]}` : results;
  return step(`POST /db/${path}`, answer, { body: JSON.stringify(statements) });
}

/** POST /db/execute without parameters. */
export function execute(statements: readonly GoldenStatement[], results: string | RegExp): Step {
  return post("execute", statements, results);
}

/** POST /db/query without parameters. */
export function query(statements: readonly GoldenStatement[], results: string | RegExp): Step {
  return post("query", statements, results);
}

/** POST /db/request without parameters. */
export function request(statements: readonly GoldenStatement[], results: string | RegExp): Step {
  return post("request", statements, results);
}

/** Statements of the block's preparation: any answer without an error. */
export function prepare(...statements: readonly GoldenStatement[]): Step {
  return execute(statements, /^(?!.*"error")/);
}

/** GET /db/query with SQL in the query string; `options` are parameters before it, `level=none&`. */
export function get(sql: string, results: string | RegExp, options = ""): Step {
  const answer = typeof results === "string" ? `{"results":[${results}]}` : results;
  return step(`GET /db/query?${options}q=${encodeURIComponent(sql)}`, answer);
}
