/**
 * Files that must not become the state, each with its reason, and files that may.
 */
import { deepStrictEqual, doesNotThrow, throws } from "node:assert/strict";
import { Connection } from "../sqlite/connection.ts";
import { setSwitches } from "../sqlite/settings.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import { checkDatabase } from "./database_check.ts";
import { createTestState, TestWriter } from "./testing.ts";

/** Makes a file by `sql`, as any program would. */
function makeFile(path: string, sql: string): void {
  using connection = Connection.open(testLibrary(), { path, mode: "create" });
  setSwitches(connection, { writableSchema: true, defensive: false });
  connection.exec(sql);
}

const GOOD =
  `PRAGMA page_size=65536; CREATE TABLE p(a PRIMARY KEY, b DEFAULT (random())) WITHOUT ROWID;
  CREATE TABLE c(a REFERENCES p(a), d AS (a || 'x')); CREATE INDEX i ON c(d) WHERE a > 1;
  CREATE VIRTUAL TABLE f USING fts5(x); CREATE VIRTUAL TABLE r USING rtree(id, x0, x1);
  INSERT INTO p VALUES(1, 2); INSERT INTO c(a) VALUES(1); INSERT INTO f VALUES('some words');
  CREATE TRIGGER t AFTER INSERT ON c BEGIN INSERT INTO p(a) VALUES(datetime('now')); END;
  CREATE VIEW v AS SELECT * FROM c; CREATE VIEW broken AS SELECT * FROM gone; ANALYZE`;

const BAD: readonly (readonly [string, RegExp])[] = [
  ["PRAGMA encoding='UTF-16'; CREATE TABLE t(a)", /its text is UTF-16/],
  [
    "CREATE TABLE p(a PRIMARY KEY); CREATE TABLE c(a REFERENCES p(a)); INSERT INTO c VALUES(7)",
    /a row of table c has a foreign key without its row in p/,
  ],
  [
    "CREATE TABLE t(a); CREATE TRIGGER x AFTER INSERT ON t BEGIN INSERT INTO sqlite_stat1 VALUES(1,2,3); END; ANALYZE",
    /table t does what SQL may not/,
  ],
  ["CREATE VIEW v AS SELECT * FROM pragma_database_list", /view v does what SQL may not/],
  ["CREATE VIEW v AS SELECT sqlite_source_id()", /view v does what SQL may not/],
  ["CREATE VIEW v AS SELECT * FROM dbstat", /view v does what SQL may not/],
  ["CREATE VIRTUAL TABLE d USING dbstat(main)", /table d is of a module that is not/],
  ["CREATE VIRTUAL TABLE d USING/**/dbstat(main)", /table d is of a module that is not/],
  ['CREATE VIRTUAL TABLE " using fts5(" USING dbstat(main)', /is of a module that is not/],
  [
    `CREATE VIEW v AS SELECT 1 AS a; CREATE TRIGGER x INSTEAD OF INSERT ON v
      BEGIN SELECT file FROM pragma_database_list; END`,
    /view v does what SQL may not/,
  ],
  [
    `CREATE VIEW v AS SELECT 1 AS a, 2 AS b; CREATE TRIGGER x INSTEAD OF UPDATE OF b ON v
      BEGIN SELECT sqlite_version(); END`,
    /view v does what SQL may not/,
  ],
  ["CREATE TABLE sqlite_dust_state(a)", /sqlite_dust_state has a name that is reserved/],
  [
    "CREATE TABLE t(a); CREATE VIEW v AS SELECT * FROM sqlite_dust_state",
    /view v names a table that is reserved/,
  ],
];

Deno.test("checkDatabase() takes what any program may have made, and states of ours", () => {
  using folder = new TemporaryFolder();
  const good = folder.file("good");
  makeFile(good, GOOD);
  doesNotThrow(() => checkDatabase(testLibrary(), { path: good, origin: "foreign" }));
  makeFile(folder.file("wal"), `PRAGMA journal_mode=WAL; ${GOOD}`);
  doesNotThrow(() => checkDatabase(testLibrary(), { path: folder.file("wal"), origin: "foreign" }));
  makeFile(folder.file("small"), GOOD.replace("65536", "512"));
  doesNotThrow(() =>
    checkDatabase(testLibrary(), { path: folder.file("small"), origin: "foreign" })
  );
  const state = folder.file("state");
  createTestState(state);
  {
    using writer = TestWriter.reopen(state);
    writer.run(["CREATE TABLE t(a)", "CREATE VIEW v AS SELECT * FROM pragma_database_list"]);
  }
  doesNotThrow(() => checkDatabase(testLibrary(), { path: state, origin: "state" }));
  throws(
    () => checkDatabase(testLibrary(), { path: state, origin: "foreign" }),
    /a name that is reserved/,
  );
});

