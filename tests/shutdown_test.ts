/**
 * Stopping a node, as a process: SIGTERM answers what is in flight, refuses what is new, and ends with
 * status 0 within 10 s, also when clients hold on and while the node is still starting; a second
 * SIGTERM ends it at once. What was acknowledged meanwhile is there after the next start.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { startNode, type TestNode } from "./process.ts";

/** Runs until it is interrupted. */
const ENDLESS =
  "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT COUNT(*) FROM c";

/** Takes a good part of a second. */
const LONG =
  "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2000000) SELECT COUNT(*) FROM c";

/** More than all buffers between SQLite and a client that does not read. */
const HUGE =
  "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 3000000) SELECT x, hex(zeroblob(20)) FROM c";

/** A status, and the milliseconds that it took. */
interface Stopped {
  readonly status: Deno.CommandStatus;
  readonly elapsedMs: number;
}

async function stop(node: TestNode): Promise<Stopped> {
  const startedMs = performance.now();
  const status = await node.stop("SIGTERM");
  return { status, elapsedMs: performance.now() - startedMs };
}

/** Sends the beginning of something and never reads. */
async function holdOn(node: TestNode, text: string): Promise<Deno.TcpConn> {
  const [hostname = "", port = ""] = node.httpAddress.split(":");
  const connection = await Deno.connect({ hostname, port: Number(port) });
  await connection.write(new TextEncoder().encode(text));
  return connection;
}

function queryText(sql: string): string {
  const body = JSON.stringify([sql]);
  return `POST /db/query HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`;
}

async function post(
  url: string,
  statements: readonly unknown[],
): Promise<
  { readonly results: readonly { readonly values?: unknown; readonly error?: string }[] }
> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(statements),
  });
  strictEqual(response.status, 200);
  return await response.json();
}

async function isRefused(node: TestNode): Promise<boolean> {
  try {
    (await holdOn(node, "")).close();
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return true;
    throw error;
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!await condition()) {
    if (performance.now() > deadlineMs) throw new Error(`${what}: not in time`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("SIGTERM answers what is in flight and refuses new connections, whoever holds on", async () => {
  await using node = await startNode({ flags: ["-raft-log-level", "INFO"] });
  await post(`${node.url}/db/execute`, ["CREATE TABLE t(x)"]);
  using _halfBody = await holdOn(
    node,
    "POST /db/execute HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n[",
  );
  using _unread = await holdOn(node, queryText(HUGE));
  using _endless = await holdOn(node, queryText(ENDLESS));
  using _endlessWrite = await holdOn(
    node,
    queryText(`INSERT INTO t ${ENDLESS}`).replace("/db/query", "/db/execute"),
  );
  using _idle = await holdOn(node, "GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n");
  const inFlight = post(`${node.url}/db/query`, [LONG]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const stopping = stop(node);
  await until("the stop begins", () => node.log().includes("Stopping"));
  await until("new connections are refused", () => isRefused(node));
  deepStrictEqual((await inFlight).results[0]?.values, [[2_000_000]]);
  const { status, elapsedMs } = await stopping;
  deepStrictEqual([status.code, status.signal], [0, null], node.log());
  ok(elapsedMs < 10_000, `took ${elapsedMs} ms`);
  ok(node.log().includes("Stopped"), node.log());
});

Deno.test("SIGTERM ends an idle node at once, with a kept connection, and a second one ends any", async () => {
  {
    await using node = await startNode();
    using _idle = await holdOn(node, "GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n");
    const { status, elapsedMs } = await stop(node);
    strictEqual(status.code, 0, node.log());
    ok(elapsedMs < 2_000, `took ${elapsedMs} ms`);
  }
  await using node = await startNode({ flags: ["-raft-log-level", "INFO"] });
  using _held = await holdOn(node, queryText(ENDLESS));
  await until("the query runs", async () => {
    const metrics = await (await fetch(`${node.url}/metrics`)).text();
    return /^dust_queries_in_flight [1-9]/m.test(metrics);
  });
  Deno.kill(node.pid, "SIGTERM");
  await until("the stop begins", () => node.log().includes("Stopping"));
  const { status, elapsedMs } = await stop(node);
  strictEqual(status.code, 1, node.log());
  ok(elapsedMs < 1_000, `took ${elapsedMs} ms`);
});

Deno.test("SIGTERM under load loses nothing that was acknowledged, in memory and on disk", async () => {
  for (const flags of [[], ["--on-disk"]]) {
    await using first = await startNode({ flags });
    const { dataDirectory } = first;
    const acknowledged: number[] = [];
    await post(`${first.url}/db/execute`, ["CREATE TABLE t(id INTEGER PRIMARY KEY)"]);
    const writers = Array.from({ length: 8 }, (_, at) => write(first, { at, acknowledged }));
    await until("writes are under way", () => acknowledged.length > 100);
    const { status, elapsedMs } = await stop(first);
    strictEqual(status.code, 0, first.log());
    ok(elapsedMs < 5_000, `took ${elapsedMs} ms`);
    await Promise.all(writers);
    await using node = await startNode({ dataDirectory, flags });
    const { results } = await post(`${node.url}/db/query`, ["SELECT json_group_array(id) FROM t"]);
    const [[text]] = results[0]?.values as [[string]];
    const kept = new Set<number>(JSON.parse(text));
    deepStrictEqual(acknowledged.filter((id) => !kept.has(id)), []);
  }
});

/** Writes until the node refuses or is gone. */
async function write(
  node: TestNode,
  { at, acknowledged }: { readonly at: number; readonly acknowledged: number[] },
): Promise<void> {
  for (let id = at * 1_000_000;; id++) {
    try {
      const { results } = await post(`${node.url}/db/execute`, [["INSERT INTO t VALUES(?)", id]]);
      if (results[0] === undefined || results[0].error !== undefined) return;
    } catch (error) {
      if (error instanceof TypeError) return;
      throw error;
    }
    acknowledged.push(id);
  }
}

Deno.test("SIGTERM while a node starts ends it with status 0, and the next start is none the worse", async () => {
  const folder = await Deno.makeTempDir({ prefix: "dust-test-" });
  const ramDirectory = `${folder}/memory`;
  const dataDirectory = `${folder}/data`;
  const flags = ["--ram-dir", ramDirectory];
  try {
    await Deno.mkdir(ramDirectory, { mode: 0o700 });
    // The first is stopped in its birth, the second in its recovery, or shortly behind.
    for (let round = 0; round < 3; round++) {
      const { status, elapsedMs } = await startAndStop([...flags, dataDirectory]);
      deepStrictEqual([status.code, status.signal], [0, null]);
      ok(elapsedMs < 3_000, `took ${elapsedMs} ms`);
    }
    await using node = await startNode({ dataDirectory, flags });
    await post(`${node.url}/db/execute`, ["CREATE TABLE t(id INTEGER PRIMARY KEY)"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Stops a node in the moment in which its port opens. */
async function startAndStop(args: readonly string[]): Promise<Stopped> {
  const ports = [0, 0].map(() => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    return listener.addr.port;
  });
  const [http = 0, raft = 0] = ports;
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-prompt", "main.ts", "serve", "-http-addr", `127.0.0.1:${http}`],
      ...["-raft-addr", `127.0.0.1:${raft}`, ...args],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await until("the port opens", async () => {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port: http })).close();
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return false;
      throw error;
    }
  });
  const startedMs = performance.now();
  process.kill("SIGTERM");
  const status = await process.status;
  return { status, elapsedMs: performance.now() - startedMs };
}
