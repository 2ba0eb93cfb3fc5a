import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import type { HeartbeatMessage, Message } from "./message.ts";
import { READS_PENDING_MAX } from "./limits.ts";
import { at, change, normal, TestCluster, TestNode } from "./test_cluster.ts";

function cluster(config: object = {}): TestCluster {
  const made = new TestCluster({ voters: [1, 2, 3], config });
  made.elect(1);
  return made;
}

function heartbeats(messages: readonly Message[]): readonly HeartbeatMessage[] {
  return messages.filter((message) => message.kind === "heartbeat");
}

function answer(from: number, ofTerm: number, readRound: number): Message {
  return {
    kind: "heartbeat_response",
    from: nodeId(from),
    to: nodeId(1),
    term: term(ofTerm),
    readRound,
  };
}

Deno.test("readIndex() on a leader is answered when a quorum has confirmed it, not before", () => {
  const made = cluster();
  const node = made.node(1);
  strictEqual(node.raft.readIndex(7), "taken");
  const sent = heartbeats(node.drain());
  deepStrictEqual(sent.map((message) => [message.to, message.readRound]), [[2, 1], [3, 1]]);
  deepStrictEqual(node.reads, []);
  node.step(answer(2, 1, 1));
  deepStrictEqual(node.reads, [{ context: 7, index: 1 }]);
});

Deno.test("readIndex() fixes the commit index at the time of the question", () => {
  const made = cluster();
  made.raft(1).readIndex(1);
  made.raft(1).propose([normal(1)]);
  made.settle();
  made.raft(1).readIndex(2);
  made.settle();
  deepStrictEqual(made.node(1).reads, [{ context: 1, index: 1 }, { context: 2, index: 2 }]);
});

Deno.test("readIndex() waits until an entry of the leader's own term is committed (etcd 7331)", () => {
  const made = new TestCluster({ voters: [1, 2, 3] });
  made.raft(1).campaign();
  made.settle((message) => message.kind === "append");
  strictEqual(made.raft(1).role, "leader");
  made.raft(1).readIndex(7);
  made.heartbeat(1);
  deepStrictEqual(made.node(1).reads, [{ context: 7, index: 1 }]);
  const early = new TestCluster({ voters: [1, 2, 3] });
  early.raft(1).campaign();
  early.settle((message) => message.kind === "append");
  early.raft(1).readIndex(7);
  deepStrictEqual(heartbeats(early.raft(1).ready().messages), []);
});

Deno.test("readIndex() of a single voter waits for its own term too: its commit index need not be durable", () => {
  const node = new TestNode({
    id: 1,
    voters: [1],
    log: [1, 1, 1],
    hardState: { term: term(1), vote: nodeId(1), commit: at(1) },
  });
  node.raft.campaign();
  const elected = node.raft.ready();
  ok(elected.append !== undefined);
  node.raft.appended(elected.append);
  strictEqual(node.raft.role, "leader");
  node.raft.readIndex(5);
  const began = node.raft.ready();
  ok(began.append !== undefined);
  deepStrictEqual(began.readStates, []);
  node.storage.append(began.append.entries);
  node.raft.appended(began.append);
  node.drain();
  // Entry 3 was acknowledged before the restart, although the stored commit index is 1.
  deepStrictEqual(node.reads, [{ context: 5, index: 4 }]);
});

Deno.test("late answers to an earlier round confirm nothing asked since (etcd 20418)", () => {
  const made = cluster();
  const node = made.node(1);
  node.raft.readIndex(7);
  node.drain();
  node.raft.readIndex(7);
  node.drain();
  node.step(answer(2, 1, 1));
  deepStrictEqual(node.reads, [{ context: 7, index: 1 }]);
  node.step(answer(3, 1, 1));
  strictEqual(node.reads.length, 1);
  node.step(answer(3, 1, 2));
  strictEqual(node.reads.length, 2);
});

Deno.test("a later round confirms all before it, one answer for many reads", () => {
  const made = cluster();
  const node = made.node(1);
  for (const context of [1, 2, 3]) {
    node.raft.readIndex(context);
    node.drain();
  }
  node.step(answer(2, 1, 3));
  deepStrictEqual(node.reads.map((read) => read.context), [1, 2, 3]);
});

Deno.test("reads between two Readys share one round of heartbeats", () => {
  const made = cluster();
  const node = made.node(1);
  for (let context = 0; context < 100; context++) node.raft.readIndex(context);
  strictEqual(heartbeats(node.drain()).length, 2);
  node.step(answer(2, 1, 1));
  strictEqual(node.reads.length, 100);
});

Deno.test("heartbeats repeat the round while reads wait, so that a lost one delays no longer", () => {
  const made = cluster();
  const node = made.node(1);
  node.raft.readIndex(1);
  node.drain();
  node.tick(1);
  deepStrictEqual(heartbeats(node.drain()).map((message) => message.readRound), [1, 1]);
  node.step(answer(2, 1, 1));
  node.tick(1);
  deepStrictEqual(heartbeats(node.drain()).map((message) => message.readRound), [0, 0]);
});

