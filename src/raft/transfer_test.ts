import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { nodeId } from "../base/ids.ts";
import { votersOnly } from "./configuration.ts";
import { change, normal, TestCluster } from "./test_cluster.ts";

function cluster(config: object = {}): TestCluster {
  const made = new TestCluster({ voters: [1, 2, 3], config });
  made.elect(1);
  return made;
}

Deno.test("transferLeadership() goes through although check-quorum leases hold, and skips pre-vote", () => {
  const made = cluster({ checkQuorum: true, preVote: true });
  made.heartbeat(1);
  strictEqual(made.raft(1).transferLeadership(nodeId(2)), "started");
  made.settle();
  strictEqual(made.raft(2).role, "leader");
  strictEqual(made.raft(2).term, 2);
  deepStrictEqual([made.raft(1).leader, made.raft(3).leader], [2, 2]);
});

Deno.test("transferLeadership() brings the successor up to date first", () => {
  const made = cluster();
  made.isolate(2);
  made.raft(1).propose([normal(1)]);
  made.settle();
  made.heal();
  made.raft(1).transferLeadership(nodeId(2));
  ok(!made.node(1).drain().some((message) => message.kind === "timeout_now"));
  made.heartbeat(1);
  strictEqual(made.raft(2).role, "leader");
  strictEqual(made.raft(2).status().lastIndex, 3);
});

Deno.test("transferLeadership() is given up after one election timeout; proposals are taken again", () => {
  const made = cluster({ electionTicks: 5, electionTicksMax: 9 });
  made.isolate(3);
  made.raft(1).transferLeadership(nodeId(3));
  made.node(1).tick(4);
  strictEqual(made.raft(1).propose([normal(1)]).kind, "refused");
  made.node(1).tick(1);
  strictEqual(made.raft(1).propose([normal(1)]).kind, "taken");
});

Deno.test("transferLeadership() is aborted when the successor is removed or demoted", () => {
  for (const tokens of ["r3", "l3"]) {
    const made = cluster();
    made.raft(1).proposeConfChange(change(tokens));
    made.isolate(3);
    made.raft(1).transferLeadership(nodeId(3));
    strictEqual(made.raft(1).status().transferee, 3);
    made.settle();
    strictEqual(made.raft(1).status().transferee, 0);
    strictEqual(made.raft(1).propose([normal(1)]).kind, "taken");
  }
});

Deno.test("transferLeadership() refuses learners and strangers, replaces an earlier successor", () => {
  const made = cluster();
  made.isolate(2);
  made.isolate(3);
  const { raft } = made.node(1);
  strictEqual(raft.transferLeadership(nodeId(9)), "not_a_voter");
  strictEqual(raft.transferLeadership(nodeId(1)), "already_leader");
  raft.transferLeadership(nodeId(2));
  raft.transferLeadership(nodeId(3));
  strictEqual(raft.status().transferee, 3);
  raft.transferLeadership(nodeId(1));
  strictEqual(raft.status().transferee, 0);
});

Deno.test("transferLeadership() on a follower asks the leader; without one nothing can be done", () => {
  const made = cluster();
  strictEqual(made.raft(2).transferLeadership(nodeId(3)), "asked");
  made.settle();
  strictEqual(made.raft(3).role, "leader");
  made.raft(2).forgetLeader();
  strictEqual(made.raft(2).transferLeadership(nodeId(1)), "no_leader");
});

Deno.test("forgetLeader() leaves term and vote; the leader's next message restores it", () => {
  const made = cluster();
  const before = made.raft(2).hardState;
  ok(made.raft(2).forgetLeader());
  ok(!made.raft(2).forgetLeader());
  ok(!made.raft(1).forgetLeader());
  deepStrictEqual(made.raft(2).hardState, before);
  strictEqual(made.raft(2).leader, 0);
  made.heartbeat(1);
  strictEqual(made.raft(2).leader, 1);
});

Deno.test("forgetLeader() lets followers elect at once despite leases (rule E2)", () => {
  const made = cluster({ checkQuorum: true, preVote: true });
  made.isolate(1);
  made.raft(2).campaign();
  made.settle();
  strictEqual(made.raft(2).role, "pre_candidate");
  made.raft(3).forgetLeader();
  made.raft(2).campaign();
  made.settle();
  strictEqual(made.raft(2).role, "leader");
});

Deno.test("forgetLeader() is refused where lease reads would rest on the leader", () => {
  const made = cluster({ refuseForgetLeader: true });
  ok(!made.raft(2).forgetLeader());
  strictEqual(made.raft(2).leader, 1);
  deepStrictEqual(made.raft(2).configuration, votersOnly([1, 2, 3]));
});
