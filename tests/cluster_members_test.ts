/**
 * Members come and go (faults M1 to M10, D16): nobody takes the place of somebody else who is alive, whoever
 * lost its directory or was removed comes back as a new member, and what a quorum acknowledged stays.
 */
import { match, ok, rejects, strictEqual } from "node:assert/strict";
import { eventually, execute, get, type Member, TestCluster, values } from "./cluster.ts";
import { appliedIndex } from "./figures/failover.ts";
import { startNode } from "./process.ts";

const JSON_TYPE = { "content-type": "application/json" };

async function remove(via: Member, name: string): Promise<number> {
  const body = JSON.stringify({ id: name });
  const response = await fetch(`${via.node.url}/remove`, { method: "DELETE", body });
  await response.body?.cancel();
  return response.status;
}

async function names(member: Member): Promise<string[]> {
  return Object.keys(JSON.parse(await get(member, "/nodes?nonvoters")));
}

async function count(member: Member): Promise<number> {
  return Number(/\[\[(\d+)\]\]/.exec(await values(member, "SELECT count(*) FROM t"))?.[1]);
}

Deno.test("a read-only node has all data and no vote", async () => {
  await using cluster = await TestCluster.start(1);
  const [first] = cluster.members;
  ok(first !== undefined);
  await execute(first, ["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"]);
  const reader = await cluster.add("reader", ["--raft-non-voter"]);
  strictEqual(await values(reader, "SELECT count(*) FROM t", "auto"), "[[1]]");
  match(await execute(reader, ["INSERT INTO t VALUES(2)"]), /"rows_affected":1/);
  strictEqual(await count(reader), 2);
  strictEqual((await names(first)).join(), "n1,reader");
  strictEqual(Object.keys(JSON.parse(await get(first, "/nodes"))).join(), "n1");
  strictEqual(await get(reader, "/status?key=store.raft.voter"), "false");
  await reader.node.stop("SIGKILL");
  match(await execute(first, ["INSERT INTO t VALUES(3)"]), /"rows_affected":1/);
});

Deno.test("a member that was removed is gone at once, and comes back as a new one, its old data set aside (M4)", async () => {
  await using cluster = await TestCluster.start(3);
  const [first, second, third] = cluster.members;
  ok(first !== undefined && second !== undefined && third !== undefined);
  await execute(first, ["CREATE TABLE t(a)"]);
  strictEqual(await remove(second, "n3"), 200);
  strictEqual((await names(second)).join(), "n1,n2");
  strictEqual(await remove(second, "n3"), 200, "again is allowed");
  strictEqual(await remove(second, "nobody"), 200);
  await execute(first, ["INSERT INTO t VALUES(1)"]);
  await third.node.stop("SIGTERM");
  await cluster.restart(third);
  strictEqual((await names(first)).join(), "n1,n2,n3");
  strictEqual(await count(third), 1);
  const folders = [...Deno.readDirSync(third.dataDirectory)].map(({ name }) => name);
  strictEqual(folders.filter((name) => name.startsWith("removed-")).length, 1);
});

Deno.test("a leader can be removed, and the last voter cannot", async () => {
  await using cluster = await TestCluster.start(2);
  const leader = await cluster.leader();
  const [other] = cluster.others(leader);
  ok(other !== undefined);
  await execute(leader, ["CREATE TABLE t(a)"]);
  strictEqual(await remove(other, leader.name), 200);
  await eventually(async () => (await names(other)).join() === other.name, "the removal");
  match(await execute(other, ["INSERT INTO t VALUES(1)"]), /"rows_affected":1/);
  strictEqual(await remove(other, other.name), 500);
});

Deno.test("who lost its directory comes back in its own place, under a new number (D16)", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const [lost, other] = cluster.others(leader);
  ok(lost !== undefined && other !== undefined);
  await execute(leader, ["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"]);
  await lost.node.stop("SIGKILL");
  await Deno.remove(lost.dataDirectory, { recursive: true });
  await cluster.restart(lost, ["--join", other.node.raftAddress]);
  strictEqual((await names(other)).join(), "n1,n2,n3");
  strictEqual(await count(lost), 1);
  await other.node.stop("SIGKILL");
  match(await execute(lost, ["INSERT INTO t VALUES(2)"]), /"rows_affected":1/);
});

Deno.test("a name or address of somebody alive is refused, and the cluster does not notice (M4, M10)", async () => {
  await using cluster = await TestCluster.start(2);
  const [first, second] = cluster.members;
  ok(first !== undefined && second !== undefined);
  await execute(first, ["CREATE TABLE t(a)"]);
  const flags = ["--join", first.node.raftAddress];
  await rejects(
    startNode({ nodeId: "n2", flags }),
    /status 1\n.*the name n2 belongs to member 2, which is alive/s,
  );
  match(await execute(second, ["INSERT INTO t VALUES(1)"]), /"rows_affected":1/);
  strictEqual((await names(first)).join(), "n1,n2");
});