Deno.test("readIndex() on a follower is answered through the leader", () => {
  const made = cluster();
  strictEqual(made.raft(2).readIndex(9), "taken");
  made.settle();
  deepStrictEqual(made.node(2).reads, [{ context: 9, index: 1 }]);
  deepStrictEqual(made.node(1).reads, []);
});

Deno.test("a follower forgets reads that are lost while the leader stays: they fill its queue no longer than an election timeout", () => {
  const made = cluster();
  const { electionTicks, heartbeatTicks } = made.raft(2).state.config;
  for (let context = 0; context < READS_PENDING_MAX; context++) made.raft(2).readIndex(context);
  const [first] = made.node(2).drain();
  ok(first?.kind === "read_index");
  strictEqual(made.raft(2).readIndex(-1), "overloaded");
  for (let ticks = 0; ticks < electionTicks; ticks++) {
    strictEqual(made.raft(2).readIndex(-1), "overloaded");
    made.node(2).tick(1);
    if (ticks % heartbeatTicks === 0) made.heartbeat(1);
  }
  strictEqual(made.raft(2).state.leader, 1);
  // An answer to a forgotten one may still come, and is nobody's.
  made.node(2).step({
    kind: "read_index_response",
    from: nodeId(1),
    to: nodeId(2),
    term: term(1),
    requestId: first.requestId,
    index: at(1),
  });
  deepStrictEqual(made.node(2).reads, []);
  strictEqual(made.raft(2).readIndex(7), "taken");
  made.settle();
  deepStrictEqual(made.node(2).reads, [{ context: 7, index: 1 }]);
  deepStrictEqual(made.node(2).readsDropped, []);
});

Deno.test("request ids start at random, so that an answer to a node before its restart fits nothing", () => {
  const ids = [0.1, 0.7].map((random) => {
    const node = new TestNode({ id: 2, voters: [1, 2, 3], random: () => random });
    node.step({ ...heartbeatFrom(1), to: nodeId(2) });
    node.raft.readIndex(1);
    const [request] = node.drain();
    return request?.kind === "read_index" ? request.requestId : 0;
  });
  ok(ids[0] !== ids[1] && ids.every((id) => id > 2 ** 40));
});

function heartbeatFrom(from: number): HeartbeatMessage {
  return {
    kind: "heartbeat",
    from: nodeId(from),
    to: nodeId(1),
    term: term(1),
    commit: at(0),
    readRound: 0,
  };
}

Deno.test("reads are given up when leader or term change, and come back as dropped", () => {
  const made = cluster();
  made.isolate(1);
  made.raft(1).readIndex(1);
  made.raft(2).readIndex(2);
  made.settle();
  made.raft(2).campaign();
  made.settle();
  strictEqual(made.raft(2).role, "leader");
  deepStrictEqual(made.node(2).readsDropped, [2]);
  made.heal();
  made.heartbeat(2);
  deepStrictEqual(made.node(1).readsDropped, [1]);
  deepStrictEqual([...made.node(1).reads, ...made.node(2).reads], []);
});

Deno.test("a deposed leader answers no read that it took before it heard of the next one", () => {
  const made = cluster();
  made.isolate(1);
  made.raft(2).campaign();
  made.settle();
  made.raft(2).propose([normal(1)]);
  made.settle();
  made.raft(1).readIndex(3);
  made.heal();
  made.heartbeat(1);
  deepStrictEqual(made.node(1).reads, []);
  made.heartbeat(2);
  deepStrictEqual(made.node(1).reads, []);
  deepStrictEqual(made.node(1).readsDropped, [3]);
});

Deno.test("pending reads are looked at again when a configuration change makes the quorum smaller", () => {
  const made = new TestCluster({ voters: [1, 2] });
  made.elect(1);
  made.raft(1).proposeConfChange(change("r2"));
  made.collect();
  made.raft(1).readIndex(4);
  // Node 2 acknowledges the entry and no heartbeat: only the change itself can complete the read.
  made.settle((message) => message.kind === "heartbeat");
  deepStrictEqual(made.raft(1).configuration.voters, [1]);
  deepStrictEqual(made.node(1).reads, [{ context: 4, index: 1 }]);
});

Deno.test("learners' answers do not confirm reads", () => {
  const made = cluster();
  made.add({ id: 4, voters: [1, 2, 3] });
  made.raft(1).proposeConfChange(change("l4"));
  made.settle();
  made.raft(1).readIndex(1);
  made.node(1).drain();
  made.node(1).step(answer(4, 1, 1));
  deepStrictEqual(made.node(1).reads, []);
});

Deno.test("readIndex() is refused without a leader, and when too many wait", () => {
  const made = new TestCluster({ voters: [1, 2, 3] });
  strictEqual(made.raft(1).readIndex(1), "no_leader");
  made.elect(1);
  for (let i = 0; i < READS_PENDING_MAX; i++) made.raft(1).readIndex(i);
  strictEqual(made.raft(1).readIndex(0), "overloaded");
});
