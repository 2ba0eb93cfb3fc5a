/**
 * Damage in the state's file of a node that runs, or that was off meanwhile (fault D2): found by the node itself,
 * served to nobody and mended from what is right: memory, or the leader's state. Real processes, whose files are
 * written to behind their backs.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Connection } from "../src/sqlite/connection.ts";
import { testLibrary } from "../src/sqlite/testing.ts";
import { changeBytes } from "../src/state_machine/testing.ts";
import {
  eventually,
  execute,
  get,
  type Member,
  ramDirectoryOf,
  TestCluster,
  untilFacts,
  values,
} from "./cluster.ts";
import { endOf, everywhere, liveFile, RENEWED, replicaFacts } from "./diverging.ts";
import { dust } from "./process.ts";

/** A state's file is read 20 s after a start, and ten seconds after it was mended. */
const SCANNED_MS_MAX = 60_000;

const ROWS = 500;
const CONTENT = "SELECT count(*), sum(length(v)), count(*) FILTER (WHERE v LIKE 'row%') FROM t";
const RIGHT = `[[${ROWS},${ROWS * 100},${ROWS}]]`;

/** A cluster of so many nodes that all have the rows, and one of them: none that leads, if there are others. */
async function filled(
  size: number,
  flags: readonly string[] = [],
): Promise<{ readonly cluster: TestCluster; readonly node: Member }> {
  const cluster = await TestCluster.start(size, { flags });
  const leader = await cluster.leader();
  await fill(leader);
  await eventually(async () => (await everywhere(cluster, CONTENT)).size === 1, "all to have them");
  return { cluster, node: cluster.others(leader)[0] ?? leader };
}

async function fill(member: Member): Promise<void> {
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ${ROWS})`;
  const answer = await execute(member, [
    "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)",
    // What the index holds can be told from what the table holds.
    "CREATE INDEX by_text ON t('of the index: ' || id)",
    `${numbers} INSERT INTO t SELECT i, substr('row ' || i || ' ' || hex(zeroblob(50)), 1, 100) FROM n`,
  ]);
  ok(!answer.includes("error"), answer);
}

/** Has a durable copy made. @returns its path. */
async function copyOf(member: Member): Promise<string> {
  const response = await fetch(`${member.node.url}/snapshot`, { method: "POST" });
  strictEqual(response.status, 200, await response.text());
  const folder = `${member.dataDirectory}/state`;
  const names = [...Deno.readDirSync(folder)].map(({ name }) => Number(name));
  return `${folder}/${Math.max(...names.filter((name) => name > 0))}/db.sqlite`;
}

/** What memory held is gone, as after a power cut. The process has ended. */
async function losePower(member: Member): Promise<void> {
  const folder = ramDirectoryOf(member);
  for (const { name } of Deno.readDirSync(folder)) {
    await Deno.remove(`${folder}/${name}`, { recursive: true });
  }
}

interface ScanFacts {
  readonly damage: string;
  readonly passes: number;
}

function untilScan(member: Member, isSo: (facts: ScanFacts) => boolean): Promise<ScanFacts> {
  const look = async (): Promise<ScanFacts> =>
    JSON.parse(await get(member, "/status?key=store.state_scan"));
  return untilFacts(look, isSo, SCANNED_MS_MAX);
}

async function untilRenewedByLeader(member: Member): Promise<void> {
  await eventually(
    async () => (await replicaFacts(member)).state === "ok" && member.node.log().includes(RENEWED),
    "the state to be renewed",
  );
}

Deno.test("a row that changes in the copy of a state in memory is found, and a new copy replaces it (D2)", async () => {
  const { cluster, node } = await filled(1);
  await using _ = cluster;
  const copy = await copyOf(node);
  await changeBytes(copy, "row 250", "bad");
  const { damage } = await untilScan(node, (facts) => facts.damage !== "");
  ok(damage.startsWith(`${copy}: its content has changed: crc32c `), damage);
  match(node.node.log(), /its content has changed/);
  await untilScan(node, (facts) => facts.damage === "" && facts.passes > 0);
  match(await get(node, "/metrics"), /^dust_state_damaged 0$/m);
  await node.node.stop("SIGKILL");
  await losePower(node);
  strictEqual((await dust("check", node.dataDirectory)).code, 0);
  await cluster.restart(node);
  strictEqual(await values(node, CONTENT), RIGHT);
});

Deno.test("a node by itself does not start on a copy that has changed, unless it is told to (D2)", async () => {
  const { cluster, node } = await filled(1);
  await using _ = cluster;
  const copy = await copyOf(node);
  await node.node.stop("SIGKILL");
  await changeBytes(copy, "row 250", "bad");
  const checked = await dust("check", node.dataDirectory);
  ok(checked.code !== 0);
  match(checked.stdout, /its content has changed/);
  // Memory has it still.
  await cluster.restart(node);
  strictEqual(await values(node, CONTENT), RIGHT);
  await node.node.stop("SIGKILL");
  await losePower(node);
  const refused = await cluster.restart(node).then(() => "", String);
  match(refused, /ended with status 65/);
  match(refused, /db\.sqlite is damaged: its content has changed.* put back a backup/);
  await Deno.remove(copy.replace("db.sqlite", "checksum"));
  await cluster.restart(node);
  strictEqual(await values(node, CONTENT), RIGHT.replace(`${ROWS}]]`, `${ROWS - 1}]]`));
});

Deno.test("a member whose copy has changed serves nothing of it, and takes its leader's state (D2, V2)", async () => {
  const { cluster, node: victim } = await filled(3);
  await using _ = cluster;
  const copy = await copyOf(victim);
  await victim.node.stop("SIGKILL");
  await losePower(victim);
  await changeBytes(copy, "row 250", "bad");
  await cluster.restart(victim);
  match(victim.node.log(), /The copy of the state is damaged/);
  await untilRenewedByLeader(victim);
  deepStrictEqual(await everywhere(cluster, CONTENT), new Set([RIGHT]));
  // It is a copy that the next start can use.
  await victim.node.stop("SIGKILL");
  await losePower(victim);
  await cluster.restart(victim);
  await eventually(async () => (await values(victim, CONTENT, "none")) === RIGHT, "its rows");
});

Deno.test("a damaged index of a live file on disk is found, and its node takes the leader's state (D2, V2)", async () => {
  const { cluster, node: victim } = await filled(3, ["--on-disk"]);
  await using _ = cluster;
  await victim.node.stop("SIGTERM");
  const path = await liveFile(victim);
  {
    using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
    connection.query("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  await changeBytes(path, "of the index: 250", "bad");
  await cluster.restart(victim);
  // Rows do not need it.
  await eventually(async () => (await values(victim, CONTENT, "none")) === RIGHT, "its rows");
  strictEqual((await endOf(victim)).code, 74);
  match(victim.node.log(), /The state on disk is damaged: .*by_text/);
  await cluster.restart(victim);
  await untilRenewedByLeader(victim);
  deepStrictEqual(await everywhere(cluster, CONTENT), new Set([RIGHT]));
  await untilScan(victim, ({ damage, passes }) => damage === "" && passes > 0);
});
