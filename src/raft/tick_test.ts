import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import { at, TestCluster, TestNode } from "./test_cluster.ts";

Deno.test("tick() of a leader sends heartbeats every heartbeatTicks", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3], config: { heartbeatTicks: 3 } });
  cluster.elect(1);
  const node = cluster.node(1);
  const counts = Array.from({ length: 7 }, () => {
    node.tick(1);
    return node.drain().length;
  });
  deepStrictEqual(counts, [0, 0, 2, 0, 0, 2, 0]);
});

Deno.test("tick() of a follower campaigns after the drawn timeout, and not while the leader is heard", () => {
  const config = { electionTicks: 10, electionTicksMax: 10 };
  const node = new TestNode({ id: 1, voters: [1, 2, 3], config });
  node.tick(9);
  strictEqual(node.raft.role, "follower");
  node.step({
    kind: "heartbeat",
    from: nodeId(2),
    to: nodeId(1),
    term: term(1),
    commit: at(0),
    readRound: 0,
  });
  node.tick(9);
  strictEqual(node.raft.role, "follower");
  node.tick(1);
  strictEqual(node.raft.role, "candidate");
});

Deno.test("tick() of a node that would rather not lead leaves three timeouts to the others (V2)", () => {
  const config = { electionTicks: 10, electionTicksMax: 10 };
  const node = new TestNode({ id: 1, voters: [1, 2, 3], config });
  node.raft.setReluctant({ isReluctant: true });
  node.tick(29);
  strictEqual(node.raft.role, "follower");
  node.tick(1);
  strictEqual(node.raft.role, "candidate");
});

Deno.test("tick() with check-quorum: a leader without a quorum steps down within two checks", () => {
  const config = {
    checkQuorum: true,
    checkQuorumTicks: 8,
    electionTicks: 10,
    electionTicksMax: 19,
  };
  const cluster = new TestCluster({ voters: [1, 2, 3], config });
  cluster.elect(1);
  cluster.node(1).tick(8);
  strictEqual(cluster.raft(1).role, "leader");
  cluster.node(1).tick(7);
  strictEqual(cluster.raft(1).role, "leader");
  cluster.node(1).tick(1);
  strictEqual(cluster.raft(1).role, "follower");
  strictEqual(cluster.raft(1).term, 1);
  strictEqual(cluster.raft(1).hardState.vote, 1);
});

Deno.test("tick() with check-quorum keeps a leader that half of the others still answer", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3], config: { checkQuorum: true } });
  cluster.elect(1);
  cluster.isolate(3);
  for (let i = 0; i < 50; i++) cluster.heartbeat(1);
  strictEqual(cluster.raft(1).role, "leader");
});

Deno.test("a single voter with check-quorum leads on, also with a dead learner", () => {
  const node = new TestNode({ id: 1, voters: [1], config: { checkQuorum: true } });
  node.raft.campaign();
  node.drain();
  node.tick(100);
  strictEqual(node.raft.role, "leader");
  ok(node.drain().length === 0);
});