Deno.test("a member comes back with other addresses, and all know them", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const [moved, other] = cluster.others(leader);
  ok(moved !== undefined && other !== undefined);
  await execute(leader, ["CREATE TABLE t(a)"]);
  await moved.node.stop("SIGTERM");
  const { name: nodeId, dataDirectory, flags } = moved;
  moved.node = await startNode({ nodeId, dataDirectory, flags });
  await eventually(async () => {
    const nodes = JSON.parse(await get(other, "/nodes"));
    const { api_addr: api, addr } = nodes[moved.name];
    return api === moved.node.url && addr === moved.node.raftAddress;
  }, "the new addresses");
  await leader.node.stop("SIGKILL");
  match(await execute(other, ["INSERT INTO t VALUES(1)"]), /"rows_affected":1/);
});

Deno.test("leadership goes to whom POST /leader names", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const [target, witness] = cluster.others(leader);
  ok(target !== undefined && witness !== undefined);
  const body = JSON.stringify({ id: target.name });
  const init = { method: "POST", headers: JSON_TYPE, body };
  const response = await fetch(`${witness.node.url}/leader?wait`, init);
  strictEqual(response.status, 200, await response.text());
  await eventually(async () => await cluster.leader(witness) === target, "the leader named");
  match(await get(witness, "/leader"), new RegExp(`"id":"${target.name}"`));
});

Deno.test("POST /time on any node has the leader write the time that all clocks show (T1)", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const indexes = new Set([await appliedIndex(leader)]);
  for (const { node } of cluster.members) {
    const response = await fetch(`${node.url}/time`, { method: "POST" });
    strictEqual(response.status, 200, await response.text());
    indexes.add(await appliedIndex(leader));
  }
  strictEqual(indexes.size, 1 + cluster.members.length, "an entry each");
  match(await execute(leader, ["CREATE TABLE t(id)"]), /\{\}/);
});

Deno.test("a node of another cluster is refused by the cluster's id (M3)", async () => {
  await using cluster = await TestCluster.start(2);
  await using foreign = await TestCluster.start(2);
  const [first, second] = cluster.members;
  const [home, stranger] = foreign.members;
  ok(first !== undefined && second !== undefined);
  ok(home !== undefined && stranger !== undefined);
  await execute(first, ["CREATE TABLE t(a)"]);
  await second.node.stop("SIGKILL");
  await stranger.node.stop("SIGKILL");
  await home.node.stop("SIGKILL");
  // It takes the address of the second one, whose cluster is up, while its own is not.
  const { dataDirectory, flags } = stranger;
  const at = second.node;
  await rejects(
    startNode({ nodeId: "n2", dataDirectory, flags, at, readyMsMax: 4_000 }),
    /not ready in time[^]*belongs to cluster/,
  );
  await cluster.restart(second);
  match(await execute(second, ["INSERT INTO t VALUES(1)"]), /"rows_affected":1/);
});

Deno.test("members that are gone for long are removed, if the operator says so", async () => {
  await using cluster = await TestCluster.start(3, {
    flags: ["--raft-reap-node-timeout", "1s"],
  });
  const leader = await cluster.leader();
  const [gone, other] = cluster.others(leader);
  ok(gone !== undefined && other !== undefined);
  await gone.node.stop("SIGKILL");
  await eventually(async () => !(await names(other)).includes(gone.name), "the removal");
});

Deno.test("a node that leaves at its stop is gone at once, and the other goes on alone", async () => {
  await using cluster = await TestCluster.start(2, {
    flags: ["--raft-cluster-remove-shutdown=true"],
  });
  const leader = await cluster.leader();
  const [other] = cluster.others(leader);
  ok(other !== undefined);
  await execute(leader, ["CREATE TABLE t(a)"]);
  strictEqual((await leader.node.stop("SIGTERM")).code, 0);
  strictEqual((await names(other)).join(), other.name);
  match(await execute(other, ["INSERT INTO t VALUES(1)"]), /"rows_affected":1/);
});

Deno.test("/status shows the connections to the others", async () => {
  await using cluster = await TestCluster.start(2);
  const [first] = cluster.members;
  ok(first !== undefined);
  await execute(first, ["CREATE TABLE t(a)"]);
  const peers = JSON.parse(await get(first, "/status?key=cluster.peers"));
  strictEqual(peers.length, 1);
  ok(peers[0].control_connected && peers[0].sent_messages.append > 0);
});
