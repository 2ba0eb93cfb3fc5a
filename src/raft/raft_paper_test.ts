/**
 * The Raft paper (Ongaro and Ousterhout, extended version) and thesis, section by section: each test
 * quotes the rule it holds the engine to. Details and limits are tested beside the files.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import type { AppendMessage, Message } from "./message.ts";
import { at, entry, normal, TestCluster, TestNode } from "./test_cluster.ts";

function heartbeat(ofTerm: number, from = 2): Message {
  return {
    kind: "heartbeat",
    from: nodeId(from),
    to: nodeId(1),
    term: term(ofTerm),
    commit: at(0),
    readRound: 0,
  };
}

function granted(from: number, ofTerm: number): Message {
  return {
    kind: "vote_response",
    ballot: "vote",
    from: nodeId(from),
    to: nodeId(1),
    term: term(ofTerm),
    isGranted: true,
    commit: at(0),
    commitTerm: term(0),
  };
}

function append(
  ofTerm: number,
  prev: readonly [number, number],
  terms: readonly number[],
): AppendMessage {
  const [prevIndex, prevTerm] = prev;
  return {
    kind: "append",
    from: nodeId(2),
    to: nodeId(1),
    term: term(ofTerm),
    prevIndex: at(prevIndex),
    prevTerm: term(prevTerm),
    entries: terms.map((own, i) => entry(prevIndex + 1 + i, own)),
    commit: at(0),
  };
}

Deno.test("5.1: a candidate or leader that discovers a higher term reverts to follower", () => {
  for (const role of ["candidate", "leader"] as const) {
    const node = new TestNode({ id: 1, voters: [1, 2, 3] });
    node.raft.campaign();
    node.drain();
    if (role === "leader") node.step(granted(2, 1));
    strictEqual(node.raft.role, role);
    node.step(heartbeat(2));
    deepStrictEqual([node.raft.role, node.raft.term, node.raft.leader], ["follower", 2, 2]);
  }
});

Deno.test("5.1: a request with a stale term is rejected", () => {
  const node = new TestNode({ id: 1, voters: [1, 2, 3], hardState: { term: term(2) } });
  node.step(append(1, [0, 0], [1]));
  strictEqual(node.raft.status().lastIndex, 0);
});

Deno.test("5.2: servers begin as followers; without communication they increment term and campaign", () => {
  const node = new TestNode({ id: 1, voters: [1, 2, 3] });
  strictEqual(node.raft.role, "follower");
  node.tick(node.raft.state.electionTimeout);
  deepStrictEqual([node.raft.role, node.raft.term], ["candidate", 1]);
  const requests = node.drain();
  deepStrictEqual(requests.map((message) => [message.kind, message.to]), [
    ["vote_request", 2],
    ["vote_request", 3],
  ]);
  strictEqual(node.storage.hardState.vote, 1);
});

Deno.test("5.2: a candidate wins with votes from a majority, its own included, and not with fewer", () => {
  for (const [size, needed] of [[1, 0], [3, 1], [4, 2], [5, 2], [7, 3]] as const) {
    const voters = Array.from({ length: size }, (_, i) => i + 1);
    for (let votes = 0; votes <= needed; votes++) {
      const node = new TestNode({ id: 1, voters });
      node.raft.campaign();
      node.drain();
      for (let i = 0; i < votes; i++) node.step(granted(i + 2, 1));
      strictEqual(node.raft.role, votes === needed ? "leader" : "candidate");
    }
  }
});

Deno.test("5.2: repeated answers of one voter count once", () => {
  const node = new TestNode({ id: 1, voters: [1, 2, 3, 4, 5] });
  node.raft.campaign();
  node.drain();
  for (let i = 0; i < 5; i++) node.step(granted(2, 1));
  strictEqual(node.raft.role, "candidate");
});

Deno.test("5.2: a candidate recognises a leader of its own term and returns to follower", () => {
  for (const message of [heartbeat(1), append(1, [0, 0], [1])]) {
    const node = new TestNode({ id: 1, voters: [1, 2, 3] });
    node.raft.campaign();
    node.drain();
    node.step(message);
    deepStrictEqual([node.raft.role, node.raft.term, node.raft.leader], ["follower", 1, 2]);
    strictEqual(node.raft.hardState.vote, 1);
  }
});

Deno.test("5.2: a leader announces itself at once and by heartbeats", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  deepStrictEqual([2, 3].map((id) => cluster.raft(id).leader), [1, 1]);
});

Deno.test("5.3: a leader appends, replicates, commits with a majority, applies, and tells the followers", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.isolate(3);
  cluster.raft(1).propose([normal(9)]);
  cluster.settle();
  strictEqual(cluster.raft(1).hardState.commit, 2);
  strictEqual(cluster.node(1).applied.at(-1)?.size, 9);
  strictEqual(cluster.node(2).applied.at(-1)?.size, 9);
  strictEqual(cluster.raft(3).hardState.commit, 1);
});

Deno.test("5.3: a follower refuses an append whose preceding entry it does not have", () => {
  const cases = [[[0, 0], true], [[1, 1], true], [[2, 2], true], [[2, 1], false], [
    [3, 3],
    false,
  ]] as const;
  for (const [prev, accepts] of cases) {
    const node = new TestNode({
      id: 1,
      voters: [1, 2, 3],
      log: [1, 2],
      hardState: { term: term(2) },
    });
    const [answer] = node.step(append(3, prev, []));
    ok(answer?.kind === "append_response");
    strictEqual(answer.rejection === undefined, accepts);
  }
});

Deno.test("5.3: conflicting entries and all that follow them are deleted, others stay (figure 7)", () => {
  const leaderTerms = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  const followers = [
    [1, 1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 1, 4],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 1, 4, 4, 4, 4],
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  ];
  for (const log of followers) {
    const cluster = new TestCluster({
      voters: [1, 2, 3],
      setups: [
        { id: 1, log: leaderTerms, hardState: { term: term(7) } },
        { id: 2, log, hardState: { term: term(7) } },
        { id: 3, log: leaderTerms, hardState: { term: term(7) } },
      ],
    });
    cluster.elect(1);
    const terms = cluster.node(2).storage.all().map((one) => one.term);
    deepStrictEqual(terms, [...leaderTerms, 8]);
  }
});

Deno.test("5.4.1: a candidate without all committed entries cannot win", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.isolate(3);
  cluster.raft(1).propose([normal(1)]);
  cluster.settle();
  cluster.heal();
  cluster.isolate(1);
  cluster.raft(3).campaign();
  cluster.settle();
  strictEqual(cluster.raft(3).role, "candidate");
  cluster.elect(2);
  strictEqual(cluster.raft(2).hardState.commit, 3);
});

Deno.test("5.4.2: entries of earlier terms are not committed by counting (figure 8)", () => {
  const node = new TestNode({
    id: 1,
    voters: [1, 2, 3],
    log: [1, 2],
    hardState: { term: term(3) },
  });
  node.raft.campaign();
  node.drain();
  node.step(granted(2, 4));
  const accepted = (index: number): void => {
    const route = { from: nodeId(2), to: nodeId(1), term: term(4) };
    node.step({ kind: "append_response", ...route, index: at(index), rejection: undefined });
  };
  accepted(2);
  strictEqual(node.raft.hardState.commit, 0);
  accepted(3);
  strictEqual(node.raft.hardState.commit, 3);
});

Deno.test("5.5: repeated requests do no harm", () => {
  const node = new TestNode({ id: 1, voters: [1, 2, 3] });
  const message = append(1, [0, 0], [1, 1]);
  const [first] = node.step(message);
  const [second] = node.step(message);
  deepStrictEqual(first, second);
  strictEqual(node.storage.all().length, 2);
});

Deno.test("figure 2: term and vote survive a restart, and commit continues from what was stored", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.raft(1).propose([normal(1)]);
  cluster.settle();
  const { storage } = cluster.node(2);
  const again = new TestNode({
    id: 2,
    voters: [1, 2, 3],
    hardState: storage.hardState,
    applied: 1,
  }, storage);
  deepStrictEqual(again.raft.hardState, { term: 1, vote: 1, commit: 2 });
  again.drain();
  deepStrictEqual(again.applied.map((one) => one.index), [2]);
});

Deno.test("6, last part: servers ignore vote requests while they believe a leader exists", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3], config: { checkQuorum: true } });
  cluster.elect(1);
  cluster.raft(3).campaign();
  cluster.settle();
  deepStrictEqual([1, 2].map((id) => cluster.raft(id).term), [1, 1]);
});

Deno.test("7: a snapshot takes the place of a discarded log", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.isolate(3);
  cluster.raft(1).propose([normal(1), normal(1)]);
  cluster.settle();
  cluster.node(1).storage.compact(at(3));
  cluster.heal();
  cluster.heartbeat(1);
  strictEqual(cluster.node(3).storage.firstIndex, 4);
  strictEqual(cluster.raft(3).hardState.commit, 3);
});

Deno.test("8: a leader begins its term with an empty entry", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.elect(2);
  const [first, second] = cluster.node(3).storage.all();
  deepStrictEqual([first?.term, first?.size, second?.term, second?.size], [1, 0, 2, 0]);
});

Deno.test("thesis 3.10: a leader hands over to a named server at once", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.raft(1).transferLeadership(nodeId(3));
  cluster.settle();
  deepStrictEqual([1, 2, 3].map((id) => cluster.raft(id).leader), [3, 3, 3]);
});

Deno.test("thesis 6.4: a read index is confirmed by a majority without a log entry", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  const before = cluster.raft(1).status().lastIndex;
  cluster.raft(1).readIndex(1);
  cluster.settle();
  deepStrictEqual(cluster.node(1).reads, [{ context: 1, index: before }]);
  strictEqual(cluster.raft(1).status().lastIndex, before);
});

Deno.test("thesis 9.6: a pre-vote precedes the election and raises no term by itself", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3], config: { preVote: true } });
  cluster.isolate(1);
  for (let i = 0; i < 5; i++) cluster.raft(1).campaign();
  cluster.settle();
  deepStrictEqual([cluster.raft(1).role, cluster.raft(1).term], ["pre_candidate", 0]);
  cluster.heal();
  cluster.elect(1);
  strictEqual(cluster.raft(1).term, 1);
});

Deno.test("thesis 10.2.1: a leader sends entries while it writes them, and counts itself only when they are durable", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  const { raft } = cluster.node(1);
  raft.propose([normal(1)]);
  const ready = raft.ready();
  strictEqual(ready.messages.filter((message) => message.kind === "append").length, 2);
  ok(ready.append !== undefined);
  const accepted = { kind: "append_response", rejection: undefined, index: at(2) } as const;
  const single = new TestNode({ id: 1, voters: [1] });
  single.raft.campaign();
  single.drain();
  single.raft.propose([normal(1)]);
  const mine = single.raft.ready();
  strictEqual(single.raft.hardState.commit, 1);
  ok(mine.append !== undefined);
  single.storage.append(mine.append.entries);
  single.raft.appended(mine.append);
  strictEqual(single.raft.hardState.commit, 2);
  // In a cluster, a majority of others is enough.
  raft.step({ ...accepted, from: nodeId(2), to: nodeId(1), term: term(1) });
  strictEqual(raft.hardState.commit, 1);
  raft.step({ ...accepted, from: nodeId(3), to: nodeId(1), term: term(1) });
  strictEqual(raft.hardState.commit, 2);
});
