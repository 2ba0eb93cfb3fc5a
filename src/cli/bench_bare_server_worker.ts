/**
 * Worker entry: the bare HTTP server that `dust bench --limits` compares with. It reads each body and
 * answers with a constant. Posts its port once it listens; ends with `terminate`.
 */

/** The part of a dedicated Worker's global scope that is used. */
interface WorkerScope {
  postMessage(message: number): void;
}

const ANSWER = '{"results":[{"last_insert_id":1,"rows_affected":1}]}';
const HEADERS = { "content-type": "application/json; charset=utf-8" };

// The compiler types this file for the main thread.
const scope = globalThis as unknown as WorkerScope;

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => scope.postMessage(port),
}, async (request) => {
  await request.text();
  return new Response(ANSWER, { headers: HEADERS });
});
