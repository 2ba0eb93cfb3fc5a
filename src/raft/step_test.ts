import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import { FatalError } from "../base/errors.ts";
import type { AppendMessage, Message } from "./message.ts";
import { at, entry, normal, TestCluster, TestNode } from "./test_cluster.ts";

function append(options: Partial<AppendMessage>): AppendMessage {
  return {
    kind: "append",
    from: nodeId(2),
    to: nodeId(1),
    term: term(5),
    prevIndex: at(0),
    prevTerm: term(0),
    entries: [],
    commit: at(0),
    ...options,
  };
}

function follower(config: object = {}): TestNode {
  return new TestNode({
    id: 1,
    voters: [1, 2, 3],
    log: [1, 1, 2],
    hardState: { term: term(5), commit: at(1) },
    config,
  });
}

Deno.test("step() refuses answers from who is no member", () => {
  const node = follower();
  const stranger: Message = {
    kind: "append_response",
    from: nodeId(9),
    to: nodeId(1),
    term: term(7),
    index: at(1),
    rejection: undefined,
  };
  strictEqual(node.raft.step(stranger), "peer_not_found");
  strictEqual(node.raft.term, 5);
});

Deno.test("step() calls an append malformed whose entries have gaps or terms that fall or run ahead", () => {
  const node = follower();
  const lists = [
    [entry(2, 1)],
    [entry(1, 1), entry(3, 1)],
    [entry(1, 2), entry(2, 1)],
    [entry(1, 6)],
  ];
  for (const entries of lists) strictEqual(node.raft.step(append({ entries })), "malformed");
  strictEqual(node.raft.step(append({ prevIndex: at(1), prevTerm: term(6) })), "malformed");
  deepStrictEqual(node.drain(), []);
});

Deno.test("step() accepts an append of what is here already without shortening the log", () => {
  const node = follower();
  const message = append({
    prevIndex: at(1),
    prevTerm: term(1),
    entries: [entry(2, 1)],
    commit: at(3),
  });
  const [answer] = node.step(message);
  ok(answer?.kind === "append_response" && answer.rejection === undefined);
  strictEqual(answer.index, 2);
  strictEqual(node.raft.status().lastIndex, 3);
  // Only what this message verified is committed: entry 3 may be another one than the leader's.
  strictEqual(node.raft.hardState.commit, 2);
});

Deno.test("step() commits no further than the message verified, even an empty one", () => {
  const node = follower();
  node.step(append({ prevIndex: at(2), prevTerm: term(1), commit: at(3) }));
  strictEqual(node.raft.hardState.commit, 2);
});

Deno.test("step() of an append behind the commit index answers with the commit index", () => {
  const node = follower();
  const [answer] = node.step(append({ entries: [entry(1, 1)] }));
  ok(answer?.kind === "append_response");
  strictEqual(answer.index, 1);
});

Deno.test("step() stops the node when a committed entry would be overwritten", () => {
  const node = follower();
  node.step(append({ prevIndex: at(1), prevTerm: term(1), entries: [entry(2, 1)], commit: at(2) }));
  const conflicting = append({ prevIndex: at(2), prevTerm: term(1), entries: [entry(3, 5)] });
  strictEqual(node.raft.step(conflicting), "stepped");
  const rewritten = append({
    prevIndex: at(2),
    prevTerm: term(1),
    commit: at(3),
    entries: [entry(3, 5)],
  });
  node.step(rewritten);
  const log = node.raft.state.log;
  throws(() =>
    log.maybeAppend({
      prev: { index: at(2), term: term(1) },
      entries: [entry(3, 4)],
      commit: at(3),
    }), FatalError);
});

Deno.test("step() of a lower term is answered with the own term where terms are kept, else ignored", () => {
  const beat: Message = {
    kind: "heartbeat",
    from: nodeId(2),
    to: nodeId(1),
    term: term(4),
    commit: at(0),
    readRound: 0,
  };
  for (const config of [{ preVote: true }, { checkQuorum: true }]) {
    for (const message of [beat, append({ term: term(4) })]) {
      const [answer] = follower(config).step(message);
      ok(answer?.kind === "append_response");
      deepStrictEqual([answer.term, answer.index], [5, 0]);
    }
  }
  deepStrictEqual(follower().step(beat), []);
});

Deno.test("a node stuck at a higher term frees itself and the leader (check-quorum)", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3], config: { checkQuorum: true } });
  cluster.elect(1);
  cluster.isolate(3);
  for (let i = 0; i < 3; i++) cluster.raft(3).campaign();
  cluster.settle();
  strictEqual(cluster.raft(3).term, 4);
  cluster.heal();
  cluster.heartbeat(1);
  strictEqual(cluster.raft(1).role, "follower");
  strictEqual(cluster.raft(1).term, 4);
  cluster.elect(1);
  strictEqual(cluster.raft(3).leader, 1);
});

Deno.test("step() with doubled and reordered messages ends in the same log", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  for (let i = 0; i < 5; i++) cluster.raft(1).propose([normal(i)]);
  cluster.collect();
  const wire = cluster.wire.toReversed();
  cluster.wire = [...wire, ...wire, ...cluster.wire];
  cluster.settle();
  cluster.heartbeat(1);
  cluster.heartbeat(1);
  for (const id of [2, 3]) {
    deepStrictEqual(cluster.node(id).storage.all(), cluster.node(1).storage.all());
    strictEqual(cluster.raft(id).hardState.commit, 6);
  }
});

Deno.test("step() passes payloads through untouched, whatever bytes they hold", () => {
  const payload = new Uint8Array([0, 255, 195, 40, 10, 34]);
  const cluster = new TestCluster({ voters: [1, 2] });
  cluster.elect(1);
  cluster.raft(1).propose([{ kind: "normal", size: payload.length, payload }]);
  cluster.settle();
  strictEqual(cluster.node(2).applied.at(-1)?.payload, payload);
});

Deno.test("step() of a second leader's append in the own term does not depose this leader", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  strictEqual(cluster.raft(1).step(append({ term: term(1) })), "malformed");
  strictEqual(cluster.raft(1).role, "leader");
});
