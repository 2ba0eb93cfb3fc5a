/**
 * A majority is lost for good (rule M3, fault M11): those that are left, listed in raft/peers.json, become a
 * new cluster with all that the furthest of them holds; who was not listed belongs to another cluster.
 */
import { match, ok, rejects, strictEqual } from "node:assert/strict";
import { eventually, execute, get, type Member, TestCluster, values } from "./cluster.ts";
import { startNode } from "./process.ts";

async function list(members: readonly Member[]): Promise<void> {
  const peers = members.map(({ name, node }) => ({ id: name, address: node.raftAddress }));
  for (const { dataDirectory } of members) {
    await Deno.writeTextFile(`${dataDirectory}/raft/peers.json`, JSON.stringify(peers));
  }
}

async function startAgain(member: Member): Promise<void> {
  const { name: nodeId, dataDirectory, node: at, flags } = member;
  const ram = flags.slice(flags.indexOf("--ram-dir"), flags.indexOf("--ram-dir") + 2);
  member.node = await startNode({ nodeId, dataDirectory, at, flags: ram });
}

Deno.test("one node that is left goes on alone, and the others are of another cluster then", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const [survivor, late] = cluster.others(leader);
  ok(survivor !== undefined && late !== undefined);
  await execute(survivor, ["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"]);
  for (const { node } of cluster.members) await node.stop("SIGKILL");
  await list([survivor]);
  await startAgain(survivor);
  strictEqual(await values(survivor, "SELECT count(*) FROM t"), "[[1]]");
  match(await execute(survivor, ["INSERT INTO t VALUES(2)"]), /"rows_affected":1/);
  strictEqual(Object.keys(JSON.parse(await get(survivor, "/nodes"))).join(), survivor.name);
  await survivor.node.stop("SIGKILL");
  await startAgain(survivor);
  strictEqual(await values(survivor, "SELECT count(*) FROM t"), "[[2]]");
  const { name: nodeId, dataDirectory, flags } = late;
  await rejects(startNode({ nodeId, dataDirectory, flags, at: late.node, readyMsMax: 3_000 }));
  const joiner = await startNode({ nodeId: "new", flags: ["--join", survivor.node.raftAddress] });
  await using _joiner = joiner;
  const member = { ...survivor, node: joiner };
  strictEqual(await values(member, "SELECT count(*) FROM t"), "[[2]]");
});

Deno.test("two nodes that are left agree on the one that is furthest, and the other joins it", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const [behind, ahead] = cluster.others(leader);
  ok(behind !== undefined && ahead !== undefined);
  await execute(leader, ["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"]);
  await behind.node.stop("SIGKILL");
  await execute(leader, ["INSERT INTO t VALUES(2)"]);
  for (const { node } of cluster.members) await node.stop("SIGKILL");
  await list([behind, ahead]);
  await Promise.all([startAgain(behind), startAgain(ahead)]);
  await eventually(async () => {
    const names = Object.keys(JSON.parse(await get(ahead, "/nodes"))).sort().join();
    return names === [behind.name, ahead.name].sort().join();
  }, "both to be members");
  for (const member of [behind, ahead]) {
    strictEqual(await values(member, "SELECT count(*) FROM t"), "[[2]]");
    match(await execute(member, ["UPDATE t SET a = a + 1"]), /"rows_affected":2/);
  }
});
