/**
 * Requests of the limit tests: SQL in, the answer's text out, since numbers must not pass through
 * doubles on their way to a comparison.
 */

/** An answer. */
export interface TextAnswer {
  readonly status: number;
  readonly text: string;
}

/** Sends a JSON body, which may be a stream. `path` has the query string with it. */
export async function post(
  url: string,
  path: string,
  body: BodyInit,
  options: { readonly signal?: AbortSignal } = {},
): Promise<TextAnswer> {
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    ...options,
  });
  return { status: response.status, text: await response.text() };
}

/** Runs statements as one write. @throws {Error} when any of them fails. */
export async function execute(url: string, statements: readonly unknown[]): Promise<string> {
  return await succeed(url, "/db/execute", statements);
}

/** Runs queries. @throws {Error} when any of them fails. */
export async function query(url: string, statements: readonly unknown[]): Promise<string> {
  return await succeed(url, "/db/query", statements);
}

async function succeed(url: string, path: string, body: readonly unknown[]): Promise<string> {
  const { status, text } = await post(url, path, JSON.stringify(body));
  if (status !== 200 || text.includes('"error"')) {
    throw new Error(`${path} answered ${status}: ${text.slice(0, 500)}`);
  }
  return text;
}

/** A select that counts for ever. */
export const ENDLESS =
  "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c";
