/**
 * What entries answer and do (the wire contract, sections 5.2 and 6; rules A1, A2, A4c), each entry a
 * batch of its own. Batches are the business of batch_boundaries_test.ts.
 */
import { match, strictEqual } from "node:assert/strict";
import { FORMAT } from "../command/request.ts";
import { Real } from "../command/value.ts";
import { TemporaryFolder } from "../sqlite/testing.ts";
import { entry, type EntrySettings, type ShortStatement, TestWriter } from "./testing.ts";

/** Entries and their answers, in order, on one fresh state. */
type Step = readonly [string | readonly ShortStatement[], string, EntrySettings?];

function check(
  steps: readonly Step[],
  options: { readonly foreignKeys?: boolean } = {},
): void {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"), options);
  for (const [statements, expected, settings] of steps) {
    const list = typeof statements === "string" ? [statements] : statements;
    strictEqual(writer.run(list, settings), expected, String(statements));
  }
}

const ROWS: EntrySettings = { rows: true };
const NOBODY: EntrySettings = { format: undefined };
const TRANSACTION: EntrySettings = { transaction: true };

Deno.test("An execute answers with counters, and repeats stale ones (5.2, 19.1)", () => {
  check([
    ["CREATE TABLE foo (id integer not null primary key, name text)", "[{}]"],
    ['INSERT INTO foo(name) VALUES("fiona")', '[{"last_insert_id":1,"rows_affected":1}]'],
    ['INSERT INTO bar(name) VALUES("fiona")', '[{"error":"no such table: bar"}]'],
    ["DROP TABLE bar", '[{"error":"no such table: bar"}]'],
    ["SELECT * FROM foo", '[{"last_insert_id":1,"rows_affected":1}]'],
    ["PRAGMA table_info(foo)", '[{"last_insert_id":1,"rows_affected":1}]'],
    ["EXPLAIN INSERT INTO foo(name) VALUES(1)", '[{"last_insert_id":1,"rows_affected":1}]'],
    ["UPDATE foo SET name=1 WHERE id=9", '[{"last_insert_id":1}]'],
    ["DROP TABLE foo", '[{"last_insert_id":1}]'],
  ]);
});

Deno.test("Stale counters survive a restart, like all that answers show", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  {
    using writer = new TestWriter(path);
    writer.run(["CREATE TABLE t(a)", "INSERT INTO t VALUES(1), (2)"]);
  }
  using writer = TestWriter.reopen(path);
  strictEqual(writer.run(["CREATE TABLE u(a)"]), '[{"last_insert_id":2,"rows_affected":2}]');
});

Deno.test("Empty statements answer as the wire has it (5.5, 6.3)", () => {
  check([
    [["", "CREATE TABLE t(a)", ""], "[{}]"],
    [[";", " ", "-----", "/* c */"], "[{},{},{},{}]"],
    [[";", "-- c"], '[{"rows":[]},{"rows":[]}]', { rows: true, format: FORMAT.associative }],
    [["/* c */ INSERT INTO t VALUES(1)"], '[{"last_insert_id":1,"rows_affected":1}]'],
    [["-----", "SELECT * FROM qux"], '[{},{"error":"no such table: qux"}]', ROWS],
    [[], "[]"],
  ]);
});

Deno.test("A string of several statements runs them all and answers for the last (6.2)", () => {
  check([
    [["CREATE TABLE foo(name)", "CREATE TABLE bar(name)"], "[{},{}]"],
    [
      'INSERT INTO foo(name) VALUES("alice");DROP TABLE foo;INSERT INTO bar(name) VALUES("bob")',
      '[{"last_insert_id":1,"rows_affected":1}]',
    ],
    [
      "CREATE TABLE late(a); INSERT INTO late VALUES(1); SELECT * FROM late;;-- end",
      '[{"columns":["a"],"types":["integer"],"values":[[1]]}]',
      ROWS,
    ],
    [
      "INSERT INTO late VALUES(2); INSERT INTO nowhere VALUES(1); INSERT INTO late VALUES(3)",
      '[{"error":"no such table: nowhere"}]',
    ],
    [
      "SELECT count(*) FROM late",
      '[{"columns":["count(*)"],"types":["integer"],"values":[[2]]}]',
      ROWS,
    ],
    [
      [["INSERT INTO late VALUES(?); INSERT INTO late VALUES(? + ?)", 10, 20, 30, 99]],
      '[{"last_insert_id":4,"rows_affected":1}]',
    ],
    [
      "SELECT a FROM late WHERE a=50",
      '[{"columns":["a"],"types":["integer"],"values":[[50]]}]',
      ROWS,
    ],
  ]);
});

