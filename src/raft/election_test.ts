import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import { encodeConfChange } from "./conf_change.ts";
import { votersOnly } from "./configuration.ts";
import { at, change, entry, TestCluster, TestNode } from "./test_cluster.ts";
import type { Entry } from "./types.ts";

function changeEntry(index: number, ofTerm: number, tokens: string): Entry {
  const payload = encodeConfChange(change(tokens));
  return { ...entry(index, ofTerm), kind: "conf_change", size: payload.length, payload };
}

/** A node whose entry 2 changes the configuration; committed up to 2, nothing applied. */
function withUnappliedChange(config: object = {}): TestNode {
  const node = new TestNode({
    id: 1,
    voters: [1, 2, 3],
    log: [1],
    hardState: { term: term(1), commit: at(1) },
    config,
  });
  node.raft.step({
    kind: "append",
    from: nodeId(2),
    to: nodeId(1),
    term: term(1),
    prevIndex: at(1),
    prevTerm: term(1),
    entries: [changeEntry(2, 1, "v4")],
    commit: at(2),
  });
  return node;
}

for (const cause of ["election", "timer", "transfer"] as const) {
  Deno.test(`campaign() is blocked by an unapplied configuration change: ${cause} (rule D2)`, () => {
    const node = withUnappliedChange({ electionTicks: 5, electionTicksMax: 5 });
    const start = (): void => {
      if (cause === "election") node.raft.campaign();
      else if (cause === "timer") { for (let i = 0; i < 5; i++) node.raft.tick(); }
      else {
        const { term: ofTerm } = node.raft;
        node.raft.step({ kind: "timeout_now", from: nodeId(2), to: nodeId(1), term: ofTerm });
      }
    };
    start();
    strictEqual(node.raft.role, "follower");
    strictEqual(node.traced("election_refused").at(-1)?.reason, "unapplied_conf_change");
    node.drain();
    start();
    strictEqual(node.raft.role, "candidate");
    deepStrictEqual(node.raft.configuration.voters, [1, 2, 3, 4]);
  });
}

Deno.test("campaign() after a restart waits until changes up to the stored commit are applied (rule D2)", () => {
  const node = new TestNode({ id: 1, voters: [1] });
  node.storage.append([entry(1, 1), changeEntry(2, 1, "v2")]);
  const again = new TestNode({
    id: 1,
    voters: [1],
    hardState: { term: term(1), commit: at(2) },
    applied: 1,
  }, node.storage);
  again.raft.campaign();
  strictEqual(again.traced("election_refused").at(-1)?.reason, "unapplied_conf_change");
});

Deno.test("campaign() is for voters: not learners, strangers, or with a snapshot to install", () => {
  const learner = { ...votersOnly([2]), learners: [nodeId(1)] };
  for (const configuration of [learner, votersOnly([2, 3])]) {
    const node = new TestNode({ id: 1, configuration });
    node.raft.campaign();
    strictEqual(node.traced("election_refused").at(-1)?.reason, "unpromotable");
    strictEqual(node.raft.role, "follower");
  }
  const node = new TestNode({ id: 1, voters: [1, 2, 3] });
  const snapshot = { index: at(9), term: term(1), configuration: votersOnly([1, 2, 3]) };
  node.raft.step({ kind: "snapshot", from: nodeId(2), to: nodeId(1), term: term(1), snapshot });
  node.raft.campaign();
  strictEqual(node.traced("election_refused").at(-1)?.reason, "unpromotable");
  node.drain();
  node.raft.campaign();
  strictEqual(node.raft.role, "candidate");
});

Deno.test("campaign() sends no vote request before term, vote and log are durable", () => {
  // Otherwise a candidate that crashes stands again in the same term with a shorter log, and is elected
  // by votes for the first attempt.
  const node = new TestNode({ id: 1, voters: [1, 2, 3] });
  node.raft.campaign();
  const ready = node.raft.ready();
  deepStrictEqual(ready.messages, []);
  strictEqual(ready.append?.hardState?.vote, 1);
  ok(ready.append !== undefined);
  const sent = node.raft.appended(ready.append);
  deepStrictEqual(sent.map((message) => message.kind), ["vote_request", "vote_request"]);
});

Deno.test("a pre-candidate keeps term and vote, and asks every preVoteRetryTicks (rule E1)", () => {
  const config = { preVote: true, preVoteRetryTicks: 4, electionTicks: 16, electionTicksMax: 31 };
  const node = new TestNode({ id: 1, voters: [1, 2, 3], config, hardState: { term: term(7) } });
  node.tick(16);
  strictEqual(node.raft.role, "pre_candidate");
  strictEqual(node.raft.term, 7);
  const ask = (): number =>
    node.drain().filter((message) => message.kind === "vote_request").length;
  strictEqual(ask(), 2);
  node.tick(3);
  strictEqual(ask(), 0);
  node.tick(1);
  strictEqual(ask(), 2);
  strictEqual(node.raft.hardState.vote, 0);
});

Deno.test("without preVoteRetryTicks a pre-candidate waits for its election timeout", () => {
  const config = { preVote: true, preVoteRetryTicks: 0, electionTicks: 10, electionTicksMax: 10 };
  const node = new TestNode({ id: 1, voters: [1, 2, 3], config });
  node.tick(10);
  node.drain();
  node.tick(9);
  strictEqual(node.drain().length, 0);
  node.tick(1);
  strictEqual(node.drain().length, 2);
});

Deno.test("a node that was cut off does not depose a healthy leader when it comes back (pre-vote)", () => {
  const cluster = new TestCluster({
    voters: [1, 2, 3],
    config: { preVote: true, checkQuorum: true },
  });
  cluster.elect(1);
  cluster.isolate(3);
  cluster.node(3).tick(60);
  cluster.settle();
  strictEqual(cluster.raft(3).term, 1);
  cluster.heal();
  cluster.node(3).tick(20);
  cluster.settle();
  cluster.heartbeat(1);
  strictEqual(cluster.raft(1).role, "leader");
  strictEqual(cluster.raft(3).leader, 1);
});

Deno.test("a leader that lost and regained its network is elected again with one node down", () => {
  // hashicorp/raft 605: followers refused their former leader's pre-vote because a leader was known: it.
  const cluster = new TestCluster({
    voters: [1, 2, 3],
    config: { preVote: true, checkQuorum: true },
  });
  cluster.elect(1);
  cluster.isolate(3);
  cluster.cutLink({ from: 2, to: 1 });
  cluster.node(1).tick(20);
  strictEqual(cluster.raft(1).role, "follower");
  cluster.settle();
  cluster.heal();
  cluster.isolate(3);
  cluster.raft(1).campaign();
  cluster.settle();
  strictEqual(cluster.raft(1).role, "leader");
});

Deno.test("election timeouts are drawn from all of [electionTicks, electionTicksMax], anew for each term", () => {
  const drawn = new Set<number>();
  let calls = 0;
  const node = new TestNode({
    id: 1,
    voters: [1, 2, 3],
    config: { electionTicks: 16, electionTicksMax: 31 },
    random: () => (calls++ % 64) / 64,
  });
  for (let i = 0; i < 200; i++) {
    node.raft.campaign();
    drawn.add(node.raft.state.electionTimeout);
  }
  strictEqual(Math.min(...drawn), 16);
  strictEqual(Math.max(...drawn), 31);
  strictEqual(drawn.size, 16);
});
