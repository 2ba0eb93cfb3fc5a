/**
 * Runs the cluster's golden tables: against each part of one cluster, then against what is left of it without
 * a majority. The nodes are asked at the same time, each one question after the other.
 */
import { ok, strictEqual } from "node:assert/strict";
import { eventually, execute, get, type Member, TestCluster } from "./cluster.ts";
import { type ClusterStep, type Part, withLeader, withoutLeader } from "./golden_cluster.ts";
import { checkStep } from "./golden_step.ts";

type Nodes = { readonly [part in Part]: Member };

/** A machine that is too busy may cost the leader its office in the middle of the table: once more, then. */
const LEADERS_MAX = 5;

/** @returns what went wrong. */
async function run(nodes: Nodes, steps: readonly ClusterStep[]): Promise<readonly string[]> {
  const failures: string[] = [];
  await Promise.all((["leader", "follower", "reader"] as const).map(async (part) => {
    for (const { step } of steps.filter(({ parts }) => parts.includes(part))) {
      try {
        await checkStep(nodes[part].node, step);
      } catch (error) {
        failures.push(`${part}: ${step.method} ${step.path} ${step.body ?? ""}: ${error}`);
      }
    }
  }));
  return failures;
}

async function runWithLeader(cluster: TestCluster): Promise<Nodes> {
  for (let count = 1;; count++) {
    const leader = await cluster.leader();
    const reader = cluster.members.find(({ name }) => name === "reader");
    const follower = cluster.others(leader).find((each) => each !== reader);
    ok(reader !== undefined && follower !== undefined);
    const nodes = { leader, follower, reader };
    const term = await get(leader, "/status?key=store.raft.term");
    const { url: leaderUrl, raftAddress: leaderRaft } = leader.node;
    const blocks = withLeader({ leaderUrl, leaderRaft, leaderName: leader.name });
    const failures: string[] = [];
    for (const block of blocks) failures.push(...await run(nodes, block));
    if (failures.length === 0) return nodes;
    const isSameTerm = await get(reader, "/status?key=store.raft.term") === term;
    if (isSameTerm || count === LEADERS_MAX) throw new Error(failures.join("\n\n"));
  }
}

Deno.test("golden: what a leader, a follower and a read-only node answer, and with the majority gone", async () => {
  await using cluster = await TestCluster.start(1);
  const [first] = cluster.members;
  ok(first !== undefined);
  await Promise.all([
    cluster.add("n2"),
    cluster.add("n3"),
    cluster.add("reader", ["--raft-non-voter"]),
  ]);
  await execute(first, ["CREATE TABLE foo (id integer not null primary key, name text)"]);
  const nodes = await runWithLeader(cluster);

  const left = [nodes.leader, nodes.reader];
  const gone = cluster.members.filter((member) => !left.includes(member));
  strictEqual(gone.length, 2);
  await Promise.all(gone.map(({ node }) => node.stop("SIGKILL")));
  for (const member of left) {
    await eventually(
      async () => await get(member, "/status?key=store.leader.addr") === '""',
      `${member.name} without a leader`,
    );
  }
  strictEqual((await run(nodes, withoutLeader())).join("\n\n"), "");
});
