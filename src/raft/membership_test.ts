import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import { votersOnly } from "./configuration.ts";
import { at, change, entry, normal, TestCluster, TestNode } from "./test_cluster.ts";

function cluster(voters: readonly number[], config: object = {}): TestCluster {
  const made = new TestCluster({ voters, config });
  made.elect(1);
  return made;
}

Deno.test("applyConfChange() looks at the commit index again: fewer voters may be enough", () => {
  const made = cluster([1, 2]);
  made.raft(1).proposeConfChange(change("r2"));
  made.raft(1).propose([normal(1)]);
  // Node 2 acknowledges the change and nothing behind it.
  let answers = 0;
  made.settle((message) => message.kind === "append_response" && ++answers > 1);
  deepStrictEqual(made.raft(1).configuration.voters, [1]);
  strictEqual(made.raft(1).hardState.commit, 3);
});

Deno.test("a change takes effect when it is applied, not when it is appended", () => {
  const made = cluster([1, 2, 3]);
  made.isolate(2);
  made.isolate(3);
  made.raft(1).proposeConfChange(change("v4"));
  made.settle();
  strictEqual(made.raft(1).status().lastIndex, 2);
  deepStrictEqual(made.raft(1).configuration.voters, [1, 2, 3]);
});

Deno.test("ready() has the commit index of a change synced: the vote of a removed member may be gone", () => {
  for (const kind of ["normal", "conf_change"] as const) {
    const node = new TestNode({ id: 1, voters: [1, 2], log: [1], hardState: { term: term(1) } });
    const from = { from: nodeId(2), to: nodeId(1), term: term(1) };
    const entries = [{ ...entry(2, 1), kind }];
    const prev = { prevIndex: at(1), prevTerm: term(1) };
    node.raft.step({ kind: "append", ...from, ...prev, entries, commit: at(1) });
    ok(node.raft.ready().append?.mustSync === true);
    node.raft.step({ kind: "heartbeat", ...from, commit: at(2), readRound: 0 });
    const { append } = node.raft.ready();
    strictEqual(append?.hardState?.commit, 2);
    strictEqual(append.mustSync, kind === "conf_change");
  }
});

Deno.test("a joint configuration needs both majorities, for commits and for elections (Raft section 6)", () => {
  const made = cluster([1, 2, 3]);
  for (const id of [4, 5]) made.add({ id, voters: [1, 2, 3] });
  made.raft(1).proposeConfChange(change("v4 v5 r2 r3", "explicit"));
  made.settle();
  deepStrictEqual(made.raft(1).configuration.voters, [1, 4, 5]);
  for (const half of [[4, 5], [2, 3]]) {
    for (const id of half) made.isolate(id);
    made.raft(1).propose([normal(1)]);
    made.settle();
    const { commit, lastIndex } = made.raft(1).status();
    strictEqual(commit, lastIndex - 1);
    made.raft(1).state.members.progress(nodeId(half[0] as number))?.becomeProbe();
    made.heal();
    made.heartbeat(1);
    made.heartbeat(1);
    strictEqual(made.raft(1).hardState.commit, lastIndex);
  }
  for (const id of [4, 5]) made.isolate(id);
  made.raft(2).campaign();
  made.settle();
  strictEqual(made.raft(2).role, "candidate");
});

Deno.test("a leader that is removed steps down at once, and the others go on without it", () => {
  for (const tokens of ["r1", "l1"]) {
    const made = cluster([1, 2, 3]);
    made.raft(1).proposeConfChange(change(tokens));
    made.settle();
    strictEqual(made.raft(1).role, "follower");
    strictEqual(made.raft(1).leader, 0);
    made.elect(2);
    made.raft(2).propose([normal(1)]);
    made.settle();
    strictEqual(made.raft(3).hardState.commit, made.raft(2).status().lastIndex);
  }
});

Deno.test("a removed leader that may stay does not count itself", () => {
  const made = cluster([1, 2, 3], { stepDownOnRemoval: false });
  made.raft(1).proposeConfChange(change("r1"));
  made.raft(1).propose([normal(1)]);
  made.settle((message) => message.from === 3 && message.kind === "append_response");
  strictEqual(made.raft(1).role, "leader");
  // Entry 2 needed one of nodes 2 and 3 beside the leader, entry 3 needs both.
  strictEqual(made.raft(1).hardState.commit, 2);
});

Deno.test("learners receive the log and do not count", () => {
  const made = cluster([1, 2, 3]);
  made.add({ id: 4, voters: [1, 2, 3] });
  made.raft(1).proposeConfChange(change("l4"));
  made.settle();
  made.isolate(2);
  made.isolate(3);
  made.raft(1).propose([normal(1)]);
  made.settle();
  strictEqual(made.raft(4).status().lastIndex, 3);
  strictEqual(made.raft(1).hardState.commit, 2);
  made.raft(4).campaign();
  strictEqual(made.raft(4).role, "follower");
});

Deno.test("a promoted learner counts even before it knows of its promotion", () => {
  const made = cluster([1, 2]);
  made.add({ id: 3, voters: [1, 2] });
  made.raft(1).proposeConfChange(change("l3"));
  made.settle();
  made.raft(1).proposeConfChange(change("v3"));
  made.settle((message) => message.to === 3 && message.kind === "append" && message.commit > 2);
  deepStrictEqual(made.raft(3).configuration.learners, [3]);
  made.isolate(1);
  made.raft(2).campaign();
  made.settle();
  strictEqual(made.raft(2).role, "leader");
});

Deno.test("a new member is taken for alive until the next quorum check", () => {
  const made = cluster([1], { checkQuorum: true });
  made.raft(1).proposeConfChange(change("v2"));
  made.settle();
  ok(made.raft(1).status().members[1]?.isActive);
  made.node(1).tick(9);
  strictEqual(made.raft(1).role, "leader");
  made.node(1).tick(12);
  strictEqual(made.raft(1).role, "follower");
});

Deno.test("applyConfChange() stops the node when a committed change is impossible", () => {
  const node = new TestNode({ id: 1, voters: [1] });
  throws(() => node.raft.applyConfChange(change("r1")), /removed all voters/);
  deepStrictEqual(node.raft.configuration, votersOnly([1]));
});

Deno.test("node ids above 9 are hex in texts and plain numbers everywhere else", () => {
  const made = new TestCluster({ voters: [10, 200, 3000] });
  made.elect(3000);
  made.raft(3000).proposeConfChange(change("v4000000000"));
  made.settle();
  deepStrictEqual(made.raft(10).configuration.voters, [10, 200, 3000, 4000000000].map(nodeId));
});
