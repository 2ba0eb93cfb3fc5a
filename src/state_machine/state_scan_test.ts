/** Scans of state files with a damaged index, in both modes (fault D2). */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Connection } from "../sqlite/connection.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import type { StateMachine } from "./state_machine.ts";
import { changeBytes, entry, openNode } from "./testing.ts";

/** The index alone holds this word, and with it each row's text. */
const INDEX_WORD = "only-in-the-index";
const ROWS = 2_000;

async function fill(machine: StateMachine): Promise<void> {
  const rows = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c LIMIT " + ROWS + ")";
  const entries = [
    "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)",
    `CREATE INDEX by_word ON t('${INDEX_WORD}' || v)`,
    "CREATE VIRTUAL TABLE words USING fts5(v)",
    `${rows} INSERT INTO t SELECT i, 'row ' || i FROM c`,
    "INSERT INTO words SELECT v FROM t",
    // As clients may have it: no damage.
    "CREATE TABLE late(v CHECK(v IS NULL OR random() IS NULL))",
    "INSERT INTO late VALUES(NULL)",
  ];
  for (const sql of entries) await machine.apply([entry(machine.applied.index + 1, [sql])]);
}

function emptyWal(path: string): void {
  using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  connection.query("PRAGMA wal_checkpoint(TRUNCATE)");
}

/** Overwrites one byte of what the index holds of a row. */
async function damageIndex(path: string): Promise<void> {
  await changeBytes(path, `${INDEX_WORD}row 1234`, "x");
}

Deno.test("scan() finds a damaged index of the live file on disk, and nothing while there is nothing", async () => {
  using folder = new TemporaryFolder();
  let machine = await openNode(folder.path, "disk");
  await fill(machine);
  const { path } = await machine.stats();
  deepStrictEqual(await machine.scan(), {
    path,
    isCopy: false,
    damage: undefined,
    isComplete: true,
  });
  await machine.close();
  emptyWal(path);
  await damageIndex(path);
  machine = await openNode(folder.path, "disk");
  const found = await machine.scan();
  match(found?.damage ?? "", /row 1234 missing from index by_word/);
  ok(found !== undefined && !found.isComplete);
  await machine.close();
  strictEqual(await machine.scan(), undefined);
});

Deno.test("scan() reads the durable copy of a state in memory; a new copy takes its place", async () => {
  using folder = new TemporaryFolder();
  const machine = await openNode(folder.path, "ram");
  await fill(machine);
  const { generation } = await machine.snapshot();
  const sound = await machine.scan();
  ok(sound !== undefined && sound.isCopy && sound.isComplete, JSON.stringify(sound));
  ok(sound.path.endsWith(`/state/${generation}/db.sqlite`));
  // A row like any other to SQLite.
  await changeBytes(sound.path, "row 77", "x");
  match((await machine.scan())?.damage ?? "", /^its content has changed: crc32c /);
  await Deno.remove(sound.path.replace("db.sqlite", "checksum"));
  strictEqual((await machine.scan())?.damage, undefined);
  await damageIndex(sound.path);
  match((await machine.scan())?.damage ?? "", /by_word/);
  await machine.apply([entry(machine.applied.index + 1, ["INSERT INTO t VALUES(-1, 'new')"])]);
  const next = await machine.snapshot();
  await machine.releaseGenerations(next.generation);
  const healed = await machine.scan();
  deepStrictEqual([healed?.damage, healed?.isComplete], [undefined, true]);
  await machine.close();
});

Deno.test("scan() that is closed in the middle ends, and gives nothing", async () => {
  using folder = new TemporaryFolder();
  const machine = await openNode(folder.path, "disk");
  await fill(machine);
  const scan = machine.scan();
  // The thread is on its way.
  await new Promise((resolve) => setTimeout(resolve));
  await machine.close();
  const { damage, isComplete } = await scan ?? {};
  deepStrictEqual([damage, isComplete], [undefined, false]);
});
