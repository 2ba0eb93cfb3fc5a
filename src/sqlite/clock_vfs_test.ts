import { deepStrictEqual, ok, throws } from "node:assert/strict";
import { AssertionError } from "../base/assert.ts";
import { ClockVfs } from "./clock_vfs.ts";
import { Connection } from "./connection.ts";
import { CallbackError } from "./errors.ts";
import { openMemory, TemporaryFolder, testLibrary } from "./testing.ts";

const TIME_MS = Date.UTC(2001, 1, 3, 4, 5, 6, 789);
const TIME = "2001-02-03 04:05:06";

interface Clocked extends Disposable {
  readonly db: Connection;
  readonly clock: ClockVfs;
}

function openClocked(path: string, name: string): Clocked {
  const clock = new ClockVfs(testLibrary(), name);
  const db = Connection.open(testLibrary(), { path, mode: "create", vfs: name });
  clock.reportTo(db);
  return {
    db,
    clock,
    [Symbol.dispose](): void {
      db.close();
      clock.unregister();
    },
  };
}

Deno.test("ClockVfs gives its time to every spelling of now", () => {
  using folder = new TemporaryFolder();
  using clocked = openClocked(folder.file("db"), "test-spellings");
  const { db, clock } = clocked;
  clock.setTimeMs(TIME_MS);
  const spellings = [
    "CURRENT_TIMESTAMP",
    "datetime()",
    "datetime('now')",
    "datetime('n' || 'ow')",
    "datetime(?1)",
    "strftime('%Y-%m-%d %H:%M:%S')",
    "CURRENT_DATE || ' ' || CURRENT_TIME",
    "datetime(julianday('now'))",
    "datetime(unixepoch('now'), 'unixepoch')",
  ];
  // Older ones that a system may have do not know this modifier.
  const knowsSubsec = testLibrary().versionNumber >= 3_042_000;
  if (knowsSubsec) spellings.push("strftime('%Y-%m-%d %H:%M:%S', 'subsec')");
  for (const spelling of spellings) {
    const sql = `SELECT ${spelling}${spelling.includes("?1") ? "" : ", ?1"}`;
    deepStrictEqual(db.query(sql, "now")[0]?.[0], TIME, spelling);
  }
  deepStrictEqual(db.query("SELECT strftime('%f')"), [["06.789"]]);
});

Deno.test("ClockVfs gives its time to DEFAULT, CHECK, trigger, view and upsert", () => {
  using folder = new TemporaryFolder();
  using clocked = openClocked(folder.file("db"), "test-schema");
  const { db, clock } = clocked;
  clock.setTimeMs(TIME_MS);
  db.exec(`
    CREATE TABLE t(a PRIMARY KEY, b DEFAULT CURRENT_TIMESTAMP, c DEFAULT (datetime('now')),
      d CHECK (d <= CURRENT_TIMESTAMP));
    CREATE TABLE log(at);
    CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (datetime()); END;
    CREATE VIEW v AS SELECT CURRENT_TIMESTAMP AS at;
    INSERT INTO t(a, d) VALUES (1, '${TIME}');
    INSERT INTO t(a) VALUES (1) ON CONFLICT DO UPDATE SET a = datetime('now');
  `);
  deepStrictEqual(db.query("SELECT a, b, c FROM t"), [[TIME, TIME, TIME]]);
  deepStrictEqual(db.query("SELECT at FROM log UNION ALL SELECT at FROM v"), [[TIME], [TIME]]);
  clock.setTimeMs(TIME_MS - 1000);
  throws(() => db.exec(`INSERT INTO t(a, d) VALUES (2, '${TIME}')`), /CHECK constraint failed/);
});

Deno.test("ClockVfs keeps a kept statement's time up to date from run to run", () => {
  using folder = new TemporaryFolder();
  using clocked = openClocked(folder.file("db"), "test-runs");
  const { db, clock } = clocked;
  using statement = db.prepare("SELECT unixepoch()");
  for (const seconds of [0, 1, 253_402_300_799]) {
    clock.setTimeMs(seconds * 1000);
    deepStrictEqual(statement.all(), [[seconds]]);
  }
});

Deno.test("ClockVfs refuses times that SQLite would turn into NULL (rule Q9)", () => {
  using clock = new ClockVfs(testLibrary(), "test-range");
  for (const bad of [-1, 253_402_300_800_000, 0.5, NaN, Infinity]) {
    throws(() => clock.setTimeMs(bad), RangeError);
  }
});

Deno.test("ClockVfs reports a time that was asked for before it was set (rule Q8)", () => {
  using folder = new TemporaryFolder();
  using clocked = openClocked(folder.file("db"), "test-unset");
  throws(() => clocked.db.query("SELECT CURRENT_TIMESTAMP"), CallbackError);
});

Deno.test("Other connections keep the real clock, also on the same WAL file", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("db");
  using clocked = openClocked(path, "test-others");
  clocked.clock.setTimeMs(TIME_MS);
  clocked.db.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(a DEFAULT CURRENT_TIMESTAMP)");
  clocked.db.exec("INSERT INTO t DEFAULT VALUES");
  using reader = Connection.open(testLibrary(), { path, mode: "readonly" });
  const [row] = reader.query("SELECT a, unixepoch() FROM t");
  deepStrictEqual(row?.[0], TIME);
  ok(Math.abs(Number(row?.[1]) - Date.now() / 1000) < 60);
  using memory = openMemory();
  ok(Math.abs(Number(memory.query("SELECT unixepoch()")[0]?.[0]) - Date.now() / 1000) < 60);
});

Deno.test("A ClockVfs name is taken once, and free again after unregister()", () => {
  const first = new ClockVfs(testLibrary(), "test-name");
  throws(() => new ClockVfs(testLibrary(), "test-name"), AssertionError);
  first.unregister();
  first.unregister();
  new ClockVfs(testLibrary(), "test-name").unregister();
});