Deno.test("RETURNING gives rows, on execute too, however it is spelled (6.7)", () => {
  const row = '[{"columns":["id","name"],"types":["integer","text"],"values":[[2,"declan"]]}]';
  check([
    ["CREATE TABLE foo(id INTEGER PRIMARY KEY, name TEXT)", "[{}]"],
    ['INSERT INTO foo(id, name) VALUES(2, "declan") RETURNING *', row],
    ["INSERT INTO foo(name) VALUES('returning ')", '[{"last_insert_id":3,"rows_affected":1}]'],
    [
      "DELETE FROM foo WHERE id=3 returning\n id",
      '[{"columns":["id"],"types":["integer"],"values":[[3]]}]',
    ],
    [
      "UPDATE foo SET name='x' WHERE name='no one' RETURNING name",
      '[{"types":{"name":"text"},"rows":[]}]',
      { format: FORMAT.associative },
    ],
    [
      "WITH w(x) AS (SELECT 7) INSERT INTO foo(id) SELECT x FROM w RETURNING id",
      '[{"columns":["id"],"types":["integer"],"values":[[7]]}]',
    ],
  ]);
});

Deno.test("Values bind by their types and the wire's rules (4.4)", () => {
  check([
    ["CREATE TABLE t(a, b)", "[{}]"],
    [
      [["INSERT INTO t VALUES(?, ?)", 1]],
      '[{"error":"not enough args to execute query: want 2 got 1"}]',
    ],
    [[["INSERT INTO t VALUES(?, ?)", 1, 2, 3]], '[{"last_insert_id":1,"rows_affected":1}]'],
    [
      [{
        sql: "INSERT INTO t VALUES(:x, @x)",
        named: [{ name: "x", value: 5 }, { name: "y", value: 6 }],
      }],
      '[{"last_insert_id":2,"rows_affected":1}]',
    ],
    [
      [{ sql: "INSERT INTO t VALUES($x, 1)", named: [{ name: ":x", value: 5 }] }],
      '[{"error":"name \\":x\\" does not begin with a letter"}]',
    ],
    [
      [["INSERT INTO t VALUES(?, ?)", new Real(1), 9223372036854775807n]],
      '[{"last_insert_id":3,"rows_affected":1}]',
    ],
    [
      [["INSERT INTO t VALUES(?2, ?1)", "a\0b", Uint8Array.of()]],
      '[{"last_insert_id":4,"rows_affected":1}]',
    ],
    [
      "SELECT typeof(a), typeof(b), length(CAST(b AS BLOB)) AS n FROM t WHERE rowid > 2",
      '[{"columns":["typeof(a)","typeof(b)","n"],"types":["text","text","integer"],' +
      '"values":[["real","integer",19],["blob","text",3]]}]',
      ROWS,
    ],
    [
      "SELECT * FROM t WHERE rowid=2",
      '[{"columns":["a","b"],"types":["integer","integer"],"values":[[5,5]]}]',
      ROWS,
    ],
  ]);
});

Deno.test("An error within a transaction rolls back and stops; what was listed stays (6.4)", () => {
  const inserts = [1, 2, 1, 4].map((id): ShortStatement => ["INSERT INTO foo(id) VALUES(?)", id]);
  const done = (id: number): string => `{"last_insert_id":${id},"rows_affected":1}`;
  const failed = '{"error":"UNIQUE constraint failed: foo.id"}';
  check([
    ["CREATE TABLE foo(id INTEGER PRIMARY KEY)", "[{}]"],
    [inserts, `[${done(1)},${done(2)},${failed}]`, TRANSACTION],
    ["SELECT * FROM foo", '[{"columns":["id"],"types":["integer"]}]', ROWS],
    [inserts, `[${done(1)},${done(2)},${failed},${done(4)}]`],
    [
      "SELECT count(*) AS n FROM foo",
      '[{"columns":["n"],"types":["integer"],"values":[[3]]}]',
      ROWS,
    ],
  ]);
});

