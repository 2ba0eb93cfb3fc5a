import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import { FatalError } from "../base/errors.ts";
import { encodeConfChange } from "./conf_change.ts";
import type { Message } from "./message.ts";
import { votersOnly } from "./configuration.ts";
import { at, change, entry, normal, TestCluster, TestNode } from "./test_cluster.ts";

const CONFIGURATION = votersOnly([1, 2, 3]);

/** Node 1 leads; node 3 was away while the log was compacted behind what it has. */
function withLaggard(config: object = {}): TestCluster {
  const cluster = new TestCluster({ voters: [1, 2, 3], config });
  cluster.elect(1);
  cluster.isolate(3);
  for (let i = 0; i < 5; i++) cluster.raft(1).propose([normal(1)]);
  cluster.settle();
  cluster.node(1).storage.compact(at(5));
  cluster.heal();
  return cluster;
}

function member(cluster: TestCluster, id: number): { state: string; match: number; next: number } {
  const found = cluster.raft(1).status().members.find((one) => one.id === id);
  return { state: found?.state ?? "", match: found?.match ?? 0, next: found?.next ?? 0 };
}

function snapshotTo(node: TestNode, index: number, ofTerm: number): Message {
  const snapshot = { index: at(index), term: term(ofTerm), configuration: CONFIGURATION };
  return { kind: "snapshot", from: nodeId(2), to: node.id, term: term(ofTerm), snapshot };
}

Deno.test("a peer behind the first entry gets a snapshot, then entries again", () => {
  const cluster = withLaggard();
  cluster.heartbeat(1);
  strictEqual(cluster.node(1).traced("snapshot_sent").length, 1);
  deepStrictEqual(member(cluster, 3), { state: "replicate", match: 6, next: 7 });
  strictEqual(cluster.raft(3).hardState.commit, 6);
  cluster.raft(1).propose([normal(1)]);
  cluster.settle();
  strictEqual(cluster.raft(3).status().lastIndex, 7);
});

Deno.test("no snapshot is sent to a peer that was not heard from", () => {
  const cluster = withLaggard({ checkQuorum: true });
  cluster.isolate(3);
  for (let i = 0; i < 21; i++) cluster.heartbeat(1);
  strictEqual(cluster.raft(1).role, "leader");
  cluster.node(1).trace.length = 0;
  // An answer to an old probe would ask for it, had the peer been alive.
  cluster.raft(1).state.members.progress(nodeId(3))?.becomeProbe();
  cluster.raft(1).propose([normal(1)]);
  cluster.settle();
  strictEqual(cluster.node(1).traced("snapshot_sent").length, 0);
  ok(cluster.node(1).traced("snapshot_not_sent").length > 0);
});

Deno.test("while a snapshot is under way nothing else is sent; reports end it either way", () => {
  for (const outcome of ["installed", "failed"] as const) {
    const cluster = withLaggard();
    cluster.node(1).tick(1);
    cluster.settle((message) => message.kind === "snapshot");
    strictEqual(member(cluster, 3).state, "snapshot");
    cluster.raft(1).propose([normal(1)]);
    cluster.collect();
    ok(!cluster.wire.some((message) => message.to === 3));
    cluster.raft(1).reportSnapshot({ peer: nodeId(3), outcome });
    const next = outcome === "installed" ? 7 : 2;
    deepStrictEqual(member(cluster, 3), { state: "probe", match: 1, next });
    cluster.raft(1).propose([normal(1)]);
    cluster.collect();
    ok(!cluster.wire.some((message) => message.to === 3));
    cluster.heartbeat(1);
    cluster.heartbeat(1);
    cluster.raft(1).reportSnapshot({ peer: nodeId(3), outcome: "installed" });
    cluster.heartbeat(1);
    strictEqual(cluster.raft(3).status().lastIndex, 8);
  }
});

Deno.test("reportSnapshot() is ignored for peers without one, and on followers", () => {
  const cluster = withLaggard();
  cluster.raft(1).reportSnapshot({ peer: nodeId(2), outcome: "failed" });
  cluster.raft(2).reportSnapshot({ peer: nodeId(1), outcome: "failed" });
  strictEqual(member(cluster, 2).state, "replicate");
});

