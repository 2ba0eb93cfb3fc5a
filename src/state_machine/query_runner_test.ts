/**
 * Reads on one connection (the wire contract, section 6): what they answer, what they refuse, what
 * counts as a write on `/db/request`.
 */
import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { FORMAT } from "../command/request.ts";
import { parseStatements } from "../command/statement_parser.ts";
import { setProgressHandler } from "../sqlite/progress_handler.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import { JsonWriter } from "./json_writer.ts";
import { QueryRunner, WRITE_REFUSED } from "./query_runner.ts";
import { openReader } from "./reader.ts";
import { TestWriter } from "./testing.ts";

/** A state with a table `foo`, a writer and a reader on it. */
class ReadTest implements Disposable {
  readonly writer: TestWriter;
  readonly #folder = new TemporaryFolder();
  readonly #session: ReturnType<typeof openReader>;
  readonly #json = new JsonWriter();
  readonly #runner: QueryRunner;
  /** What the host says when a statement is interrupted. */
  stopMessage: string | undefined = undefined;

  constructor() {
    const path = this.#folder.file("db.sqlite");
    this.writer = new TestWriter(path);
    this.writer.run([
      "CREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT)",
      "INSERT INTO foo VALUES(1, 'fiona'), (2, 'declan')",
    ]);
    this.#session = openReader(testLibrary(), { path, foreignKeys: false });
    this.#runner = new QueryRunner(this.#session, this.#json, {
      onChunk: () => {},
      hasSent: false,
      stopMessage: () => this.stopMessage,
      nowMs: () => 0,
    });
  }

  get stateIndex(): number {
    return this.#runner.stateIndex;
  }

  query(json: string, options: { readonly format?: number } = {}): string {
    this.#json.clear();
    this.#runner.run(parseStatements({ kind: "json", text: json }), {
      format: options.format ?? 0,
    });
    return this.#json.text();
  }

  sql(sql: string): string {
    return this.query(JSON.stringify([sql]));
  }

  isRead(...sql: readonly string[]): boolean {
    return this.#runner.isRead(parseStatements({ kind: "json", text: JSON.stringify(sql) }));
  }

  /** Does something once, in the middle of the next statement that runs long enough. */
  whileRunning(work: () => void): void {
    let isDue = true;
    setProgressHandler(this.#session.connection, 100, () => {
      if (isDue) work();
      isDue = false;
      return true;
    });
  }

  /** Interrupts the next statement that runs long enough, once. */
  interruptOnce(): void {
    let isDue = true;
    setProgressHandler(this.#session.connection, 1000, () => {
      const mayGoOn = !isDue;
      isDue = false;
      return mayGoOn;
    });
  }

  get isInTransaction(): boolean {
    return !this.#session.connection.isAutocommit;
  }

  [Symbol.dispose](): void {
    this.#session.connection.close();
    this.writer[Symbol.dispose]();
    this.#folder[Symbol.dispose]();
  }
}

const FOO =
  '{"columns":["id","name"],"types":["integer","text"],"values":[[1,"fiona"],[2,"declan"]]}';

Deno.test("Queries answer as the wire has it, one result for each statement", () => {
  using test = new ReadTest();
  strictEqual(test.sql("SELECT * FROM foo"), `[${FOO}]`);
  strictEqual(
    test.query('["", "SELECT * FROM foo", ";", "-----", "SELECT * FROM bar", "nonsense"]'),
    `[${FOO},{},{},{"error":"no such table: bar"},{"error":"near \\"nonsense\\": syntax error"}]`,
  );
  strictEqual(
    test.query('["-----","SELECT * FROM bar"]', { format: FORMAT.associative }),
    '[{"rows":[]},{"rows":[],"error":"no such table: bar"}]',
  );
  strictEqual(
    test.query('[["SELECT * FROM foo WHERE name=?", "\\"baz\\";DROP TABLE FOO"]]'),
    '[{"columns":["id","name"],"types":["integer","text"]}]',
  );
  strictEqual(
    test.query('[["SELECT id FROM foo WHERE name=:name", {"name":"fiona"}]]'),
    '[{"columns":["id"],"types":["integer"],"values":[[1]]}]',
  );
  strictEqual(
    test.query('[["SELECT ?", 1], ["SELECT ?, ?", 1]]'),
    '[{"columns":["?"],"types":["integer"],"values":[[1]]},' +
      '{"error":"not enough args to execute query: want 2 got 1"}]',
  );
});

