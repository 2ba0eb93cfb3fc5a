/**
 * What of a database is state, and so the same on every replica and in every copy, and what is layout,
 * which no write may see.
 */
import { deepStrictEqual, doesNotMatch, match, strictEqual } from "node:assert/strict";
import { FORMAT } from "../command/request.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import { INTERNAL_FUNCTIONS } from "./sql_policy.ts";
import { copyState } from "./state_file.ts";
import { contentOf, entry, TestWriter } from "./testing.ts";

/** Runs the same on a writer and on one that goes on from a copy of its state, and compares them. */
function compareWithCopy(
  before: readonly string[],
  behind: readonly string[],
  compare: (writer: TestWriter) => void,
): void {
  using folder = new TemporaryFolder();
  const original = folder.file("original");
  const copy = folder.file("copy");
  {
    using writer = new TestWriter(original);
    for (const sql of before) writer.run([sql]);
    copyState(testLibrary(), { from: original, to: copy, isDurable: true });
    for (const sql of behind) writer.run([sql]);
    compare(writer);
  }
  {
    using writer = TestWriter.reopen(copy);
    for (const sql of behind) writer.run([sql]);
    compare(writer);
  }
  strictEqual(contentOf(copy), contentOf(original));
}

Deno.test("A copy of the state keeps rowids that nobody declared (S19)", () => {
  compareWithCopy(
    [
      "CREATE TABLE t(a)",
      "INSERT INTO t VALUES('a'), ('b'), ('c'), ('d')",
      "DELETE FROM t WHERE a IN ('a', 'c')",
    ],
    ["INSERT INTO t VALUES('e')", "UPDATE t SET a = a || rowid"],
    (writer) => strictEqual(writer.rows("SELECT a FROM t"), '[["b2"],["d4"],["e5"]]'),
  );
});

Deno.test("sqlite_sequence is state: its edits count on every replica and in every copy (S21)", () => {
  compareWithCopy(
    [
      "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a)",
      "INSERT INTO t(a) VALUES(1), (2), (3)",
      "UPDATE sqlite_sequence SET seq = 40 WHERE name = 't'",
      "DELETE FROM t WHERE id > 1",
    ],
    ["INSERT INTO t(a) VALUES(4)"],
    (writer) => strictEqual(writer.rows("SELECT id FROM t"), "[[1],[41]]"),
  );
});

