/**
 * A node under clients who mean harm, or do it: SQL that never ends, bodies without measure, thousands
 * of connections, bytes that drip (faults L1 to L4, L8, P11). Judged by /proc and by what another
 * client feels. Small sizes; the full ones, with figures: `deno run -A tests/limits/main.ts`.
 */
import { ok, strictEqual } from "node:assert/strict";
import { bodyCases, ENDLESS_CASES, sendBody } from "./limits/bodies.ts";
import { ENDLESS, execute, post, query } from "./limits/client.ts";
import { connectionsProblem, holdConnections } from "./limits/idle_connections.ts";
import { measureCpuShare, MIB, readFigures, waitUntil } from "./limits/process_figures.ts";
import { RawClient } from "./limits/raw_client.ts";
import { startNode, type TestNode } from "./process.ts";

/** An answer may take so long while something heavy is done for another: less than an election. */
const GAP_MS_MAX = 800;

const CONNECTIONS = 1000;

async function untilIdle(node: TestNode): Promise<void> {
  await waitUntil(async () => await measureCpuShare(node.pid, 300) < 0.2, {
    what: "the processor is idle",
    withinMs: 3000,
  });
}

Deno.test("runaway queries end at their limit or with their client, and the processor rests", async () => {
  await using node = await startNode();
  await execute(node.url, ["CREATE TABLE t(x)"]);
  const startedMs = performance.now();
  const { text } = await post(node.url, "/db/query?db_timeout=300ms", JSON.stringify([ENDLESS]));
  strictEqual(text, '{"results":[{"error":"query timeout"}]}');
  ok(performance.now() - startedMs < 1300, "later than a second after its limit");
  await untilIdle(node);
  for (const path of ["/db/query", "/db/request", "/db/query?level=linearizable"]) {
    const leaving = AbortSignal.timeout(200);
    await post(node.url, path, JSON.stringify([ENDLESS]), { signal: leaving }).then(
      () => {
        throw new Error("an endless query was answered");
      },
      (error) => strictEqual(error.name, "TimeoutError"),
    );
  }
  await untilIdle(node);
});

Deno.test("more runaway queries than there are readers leave readers for the others", async () => {
  await using node = await startNode();
  const body = JSON.stringify([ENDLESS]);
  const runaways = Array.from(
    { length: 6 },
    () => post(node.url, "/db/query?db_timeout=1500ms", body),
  );
  await query(node.url, ["SELECT 1"]);
  for (const { text } of await Promise.all(runaways)) ok(text.includes("timeout"), text);
  await untilIdle(node);
});

Deno.test("a runaway write ends by verdict; others go on, also after a restart in its midst", async () => {
  await using node = await startNode();
  const { url, dataDirectory } = node;
  const runaway = JSON.stringify([`INSERT INTO t ${ENDLESS}`]);
  await execute(url, ["CREATE TABLE t(x)"]);
  const { text } = await post(url, "/db/execute?db_timeout=300ms", runaway);
  strictEqual(text, '{"results":[{"error":"execute timeout"}]}');
  await execute(url, ["INSERT INTO t VALUES(1)"]);
  await untilIdle(node);
  const lost = post(url, "/db/execute?db_timeout=2s", runaway).then(() => "answered", () => "lost");
  await new Promise((resolve) => setTimeout(resolve, 300));
  await node.stop("SIGKILL");
  strictEqual(await lost, "lost");
  await using again = await startNode({ dataDirectory });
  await execute(again.url, ["INSERT INTO t VALUES(2)"]);
  const { text: rows } = await post(again.url, "/db/query", '["SELECT x FROM t"]');
  ok(rows.endsWith('"values":[[1],[2]]}]}'), rows);
  await untilIdle(again);
});

Deno.test("large, deep, many and endless: answered or refused, while others are served", async (t) => {
  await using node = await startNode();
  await execute(node.url, ["CREATE TABLE big(x)"]);
  for (const each of [...bodyCases(8e6, 20_000), ...ENDLESS_CASES]) {
    await t.step(each.name, async () => {
      const { ticker, grownBytes } = await sendBody(node, each);
      strictEqual(ticker.failures.join("\n"), "");
      ok(ticker.longestMs < GAP_MS_MAX, `others waited ${ticker.longestMs} ms`);
      ok(grownBytes < 600 * MIB, `memory grew by ${grownBytes} bytes`);
    });
  }
});