Deno.test("Of several statements in a string the last is run, trailing blanks aside (6.2)", () => {
  using test = new ReadTest();
  strictEqual(
    test.sql("SELECT 1 AS a; SELECT 2 AS b"),
    '[{"columns":["b"],"types":["integer"],"values":[[2]]}]',
  );
  strictEqual(
    test.sql("SELECT 1 AS a;; -- end"),
    '[{"columns":["a"],"types":["integer"],"values":[[1]]}]',
  );
  strictEqual(
    test.query('[["SELECT ? AS a; SELECT ? AS b", 1, 2]]'),
    '[{"columns":["b"],"types":["integer"],"values":[[2]]}]',
  );
  strictEqual(
    test.sql("INSERT INTO foo VALUES(9, 'x'); SELECT 1"),
    `[{"error":"${WRITE_REFUSED}"}]`,
  );
  strictEqual(test.sql("SELECT 1; SELECT * FROM bar"), '[{"error":"no such table: bar"}]');
});

Deno.test("A write on the query path gets the wire's error and changes nothing (6.9, X3)", () => {
  using test = new ReadTest();
  const writes = [
    "INSERT INTO foo VALUES(9, 'x')",
    "INSERT INTO foo VALUES(9, 'x') RETURNING *",
    "WITH w AS (SELECT 1) DELETE FROM foo",
    "UPDATE foo SET name=1",
    "DROP TABLE foo",
    "CREATE TABLE temp.x(a)",
    "CREATE TEMP TABLE x(a)",
    "VACUUM",
    "VACUUM INTO '/tmp/dust-must-not-exist'",
    "ANALYZE",
    "PRAGMA user_version=5",
    "BEGIN IMMEDIATE; DELETE FROM foo",
  ];
  for (const sql of writes) strictEqual(test.sql(sql), `[{"error":"${WRITE_REFUSED}"}]`, sql);
  strictEqual(test.sql("SELECT * FROM foo"), `[${FOO}]`);
});