Deno.test("A client's transaction is a transaction within its entry, with SQLite's errors (A2, 6.5)", () => {
  const count = (n: number): Step => [
    "SELECT count(*) AS n FROM t",
    `[{"columns":["n"],"types":["integer"],"values":[[${n}]]}]`,
    ROWS,
  ];
  const error = (text: string): string => `{"error":"${text}"}`;
  check([
    ["CREATE TABLE t(a)", "[{}]"],
    [
      ["BEGIN", "INSERT INTO t VALUES(1)", "ROLLBACK"],
      '[{},{"last_insert_id":1,"rows_affected":1},{"last_insert_id":1,"rows_affected":1}]',
    ],
    count(0),
    [
      ["BEGIN"],
      `[${error("transaction was rolled back: it was still open at the end of the request")}]`,
    ],
    [["COMMIT"], `[${error("cannot commit - no transaction is active")}]`],
    [["ROLLBACK"], `[${error("cannot rollback - no transaction is active")}]`],
    [["RELEASE x"], `[${error("no such savepoint: x")}]`],
    [
      ["BEGIN", "BEGIN", "COMMIT"],
      `[{},${error("cannot start a transaction within a transaction")},{}]`,
      ROWS,
    ],
    [["BEGIN"], `[${error("cannot start a transaction within a transaction")}]`, TRANSACTION],
    [
      "BEGIN IMMEDIATE; INSERT INTO t VALUES(1); INSERT INTO t VALUES(2); END TRANSACTION;",
      '[{"last_insert_id":2,"rows_affected":1}]',
    ],
    count(2),
    [
      [
        "SAVEPOINT 'a b'",
        "INSERT INTO t VALUES(3)",
        "SAVEPOINT y",
        "INSERT INTO t VALUES(4)",
        'ROLLBACK TO "Y"',
        'RELEASE "A B"',
      ],
      "",
      NOBODY,
    ],
    count(3),
    [["INSERT INTO t VALUES(5)", "BEGIN", "INSERT INTO t VALUES(6)"], "", NOBODY],
    count(4),
    [["SAVEPOINT s", "INSERT INTO t VALUES(7)", "COMMIT"], "", NOBODY],
    count(5),
  ]);
});

Deno.test("A statement that rolls back ends the client's transaction, as in SQLite (A4c)", () => {
  check([
    ["CREATE TABLE t(a UNIQUE)", "[{}]"],
    [
      [
        "INSERT INTO t VALUES(1)",
        "INSERT OR ROLLBACK INTO t VALUES(2), (1)",
        "INSERT INTO t VALUES(3)",
      ],
      '[{"last_insert_id":1,"rows_affected":1},{"error":"UNIQUE constraint failed: t.a"},{"last_insert_id":2,"rows_affected":1}]',
    ],
    [
      [
        "INSERT INTO t VALUES(4)",
        "BEGIN",
        "INSERT INTO t VALUES(5)",
        "INSERT OR ROLLBACK INTO t VALUES(1)",
        "INSERT INTO t VALUES(6)",
        "COMMIT",
      ],
      '[{"last_insert_id":3,"rows_affected":1},{"last_insert_id":3,"rows_affected":1},{"last_insert_id":4,"rows_affected":1},' +
      '{"error":"UNIQUE constraint failed: t.a"},{"last_insert_id":4,"rows_affected":1},' +
      '{"error":"cannot commit - no transaction is active"}]',
    ],
    [
      ["INSERT INTO t VALUES(7)", "INSERT OR ROLLBACK INTO t VALUES(1)", "INSERT INTO t VALUES(8)"],
      '[{"last_insert_id":5,"rows_affected":1},{"error":"UNIQUE constraint failed: t.a"}]',
      TRANSACTION,
    ],
    [
      "SELECT group_concat(a) AS g FROM t",
      '[{"columns":["g"],"types":["text"],"values":[["1,3,4,6"]]}]',
      ROWS,
    ],
  ]);
});

