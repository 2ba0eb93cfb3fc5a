/**
 * Data directories that are not what they were (faults M5, M6, D17): a copy of one that is in use, and one put
 * back from an old backup. Neither may count as a member's word, and nothing acknowledged is lost by them.
 */
import { match, ok, strictEqual } from "node:assert/strict";
import { eventually, execute, get, type Member, TestCluster, values } from "./cluster.ts";
import { startNode } from "./process.ts";

async function copyFolder(from: string, to: string): Promise<void> {
  const { success } = await new Deno.Command("cp", { args: ["-a", from, to] }).output();
  ok(success);
}

Deno.test("a copied directory is fenced off, and an alarm is raised (M5)", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const [original] = cluster.others(leader);
  ok(original !== undefined);
  await execute(leader, ["CREATE TABLE t(a)"]);
  const copy = `${original.dataDirectory}-copy`;
  await copyFolder(original.dataDirectory, copy);
  const { name: nodeId, flags } = original;
  const ended = startNode({ nodeId, dataDirectory: copy, flags, readyMsMax: 6_000 })
    .then((node) => node.stop("SIGKILL"), () => undefined);
  await eventually(async () => {
    const logs = cluster.members.map(({ node }) => node.log()).join("");
    await execute(leader, ["INSERT INTO t VALUES(1)"]);
    return /Two processes have one identity|Another process with this identity/.test(logs);
  }, "the alarm");
  await ended;
  match(await execute(original, ["INSERT INTO t VALUES(2)"]), /"rows_affected":1/);
  strictEqual(await values(original, "SELECT count(*) FROM t WHERE a = 2"), "[[1]]");
});

Deno.test("a directory that was put back from an old copy does not go on as the member it was (D17)", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const [restored, other] = cluster.others(leader);
  ok(restored !== undefined && other !== undefined);
  await execute(leader, ["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"]);
  await restored.node.stop("SIGTERM");
  const backup = `${restored.dataDirectory}-backup`;
  await copyFolder(restored.dataDirectory, backup);
  await cluster.restart(restored);
  for (let i = 0; i < 20; i++) await execute(leader, ["INSERT INTO t VALUES(1)"]);
  strictEqual(await values(restored, "SELECT count(*) FROM t"), "[[21]]");
  await restored.node.stop("SIGKILL");
  await Deno.remove(restored.dataDirectory, { recursive: true });
  await copyFolder(backup, restored.dataDirectory);
  await startOld(restored);
  // As any that lost its directory: its place is free, and it comes back as a new member.
  await restored.node.stop("SIGKILL");
  await Deno.remove(restored.dataDirectory, { recursive: true });
  await cluster.restart(restored, ["--join", other.node.raftAddress]);
  strictEqual(await values(restored, "SELECT count(*) FROM t"), "[[21]]");
  strictEqual(Object.keys(JSON.parse(await get(other, "/nodes"))).length, 3);
});

/** It ends by itself, as soon as the leader shows it what it has lost. */
async function startOld(member: Member): Promise<void> {
  const { name: nodeId, dataDirectory, flags, node: at } = member;
  let text = "";
  try {
    member.node = await startNode({ nodeId, dataDirectory, flags, at });
    await eventually(async () => {
      text = member.node.log();
      const response = await fetch(`${member.node.url}/readyz`);
      await response.body?.cancel();
      return false;
    }, "nothing");
  } catch (error) {
    ok(error instanceof Error);
    text += error.message;
  }
  match(text, /lost|missing|amnesi|durable/i);
}
