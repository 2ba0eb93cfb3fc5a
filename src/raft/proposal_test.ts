import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { nodeId } from "../base/ids.ts";
import type { ProposeOutcome } from "./proposal.ts";
import { change, normal, TestCluster, TestNode } from "./test_cluster.ts";

function single(config: object = {}): TestNode {
  const node = new TestNode({ id: 1, voters: [1], config });
  node.raft.campaign();
  node.drain();
  return node;
}

function reason(outcome: ProposeOutcome): string {
  return outcome.kind === "refused" ? outcome.reason : outcome.kind;
}

Deno.test("propose() takes a batch as a whole, in order, in one append to each peer", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3], config: { batchAppends: true } });
  cluster.elect(1);
  const outcome = cluster.raft(1).propose([normal(1), normal(2), normal(3)]);
  deepStrictEqual(outcome, { kind: "taken", index: 2, term: 1 });
  cluster.raft(1).propose([normal(4)]);
  const appends = cluster.raft(1).ready().messages.filter((message) => message.kind === "append");
  deepStrictEqual(appends.map((append) => append.entries.map((entry) => entry.size)), [
    [1, 2, 3, 4],
    [1, 2, 3, 4],
  ]);
});

Deno.test("propose() says why it refuses: no leader, not leader, transferring", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  strictEqual(reason(cluster.raft(1).propose([normal(1)])), "no_leader");
  cluster.raft(1).campaign();
  strictEqual(reason(cluster.raft(1).propose([normal(1)])), "no_leader");
  cluster.settle();
  strictEqual(reason(cluster.raft(2).propose([normal(1)])), "not_leader");
  cluster.isolate(3);
  cluster.raft(1).transferLeadership(nodeId(3));
  const last = cluster.raft(1).status().lastIndex;
  strictEqual(reason(cluster.raft(1).propose([normal(1)])), "transferring");
  strictEqual(cluster.raft(1).status().lastIndex, last);
});

Deno.test("propose() of a removed leader that may not step down is refused", () => {
  const cluster = new TestCluster({ voters: [1, 2], config: { stepDownOnRemoval: false } });
  cluster.elect(1);
  cluster.raft(1).proposeConfChange(change("r1"));
  cluster.settle();
  strictEqual(cluster.raft(1).role, "leader");
  strictEqual(reason(cluster.raft(1).propose([normal(1)])), "not_member");
});

Deno.test("propose() is forwarded only where that is switched on", () => {
  const cluster = new TestCluster({ voters: [1, 2], config: { forwardProposals: true } });
  cluster.elect(1);
  strictEqual(reason(cluster.raft(2).propose([normal(7)])), "forwarded");
  cluster.settle();
  strictEqual(cluster.node(1).applied.at(-1)?.size, 7);
});

Deno.test("propose() refuses what passes the limit on uncommitted bytes, but for the first and the empty", () => {
  const cluster = new TestCluster({ voters: [1, 2], config: { uncommittedBytesMax: 10 } });
  cluster.elect(1);
  cluster.isolate(2);
  const { raft } = cluster.node(1);
  strictEqual(reason(raft.propose([normal(6)])), "taken");
  strictEqual(reason(raft.propose([normal(4)])), "taken");
  strictEqual(reason(raft.propose([normal(1)])), "uncommitted_limit");
  strictEqual(raft.status().uncommittedBytes, 10);
  strictEqual(reason(raft.propose([normal(0)])), "taken");
  strictEqual(reason(raft.proposeConfChange(change("v3"))), "taken");
  cluster.heal();
  cluster.raft(1).reportUnreachable(nodeId(2));
  cluster.heartbeat(1);
  strictEqual(raft.status().uncommittedBytes, 0);
  strictEqual(reason(raft.propose([normal(100)])), "taken");
  strictEqual(reason(raft.propose([normal(1)])), "uncommitted_limit");
});

Deno.test("proposeConfChange() allows one change at a time and reports each refusal", () => {
  const node = single();
  strictEqual(reason(node.raft.proposeConfChange(change("v2 v3", "explicit"))), "taken");
  strictEqual(reason(node.raft.proposeConfChange(change("v4"))), "change_pending");
  node.drain();
  strictEqual(reason(node.raft.proposeConfChange(change("v4"))), "joint");
  const other = single();
  strictEqual(reason(other.raft.proposeConfChange(change(""))), "not_joint");
  strictEqual(reason(other.raft.proposeConfChange(change("r1"))), "impossible_change");
});

Deno.test("proposeConfChange() is blocked until changes of earlier terms, wherever they are, are applied", () => {
  const cluster = new TestCluster({ voters: [1, 2] });
  cluster.elect(1);
  cluster.raft(1).proposeConfChange(change("v3"));
  cluster.settle((message) => message.to === 1 && message.kind === "append_response");
  cluster.raft(2).campaign();
  cluster.settle((message) => message.kind === "append_response");
  strictEqual(cluster.raft(2).role, "leader");
  strictEqual(reason(cluster.raft(2).proposeConfChange(change("v4"))), "change_pending");
});

Deno.test("a refused change leaves an empty entry behind, so that a batch keeps its places", () => {
  const node = single();
  node.raft.proposeConfChange(change("v2"));
  node.raft.proposeConfChange(change("v3"));
  node.drain();
  deepStrictEqual(node.storage.all().map((entry) => [entry.kind, entry.size > 0]), [
    ["normal", false],
    ["conf_change", true],
    ["normal", false],
  ]);
});

Deno.test("the automatic leave of a joint configuration is proposed once, also while more entries are applied", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.raft(1).proposeConfChange(change("r3 v4", "implicit"));
  cluster.raft(1).propose([normal(1)]);
  cluster.raft(1).propose([normal(2)]);
  cluster.settle();
  strictEqual(cluster.node(1).traced("auto_leave_proposed").length, 1);
  const changes = cluster.node(1).storage.all().filter((entry) => entry.kind === "conf_change");
  strictEqual(changes.length, 2);
  deepStrictEqual(cluster.raft(1).configuration.votersOutgoing, []);
});

Deno.test("the automatic leave is proposed again after a transfer held it back, and by a new leader", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.raft(1).proposeConfChange(change("r3 v4", "implicit"));
  cluster.collect();
  cluster.raft(1).transferLeadership(nodeId(2));
  cluster.settle();
  strictEqual(cluster.raft(2).role, "leader");
  deepStrictEqual(cluster.raft(2).configuration.votersOutgoing, []);
  ok(!cluster.raft(2).configuration.autoLeave);
});

Deno.test("the automatic leave is proposed when a transfer that held it back is given up, without other entries", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3, 4, 5] });
  cluster.elect(1);
  cluster.isolate(2);
  cluster.raft(1).proposeConfChange(change("r5 v6", "implicit"));
  cluster.raft(1).transferLeadership(nodeId(2));
  cluster.settle();
  cluster.node(1).tick(9);
  cluster.settle();
  ok(cluster.raft(1).configuration.autoLeave, "the successor still has its time");
  cluster.node(1).tick(1);
  cluster.settle();
  ok(!cluster.raft(1).configuration.autoLeave);
  deepStrictEqual(cluster.raft(1).configuration.votersOutgoing, []);
});