Deno.test("Deferred foreign keys are checked where SQLite would commit (A1)", () => {
  const failed = '{"error":"FOREIGN KEY constraint failed"}';
  const done = (id: number): string => `{"last_insert_id":${id},"rows_affected":1}`;
  check([
    [[
      "CREATE TABLE p(id INTEGER PRIMARY KEY)",
      "CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
    ], "[{},{}]"],
    ["INSERT INTO c VALUES(1)", `[${failed}]`],
    [["INSERT INTO c VALUES(2)", "INSERT INTO p VALUES(9)"], `[${failed},${done(9)}]`],
    [
      ["INSERT INTO c VALUES(3)", "INSERT INTO p VALUES(3)"],
      `[${done(1)},${done(3)}]`,
      TRANSACTION,
    ],
    [["INSERT INTO c VALUES(4)"], "!FOREIGN KEY constraint failed", TRANSACTION],
    [
      ["BEGIN", "INSERT INTO c VALUES(5)", "COMMIT", "INSERT INTO p VALUES(5)", "COMMIT"],
      `[${done(2)},${done(2)},${failed},${done(5)},${done(5)}]`,
    ],
    ["INSERT INTO c VALUES(6) RETURNING p", `[${failed}]`],
    [
      "SELECT group_concat(p) AS g FROM c",
      '[{"columns":["g"],"types":["text"],"values":[["3,5"]]}]',
      ROWS,
    ],
  ], { foreignKeys: true });
});

Deno.test("Children that never had a parent cannot bring down a later commit (A1)", () => {
  const message = "FOREIGN KEY constraint failed";
  const open = "transaction was rolled back: it was still open at the end of the request";
  const refused = `[{"error":"${open}"},{"last_insert_id":2,"rows_affected":1},` +
    `{"last_insert_id":10,"rows_affected":1},{"error":"${message}"}]`;
  const both = ["INSERT INTO c VALUES(10)", "INSERT INTO p VALUES(10)"];
  check([
    [
      [
        "CREATE TABLE p(id INTEGER PRIMARY KEY)",
        "CREATE TABLE c(p REFERENCES p DEFERRABLE " +
        "INITIALLY DEFERRED)",
      ],
      "[{},{}]",
    ],
    ["INSERT INTO c VALUES(10)", '[{"last_insert_id":1,"rows_affected":1}]'],
    ["PRAGMA foreign_keys=ON", '[{"last_insert_id":1,"rows_affected":1}]'],
    [both, `!${message}`, TRANSACTION],
    [["BEGIN", ...both, "COMMIT"], refused],
    ["INSERT INTO p VALUES(10)", '[{"last_insert_id":10,"rows_affected":1}]'],
  ]);
});

Deno.test("PRAGMA foreign_keys is a replicated setting, and none within a transaction", () => {
  const on = '[{"columns":["foreign_keys"],"types":["integer"],"values":[[1]]}]';
  const off = on.replace("[[1]]", "[[0]]");
  check([
    ["PRAGMA foreign_keys", off, ROWS],
    [["PRAGMA foreign_keys=ON"], "[{}]", { transaction: true }],
    ["PRAGMA foreign_keys", off, ROWS],
    ["PRAGMA foreign_keys=ON", "[{}]"],
    ["PRAGMA foreign_keys", on, ROWS],
    ["PRAGMA foreign_keys(0)", "[{}]", ROWS],
    ["PRAGMA foreign_keys", off, ROWS],
  ]);
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  {
    using writer = new TestWriter(path);
    writer.run(["PRAGMA foreign_keys=yes"]);
  }
  using writer = TestWriter.reopen(path);
  strictEqual(writer.run(["PRAGMA foreign_keys"], ROWS), on);
});

