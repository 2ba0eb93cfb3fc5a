/**
 * Three processes are one database: every node takes every request, and what one of them acknowledged is
 * there on all, whoever dies or leaves.
 */
import { match, ok, strictEqual } from "node:assert/strict";
import { eventually, execute, get, type Member, TestCluster, values } from "./cluster.ts";

const LEVELS = ["weak", "linearizable", "strong", "auto"] as const;

Deno.test("three nodes: writes and reads of every level on every node", async () => {
  await using cluster = await TestCluster.start(3);
  const [first, second, third] = cluster.members;
  ok(first !== undefined && second !== undefined && third !== undefined);
  // A node that joins is ready only once it has its vote (rule M5).
  strictEqual(await get(third, "/status?key=store.raft.voter"), "true");
  match(await execute(third, ["CREATE TABLE t(a)"]), /\{"results":\[\{\}\]\}/);
  let count = 0;
  for (const member of cluster.members) {
    const text = await execute(member, [["INSERT INTO t VALUES(?)", ++count]], "?raft_index");
    match(text, /"rows_affected":1/);
    const index = Number(/"raft_index":(\d+)/.exec(text)?.[1]);
    for (const reader of cluster.members) {
      for (const level of LEVELS) {
        strictEqual(await values(reader, "SELECT count(*) FROM t", level), `[[${count}]]`, level);
      }
      const none = await get(
        reader,
        `/db/query?level=none&min_index=${index}&q=SELECT+max(a)+FROM+t`,
      );
      match(none, new RegExp(`\\[\\[${count}\\]\\]`));
    }
  }
  const nodes = JSON.parse(await get(second, "/nodes"));
  for (const { name, node } of cluster.members) {
    ok(nodes[name].reachable && nodes[name].voter);
    strictEqual(nodes[name].leader, name === "n1");
    strictEqual(nodes[name].api_addr, node.url);
    ok(nodes[name].time > 0);
    match(await get(second, "/readyz?sync"), /sync ok/);
  }
  strictEqual(
    await get(second, "/status?key=store.leader.addr"),
    JSON.stringify(first.node.raftAddress),
  );
});

Deno.test("a leader that is killed has a successor, nothing acknowledged is lost, and it comes back", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  await execute(leader, ["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"]);
  const [witness, other] = cluster.others(leader);
  ok(witness !== undefined && other !== undefined);
  await leader.node.stop("SIGKILL");
  match(await execute(witness, ["INSERT INTO t VALUES(2)"]), /"rows_affected":1/);
  ok(await cluster.leader(witness) !== leader);
  strictEqual(await values(other, "SELECT count(*) FROM t"), "[[2]]");
  const nodes = JSON.parse(await get(witness, "/nodes"));
  ok(!nodes[leader.name].reachable);
  ok(nodes[leader.name].error.length > 0);
  await cluster.restart(leader);
  strictEqual(await values(leader, "SELECT count(*) FROM t"), "[[2]]");
  await execute(leader, ["INSERT INTO t VALUES(3)"]);
  for (const member of cluster.members) {
    strictEqual(await values(member, "SELECT count(*) FROM t"), "[[3]]");
  }
});

Deno.test("a write sent again with its key gives the first answer, on any node, after a failover (X2)", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const [one, two] = cluster.others(leader);
  ok(one !== undefined && two !== undefined);
  await execute(leader, ["CREATE TABLE t(id INTEGER PRIMARY KEY, a)"]);
  const send = async ({ node }: Member, value: number): Promise<Response> =>
    await fetch(`${node.url}/db/execute`, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": "once" },
      body: JSON.stringify([["INSERT INTO t(a) VALUES(?)", value]]),
    });
  const first = await (await send(one, 1)).text();
  match(first, /"last_insert_id":1,"rows_affected":1/);
  await execute(two, ["INSERT INTO t(a) VALUES(2)"]);
  for (const member of cluster.members) strictEqual(await (await send(member, 1)).text(), first);
  await leader.node.stop("SIGKILL");
  for (const member of [one, two]) strictEqual(await (await send(member, 1)).text(), first);
  const other = await send(two, 3);
  strictEqual(other.status, 422, await other.text());
  strictEqual(await values(one, "SELECT count(*) FROM t"), "[[2]]");
});

Deno.test("a leader that is told to stop hands over, and no request fails meanwhile", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const [witness] = cluster.others(leader);
  ok(witness !== undefined);
  await execute(leader, ["CREATE TABLE t(a)"]);
  let written = 0;
  let isOver = false;
  const writing = (async () => {
    while (!isOver) {
      match(await execute(witness, ["INSERT INTO t VALUES(1)"]), /"rows_affected":1/);
      written += 1;
    }
  })();
  const status = await leader.node.stop("SIGTERM");
  await eventually(() => Promise.resolve(written > 20), "writes behind the hand-over");
  isOver = true;
  await writing;
  strictEqual(status.code, 0);
  strictEqual(await values(witness, "SELECT count(*) FROM t"), `[[${written}]]`);
});