Deno.test("a snapshot that does not know the peer is not sent: a newer one is asked for", () => {
  const cluster = new TestCluster({ voters: [1, 2] });
  cluster.elect(1);
  cluster.raft(1).propose([normal(1)]);
  cluster.settle();
  const { storage } = cluster.node(1);
  storage.compact(at(2));
  const old = storage.latestSnapshot;
  cluster.add({ id: 3, voters: [] });
  cluster.raft(1).proposeConfChange(change("l3"));
  cluster.settle((message) => message.to === 3);
  const fresh = storage.latestSnapshot;
  storage.latestSnapshot = old;
  cluster.heartbeat(1);
  strictEqual(cluster.node(1).traced("snapshot_sent").length, 0);
  storage.latestSnapshot = fresh;
  cluster.heartbeat(1);
  strictEqual(cluster.raft(3).status().lastIndex, 3);
});

Deno.test("a snapshot replaces log and configuration; it must be synced before the answer leaves", () => {
  const node = new TestNode({ id: 1, voters: [1], log: [1, 1], hardState: { term: term(2) } });
  node.raft.step(snapshotTo(node, 9, 2));
  const ready = node.raft.ready();
  deepStrictEqual(ready.messages, []);
  ok(ready.append?.mustSync === true);
  strictEqual(ready.append.snapshot?.index, 9);
  strictEqual(ready.append.responses.length, 1);
  strictEqual(ready.apply, undefined);
  deepStrictEqual(node.raft.configuration, CONFIGURATION);
  strictEqual(node.raft.hardState.commit, 9);
});

Deno.test("a snapshot at or behind the commit index is refused: the state never goes back", () => {
  const node = new TestNode({
    id: 1,
    voters: [1, 2, 3],
    log: [1, 1, 1],
    hardState: { term: term(1), commit: at(2) },
  });
  for (const index of [1, 2]) {
    const [answer] = node.step(snapshotTo(node, index, 1));
    ok(answer?.kind === "append_response");
    strictEqual(answer.index, 2);
  }
  strictEqual(node.raft.status().lastIndex, 3);
});

Deno.test("a snapshot whose last entry is here only moves the commit index", () => {
  const node = new TestNode({
    id: 1,
    voters: [1, 2, 3],
    log: [1, 1, 1],
    hardState: { term: term(1) },
  });
  node.step(snapshotTo(node, 2, 1));
  strictEqual(node.raft.hardState.commit, 2);
  strictEqual(node.raft.status().lastIndex, 3);
  strictEqual(node.traced("restore_fast_forwarded").length, 1);
});

Deno.test("a snapshot of a configuration without this node is refused", () => {
  const node = new TestNode({ id: 1, voters: [1] });
  const snapshot = { index: at(9), term: term(1), configuration: votersOnly([2, 3]) };
  node.step({ kind: "snapshot", from: nodeId(2), to: nodeId(1), term: term(1), snapshot });
  strictEqual(node.raft.hardState.commit, 0);
  strictEqual(node.traced("snapshot_refused").length, 1);
});

Deno.test("changes from before a pending snapshot concern the state, not the configuration in force", () => {
  const payload = encodeConfChange(change("v4"));
  const addition = { ...entry(1, 1), kind: "conf_change", size: payload.length, payload } as const;
  const node = new TestNode({ id: 1, voters: [1, 2, 3] });
  node.raft.step({
    kind: "append",
    from: nodeId(2),
    to: nodeId(1),
    term: term(1),
    prevIndex: at(0),
    prevTerm: term(0),
    entries: [addition],
    commit: at(1),
  });
  const written = node.raft.ready().append;
  ok(written !== undefined);
  node.storage.append(written.entries);
  node.raft.appended(written);
  const { apply } = node.raft.ready();
  ok(apply !== undefined);
  node.raft.step(snapshotTo(node, 9, 1));
  deepStrictEqual(node.raft.applyConfChange(change("v4")).voters, [1, 2, 3, 4]);
  node.raft.applied(apply);
  deepStrictEqual(node.raft.configuration, CONFIGURATION);
});

Deno.test("requestSnapshot() brings a snapshot at or past the follower's whole log, and loses nothing", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.raft(1).propose([normal(1), normal(1)]);
  cluster.settle();
  ok(cluster.raft(3).requestSnapshot());
  cluster.settle();
  strictEqual(cluster.node(3).traced("restored").length, 1);
  ok(!cluster.raft(3).status().wantsSnapshot);
  cluster.raft(1).propose([normal(1)]);
  cluster.settle();
  strictEqual(cluster.raft(3).hardState.commit, 4);
});

