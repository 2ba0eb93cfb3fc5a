/**
 * Damage in the log of a node that runs (fault D2): found and mended while it runs, also when a slow member asks
 * for the damaged entry first; no row is lost, and no start needs what is damaged. Real processes, whose files
 * are written to behind their backs.
 */
import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import {
  eventually,
  execute,
  get,
  type Member,
  TestCluster,
  untilFacts,
  values,
} from "./cluster.ts";
import { damageLog, type ScrubFacts, scrubFacts } from "./damaged_log.ts";
import { everywhere } from "./diverging.ts";
import { mainPath } from "./process.ts";

/** The log is read again after 20 s, and after it was mended once more. */
const FOUND_MS_MAX = 40_000;
const MENDED_MS_MAX = 50_000;

const COUNT = "SELECT count(*), sum(length(v)) FROM t";

/** Rows `from` to `to`, an entry each, which hold `row FROM ` and so on. */
async function write(member: Member, [from, to]: readonly [number, number]): Promise<void> {
  for (let id = from; id <= to; id++) {
    const text = `row ${id} `.padEnd(100, ".");
    match(
      await execute(member, [["INSERT INTO t VALUES(?, ?)", id, text]]),
      /"rows_affected":1/,
    );
  }
}

function untilScrub(
  member: Member,
  isSo: (facts: ScrubFacts) => boolean,
  waitMsMax: number,
): Promise<ScrubFacts> {
  return untilFacts(() => scrubFacts(member), isSo, waitMsMax);
}

/** What `dust shell` shows of it. */
async function statusInShell({ node }: Member): Promise<string> {
  const [host = "", port = ""] = node.httpAddress.split(":");
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--quiet", mainPath(), "shell", "-H", host, "-p", port],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
    env: { NO_COLOR: "1" },
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(".status store\n"));
  await writer.close();
  return new TextDecoder().decode((await child.output()).stdout);
}

Deno.test("a damaged entry is found while the node runs, its part of the log goes, and the next start has all rows (D2)", async () => {
  await using cluster = await TestCluster.start(1);
  const [node] = cluster.members;
  ok(node !== undefined);
  await execute(node, ["CREATE TABLE t(id INTEGER PRIMARY KEY, v)"]);
  await write(node, [1, 50]);
  const { file, isNewest } = await damageLog(node, "row 17 ");
  ok(isNewest);
  const { damage } = await untilScrub(node, (facts) => facts.damage !== "", FOUND_MS_MAX);
  ok(damage.startsWith(`Cannot use log file ${file} at offset `), damage);
  match(await get(node, "/metrics"), /^dust_log_damaged 1$/m);
  ok((await statusInShell(node)).includes(`damage: ${damage}`));
  match(node.node.log(), /The log is damaged: what is applied of it goes/);
  await write(node, [51, 60]);
  await untilScrub(node, (facts) => facts.damage === "" && facts.passes > 0, MENDED_MS_MAX);
  match(await get(node, "/metrics"), /^dust_log_damaged 0$/m);
  await write(node, [61, 70]);
  await node.node.stop("SIGKILL");
  await cluster.restart(node);
  strictEqual(await values(node, COUNT), "[[70,7000]]");
});

Deno.test("a slow follower that needs a damaged entry gets a copy of the state, and the leader goes on (D2)", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const [slow] = cluster.others(leader);
  ok(slow !== undefined);
  await execute(leader, ["CREATE TABLE t(id INTEGER PRIMARY KEY, v)"]);
  await slow.node.stop("SIGKILL");
  await write(leader, [1, 50]);
  await damageLog(leader, "row 17 ");
  strictEqual((await scrubFacts(leader)).damage, "");
  await cluster.restart(slow);
  await write(leader, [51, 60]);
  await eventually(
    async () => (await everywhere(cluster, COUNT)).size === 1,
    "all to have the same rows",
  );
  deepStrictEqual(await everywhere(cluster, COUNT), new Set(["[[60,6000]]"]));
  const { damage } = await scrubFacts(leader);
  match(damage, /Cannot use log file/);
  // It was told of once, however often the follower has asked.
  strictEqual(leader.node.log().split("The log is damaged").length, 2);
  doesNotMatch(leader.node.log(), /fatal/);
  strictEqual((await cluster.leader()).name, leader.name);
  await leader.node.stop("SIGKILL");
  await cluster.restart(leader);
  strictEqual(await values(leader, COUNT, "none"), "[[60,6000]]");
});
