import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { AssertionError } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { Connection } from "./connection.ts";
import { SqliteError } from "./errors.ts";
import { SqlText } from "./sql_text.ts";
import { openMemory, TemporaryFolder, testLibrary } from "./testing.ts";

Deno.test("prepareNext() walks a string of statements by byte offsets", () => {
  using db = openMemory();
  const sql = "SELECT 'ü'; /* ä */ SELECT 2 ;; -- end\n";
  const text = new SqlText(sql);
  const values: unknown[] = [];
  const tails: number[] = [];
  for (let from = 0; from < text.sizeBytes;) {
    const { statement, tail } = db.prepareNext(text, from);
    if (statement !== undefined) values.push(statement.all()[0]?.[0]);
    tails.push(tail);
    ok(tail > from, "it always moves on");
    from = tail;
  }
  deepStrictEqual(values, ["ü", 2]);
  deepStrictEqual(tails, [12, 32, text.sizeBytes]);
});

Deno.test("prepareNext() of a text without NUL at its end stops at the end", () => {
  using db = openMemory();
  const bytes = new TextEncoder().encode("SELECT 12345");
  using statement = db.prepareNext(new SqlText(bytes.subarray(0, 9)), 0).statement;
  deepStrictEqual(statement?.all(), [[12]]);
});

Deno.test("prepareNext() reports the offset of the fault from the start of the text", () => {
  using db = openMemory();
  const text = new SqlText("SELECT 1; SELECT nix");
  throws(() => db.prepareNext(text, 9), (error: SqliteError) => {
    deepStrictEqual([error.extendedCode, error.message, error.offset], [
      1,
      "no such column: nix",
      17,
    ]);
    return true;
  });
});

Deno.test("SqlText refuses NUL, behind which SQLite would ignore the rest", () => {
  throws(
    () => new SqlText("SELECT 1\0; DROP TABLE t"),
    new OperatingError("bad_request", "Cannot prepare SQL: it holds NUL at byte 8"),
  );
});

Deno.test("prepare() takes one statement, with blanks and comments around it, and no second one", () => {
  using db = openMemory();
  db.prepare("/* one */ SELECT 1; -- done").finalize();
  throws(() => db.prepare("SELECT 1; SELECT 2"), AssertionError);
  throws(() => db.prepare(" -- nothing"), AssertionError);
});

Deno.test("exec() runs all statements and stops at the first error", () => {
  using db = openMemory();
  throws(
    () =>
      db.exec("CREATE TABLE t(a); INSERT INTO t VALUES (1); nonsense; INSERT INTO t VALUES (2)"),
    SqliteError,
  );
  deepStrictEqual(db.query("SELECT a FROM t"), [[1]]);
});

Deno.test("changes, totalChanges and lastInsertRowid follow the statements, and the rowid can be set", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a INTEGER PRIMARY KEY); INSERT INTO t VALUES (7), (9007199254740993)");
  deepStrictEqual([db.changes, db.totalChanges, db.lastInsertRowid], [2, 2, 9007199254740993n]);
  db.setLastInsertRowid(0);
  strictEqual(db.lastInsertRowid, 0);
  deepStrictEqual(db.query("SELECT last_insert_rowid()"), [[0]]);
  db.setLastInsertRowid(-(2n ** 63n));
  strictEqual(db.lastInsertRowid, -(2n ** 63n));
  throws(() => db.setLastInsertRowid(2n ** 63n), RangeError);
});

Deno.test("isAutocommit and transactionState tell none, read and write apart", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a)");
  deepStrictEqual([db.isAutocommit, db.transactionState], [true, "none"]);
  db.exec("BEGIN");
  deepStrictEqual([db.isAutocommit, db.transactionState], [false, "none"]);
  db.exec("SELECT * FROM t");
  strictEqual(db.transactionState, "read");
  db.exec("INSERT INTO t VALUES (1)");
  strictEqual(db.transactionState, "write");
  db.exec("ROLLBACK");
  deepStrictEqual([db.isAutocommit, db.transactionState], [true, "none"]);
});

Deno.test("open() names what SQLite says of a missing file, and makes one only when told", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("ä b.db");
  throws(
    () => Connection.open(testLibrary(), { path, mode: "readwrite" }),
    new SqliteError(14, "unable to open database file"),
  );
  Connection.open(testLibrary(), { path, mode: "create" }).exec("CREATE TABLE t(a)");
  using db = Connection.open(testLibrary(), { path, mode: "readonly" });
  throws(() => db.exec("INSERT INTO t VALUES (1)"), (error: SqliteError) => {
    deepStrictEqual([error.extendedCode, error.class], [8, "readonly"]);
    return true;
  });
});

Deno.test("close() finalizes what is left and can be called again; use afterwards throws", () => {
  const db = openMemory();
  const statement = db.prepare("SELECT 1");
  statement.step();
  db.close();
  db.close();
  throws(() => statement.step(), AssertionError);
  throws(() => db.exec("SELECT 1"), AssertionError);
});