Deno.test("requestSnapshot() is repeated with heartbeats, since request or snapshot may be lost", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.raft(3).requestSnapshot();
  cluster.settle((message) => message.kind === "snapshot_request");
  cluster.heartbeat(1);
  strictEqual(cluster.node(3).traced("restored").length, 1);
});

Deno.test("requestSnapshot() holds back what is behind the request until there is a snapshot", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  const { storage } = cluster.node(1);
  storage.latestSnapshot = undefined;
  cluster.raft(3).requestSnapshot();
  cluster.settle();
  cluster.raft(1).propose([normal(1)]);
  cluster.settle();
  strictEqual(cluster.raft(3).status().lastIndex, 1);
  cluster.heartbeat(1);
  cluster.heartbeat(1);
  strictEqual(cluster.raft(3).status().lastIndex, 2);
  strictEqual(cluster.node(3).traced("restored").length, 1);
});

Deno.test("requestSnapshot() in a cluster of two cannot stall commits", () => {
  const cluster = new TestCluster({ voters: [1, 2] });
  cluster.elect(1);
  cluster.raft(1).propose([normal(1)]);
  cluster.settle((message) => message.kind === "append_response");
  cluster.raft(2).campaign();
  cluster.settle((message) => message.kind === "append");
  strictEqual(cluster.raft(2).role, "leader");
  // Entry 2 is of an earlier term: it is committed only by an entry behind it, which node 1 lacks.
  cluster.node(2).tick(1);
  cluster.settle((message) => message.kind === "append");
  strictEqual(cluster.raft(1).leader, 2);
  ok(cluster.raft(1).requestSnapshot());
  for (let i = 0; i < 4; i++) cluster.heartbeat(2);
  strictEqual(cluster.raft(2).hardState.commit, 3);
  strictEqual(cluster.node(1).traced("restored").length, 1);
});

Deno.test("requestSnapshot() cannot stall commits although the snapshot never comes, or waits for them", () => {
  const cluster = new TestCluster({ voters: [1, 2] });
  cluster.elect(1);
  const { raft, storage } = cluster.node(1);
  storage.snapshot = () => undefined;
  cluster.raft(2).requestSnapshot();
  cluster.settle();
  raft.propose([normal(1)]);
  cluster.heartbeat(1);
  strictEqual(raft.status().lastIndex - raft.hardState.commit, 1);
  const { electionTicks, heartbeatTicks } = raft.state.config;
  for (let ticks = 0; ticks <= electionTicks; ticks += heartbeatTicks) cluster.heartbeat(1);
  strictEqual(raft.hardState.commit, raft.status().lastIndex);
});

Deno.test("a requested snapshot that ends before the log takes nothing away that may have been counted", () => {
  const node = new TestNode({
    id: 1,
    voters: [1, 2, 3],
    log: [1, 1, 1, 1, 1],
    hardState: { term: term(1), commit: at(2) },
  });
  node.step({
    kind: "heartbeat",
    from: nodeId(2),
    to: nodeId(1),
    term: term(1),
    commit: at(2),
    readRound: 0,
  });
  ok(node.raft.requestSnapshot());
  node.step(snapshotTo(node, 3, 1));
  strictEqual(node.raft.status().lastIndex, 5);
  ok(node.raft.status().wantsSnapshot);
  node.step(snapshotTo(node, 5, 1));
  strictEqual(node.traced("restored").length, 1);
});

Deno.test("requestSnapshot() needs a leader", () => {
  const node = new TestNode({ id: 1, voters: [1, 2] });
  ok(!node.raft.requestSnapshot());
});

Deno.test("a node that lost entries it acknowledged stops instead of answering", () => {
  const node = new TestNode({ id: 1, voters: [1, 2, 3], log: [1], hardState: { term: term(1) } });
  const beat: Message = {
    kind: "heartbeat",
    from: nodeId(2),
    to: nodeId(1),
    term: term(1),
    commit: at(5),
    readRound: 0,
  };
  throws(() => node.raft.step(beat), FatalError);
});
