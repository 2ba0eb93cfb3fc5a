/**
 * The server on a real socket: what only the runtime's parser, its streams and its signals can show.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { decodeBody, type ExecuteRequest } from "../command/request.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { FakeDatabase } from "./fake_database.ts";
import { HttpApi } from "./http_api.ts";
import { BODY_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX } from "./limits.ts";
import { type HttpServer, startHttpServer } from "./server.ts";

interface Setup extends AsyncDisposable {
  readonly server: HttpServer;
  readonly database: FakeDatabase;
  readonly crashes: unknown[];
}

function setUp(): Setup {
  const database = new FakeDatabase();
  const crashes: unknown[] = [];
  const crash = (error: unknown): void => {
    crashes.push(error);
  };
  const api = new HttpApi({
    database,
    clock: new DenoClock(),
    version: "v1",
    advertisedAddress: "dust:4001",
    bindAddress: "127.0.0.1:0",
    allowOrigin: undefined,
    writeQueue: { capacity: 1024, batchSize: 128, timeoutMs: 50, transaction: false },
    bodyBytesMax: BODY_BYTES_MAX,
    requestsInFlightMax: REQUESTS_IN_FLIGHT_MAX,
    commandLine: [],
    crash,
  });
  const server = startHttpServer({ api, hostname: "127.0.0.1", port: 0, crash });
  return { server, database, crashes, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** Sends bytes as they are and reads until the server closes, or until `done` is content. */
async function exchange(
  { server }: Setup,
  request: string,
  done: (text: string) => boolean = () => false,
): Promise<string> {
  using connection = await Deno.connect({ hostname: server.hostname, port: server.port });
  await connection.write(new TextEncoder().encode(request));
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65_536);
  let text = "";
  while (!done(text)) {
    const count = await connection.read(buffer);
    if (count === null) break;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  return text;
}

const head = (line: string, ...headers: string[]): string =>
  [line, "Host: x", ...headers, "", ""].join("\r\n");

Deno.test("startHttpServer() serves, and keeps the exact headers and bytes", async () => {
  await using setup = setUp();
  setup.database.answer = { results: '[{"rows_affected":1}]', raftIndex: 5 };
  const body = '["x"]';
  const text = await exchange(
    setup,
    head("POST /db/execute HTTP/1.1", `Content-Length: ${body.length}`, "Connection: close") + body,
  );
  match(text, /^HTTP\/1\.1 200 OK\r\n/);
  match(text, /^content-length: 33\r$/mi);
  match(text, /^x-rqlite-version: v1\r$/mi);
  ok(text.endsWith('\r\n\r\n{"results":[{"rows_affected":1}]}'), text);
});

Deno.test("startHttpServer() never sees a request with two meanings", async () => {
  await using setup = setUp();
  const execute = "POST /db/execute HTTP/1.1";
  const bad = [
    head(execute, "Content-Length: 5", "Content-Length: 6") + "[1234",
    head(execute, "Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n",
    head(execute, "Content-Length: -5"),
    head(execute, "Content-Length: 99999999999999999999"),
    head(execute, "Content-Length: 5", " folded: x") + "[1234",
    `${execute}\r\nHost: a\r\nHost: b\r\n\r\n`,
    head("GET /a b HTTP/1.1"),
  ];
  for (const request of bad) {
    const text = await exchange(setup, request);
    match(text, /^HTTP\/1\.1 400 Bad Request\r\n/, request);
    strictEqual(text.match(/HTTP\/1\.1/g)?.length, 1, text);
  }
  deepStrictEqual([setup.database.calls, setup.crashes], [[], []]);
});

Deno.test("a broken chunk is a refused request, and the connection ends", async () => {
  await using setup = setUp();
  const request = head("POST /db/execute HTTP/1.1", "Transfer-Encoding: chunked") +
    "5\r\n[1234\r\nzz\r\n";
  const text = await exchange(setup, request);
  ok(text === "" || text.startsWith("HTTP/1.1 400 "), text);
  deepStrictEqual([setup.database.calls, setup.crashes], [[], []]);
});

Deno.test("an announced length past the limit is refused before a byte of it is sent", async () => {
  await using setup = setUp();
  const text = await exchange(
    setup,
    head("POST /db/execute HTTP/1.1", `Content-Length: ${BODY_BYTES_MAX + 1}`),
    (sofar) => sofar.includes("\r\n\r\n"),
  );
  match(text, /^HTTP\/1\.1 413 /);
  deepStrictEqual(setup.database.calls, []);
});

Deno.test("chunked bodies and bodies in many pieces arrive whole", async () => {
  await using setup = setUp();
  const { hostname, port } = setup.server;
  const text = `["${"é".repeat(300_000)}"]`;
  for (const chunked of [true, false]) {
    const bytes = new TextEncoder().encode(text);
    const body = chunked ? new Blob([bytes]).stream() : bytes;
    const response = await fetch(`http://${hostname}:${port}/db/execute`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    strictEqual(await response.text(), '{"results":[]}');
  }
  const bodies = setup.database.calls.map(({ argument }) => (argument as ExecuteRequest).body);
  deepStrictEqual(bodies.map(({ kind }) => kind), ["json", "json"]);
  // Not compared as a whole: the difference of two such texts takes minutes to show.
  for (const body of bodies) ok(decodeBody(body.text) === text);
});

Deno.test("a query is cancelled when its client hangs up", async () => {
  await using setup = setUp();
  const { promise, resolve } = Promise.withResolvers<{ results: string; raftIndex: number }>();
  const started = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<number>();
  setup.database.answer = () => {
    started.resolve();
    return promise;
  };
  setup.database.cancel = (id) => cancelled.resolve(id);
  const connection = await Deno.connect(setup.server);
  await connection.write(new TextEncoder().encode(head("GET /db/query?q=x HTTP/1.1")));
  await started.promise;
  connection.close();
  strictEqual(await cancelled.promise, 1);
  resolve({ results: "[]", raftIndex: 0 });
});

Deno.test("a large answer flows with the client, and ends with it", async () => {
  await using setup = setUp();
  const cancelled = Promise.withResolvers<void>();
  const piece = new TextEncoder().encode("1,".repeat(32_768));
  let pieces = 0;
  const results = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      pieces++;
      controller.enqueue(piece);
    },
    cancel: () => cancelled.resolve(),
  }, { highWaterMark: 0 });
  setup.database.answer = { results, raftIndex: 0 };
  const connection = await Deno.connect(setup.server);
  await connection.write(new TextEncoder().encode(head("GET /db/query?q=x HTTP/1.1")));
  const buffer = new Uint8Array(1024);
  await connection.read(buffer);
  match(new TextDecoder().decode(buffer), /^HTTP\/1\.1 200 OK\r\n/);
  // What nobody reads stays unread: only what fits into the buffers on the way was taken.
  let before = -1;
  while (before !== pieces) {
    before = pieces;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  ok(pieces < 400, `${pieces} pieces were taken`);
  connection.close();
  await cancelled.promise;
  deepStrictEqual(setup.crashes, []);
});
