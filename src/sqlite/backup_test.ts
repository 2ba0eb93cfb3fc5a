import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { Backup, deserialize, serialize } from "./backup.ts";
import { Connection } from "./connection.ts";
import { SqliteError } from "./errors.ts";
import { openMemory, TemporaryFolder, testLibrary } from "./testing.ts";

/** A hundred rows of about a page each. */
function fill(db: Connection): void {
  db.exec(`CREATE TABLE t(a);
    WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 100)
    INSERT INTO t SELECT zeroblob(4000) FROM c`);
}

Deno.test("Backup copies in steps and says how far it is", () => {
  using source = openMemory();
  using target = openMemory();
  fill(source);
  using backup = new Backup({ source, target });
  strictEqual(backup.step(10), "more");
  ok(backup.pageCount > 100);
  strictEqual(backup.remainingPageCount, backup.pageCount - 10);
  strictEqual(backup.step(-1), "done");
  backup.finish();
  backup.finish();
  deepStrictEqual(target.query("SELECT count(*), sum(length(a)) FROM t"), [[100, 400_000]]);
});

Deno.test("Backup inside a read transaction is of one point in time (rule Q15)", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("db");
  using writer = Connection.open(testLibrary(), { path, mode: "create" });
  writer.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
  fill(writer);
  using source = Connection.open(testLibrary(), { path, mode: "readonly" });
  source.exec("BEGIN; SELECT * FROM t LIMIT 1");
  using target = Connection.open(testLibrary(), { path: folder.file("copy"), mode: "create" });
  using backup = new Backup({ source, target });
  let steps = 0;
  for (; backup.step(10) === "more"; steps++) writer.exec("INSERT INTO t VALUES (zeroblob(4000))");
  backup.finish();
  ok(steps >= 10 && steps < 20, "writes in between do not start it over");
  deepStrictEqual(target.query("SELECT count(*) FROM t"), [[100]]);
});

Deno.test("Backup that is not finished leaves the target as it was", () => {
  using folder = new TemporaryFolder();
  using source = openMemory();
  fill(source);
  using target = Connection.open(testLibrary(), { path: folder.file("db"), mode: "create" });
  target.exec("CREATE TABLE mine(a)");
  const backup = new Backup({ source, target });
  strictEqual(backup.step(10), "more");
  backup.finish();
  deepStrictEqual(target.query("SELECT name FROM sqlite_schema"), [["mine"]]);
});

Deno.test("Backup refuses a target in a transaction, and onto itself", () => {
  using source = openMemory();
  using target = openMemory();
  target.exec("CREATE TABLE t(a); BEGIN; INSERT INTO t VALUES (1)");
  throws(() => new Backup({ source, target }), SqliteError);
  throws(() => new Backup({ source, target: source }), SqliteError);
});

Deno.test("serialize() and deserialize() carry a database as bytes, a copy in each direction", () => {
  using source = openMemory();
  fill(source);
  const bytes = serialize(source);
  strictEqual(new TextDecoder().decode(bytes.subarray(0, 15)), "SQLite format 3");
  using target = openMemory();
  deserialize(target, bytes);
  bytes.fill(0);
  deepStrictEqual(target.query("SELECT count(*) FROM t"), [[100]]);
  target.exec("INSERT INTO t VALUES (1)");
  deepStrictEqual(source.query("SELECT count(*) FROM t"), [[100]]);
  deepStrictEqual(target.query("SELECT count(*) FROM t"), [[101]]);
});

Deno.test("deserialize() of garbage fails when it is read", () => {
  using db = openMemory();
  deserialize(db, new Uint8Array(5000).fill(1));
  throws(() => db.query("SELECT * FROM sqlite_schema"), (error: SqliteError) => {
    deepStrictEqual([error.extendedCode, error.class], [26, "fatal"]);
    return true;
  });
});
