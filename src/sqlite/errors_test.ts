import { deepStrictEqual, ok, throws } from "node:assert/strict";
import type { Connection } from "./connection.ts";
import { classifyError, type ErrorClass, SqliteError } from "./errors.ts";
import { openMemory } from "./testing.ts";

function classOf(db: Connection, sql: string): [number, ErrorClass] {
  let seen: [number, ErrorClass] | undefined;
  throws(() => db.exec(sql), (error: SqliteError) => {
    seen = [error.extendedCode, error.class];
    return error instanceof SqliteError;
  });
  return seen ?? [0, "fatal"];
}

Deno.test("classifyError() goes by the extended code (rule A3)", () => {
  const classes: [number, ErrorClass][] = [
    [1, "result"], // ERROR
    [19, "result"], // CONSTRAINT
    [787, "result"], // CONSTRAINT_FOREIGNKEY
    [3091, "result"], // CONSTRAINT_DATATYPE
    [20, "result"], // MISMATCH
    [18, "result"], // TOOBIG
    [25, "result"], // RANGE
    [23, "result"], // AUTH
    [267, "result"], // CORRUPT_VTAB
    [11, "fatal"], // CORRUPT
    [523, "fatal"], // CORRUPT_SEQUENCE
    [779, "fatal"], // CORRUPT_INDEX
    [5, "busy"],
    [261, "busy"], // BUSY_RECOVERY
    [517, "busy"], // BUSY_SNAPSHOT
    [6, "busy"],
    [13, "full"],
    [9, "interrupted"],
    [8, "readonly"],
    [1032, "readonly"], // READONLY_DBMOVED
    [10, "fatal"],
    [778, "fatal"], // IOERR_WRITE
    [7, "fatal"], // NOMEM
    [14, "fatal"], // CANTOPEN
    [21, "fatal"], // MISUSE
    [26, "fatal"], // NOTADB
  ];
  deepStrictEqual(classes.map(([code]) => [code, classifyError(code)]), classes);
});

Deno.test("What a statement does wrong is a result", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a INTEGER PRIMARY KEY, b NOT NULL CHECK (b < 9))");
  deepStrictEqual(classOf(db, "INSERT INTO t VALUES (1, NULL)"), [1299, "result"]);
  deepStrictEqual(classOf(db, "INSERT INTO t VALUES (1, 9)"), [275, "result"]);
  deepStrictEqual(classOf(db, "INSERT INTO t VALUES ('x', 1)"), [20, "result"]);
  deepStrictEqual(classOf(db, "SELECT sum(a) FROM (SELECT 9223372036854775807 a UNION SELECT 1)"), [
    1,
    "result",
  ]);
  deepStrictEqual(classOf(db, "SELECT zeroblob(2000000000)"), [18, "result"]);
});

Deno.test("A shadow table that does not fit its FTS5 table is CORRUPT_VTAB, a result (rule A3)", () => {
  using db = openMemory();
  db.exec(`CREATE VIRTUAL TABLE f USING fts5(a);
    INSERT INTO f VALUES ('some text'); DELETE FROM f_data WHERE id > 1`);
  deepStrictEqual(classOf(db, "SELECT * FROM f('some')"), [267, "result"]);
});

Deno.test("A database that may not grow is full, and works again when it may", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a); PRAGMA max_page_count = 3");
  deepStrictEqual(classOf(db, "INSERT INTO t VALUES (zeroblob(100000))"), [13, "full"]);
  ok(db.isAutocommit);
  db.exec("PRAGMA max_page_count = 1000; INSERT INTO t VALUES (zeroblob(100000))");
});