/** How many files the nodes may open that are to run out of them. */
const FILES_MAX = 200;

const problem = connectionsProblem(CONNECTIONS);
const suffix = problem === undefined ? "" : ` (skipped: ${problem})`;

Deno.test({
  name: `idle connections are held while requests go on${suffix}`,
  ignore: problem !== undefined,
  fn: holdManyConnections,
});

async function holdManyConnections(): Promise<void> {
  await using node = await startNode();
  // A node grows by its reader threads, too, until they are all there.
  await holdConnections(node, 100);
  const { ticker, beforeBytes, askedBytes } = await holdConnections(node, CONNECTIONS);
  strictEqual(ticker.failures.join("\n"), "");
  ok(ticker.longestMs < GAP_MS_MAX, `others waited ${ticker.longestMs} ms`);
  ok(askedBytes - beforeBytes < 64 * MIB, `${askedBytes - beforeBytes} bytes`);
}

Deno.test("headers and bodies that drip hold up nobody", async () => {
  await using node = await startNode();
  const post = `POST /db/execute HTTP/1.1\r\nHost: ${node.httpAddress}\r\n`;
  const clients: RawClient[] = [];
  const begin = async (text: string): Promise<void> => {
    const client = await RawClient.open(node.httpAddress);
    clients.push(client);
    await client.send(text);
  };
  for (let count = 0; count < 50; count++) {
    await begin(post);
    await begin(`${post}Content-Length: 100\r\n\r\n[`);
    await begin(`${post}Content-Length: 33554432\r\n\r\n[`);
    await begin(`${post}Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n`);
  }
  await execute(node.url, ["CREATE TABLE t(x)"]);
  await execute(node.url, [["INSERT INTO t VALUES(?)", "a".repeat(60_000)]]);
  ok((await query(node.url, ["SELECT count(*) FROM t"])).includes("[[1]]"));
  for (const client of clients) client.close();
});

Deno.test("a node that runs out of files lets its connections go, and serves again", async () => {
  await using node = await startNode({ openFilesMax: FILES_MAX });
  const clients: RawClient[] = [];
  for (let count = 0; count < 300; count++) {
    try {
      clients.push(await RawClient.open(node.httpAddress));
    } catch (error) {
      // For a moment nobody listens, and who waits to be accepted is let go with the rest.
      const isLetGo = error instanceof Deno.errors.ConnectionRefused ||
        error instanceof Deno.errors.ConnectionReset ||
        error instanceof Deno.errors.NotConnected;
      if (!isLetGo) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  // Until then it may be out of reach, or answer that it can open no file; it must not stay so.
  let complaint: unknown = "";
  await waitUntil(async () => {
    try {
      return (await query(node.url, ["SELECT 1"])).includes("[[1]]");
    } catch (error) {
      complaint = error;
      return false;
    }
  }, { what: () => `the node serves again: ${complaint}\n${node.log()}`, withinMs: 10_000 });
  await execute(node.url, ["CREATE TABLE t(x)", "INSERT INTO t VALUES(randomblob(1000000))"]);
  ok((await query(node.url, ["SELECT count(*) FROM t"])).includes("[[1]]"));
  for (const client of clients) client.close();
});

Deno.test("threads start although connections have taken all files but a few (P11)", async () => {
  for (const free of [2, 6, 10]) {
    await using node = await startNode({ openFilesMax: FILES_MAX });
    const clients: RawClient[] = [];
    while (readFigures(node.pid).openFiles < FILES_MAX - free && clients.length < FILES_MAX) {
      clients.push(await RawClient.open(node.httpAddress));
      // Until it is accepted.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    // The first query of all starts a thread, and so does each that finds the others busy; where the
    // connection itself is one too many, it may be let go.
    await Promise.allSettled([1, 2, 3].map((value) => query(node.url, [`SELECT ${value}`])));
    const answer = await query(node.url, ["SELECT 1"]);
    ok(answer.includes("[[1]]"), `${free} files left: ${answer}`);
    for (const client of clients) client.close();
  }
});
