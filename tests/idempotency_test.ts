/**
 * Writes that are sent again, to whole nodes in both modes (rule X2; faults N3, N12): the first answer,
 * byte for byte, after retries, clean restarts and `kill -9`, also for those whose answer nobody got.
 * And reads that wait for an index (`min_index`).
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { startNode, type TestNode } from "./process.ts";

const MODES = ["ram", "disk"] as const;
const KILLS = 4;
const WRITERS = 6;
const ROUND_MS = 700;

/** An answer with what a client could compare. */
interface Answered {
  readonly status: number;
  readonly text: string;
  readonly index: string | null;
}

async function post(
  url: string,
  statements: readonly unknown[],
  key?: string,
): Promise<Answered> {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(key === undefined ? {} : { "idempotency-key": key }),
    },
    body: JSON.stringify(statements),
  });
  const text = await response.text();
  return { status: response.status, text, index: response.headers.get("dust-raft-index") };
}

function flagsOf(mode: (typeof MODES)[number], ramDirectory: string): readonly string[] {
  // Snapshots come often, so that keys go through them too.
  const flags = ["--ram-dir", ramDirectory, "--raft-snap", "40", "--raft-snap-int", "200ms"];
  return mode === "disk" ? ["--on-disk", ...flags] : flags;
}

/** Two folders that are gone afterwards. */
async function withFolders(
  work: (folders: { readonly data: string; readonly ram: string }) => Promise<void>,
): Promise<void> {
  const data = await Deno.makeTempDir({ prefix: "dust-test-" });
  const ram = await Deno.makeTempDir({ prefix: "dust-test-ram-" });
  try {
    await work({ data, ram });
  } finally {
    await Deno.remove(data, { recursive: true });
    await Deno.remove(ram, { recursive: true });
  }
}

for (const mode of MODES) {
  Deno.test(`The first answer comes again, after restarts and kill -9, ${mode} mode`, async () => {
    await withFolders(async ({ data, ram }) => {
      const flags = flagsOf(mode, ram);
      const start = (): Promise<TestNode> => startNode({ flags, dataDirectory: data });
      const insert = [["INSERT INTO t(v) VALUES(?)", "x"], "nonsense"];
      const mixed = ["INSERT INTO t(v) VALUES(random()) RETURNING id, v", "SELECT count(*) FROM t"];
      const requests: [string, readonly unknown[], string][] = [
        ["execute?raft_index", insert, "a"],
        ["execute?pretty&transaction", insert, "b"],
        ["request?associative", mixed, "c"],
        ["request", ["SELECT count(*) AS n FROM t"], "d"],
        ["execute", ["DROP TABLE u"], "e"],
      ];
      let node = await start();
      try {
        await post(`${node.url}/db/execute`, ["CREATE TABLE t(id INTEGER PRIMARY KEY, v)"]);
        await post(`${node.url}/db/execute`, ["CREATE TABLE u(x)"]);
        const send = (request: (typeof requests)[number]): Promise<Answered> =>
          post(`${node.url}/db/${request[0]}`, request[1], request[2]);
        const first: Answered[] = [];
        for (const request of requests) first.push(await send(request));
        ok(first.every(({ status, index }) => status === 200 && Number(index) > 2));
        for (const signal of [undefined, "SIGTERM", "SIGKILL", "SIGKILL"] as const) {
          if (signal !== undefined) {
            await node.stop(signal);
            node = await start();
          }
          const again: Answered[] = [];
          for (const request of requests) again.push(await send(request));
          deepStrictEqual(again, first);
          await post(`${node.url}/db/execute`, ["INSERT INTO t(v) VALUES('other')"]);
        }
        const other = await post(`${node.url}/db/execute`, ["DELETE FROM t"], "a");
        strictEqual(other.status, 422);
        match(other.text, /^Idempotency-Key was used before, with another request\n$/);
        const count = await post(`${node.url}/db/query`, ["SELECT count(*) FROM t WHERE v='x'"]);
        match(count.text, /\[\[1\]\]/);
      } finally {
        await node.stop("SIGKILL");
      }
    });
  });

  Deno.test(`Writes that are sent until they are answered happen once, killed time after time, ${mode} mode`, async () => {
    await withFolders(async ({ data, ram }) => {
      const flags = flagsOf(mode, ram);
      const answers = new Map<string, Answered>();
      let retries = 0;
      let node = await startNode({ flags, dataDirectory: data });
      try {
        await post(`${node.url}/db/execute`, ["CREATE TABLE t(id INTEGER PRIMARY KEY, k)"]);
        const pending = new Map<number, string>();
        for (let round = 0; round <= KILLS; round++) {
          const isLast = round === KILLS;
          const endMs = performance.now() + ROUND_MS;
          const { url } = node;
          const writer = async (number: number): Promise<void> => {
            for (let count = 0; pending.has(number) || (!isLast && performance.now() < endMs);) {
              const key = pending.get(number) ?? `${round}-${number}-${count++}`;
              if (pending.has(number)) retries++;
              pending.set(number, key);
              const answer = await tryPost(url, key);
              if (answer === undefined) return;
              strictEqual(answer.status, 200, answer.text);
              match(answer.text, /^\{"results":\[\{"last_insert_id":\d+,"rows_affected":1\}\]\}$/);
              answers.set(key, answer);
              pending.delete(number);
            }
          };
          const writers = Array.from({ length: WRITERS }, (_, number) => writer(number));
          if (!isLast) {
            await new Promise((resolve) => setTimeout(resolve, ROUND_MS / 2));
            await node.stop("SIGKILL");
          }
          await Promise.all(writers);
          if (!isLast) node = await startNode({ flags, dataDirectory: data });
        }
        const { text } = await post(`${node.url}/db/query`, [
          "SELECT count(*), count(DISTINCT k), sum(k IS NULL) FROM t",
        ]);
        match(text, new RegExp(`\\[\\[${answers.size},${answers.size},0\\]\\]`));
        ok(answers.size > 50 && retries >= KILLS, `${answers.size} writes, ${retries} retries`);
        for (const [key, answer] of [...answers].slice(-200)) {
          deepStrictEqual(await tryPost(node.url, key), answer);
        }
      } finally {
        await node.stop("SIGKILL");
      }
    });
  });
}