Deno.test("VACUUM runs alone in its entry, and nowhere else (A2)", () => {
  check([
    [["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)", "DELETE FROM t"], "", NOBODY],
    ["VACUUM", '[{"last_insert_id":1,"rows_affected":1}]'],
    [["VACUUM"], '[{"error":"cannot VACUUM from within a transaction"}]', TRANSACTION],
    [
      ["VACUUM", "SELECT 1"],
      '[{"error":"cannot VACUUM from within a transaction"},{"last_insert_id":1,"rows_affected":1}]',
    ],
    ["VACUUM INTO '/tmp/dust-must-not-exist'", '[{"error":"authorization denied"}]'],
    [" ; /* all */ VACUUM ;", '[{"last_insert_id":1,"rows_affected":1}]'],
    ["DELETE FROM sqlite_dust_state; VACUUM", '[{"error":"not authorized"}]'],
    [
      "INSERT INTO t VALUES(2); VACUUM",
      '[{"error":"cannot VACUUM from within a transaction"}]',
    ],
    [
      "PRAGMA recursive_triggers=1; VACUUM INTO '/tmp/dust-must-not-exist'",
      '[{"error":"not authorized"}]',
    ],
    ["SELECT 1; VACUUM", '[{"error":"cannot VACUUM from within a transaction"}]'],
    ["VACUUM; VACUUM", '[{"error":"cannot VACUUM from within a transaction"}]'],
  ]);
});

Deno.test("A precondition on the last write is checked when the entry is applied (F2)", () => {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"));
  writer.run(["CREATE TABLE t(a)"]);
  const written = writer.nextIndex - 1;
  writer.run(["SELECT 1"], ROWS);
  strictEqual(
    writer.run(["INSERT INTO t VALUES(1)"], { lastWriteIndexMax: written }),
    '[{"last_insert_id":1,"rows_affected":1}]',
  );
  strictEqual(
    writer.run(["INSERT INTO t VALUES(2)"], { lastWriteIndexMax: written }),
    "!precondition failed: the database has changed since",
  );
});

Deno.test("A result that cannot be shown fails in the answer only, not in the state", () => {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"));
  writer.run(["CREATE TABLE t(d DATETIME)"]);
  strictEqual(
    writer.run(["INSERT INTO t VALUES(9e17), (1) RETURNING d", "INSERT INTO t VALUES(2)"], {
      transaction: true,
    }),
    '[{"error":"Time.MarshalText: year outside of range [0,9999]"},{"last_insert_id":3,"rows_affected":1}]',
  );
  strictEqual(writer.rows("SELECT count(*) AS n FROM t"), "[[3]]");
});

Deno.test("Timings are added where they are asked for", () => {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"));
  const text = writer.run(["CREATE TABLE t(a)", "INSERT INTO t VALUES(1) RETURNING a"], {
    format: FORMAT.timings,
  });
  strictEqual(
    text.replace(/"time":[\d.e-]+/g, '"time":T'),
    '[{"time":T},{"columns":["a"],"types":["integer"],"values":[[1]],"time":T}]'.replace(
      '""',
      '"integer"',
    ),
  );
});

Deno.test("An entry of a newer build stops the node; it is no result", () => {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"));
  const foreign = entry(writer.nextIndex, ["SELECT 1"]);
  const payload = foreign.payload.slice();
  payload[1] = 99;
  let message = "";
  try {
    writer.apply([{ ...foreign, payload }]);
  } catch (error) {
    message = error instanceof Error ? `${error.name}: ${error.message}` : "";
  }
  match(message, /^FatalError: Cannot apply entry 2: Cannot decode command/);
});

Deno.test("optimize() of FTS3, which depends on the connection's past, is refused (Q6)", () => {
  const refused = '[{"error":"not authorized to use function: optimize"}]';
  check([
    [["CREATE VIRTUAL TABLE f USING fts4(a)", "CREATE TABLE log(a)"], "[{},{}]"],
    ["INSERT INTO f VALUES('word')", '[{"last_insert_id":1,"rows_affected":1}]'],
    ["INSERT INTO log SELECT optimize(f) FROM f", refused],
    ["SELECT optimize(f) FROM f", refused],
    ["INSERT INTO f(f) VALUES('optimize')", '[{"last_insert_id":1,"rows_affected":1}]'],
  ]);
});
