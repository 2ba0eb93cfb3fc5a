/**
 * What the e2e scripts of rqlite read from JSON answers, by key (the wire contract, sections 13 and
 * 15.4), and the order in which they ask: /status first, as soon as the port is open.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { startNode } from "./process.ts";

/** A JSON document whose members are looked at one by one. */
class Document {
  readonly #value: unknown;

  constructor(value: unknown) {
    this.#value = value;
  }

  /** The value at a path of keys separated by dots; undefined when there is none. */
  at(path: string): unknown {
    let value: unknown = this.#value;
    for (const key of path.split(".")) {
      if (typeof value !== "object" || value === null) return undefined;
      value = Object.entries(value).find(([name]) => name === key)?.[1];
    }
    return value;
  }

  number(path: string): number {
    const value = this.at(path);
    ok(typeof value === "number", `${path} is ${JSON.stringify(value)}`);
    return value;
  }
}

async function getJson(url: string): Promise<Document> {
  const response = await fetch(url);
  strictEqual(response.status, 200);
  return new Document(await response.json());
}

/** Waits, within bounds, until a counter of /debug/vars has reached `count`. */
async function untilCounted(
  url: string,
  expected: { readonly counter: string; readonly count: number },
): Promise<void> {
  const { counter, count } = expected;
  for (let attempt = 0; attempt < 100; attempt++) {
    const variables = await getJson(`${url}/debug/vars`);
    if (variables.number(`http.${counter}`) === count) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Cannot go on: ${counter} does not become ${count}`);
}

Deno.test("golden: 13.1 and 15.4 /status as the e2e scripts read it", async () => {
  await using node = await startNode();
  const status = await getJson(`${node.url}/status`);
  deepStrictEqual(status.at("store.leader"), { addr: node.raftAddress, node_id: node.nodeId });
  deepStrictEqual(status.at("store.nodes"), [
    { id: node.nodeId, addr: node.raftAddress, suffrage: "voter" },
  ]);
  strictEqual(status.at("store.node_id"), node.nodeId);
  strictEqual(status.at("store.raft.state"), "Leader");
  strictEqual(status.at("store.raft.voter"), status.at("store.ready"));
  ok(status.at("store.ready"));
  deepStrictEqual(status.at("store.sqlite3.pragmas"), {
    ro: {
      busy_timeout: "5000",
      foreign_keys: "0",
      journal_mode: "wal",
      synchronous: "0",
      wal_autocheckpoint: "1000",
    },
    rw: {
      busy_timeout: "5000",
      foreign_keys: "0",
      journal_mode: "wal",
      synchronous: "0",
      wal_autocheckpoint: "0",
    },
  });
  for (
    const path of [
      "commit_index",
      "applied_index",
      "fsm_pending",
      "last_log_index",
      "last_snapshot_index",
      "term",
    ]
  ) ok(status.number(`store.raft.${path}`) >= 0);
  strictEqual(status.number("store.raft.commit_index"), status.number("store.raft.applied_index"));
  ok(status.number("store.fsm_index") >= 0);
  ok(status.number("store.db_applied_index") >= 0);
  ok(Array.isArray(status.at("store.snapshot_store.snapshots")));
  ok(Array.isArray(status.at("extensions.names")));
  match(String(status.at("store.sqlite3.path")), /^\/.*db\.sqlite$/);
  deepStrictEqual(status.at("http.bind_addr"), node.httpAddress);
  for (const section of ["build", "cluster", "mux", "network", "node", "os", "runtime"]) {
    ok(status.at(section) !== undefined, section);
  }
});

Deno.test("golden: 13.1 indexes move with writes, and /nodes agrees", async () => {
  await using node = await startNode();
  const before = await getJson(`${node.url}/status`);
  const response = await fetch(`${node.url}/db/execute?raft_index`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '["CREATE TABLE t(x)"]',
  });
  const { raft_index } = await response.json();
  const after = await getJson(`${node.url}/status`);
  ok(raft_index > before.number("store.raft.commit_index"));
  ok(after.number("store.db_applied_index") >= raft_index);
  strictEqual(after.number("store.db_applied_index"), after.number("store.fsm_index"));
  const nodes = await getJson(`${node.url}/nodes?nonvoters`);
  strictEqual(nodes.at(`${node.nodeId}.api_addr`), node.url);
  ok(nodes.number(`${node.nodeId}.time`) > 0);
  strictEqual(nodes.at(`${node.nodeId}.error`), undefined);
});

Deno.test("golden: a node that is killed comes back with what it acknowledged", async () => {
  await using first = await startNode();
  const write = async (url: string, sql: string): Promise<unknown> => {
    const response = await fetch(`${url}/db/execute`, {
      method: "POST",
      body: JSON.stringify([sql]),
      headers: { "content-type": "application/json" },
    });
    return await response.json();
  };
  await write(first.url, "CREATE TABLE t(x INTEGER)");
  for (let x = 1; x <= 20; x++) await write(first.url, `INSERT INTO t VALUES(${x})`);
  await first.stop("SIGKILL");
  await using second = await startNode({ dataDirectory: first.dataDirectory });
  const response = await fetch(`${second.url}/db/query?q=SELECT%20count(*),sum(x)%20FROM%20t`);
  deepStrictEqual((await response.json()).results[0].values, [[20, 210]]);
  strictEqual((await second.stop("SIGTERM")).code, 0);
});

Deno.test("golden: queries of clients that went away do not hold up the others", async () => {
  await using node = await startNode();
  const endless = encodeURIComponent(
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT max(x) FROM c",
  );
  const clients = Array.from({ length: 8 }, () => new AbortController());
  const gone = clients.map(({ signal }) => fetch(`${node.url}/db/query?q=${endless}`, { signal }));
  await untilCounted(node.url, { counter: "queries", count: clients.length });
  for (const client of clients) client.abort();
  for (const outcome of await Promise.allSettled(gone)) strictEqual(outcome.status, "rejected");
  const response = await fetch(`${node.url}/db/query?q=SELECT%201`, {
    signal: AbortSignal.timeout(5_000),
  });
  deepStrictEqual((await response.json()).results[0].values, [[1]]);
  await untilCounted(node.url, { counter: "clients_gone", count: clients.length });
});