Deno.test("Where a table begins in the file cannot be stored (S27)", () => {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"));
  writer.run(["CREATE TABLE t(a)", "CREATE VIEW layout AS SELECT rootpage FROM sqlite_schema"]);
  for (
    const sql of [
      "INSERT INTO t SELECT rootpage FROM sqlite_schema",
      "INSERT INTO t SELECT rootpage FROM layout",
      "UPDATE t SET a = (SELECT max(rootpage) FROM sqlite_master)",
      "WITH x AS (SELECT rootpage FROM sqlite_schema) INSERT INTO t SELECT * FROM x",
      "CREATE TABLE u AS SELECT * FROM sqlite_schema",
      "DELETE FROM t WHERE a IN (SELECT rootpage FROM sqlite_schema) RETURNING a",
    ]
  ) match(writer.run([sql]), /rootpage is prohibited/, sql);
  match(writer.run(["INSERT INTO t SELECT name FROM sqlite_schema"]), /"rows_affected"/);
  match(writer.run(["SELECT rootpage FROM sqlite_schema"], { rows: true }), /"values":\[\[/);
});

Deno.test("ALTER TABLE does all that it does in SQLite, and its inner functions nothing else", () => {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"));
  for (
    const sql of [
      "CREATE TABLE t(a CHECK(a > 0) NOT NULL, b, c)",
      "CREATE INDEX i ON t(b)",
      "CREATE VIEW v AS SELECT a FROM t",
      "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET b = 1; END",
      "ALTER TABLE t RENAME TO u",
      "ALTER TABLE u RENAME COLUMN b TO d",
      "ALTER TABLE u DROP COLUMN c",
      "ALTER TABLE u ADD COLUMN e CHECK(e > 1)",
      "ALTER TABLE u ALTER COLUMN a DROP NOT NULL",
      "ALTER TABLE u ADD CONSTRAINT z CHECK(a < 100)",
      "ALTER TABLE u DROP CONSTRAINT z",
      "CREATE VIRTUAL TABLE f USING fts5(x)",
      "ALTER TABLE f RENAME TO f2",
      "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)",
      "ALTER TABLE r RENAME TO r2",
      "REINDEX",
      "ANALYZE",
    ]
  ) strictEqual(writer.run([sql]), "[{}]", sql);
  doesNotMatch(writer.run(["INSERT INTO u(a) VALUES(7)"]), /error/);
  strictEqual(writer.rows("SELECT a, d FROM u JOIN v USING(a)"), "[[7,1]]");
  for (const name of INTERNAL_FUNCTIONS) {
    match(writer.run([`SELECT ${name}(1,2,3,4,5,6,7,8,9)`]), /"error"/, name);
  }
  match(writer.run(["ALTER TABLE u RENAME TO sqlite_dust_u"]), /reserved/);
});

Deno.test("What is known of a statement does not outlive the schema (Q5)", () => {
  const drop = "DROP TRIGGER IF EXISTS g";
  compareWithCopy(
    ["CREATE TABLE t(a)", drop, "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END"],
    [],
    (writer) => {
      // The chain of results, which is compared too, tells no rows from counters.
      strictEqual(writer.run([drop], { rows: true }), "[{}]");
    },
  );
});

Deno.test("What is kept of an answer does not depend on which statements are kept (X2)", () => {
  const insert = "INSERT INTO u VALUES(1) RETURNING a";
  const retry = { kind: "key", user: "", key: "one", format: FORMAT.associative } as const;
  compareWithCopy(["CREATE TABLE u(a)", insert, "DROP TABLE u"], [], (writer) => {
    strictEqual(writer.run([insert], { retry }), '[{"error":"no such table: u"}]');
  });
});

Deno.test("EXPLAIN is not kept with the answer to a named write, as it depends on the past (X2)", () => {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"));
  const retry = { kind: "key", user: "", key: "one", format: 0 } as const;
  match(writer.run(["EXPLAIN SELECT 1"], { rows: true }), /"opcode"/);
  match(writer.run(["EXPLAIN SELECT 1"], { rows: true, retry }), /^\[\{"error":"cannot EXPLAIN/);
});

Deno.test("EXPLAIN is compiled each time, as one that is kept does not notice another schema (Q5)", () => {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"));
  // The plain one would read the name of a table from memory that was freed.
  for (const kind of ["EXPLAIN QUERY PLAN", "EXPLAIN"]) {
    writer.run(["CREATE TABLE t(a)"]);
    const explain = `${kind} INSERT INTO t VALUES(1)`;
    match(writer.run([explain], { rows: true }), /"columns"/);
    const answer = writer.run(["DROP TABLE t", explain], { rows: true });
    strictEqual(answer, '[{},{"error":"no such table: t"}]');
  }
});

Deno.test("A kept statement that no longer compiles fails by that, whatever else is wrong with it (X2)", () => {
  const broken = "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES(1); END";
  const before = ["CREATE TABLE t(a, b)", "CREATE TABLE log(a)", broken];
  const change = "ALTER TABLE log ADD COLUMN b";
  const retry = { kind: "key", user: "", key: "one", format: 0 } as const;
  const insert = "INSERT INTO t VALUES(?, ?)";
  const two = `${insert}; SELECT 1`;
  const explain = "EXPLAIN INSERT INTO t VALUES(1, 2)";
  using folder = new TemporaryFolder();
  const answers = [true, false].map((isKept) => {
    using writer = new TestWriter(folder.file(`kept_${isKept}`));
    for (const sql of before) writer.run([sql]);
    if (isKept) {
      match(writer.run([explain], { rows: true }), /"opcode"/);
      for (const sql of [insert, two]) writer.run([[sql, 1, 2]]);
    }
    writer.run([change]);
    return [
      writer.run([explain], { rows: true, retry }),
      writer.run([[insert, 1]]),
      writer.run([[two, 1]]),
    ];
  });
  const error = '[{"error":"table log has 2 columns but 1 values were supplied"}]';
  deepStrictEqual(answers, [[error, error, error], [error, error, error]]);
});

Deno.test("A table's size is forgotten with the index whose statistics told it (Q5)", () => {
  const numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT";
  compareWithCopy(
    [
      "CREATE TABLE few(a)",
      "CREATE TABLE many(a)",
      `INSERT INTO many ${numbers} 400) SELECT i % 10 FROM n`,
      `INSERT INTO few ${numbers} 20) SELECT i % 10 FROM n`,
      "CREATE TABLE l(a, b)",
      "CREATE INDEX i ON few(a)",
      "ANALYZE",
      "DROP INDEX i",
    ],
    // Which of the two is the outer one follows from their sizes.
    ["INSERT INTO l SELECT few.rowid, many.rowid FROM few, many WHERE few.a = many.a LIMIT 2"],
    (writer) => strictEqual(writer.rows("SELECT a, b FROM l"), "[[1,1],[1,11]]"),
  );
});

Deno.test("PRAGMA optimize makes no statistics, which would follow the connection's past (S18)", () => {
  compareWithCopy(
    [
      "CREATE TABLE t(a)",
      "CREATE INDEX i ON t(a)",
      "INSERT INTO t VALUES(1)",
      "ANALYZE",
      "INSERT INTO t WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 999) SELECT i FROM n",
      "SELECT * FROM t WHERE a = 1",
    ],
    ["PRAGMA optimize", "PRAGMA main.optimize(0x10002)"],
    (writer) => strictEqual(writer.rows("SELECT stat FROM sqlite_stat1"), '[["1 1"]]'),
  );
});

Deno.test("PRAGMA table_list, which knows only virtual tables that were used, cannot be stored (S27)", () => {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"));
  writer.run(["CREATE TABLE t(a)", "CREATE VIRTUAL TABLE f USING fts5(a)"]);
  match(writer.run(["INSERT INTO t SELECT ncol FROM pragma_table_list"]), /prohibited/);
  match(writer.run(["PRAGMA table_list"], { rows: true }), /not authorized/);
});

Deno.test("Statistics that were rolled back steer no plan, whatever else is in the batch (Q5, A1)", () => {
  const pick = "INSERT INTO log SELECT c FROM t WHERE a = 1 AND b = 0 LIMIT 1";
  const analyze = "SAVEPOINT s; UPDATE t SET b = 1, a = rowid; ANALYZE t; ROLLBACK TO s; RELEASE s";
  const log = [
    [
      "CREATE TABLE log(c)",
      "CREATE TABLE t(a, b, c)",
      `WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300)
        INSERT INTO t SELECT i % 4, i % 21, i FROM n`,
      "CREATE INDEX ta ON t(a, c)",
      "CREATE INDEX tb ON t(b, c DESC)",
      "ANALYZE t",
    ],
    ["CREATE TABLE unrelated(a)"],
    [analyze, pick],
  ].map((statements, at) => entry(at + 2, statements));
  using folder = new TemporaryFolder();
  const contents = [1, 2, 3].map((batch) => {
    const path = folder.file(`${batch}`);
    using writer = new TestWriter(path);
    for (let at = 0; at < log.length; at += batch) writer.apply(log.slice(at, at + batch));
    return contentOf(path);
  });
  strictEqual(contents[1], contents[0]);
  strictEqual(contents[2], contents[0]);
});
