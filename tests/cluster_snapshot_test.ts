/**
 * Whoever is further behind than the leader's log reaches gets the state itself, in both modes, while the
 * leader goes on: a node that was down, and one that joins late.
 */
import { match, ok, strictEqual } from "node:assert/strict";
import { eventually, execute, get, type Member, TestCluster, values } from "./cluster.ts";

const ROWS = 400;

/** Writes rows, one entry each, and compacts the log behind them. */
async function writeAndCompact(member: Member): Promise<void> {
  const writes = Array.from({ length: ROWS }, () => execute(member, ["INSERT INTO t VALUES(1)"]));
  for (const text of await Promise.all(writes)) match(text, /"rows_affected":1/);
  const url = `${member.node.url}/snapshot?trailing_logs=1`;
  const response = await fetch(url, { method: "POST" });
  strictEqual(response.status, 200, await response.text());
}

async function firstLogIndex(member: Member): Promise<number> {
  return Number(await get(member, "/status?key=store.raft.first_log_index"));
}

for (const mode of [[], ["--on-disk"]]) {
  const name = mode.length === 0 ? "in memory" : "on disk";
  Deno.test(`a node that was down and one that joins get a snapshot, ${name}`, async () => {
    await using cluster = await TestCluster.start(3, { flags: mode });
    const leader = await cluster.leader();
    const [late, other] = cluster.others(leader);
    ok(late !== undefined && other !== undefined);
    await execute(leader, ["CREATE TABLE t(a)"]);
    await late.node.stop("SIGKILL");
    await writeAndCompact(leader);
    // Whole segments go, so the log must have begun a new one: enough is written until it has.
    await eventually(async () => {
      if (await firstLogIndex(leader) > 10) return true;
      const text = "x".repeat(2_000_000);
      for (let i = 0; i < 8; i++) await execute(leader, [["INSERT INTO t VALUES(?)", text]]);
      await fetch(`${leader.node.url}/snapshot?trailing_logs=1`, { method: "POST" });
      return false;
    }, "a log that begins later");
    await execute(leader, ["DELETE FROM t WHERE a <> 1"]);
    await cluster.restart(late);
    strictEqual(await values(late, "SELECT count(*) FROM t"), `[[${ROWS}]]`);
    match(await execute(late, ["INSERT INTO t VALUES(1)"]), /"rows_affected":1/);
    const joiner = await cluster.add("n4");
    strictEqual(await values(joiner, "SELECT count(*) FROM t"), `[[${ROWS + 1}]]`);
    for (const member of [late, joiner]) {
      ok(await firstLogIndex(member) > 10, "it did not come by the log");
      await member.node.stop("SIGKILL");
      await cluster.restart(member);
      strictEqual(await values(member, "SELECT count(*) FROM t"), `[[${ROWS + 1}]]`);
    }
  });
}
