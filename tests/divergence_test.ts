/**
 * A replica whose data differs is found, contained and renewed by the cluster itself (rules V1, V2, fault G8):
 * real processes, and a row that another process changes in the live file of one of them.
 */
import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { eventually, execute, get, type Member, TestCluster, values } from "./cluster.ts";
import {
  damagePages,
  endOf,
  everywhere,
  handOverTo,
  meddle,
  replicaFacts,
  untilRenewed,
  writeOn,
} from "./diverging.ts";

const FILL =
  "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000)" +
  " SELECT i, 'right' FROM n";
const WRONG = "SELECT count(*) FROM t WHERE v = 'wrong'";

async function filled(flags: readonly string[]): Promise<TestCluster> {
  const cluster = await TestCluster.start(3, { flags });
  const leader = await cluster.leader();
  await execute(leader, [
    "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
    "CREATE TABLE w(id INTEGER PRIMARY KEY)",
    FILL,
  ]);
  await eventually(
    async () => (await everywhere(cluster, "SELECT count(*) FROM t")).size === 1,
    "all to have the rows",
  );
  return cluster;
}

/** One row differs at `victim`, and `heir` begins to lead: what comes of it. */
async function findAndRenew(
  cluster: TestCluster,
  { victim, heir }: { readonly victim: Member; readonly heir: Member },
): Promise<void> {
  const leader = await cluster.leader();
  const before = Number(JSON.parse(await values(leader, "SELECT count(*) FROM w")));
  const stop = writeOn(heir);
  await meddle(victim, "UPDATE t SET v = 'wrong' WHERE id = 500");
  strictEqual(await values(victim, WRONG, "none"), "[[1]]");
  await handOverTo(leader, heir);
  const { answers } = await untilRenewed(victim, WRONG);
  const acknowledged = before + await stop();
  ok(acknowledged > before);
  match(victim.node.log(), /serves no reads until it is renewed/);
  // While it knew that its data was wrong, it answered none of it.
  for (const answer of answers) match(answer, /^\[\[0\]\]$|differs/);
  await eventually(async () => {
    const counts = await everywhere(cluster, "SELECT count(*) FROM w");
    return counts.size === 1 && [...counts].join() === `[[${acknowledged}]]`;
  }, `all to have ${acknowledged} rows`);
  deepStrictEqual(await everywhere(cluster, WRONG), new Set(["[[0]]"]));
  strictEqual((await replicaFacts(victim)).state, "ok");
  ok(Number((await replicaFacts(heir)).alarms) >= 1);
}

Deno.test("a follower with another row is found, serves no reads, and takes its leader's state, in memory (V1, V2)", async () => {
  await using cluster = await filled([]);
  const [victim, heir] = cluster.others(await cluster.leader());
  ok(victim !== undefined && heir !== undefined);
  const first = await cluster.leader();
  await findAndRenew(cluster, { victim, heir });
  match(await get(heir, "/metrics"), /dust_replica_diverged [01]\n/);
  // The one that was wrong counts again, or nobody knew now who is right.
  await findAndRenew(cluster, { victim: first, heir: victim });
  for (const { node } of cluster.members) doesNotMatch(node.log(), /nobody knows/);
});

Deno.test("a leader with another row hands over and is renewed; no acknowledged write is lost (V1, V2)", async () => {
  await using cluster = await filled(["--on-disk"]);
  const leader = await cluster.leader();
  const [heir] = cluster.others(leader);
  ok(heir !== undefined);
  // It leads again by the time that states are compared.
  await handOverTo(leader, heir);
  await findAndRenew(cluster, { victim: leader, heir: leader });
  ok((await cluster.leader(heir)).name !== leader.name);
});

Deno.test("a follower whose file is damaged ends, and the next process takes its leader's state (V2, D4)", async () => {
  await using cluster = await filled(["--on-disk"]);
  const leader = await cluster.leader();
  const [victim] = cluster.others(leader);
  ok(victim !== undefined);
  await damagePages(victim, "t");
  // Nothing of what it says of that table is a row.
  await values(victim, "SELECT sum(length(v)) FROM t", "none").then(
    (answer) => match(answer, /malformed/),
    (error) => ok(error instanceof TypeError, String(error)),
  );
  strictEqual((await endOf(victim)).code, 74);
  match(victim.node.log(), /database disk image is malformed/);
  const stop = writeOn(leader);
  await cluster.restart(victim);
  const { answers } = await untilRenewed(victim, WRONG);
  for (const answer of answers) match(answer, /differs/);
  const acknowledged = await stop();
  ok(acknowledged > 0);
  match(victim.node.log(), /serves no reads until it is renewed/);
  await eventually(
    async () => (await everywhere(cluster, "SELECT count(*) FROM w")).size === 1,
    "all to have the same rows",
  );
  deepStrictEqual(
    await everywhere(cluster, "SELECT count(*) FROM w"),
    new Set([`[[${acknowledged}]]`]),
  );
  deepStrictEqual(await everywhere(cluster, "SELECT sum(length(v)) FROM t"), new Set(["[[5000]]"]));
});

Deno.test("a file in memory that is damaged is built anew from its copy and the log, whoever meets the damage", async () => {
  await using cluster = await filled([]);
  const [victim] = cluster.others(await cluster.leader());
  ok(victim !== undefined);
  const query = (): Promise<unknown> => values(victim, "SELECT sum(length(v)) FROM t", "none");
  const copy = (): Promise<unknown> => fetch(`${victim.node.url}/snapshot`, { method: "POST" });
  for (const meet of [query, copy]) {
    await damagePages(victim, "t");
    await meet().catch((error: unknown) => ok(error instanceof TypeError, String(error)));
    strictEqual((await endOf(victim)).code, 74);
    await cluster.restart(victim);
    strictEqual(await query(), "[[5000]]");
    strictEqual((await replicaFacts(victim)).state, "ok");
  }
});