Deno.test("checkDatabase() refuses what is damaged, foreign or would do what SQL may not (S32)", () => {
  using folder = new TemporaryFolder();
  for (const [at, [sql, reason]] of BAD.entries()) {
    const path = folder.file(`bad${at}`);
    makeFile(path, sql);
    throws(() => checkDatabase(testLibrary(), { path, origin: "foreign" }), reason, sql);
  }
  const garbage = folder.file("garbage");
  Deno.writeTextFileSync(garbage, "this is no database, whatever its name says ".repeat(200));
  throws(
    () => checkDatabase(testLibrary(), { path: garbage, origin: "foreign" }),
    /Cannot use database: .*no database/,
  );
});

const WHOLE: readonly (readonly [name: string, statements: readonly string[]])[] = [
  ["an index on a function that is ours", [
    "CREATE TABLE t(a)",
    "CREATE INDEX i ON t(sin(a), exp(a), pow(a, 0.3), log(a), atan2(a, 3), replace(a, 1, 'x'), trim(a))",
    "INSERT INTO t WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 999) SELECT i/7.0 FROM n",
  ]],
  ["a CHECK that depends on chance", [
    "CREATE TABLE t(a CHECK(a > abs(random() % 100)))",
    ...Array.from({ length: 40 }, () => "INSERT INTO t VALUES(50)"),
  ]],
  ["a full-text index that does not fit its content", [
    "CREATE TABLE t(a, b)",
    "INSERT INTO t VALUES('one', 'two')",
    "CREATE VIRTUAL TABLE f4 USING fts4(content='t', a, b)",
    "INSERT INTO f4(docid, a, b) VALUES(1, 'other', 'words'), (7, 'nowhere', 'else')",
    "CREATE VIRTUAL TABLE f5 USING fts5(a, b, content='t')",
    "INSERT INTO f5(rowid, a, b) VALUES(1, 'other', 'words')",
    "INSERT INTO f5(f5, rowid, a, b) VALUES('delete', 1, 'not', 'these')",
    "CREATE VIRTUAL TABLE fx USING fts5(a, content='')",
    "INSERT INTO fx(rowid, a) VALUES(1, 'word'), (2, 'word')",
    "INSERT INTO fx(fx, rowid, a) VALUES('delete', 2, 'nothing like it')",
  ]],
];

Deno.test("checkDatabase() takes a state that no statement has damaged, whatever SQLite says of it", () => {
  using folder = new TemporaryFolder();
  for (const [name, statements] of WHOLE) {
    const path = folder.file(name);
    {
      using writer = new TestWriter(path);
      for (const sql of statements) writer.run([sql]);
    }
    doesNotThrow(() => checkDatabase(testLibrary(), { path, origin: "state" }), name);
  }
});

Deno.test("checkDatabase() finds a page that was damaged", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("damaged");
  makeFile(
    path,
    "CREATE TABLE t(a, b); CREATE INDEX i ON t(b);" +
      "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x<5000) INSERT INTO t SELECT x, x FROM n",
  );
  const bytes = Deno.readFileSync(path);
  bytes.fill(0xa5, 4096 * 3, 4096 * 3 + 200);
  Deno.writeFileSync(path, bytes);
  throws(() => checkDatabase(testLibrary(), { path, origin: "foreign" }), /damaged/);
});

Deno.test("checkDatabase() refuses a header that is damaged, and a file that can only be read (S32)", () => {
  using folder = new TemporaryFolder();
  const cases: readonly (readonly [string, number, number, RegExp])[] = [
    ["page size that is no power of two", 17, 3, /no database/],
    ["bytes reserved that are in use", 20, 8, /damaged/],
    ["format to be written with", 18, 9, /can be read only/],
    ["format to be read with", 19, 9, /no database/],
  ];
  for (const [name, at, value, reason] of cases) {
    const path = folder.file(String(at));
    makeFile(path, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
    const bytes = Deno.readFileSync(path);
    bytes[at] = value;
    Deno.writeFileSync(path, bytes);
    throws(() => checkDatabase(testLibrary(), { path, origin: "foreign" }), reason, name);
    deepStrictEqual(Deno.readFileSync(path), bytes);
  }
});