Deno.test("Reads may see facts about the node, and nothing that would stay behind", () => {
  using test = new ReadTest();
  strictEqual(
    test.sql("PRAGMA journal_mode"),
    '[{"columns":["journal_mode"],"types":["text"],"values":[["wal"]]}]',
  );
  match(test.sql("SELECT sqlite_version()"), /"values":\[\["3\./);
  match(test.sql("SELECT random() IS NOT NULL AS r"), /\[\[1\]\]/);
  strictEqual(test.sql("PRAGMA foreign_keys=ON"), "[{}]");
  match(
    test.sql("EXPLAIN QUERY PLAN DELETE FROM foo"),
    /"columns":\["id","parent","notused","detail"\]/,
  );
  match(test.sql("EXPLAIN INSERT INTO foo VALUES(1, 2)"), /"columns":\["addr","opcode"/);
  for (
    const sql of [
      "PRAGMA case_sensitive_like=1",
      "PRAGMA writable_schema=1",
      "SELECT load_extension('x')",
    ]
  ) {
    match(test.sql(sql), /not authorized/, sql);
  }
  match(test.sql("ATTACH ':memory:' AS x"), /error/);
  for (const sql of ["BEGIN", "SAVEPOINT a", "COMMIT", "ROLLBACK", "RELEASE a"]) {
    strictEqual(test.sql(sql), "[{}]", sql);
  }
  ok(!test.isInTransaction);
});

Deno.test("QueryRunner keeps no EXPLAIN, which does not notice that its table is gone", () => {
  using test = new ReadTest();
  // The plain one would read the name of a table from memory that was freed.
  for (const kind of ["EXPLAIN QUERY PLAN", "EXPLAIN"]) {
    test.writer.run(["CREATE TABLE bar(a)"]);
    test.sql("SELECT * FROM foo");
    match(test.sql(`${kind} INSERT INTO bar VALUES(1)`), /"columns"/);
    test.writer.run(["DROP TABLE bar"]);
    test.sql("SELECT * FROM foo");
    match(test.sql(`${kind} INSERT INTO bar VALUES(1)`), /no such table: bar/);
  }
});

Deno.test("Tables of ours are hidden from reads (Q7, 19.5)", () => {
  using test = new ReadTest();
  strictEqual(
    test.sql("SELECT * FROM sqlite_master"),
    '[{"columns":["type","name","tbl_name","rootpage","sql"],"types":["text","text","text","int","text"],' +
      '"values":[["table","foo","foo",2,"CREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT)"]]}]',
  );
  for (
    const sql of [
      "SELECT name FROM sqlite_schema WHERE type='table'",
      "SELECT tbl_name AS name FROM main.sqlite_master",
      "SELECT name FROM (SELECT name FROM sqlite_master)",
    ]
  ) {
    match(test.sql(sql), /"values":\[\["foo"\]\]/, sql);
  }
  doesNotMatch(test.sql("PRAGMA table_list"), /dust/);
  match(test.sql("SELECT * FROM sqlite_dust_state"), /prohibited/);
});

Deno.test("New columns show after the writer has added them (6.1)", () => {
  using test = new ReadTest();
  test.sql("SELECT * FROM foo");
  test.writer.run(["ALTER TABLE foo ADD COLUMN age DEFAULT 7"]);
  match(test.sql("SELECT * FROM foo"), /"columns":\["id","name","age"\]/);
});

Deno.test("All statements see one snapshot, whose index is known, and all run after errors (6.4)", () => {
  using test = new ReadTest();
  strictEqual(
    test.query('["SELECT count(*) AS n FROM foo", "nonsense", "SELECT 1 AS a"]'),
    '[{"columns":["n"],"types":["integer"],"values":[[2]]},' +
      '{"error":"near \\"nonsense\\": syntax error"},{"columns":["a"],"types":["integer"],"values":[[1]]}]',
  );
  ok(!test.isInTransaction);
  strictEqual(test.stateIndex, 2);
  test.writer.run(["INSERT INTO foo VALUES(3, 'x')"]);
  test.query('["SELECT 1"]');
  strictEqual(test.stateIndex, 3);
});

Deno.test("A request reads one state and names its index, whatever is written while it runs", () => {
  using test = new ReadTest();
  test.whileRunning(() => test.writer.run(["INSERT INTO foo VALUES(3, 'x')"]));
  const long = "SELECT count(*) AS n FROM foo a, foo b, foo c, foo d, foo e, foo f, foo g, foo h";
  match(
    test.query(JSON.stringify([long, "SELECT count(*) AS n FROM foo"])),
    /\[\[256\]\].*\[\[2\]\]/,
  );
  strictEqual(test.stateIndex, 2);
  match(test.sql("SELECT count(*) AS n FROM foo"), /\[\[3\]\]/);
  strictEqual(test.stateIndex, 3);
});

Deno.test("isRead() goes by what SQLite says of every statement (6.6)", () => {
  using test = new ReadTest();
  const reads = [
    "SELECT * FROM foo",
    "VALUES(1)",
    "WITH w AS (SELECT 1) SELECT * FROM w",
    "PRAGMA table_info(foo)",
    "PRAGMA journal_mode",
    "-- nothing",
    "",
    "BEGIN",
    "EXPLAIN DELETE FROM foo",
    "SELECT 1; SELECT 2",
  ];
  const writes = [
    "SELECT * FROM missing",
    "nonsense",
    "INSERT INTO foo VALUES(1, 2)",
    "SELECT 1; DELETE FROM foo",
    "CREATE TABLE x(a)",
    "PRAGMA user_version=1",
    "PRAGMA foreign_keys=ON",
    "DELETE FROM foo RETURNING *",
    "ATTACH 'x' AS y",
  ];
  deepStrictEqual(reads.filter((sql) => !test.isRead(sql)), []);
  deepStrictEqual(writes.filter((sql) => test.isRead(sql)), []);
  ok(!test.isRead("SELECT 1", "DELETE FROM foo"));
});

Deno.test("A year that cannot be shown fails its statement only", () => {
  using test = new ReadTest();
  test.writer.run(["CREATE TABLE t(d DATETIME)", "INSERT INTO t VALUES(1), (9e17)"]);
  strictEqual(
    test.query('["SELECT d FROM t", "SELECT 1 AS a"]'),
    '[{"error":"Time.MarshalText: year outside of range [0,9999]"},' +
      '{"columns":["a"],"types":["integer"],"values":[[1]]}]',
  );
});

Deno.test("An interrupt that was meant for another query is not an answer: it is run again (Q12)", () => {
  using test = new ReadTest();
  const count =
    "SELECT count(*) AS n FROM foo a, foo b, foo c, foo d, foo e, foo f, foo g, foo h, foo i";
  test.interruptOnce();
  match(test.sql(count), /\[\[512\]\]/);
  test.interruptOnce();
  test.stopMessage = "query timeout";
  strictEqual(test.sql(count), '[{"error":"query timeout"}]');
});