/** One attempt; undefined when the node went away. */
async function tryPost(url: string, key: string): Promise<Answered | undefined> {
  try {
    return await post(`${url}/db/execute`, [["INSERT INTO t(k) VALUES(?)", key]], key);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

Deno.test("Keys that cannot be are refused, and one on a query means nothing", async () => {
  await using node = await startNode();
  const execute = `${node.url}/db/execute`;
  const sql = ["CREATE TABLE IF NOT EXISTS t(x)"];
  for (const key of ["", "x".repeat(256), "a b", "a, b"]) {
    const { status, text } = await post(execute, sql, key);
    strictEqual(status, 400, key);
    match(text, /^Cannot take Idempotency-Key: /);
  }
  strictEqual((await post(`${execute}?queue`, sql, "k")).status, 400);
  strictEqual((await post(execute, sql, "k".repeat(255))).status, 200);
  const query = `${node.url}/db/query`;
  strictEqual((await post(query, ["SELECT 1"], "k")).status, 200);
  strictEqual((await post(query, ["SELECT 2"], "k")).status, 200);
  const timed = [
    await post(`${execute}?timings`, sql, "t"),
    await post(`${execute}?timings`, sql, "t"),
  ];
  for (const { text } of timed) match(text, /^\{"results":\[\{\}\],"time":[\d.e-]+\}$/);
});

Deno.test("Every answer has its index; min_index waits for one, and says so when it does not come", async () => {
  await using node = await startNode();
  const execute = `${node.url}/db/execute`;
  const query = `${node.url}/db/query`;
  await post(execute, ["CREATE TABLE t(x)"]);
  const written = await post(execute, ["INSERT INTO t VALUES(1)"]);
  const index = Number(written.index);
  ok(index > 1);
  for (const level of ["none", "weak", "linearizable", "auto"]) {
    const read = await post(`${query}?level=${level}&min_index=${index}`, [
      "SELECT count(*) FROM t",
    ]);
    deepStrictEqual([read.status, read.index], [200, String(index)], level);
  }
  const strong = await post(`${query}?level=strong`, ["SELECT 1"]);
  strictEqual(strong.index, String(index + 1));
  strictEqual((await post(execute, [""])).index, String(index + 1));
  strictEqual((await post(`${node.url}/db/request`, ["SELECT 1"])).index, String(index + 1));
  const waiting = post(`${query}?min_index=${index + 2}`, ["SELECT count(*) AS n FROM t"]);
  await post(execute, ["INSERT INTO t VALUES(2)"]);
  match((await waiting).text, /\[\[2\]\]/);
  const late = await post(`${query}?min_index=${index + 100}&timeout=150ms`, ["SELECT 1"]);
  deepStrictEqual(
    [late.status, late.text],
    [408, `Cannot read at index ${index + 100}: this node has applied ${index + 2}\n`],
  );
  strictEqual((await post(`${query}?min_index=-`, ["SELECT 1"])).status, 400);
});
