import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { Connection } from "./connection.ts";
import { SqliteError } from "./errors.ts";
import { TemporaryFolder, testLibrary } from "./testing.ts";
import { checkpoint, openSnapshot, setAutomaticCheckpoint, WalSnapshot } from "./wal.ts";

function openWal(path: string): Connection {
  const db = Connection.open(testLibrary(), { path, mode: "create" });
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
  return db;
}

/** A system's library may be built without snapshots. */
function testSnapshot(name: string, fn: () => void): void {
  Deno.test({ name, fn, ignore: testLibrary().symbols.sqlite3_snapshot_get === null });
}

Deno.test("checkpoint() copies all frames, or says that a reader kept it from that", () => {
  using folder = new TemporaryFolder();
  using writer = openWal(folder.file("db"));
  using reader = openWal(folder.file("db"));
  writer.exec("CREATE TABLE t(a); INSERT INTO t VALUES (1)");
  reader.exec("BEGIN; SELECT * FROM t");
  writer.exec("INSERT INTO t VALUES (2)");
  const held = checkpoint(writer, "passive");
  ok(!held.isComplete && held.checkpointedFrameCount < held.logFrameCount);
  ok(!checkpoint(writer, "truncate").isComplete);
  reader.exec("COMMIT");
  deepStrictEqual(checkpoint(writer, "truncate"), {
    isComplete: true,
    logFrameCount: 0,
    checkpointedFrameCount: 0,
  });
});

Deno.test("checkpoint() of a database without WAL has no frames", () => {
  using db = Connection.open(testLibrary(), { path: ":memory:", mode: "create" });
  strictEqual(checkpoint(db, "passive").logFrameCount, -1);
});

Deno.test("setAutomaticCheckpoint(0) lets the log grow", () => {
  using folder = new TemporaryFolder();
  using db = openWal(folder.file("db"));
  setAutomaticCheckpoint(db, 0);
  db.exec("CREATE TABLE t(a)");
  for (let row = 0; row < 1200; row++) db.exec("INSERT INTO t VALUES (zeroblob(5000))");
  ok(checkpoint(db, "passive").logFrameCount > 1200);
});

testSnapshot(
  "WalSnapshot opens the past on another connection, until a checkpoint passes it",
  () => {
    using folder = new TemporaryFolder();
    using writer = openWal(folder.file("db"));
    setAutomaticCheckpoint(writer, 0);
    writer.exec("CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    writer.exec("BEGIN; SELECT * FROM t");
    using old = new WalSnapshot(writer);
    writer.exec("COMMIT; INSERT INTO t VALUES (2); BEGIN; SELECT * FROM t");
    using recent = new WalSnapshot(writer);
    writer.exec("COMMIT");
    ok(old.compare(recent) < 0 && recent.compare(old) > 0);
    strictEqual(old.compare(old), 0);

    using reader = openWal(folder.file("db"));
    reader.exec("BEGIN");
    openSnapshot(reader, old.address);
    deepStrictEqual(reader.query("SELECT a FROM t"), [[1]]);
    reader.exec("COMMIT");
    deepStrictEqual(reader.query("SELECT a FROM t"), [[1], [2]]);

    checkpoint(writer, "truncate");
    writer.exec("INSERT INTO t VALUES (3)");
    reader.exec("BEGIN");
    throws(() => openSnapshot(reader, old.address), (error: SqliteError) => {
      strictEqual(error.extendedCode, 769);
      return true;
    });
  },
);

testSnapshot("WalSnapshot needs a read transaction", () => {
  using folder = new TemporaryFolder();
  using db = openWal(folder.file("db"));
  throws(() => new WalSnapshot(db), SqliteError);
});
