/**
 * What keeps replicas equal, rule by rule (rules A3 to A6, Q2 to Q7, T1; faults S1 to S31). Each test
 * fails when its rule is taken out.
 */
import {
  deepStrictEqual,
  doesNotMatch,
  match,
  notStrictEqual,
  ok,
  strictEqual,
  throws,
} from "node:assert/strict";
import { entryChainText, nextEntryChain, startEntryChain } from "../base/entry_chain.ts";
import type { Command } from "../command/command.ts";
import { encodeCommand } from "../command/command_encoder.ts";
import { NOW_MS_END } from "../command/command_format.ts";
import { FEATURE_LEVEL, FEATURE_LEVEL_FIRST } from "../command/feature_level.ts";
import { removeAuthorizer } from "../sqlite/authorizer.ts";
import { Connection } from "../sqlite/connection.ts";
import { readDataVersion } from "../sqlite/settings.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import { TIMEOUT_STEPS_MIN } from "./replicated_limits.ts";
import {
  CLUSTER_ID,
  CONFIGURATION,
  contentOf,
  entry,
  EPOCH_MS,
  type ShortStatement,
  TestWriter,
} from "./testing.ts";

/** Runs `work` on a fresh state. */
function withWriter(work: (writer: TestWriter, path: string) => void): void {
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  using writer = new TestWriter(path);
  work(writer, path);
}

function refused(writer: TestWriter, sql: string, pattern: RegExp): void {
  for (const rows of [false, true]) {
    const answer = writer.run([sql], { rows });
    match(answer, /^\[\{("rows":\[\],)?"error":/, `${sql} gave ${answer}`);
    match(answer, pattern, `${sql} gave ${answer}`);
  }
}

// --- time and chance ------------------------------------------------------------------------------

Deno.test("One time per entry, in every spelling and place (S2, S3, Q9)", () => {
  withWriter((writer) => {
    writer.run([
      `CREATE TABLE t(a, d DEFAULT CURRENT_TIMESTAMP, e DEFAULT (datetime('n'||'ow')),
        CHECK(CURRENT_TIMESTAMP > '2030'))`,
      "CREATE TABLE l(x)",
      "CREATE TRIGGER tt AFTER INSERT ON t BEGIN INSERT INTO l VALUES(strftime('%Y-%m-%d %H:%M:%S')); END",
      "CREATE VIEW v AS SELECT datetime('now', '+0 days') AS x",
    ]);
    const nowMs = Date.UTC(2031, 1, 3, 4, 5, 6, 789);
    writer.run([["INSERT INTO t(a) VALUES(datetime(?))", "now"]], { nowMs });
    const at = '"2031-02-03 04:05:06"';
    strictEqual(
      writer.run(["SELECT a, d, e, x FROM t, l", "SELECT x, julianday() FROM v"], {
        rows: true,
        nowMs,
      }),
      '[{"columns":["a","d","e","x"],"types":["text","text","text","text"],' +
        `"values":[[${at},${at},${at},${at}]]},` +
        `{"columns":["x","julianday()"],"types":["text","real"],"values":[[${at},2462900.670217465]]}]`,
    );
  });
});

Deno.test("Time never goes back, survives a restart, and ignores what is no time (T1, Q9)", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  const time = (writer: TestWriter, nowMs: number): string =>
    writer.run(["SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS t"], { rows: true, nowMs })
      .replace(/.*\[\[(\d+)\]\].*/, "$1");
  {
    using writer = new TestWriter(path);
    strictEqual(time(writer, EPOCH_MS + 5000), String(EPOCH_MS + 5000));
    strictEqual(time(writer, EPOCH_MS), String(EPOCH_MS + 5000));
  }
  using writer = TestWriter.reopen(path);
  strictEqual(time(writer, 0), String(EPOCH_MS + 5000));
  strictEqual(time(writer, NOW_MS_END - 1), "253402300799999");
});

/** Applies an entry without SQL. */
function applyCommand(writer: TestWriter, command: Command): void {
  writer.apply([{ ...entry(writer.nextIndex, []), payload: encodeCommand(command) }]);
}

Deno.test("An entry that sets the time takes it back, and survives a restart; others only go on (T1)", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  const setTime = (writer: TestWriter, nowMs: number): void =>
    applyCommand(writer, { kind: "set_time", nowMs });
  {
    using writer = new TestWriter(path);
    writer.run(["SELECT 1"], { nowMs: EPOCH_MS + 9000 });
    setTime(writer, EPOCH_MS + 2000);
    strictEqual(writer.writer.record.lastTimeMs, EPOCH_MS + 2000);
    writer.run(["SELECT 1"], { nowMs: EPOCH_MS });
    strictEqual(writer.writer.record.lastTimeMs, EPOCH_MS + 2000);
  }
  using writer = TestWriter.reopen(path);
  strictEqual(writer.writer.record.lastTimeMs, EPOCH_MS + 2000);
  setTime(writer, NOW_MS_END - 1);
  strictEqual(writer.writer.record.lastTimeMs, 253402300799999);
});

Deno.test("An entry raises the cluster's feature level, and never takes it back; one unknown here ends the node (F1)", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  const raise = (writer: TestWriter, level: number): void =>
    applyCommand(writer, { kind: "raise_level", level });
  {
    using writer = new TestWriter(path);
    strictEqual(writer.writer.record.featureLevel, FEATURE_LEVEL_FIRST);
    raise(writer, FEATURE_LEVEL);
    raise(writer, 0);
    strictEqual(writer.writer.record.featureLevel, FEATURE_LEVEL);
    throws(() => raise(writer, FEATURE_LEVEL + 1), {
      name: "FatalError",
      exitStatus: 65,
      message: new RegExp(
        `level ${FEATURE_LEVEL + 1}, and this build knows ${FEATURE_LEVEL}; start `,
      ),
    });
  }
  using writer = TestWriter.reopen(path);
  strictEqual(writer.writer.record.featureLevel, FEATURE_LEVEL);
});

Deno.test("Local time is refused a zone of its own, and generated columns a clock (S4)", () => {
  withWriter((writer) => {
    writer.run(["CREATE TABLE g(a, d AS (date(a)))", "CREATE INDEX gi ON g(date(a))"]);
    match(writer.run(["INSERT INTO g(a) VALUES('now')"]), /non-deterministic/);
    strictEqual(
      writer.run(["INSERT INTO g(a) VALUES('2020-02-03')"]),
      '[{"last_insert_id":1,"rows_affected":1}]',
    );
    match(
      writer.run(["CREATE TABLE h(a, r AS (random()))", "INSERT INTO h(a) VALUES(1)"]),
      /non-deterministic/,
    );
  });
});

Deno.test("Chance comes from the entry's seed, wherever it is drawn (S1, S3)", () => {
  const run = (seed: bigint): string => {
    let content = "";
    withWriter((writer) => {
      writer.run(["CREATE TABLE t(a, r DEFAULT (random()), CHECK(random() IS NOT NULL))"]);
      writer.run([
        "INSERT INTO t(a) VALUES(1), (2), (3)",
        "INSERT INTO t(a) SELECT a FROM t ORDER BY random() LIMIT 2",
        "INSERT INTO t(a) VALUES(hex(randomblob(1 + 2)))",
      ], { seed });
      content = writer.rows("SELECT * FROM t");
    });
    return content;
  };
  strictEqual(run(5n), run(5n));
  notStrictEqual(run(5n), run(6n));
  notStrictEqual(run(5n), run(5n + 2n ** 32n), "the upper half of the seed counts");
});

// --- nothing leaks ----------------------------------------------------------------------------------

Deno.test("changes(), last_insert_rowid() and total_changes() begin anew with each entry (Q6, S6)", () => {
  withWriter((writer) => {
    writer.run(["CREATE TABLE t(a)", "INSERT INTO t VALUES(1), (2)"]);
    const facts = "SELECT changes() AS c, last_insert_rowid() AS l, total_changes() AS t";
    const values = (text: string): string | undefined => /"values":(\[\[.*\]\])/.exec(text)?.[1];
    strictEqual(values(writer.run([facts], { rows: true })), "[[0,0,0]]");
    strictEqual(
      values(
        writer.run(["INSERT INTO t VALUES(3), (4)", "UPDATE t SET a=1", facts], { rows: true }),
      ),
      "[[4,4,6]]",
    );
    strictEqual(values(writer.run([facts], { rows: true })), "[[0,0,0]]");
  });
});

Deno.test("Rows that FTS keeps in memory are written by their own entry, not by a later one (A1)", () => {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"), { foreignKeys: true });
  writer.run(["CREATE VIRTUAL TABLE f USING fts5(t)", "CREATE TABLE l(c, t)"]);
  const first = writer.nextIndex;
  writer.apply([
    entry(first, ["INSERT INTO f VALUES('hello world')"]),
    entry(first + 1, ["INSERT INTO l VALUES(changes(), total_changes())"]),
  ]);
  strictEqual(writer.rows("SELECT * FROM l"), "[[0,0]]");
});

Deno.test("PRAGMA defer_foreign_keys ends with its entry (Q6)", () => {
  using folder = new TemporaryFolder();
  using writer = new TestWriter(folder.file("db.sqlite"), { foreignKeys: true });
  writer.run(["CREATE TABLE p(id INTEGER PRIMARY KEY)", "CREATE TABLE c(p REFERENCES p)"]);
  const child = "INSERT INTO c VALUES(7)";
  const parent = "INSERT OR IGNORE INTO p VALUES(7)";
  const deferred = writer.apply([
    entry(writer.nextIndex, ["PRAGMA defer_foreign_keys=ON", child, parent], { transaction: true }),
    entry(writer.nextIndex + 1, [child.replace("7", "8"), parent.replace("7", "8")], {
      transaction: true,
    }),
  ]).answers;
  doesNotMatch(String(deferred[0]), /error/);
  strictEqual(deferred[1], '[{"error":"FOREIGN KEY constraint failed"}]');
});

/**
 * Which row a query picks after statistics were gathered and taken back, in the same process and after
 * a restart. The index on `a` was best when they were gathered first, that on `b` is by the data.
 */
function chooseRow(
  takeBack: (writer: TestWriter) => void,
  options: { readonly isRestarted: boolean },
): string {
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  let writer = new TestWriter(path);
  writer.run([
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)",
    "CREATE INDEX ta ON t(a)",
    "CREATE INDEX tb ON t(b)",
    `INSERT INTO t(a, b) WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n LIMIT 1000)
      SELECT x, 1000 - x FROM n`,
    "ANALYZE",
    "UPDATE t SET a=1",
  ]);
  takeBack(writer);
  if (options.isRestarted) {
    writer[Symbol.dispose]();
    writer = TestWriter.reopen(path);
  }
  const row = writer.rows("SELECT id FROM t WHERE a=1 AND b>=0 LIMIT 1");
  writer[Symbol.dispose]();
  return row;
}

Deno.test("Statistics that were rolled back leave no trace in later plans (Q5)", () => {
  const rollback = (writer: TestWriter): void => {
    writer.run(["BEGIN", "ANALYZE", "ROLLBACK"]);
  };
  strictEqual(
    chooseRow(rollback, { isRestarted: false }),
    chooseRow(rollback, { isRestarted: true }),
  );
  const keep = (writer: TestWriter): void => {
    writer.run(["ANALYZE"]);
  };
  notStrictEqual(
    chooseRow(rollback, { isRestarted: false }),
    chooseRow(keep, { isRestarted: false }),
    "the statistics do change the plan",
  );
});

Deno.test("Statistics of an entry that never happened leave no trace in later plans (Q5, A4)", () => {
  const park = (writer: TestWriter): void => {
    const index = writer.nextIndex;
    const parked = entry(index, ["ANALYZE", ENDLESS.replace("INTO t", "INTO t(a)")], {
      timeoutMs: 100,
    });
    ok(writer.apply([parked]).parked !== undefined);
    writer.writer.setVerdict({ index, verdict: "void", reason: "execute timeout" });
    writer.apply([parked]);
  };
  strictEqual(chooseRow(park, { isRestarted: false }), chooseRow(park, { isRestarted: true }));
});

// --- what SQL may not do ------------------------------------------------------------------------------

Deno.test("Tables of ours cannot be read, changed, referenced or imitated (Q7)", () => {
  withWriter((writer) => {
    writer.run(["CREATE TABLE t(a)"]);
    const own = "sqlite_dust_state";
    refused(writer, `SELECT applied_index FROM ${own}`, /prohibited|not authorized/);
    refused(writer, `SELECT * FROM main."SQLITE_DUST_STATE"`, /prohibited|not authorized/);
    refused(writer, `UPDATE ${own} SET applied_index=1`, /not authorized|prohibited/);
    refused(writer, `DELETE FROM ${own}`, /not authorized|prohibited/);
    refused(writer, `INSERT INTO ${own}(id) VALUES(2)`, /not authorized|prohibited/);
    refused(writer, `DROP TABLE ${own}`, /not authorized|may not be dropped/);
    refused(writer, `ALTER TABLE ${own} RENAME TO x`, /not authorized|may not be altered/);
    refused(writer, `CREATE INDEX i ON ${own}(id)`, /not authorized|may not be indexed/);
    refused(writer, `CREATE TABLE u(a REFERENCES ${own})`, /not authorized/);
    refused(writer, `CREATE VIEW u AS SELECT * FROM ${own}`, /not authorized/);
    refused(writer, `CREATE TABLE ${own}2(a)`, /not authorized|reserved/);
    refused(
      writer,
      `CREATE TRIGGER u AFTER INSERT ON t BEGIN UPDATE ${own} SET applied_index=1; END`,
      /not authorized/,
    );
    refused(writer, "ALTER TABLE t RENAME TO sqlite_dust_x", /not authorized|reserved/);
    strictEqual(writer.rows("SELECT name FROM sqlite_master"), '[["t"]]');
  });
});

Deno.test("Users do not write statistics; ANALYZE and DROP do (A6)", () => {
  withWriter((writer) => {
    writer.run([
      "CREATE TABLE t(a)",
      "CREATE INDEX ti ON t(a)",
      "INSERT INTO t VALUES(1)",
      "ANALYZE",
    ]);
    refused(writer, "INSERT INTO sqlite_stat1 VALUES('t', 'ti', '9 9')", /not authorized/);
    refused(writer, "/* c */ DELETE FROM sqlite_stat1", /not authorized/);
    refused(writer, "WITH x AS (SELECT 1) UPDATE sqlite_stat1 SET stat='5'", /not authorized/);
    refused(writer, "UPDATE main.'sqlite_stat1' SET stat='5'", /not authorized/);
    writer.run(["CREATE TRIGGER tt AFTER INSERT ON t BEGIN DELETE FROM sqlite_stat1; END"]);
    refused(writer, "INSERT INTO t VALUES(2)", /not authorized/);
    strictEqual(writer.rows("SELECT tbl FROM sqlite_stat1"), '[["t"]]');
    writer.run(["DROP TABLE t"]);
    match(writer.run(["SELECT count(*) AS n FROM sqlite_stat1"], { rows: true }), /\[\[0\]\]/);
  });
});

Deno.test("What leaves the file, the node or the session is refused (S7, S22 to S28)", () => {
  withWriter((writer) => {
    writer.run(["CREATE TABLE t(a)"]);
    const cases: readonly string[] = [
      "ATTACH ':memory:' AS x",
      "DETACH main",
      "CREATE TEMP TABLE x(a)",
      "CREATE TABLE temp.x(a)",
      "CREATE TEMP VIEW x AS SELECT 1",
      "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
      "SELECT load_extension('x')",
      "SELECT sqlite_version()",
      "INSERT INTO t SELECT sqlite_source_id()",
      "SELECT fts3_tokenizer('x')",
      "INSERT INTO t SELECT file FROM pragma_database_list",
      "INSERT INTO t SELECT compile_options FROM pragma_compile_options",
      "INSERT INTO t SELECT name FROM dbstat",
      "INSERT INTO t SELECT name FROM pragma_function_list",
      "CREATE VIRTUAL TABLE x USING dbstat",
      "PRAGMA writable_schema=ON",
      "PRAGMA main.writable_schema(1)",
      '/*x*/pragma/**/"recursive_triggers"=on',
      "PRAGMA case_sensitive_like=1",
      "PRAGMA ignore_check_constraints=1",
      "PRAGMA schema_version=9",
      "PRAGMA journal_mode(delete)",
      "PRAGMA page_count",
      "PRAGMA no_such_pragma",
      "PRAGMA database_list",
    ];
    for (const sql of cases) refused(writer, sql, /not authorized|prohibited/);
    strictEqual(writer.rows("SELECT count(*) AS n FROM t"), "[[0]]");
  });
});

Deno.test("What only tunes a connection is accepted and does nothing (S24)", () => {
  withWriter((writer) => {
    for (const sql of ["PRAGMA cache_size=7", "PRAGMA busy_timeout=1", "PRAGMA optimize"]) {
      strictEqual(writer.run([sql]), "[{}]", sql);
    }
    strictEqual(writer.writer.connection.query("PRAGMA busy_timeout")[0]?.[0], 5000);
  });
});

Deno.test("Schema pragmas, json tables, FTS5, R-Tree and geopoly work in writes", () => {
  withWriter((writer) => {
    const answers = writer.run([
      "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)",
      "INSERT INTO t(b) SELECT name FROM pragma_table_info('t')",
      "INSERT INTO t(b) SELECT value FROM json_each('[1,2]')",
      "CREATE VIRTUAL TABLE f USING fts5(x)",
      "INSERT INTO f VALUES('hello world')",
      "INSERT INTO t(b) SELECT x FROM f WHERE f MATCH 'hello' ORDER BY rank",
      "CREATE VIRTUAL TABLE r USING rtree(id, a, b)",
      "INSERT INTO r VALUES(1, 2, 3)",
      "PRAGMA user_version=5",
      "PRAGMA integrity_check",
    ]);
    doesNotMatch(answers, /error/);
    strictEqual(writer.rows("SELECT b FROM t"), '[["a"],["b"],["1"],["2"],["hello world"]]');
  });
});

Deno.test("Patched ends of rowids are results, not a full disk (Q1, S20)", () => {
  withWriter((writer) => {
    writer.run(["CREATE TABLE t(a)", "INSERT INTO t(rowid, a) VALUES(9223372036854775807, 1)"]);
    strictEqual(
      writer.run(["INSERT INTO t VALUES(2)"]),
      '[{"error":"table is at the largest rowid"}]',
    );
  });
});

// --- verdicts -----------------------------------------------------------------------------------------

const ENDLESS =
  "INSERT INTO t WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT max(x) FROM n";
const LONG =
  `INSERT INTO t WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n LIMIT 100000)
  SELECT max(x) FROM n`;
const SMALL = LONG.replace("100000", "100");

Deno.test("An entry past its limit parks behind a committed prefix, and nothing of it stays (A4)", () => {
  withWriter((writer) => {
    writer.run(["CREATE TABLE t(a)"]);
    const first = writer.nextIndex;
    const insert: ShortStatement = "INSERT INTO t VALUES(1)";
    const outcome = writer.apply([
      entry(first, [insert]),
      entry(first + 1, [insert, ENDLESS], { timeoutMs: 10 }),
      entry(first + 2, [insert]),
    ]);
    deepStrictEqual(outcome.parked, { index: first + 1, timeoutMs: 10 });
    strictEqual(outcome.answers.length, 1);
    strictEqual(writer.writer.record.appliedIndex, first);
    strictEqual(writer.writer.connection.query("SELECT count(*) FROM t")[0]?.[0], 1);
  });
});

Deno.test("Many small statements use up the limit together (A4)", () => {
  withWriter((writer) => {
    writer.run(["CREATE TABLE t(a)"]);
    const inserts = Array.from({ length: TIMEOUT_STEPS_MIN / 1_000 }, () => SMALL);
    const outcome = writer.apply([entry(writer.nextIndex, inserts, { timeoutMs: 1 })]);
    ok(outcome.parked !== undefined);
    strictEqual(writer.writer.connection.query("SELECT count(*) FROM t")[0]?.[0], 0);
  });
});

Deno.test("A verdict is obeyed: run to the end, or never happened (A4)", () => {
  withWriter((writer, path) => {
    writer.run(["CREATE TABLE t(a)"]);
    const index = writer.nextIndex;
    const long = entry(index, [LONG], { timeoutMs: 1 });
    ok(writer.apply([long]).parked !== undefined);
    writer.writer.setVerdict({ index, verdict: "run", reason: "" });
    strictEqual(writer.apply([long]).answers[0], '[{"last_insert_id":1,"rows_affected":1}]');
    const endless = entry(index + 1, ["INSERT INTO t VALUES(5)", ENDLESS], { timeoutMs: 1 });
    ok(writer.apply([endless]).parked !== undefined);
    writer.writer.setVerdict({ index: index + 1, verdict: "void", reason: "execute timeout" });
    strictEqual(writer.apply([endless]).answers[0], '[{"error":"execute timeout"}]');
    strictEqual(writer.rows("SELECT group_concat(a) AS a FROM t"), '[["100000"]]');
    match(contentOf(path), /t: number 1\|number 100000/);
  });
});

Deno.test("try() tells an entry that ends from one that does not, and leaves nothing (A4)", () => {
  withWriter((writer) => {
    writer.run(["CREATE TABLE t(a)"]);
    const index = writer.nextIndex;
    const attempt = (sql: string, timeoutMs: number): string =>
      writer.try(entry(index, [sql], { timeoutMs })).isEnded ? "ended" : "endless";
    strictEqual(attempt(LONG, 5000), "ended");
    strictEqual(attempt(ENDLESS, 50), "endless");
    // Its time is long over, but a replica that counts a little less went on without a verdict.
    strictEqual(attempt(LONG, 1), "ended");
    strictEqual(attempt("INSERT OR ROLLBACK INTO t(rowid) VALUES(1), (1)", 50), "ended");
    strictEqual(attempt("VACUUM", 50), "ended");
    strictEqual(writer.nextIndex, index);
    strictEqual(writer.writer.connection.query("SELECT count(*) FROM t")[0]?.[0], 0);
  });
});

Deno.test("Rows of one write are bounded, and the write with them (A3)", () => {
  withWriter((writer) => {
    writer.run(["CREATE TABLE t(a)"]);
    const answer = writer.run([
      `INSERT INTO t WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n LIMIT 20)
        SELECT zeroblob(4000000) FROM n RETURNING a`,
      "INSERT INTO t VALUES(1)",
    ], { format: undefined });
    strictEqual(answer, "");
    strictEqual(writer.rows("SELECT count(*) AS n FROM t"), "[[1]]");
  });
});

Deno.test("A full disk is no result: nothing is applied, and the same entries fit later (A3, S29)", () => {
  const run = ({ isFull }: { readonly isFull: boolean }): string => {
    using folder = new TemporaryFolder();
    const path = folder.file("db.sqlite");
    {
      using writer = new TestWriter(path);
      writer.run(["CREATE TABLE t(a)"]);
      const batch = [10, 200_000, 20].map((size, at) =>
        entry(writer.nextIndex + at, [["INSERT INTO t VALUES(zeroblob(?))", size]])
      );
      if (isFull) {
        const { connection } = writer.writer;
        removeAuthorizer(connection);
        connection.exec("PRAGMA max_page_count=20");
        const { answers, isDiskFull, parked } = writer.apply(batch);
        deepStrictEqual([answers, isDiskFull, parked], [[], true, undefined]);
        strictEqual(connection.query("SELECT count(*) FROM t")[0]?.[0], 0);
        connection.exec("PRAGMA max_page_count=100000");
      }
      strictEqual(writer.apply(batch).answers.length, 3);
    }
    return contentOf(path);
  };
  strictEqual(run({ isFull: true }), run({ isFull: false }));
});

// --- the record ---------------------------------------------------------------------------------------

Deno.test("The state row follows the log: chain, configuration, no-ops, last write (S3)", () => {
  withWriter((writer, path) => {
    const configuration = Uint8Array.of(9, 8, 7);
    const first = entry(2, ["CREATE TABLE t(a)"]);
    const noop = { ...entry(3, []), payload: new Uint8Array(0) };
    const change = {
      ...entry(4, []),
      kind: "conf_change" as const,
      payload: Uint8Array.of(1),
      configuration,
    };
    deepStrictEqual(writer.apply([first, noop, change]).answers, ["[{}]", "[]", "[]"]);
    let chain = nextEntryChain(startEntryChain(CLUSTER_ID), {
      index: 1,
      term: 1,
      payload: CONFIGURATION,
    });
    for (const { index, term, payload } of [first, noop, change]) {
      chain = nextEntryChain(chain, { index, term, payload });
    }
    const { record } = writer.writer;
    strictEqual(entryChainText(record.entryChain), entryChainText(chain));
    strictEqual(record.lastWriteIndex, 2);
    deepStrictEqual(writer.writer.configuration, configuration);
    match(contentOf(path), /x090807\|number 1\|number 4\|number 1\|/);
  });
});

Deno.test("The result chain tells results apart, and nothing else", () => {
  const chain = (statements: readonly ShortStatement[], format?: number): string => {
    let text = "";
    withWriter((writer) => {
      writer.run(["CREATE TABLE t(a)", "INSERT INTO t VALUES(1), (2.5), ('x'), (x'00'), (NULL)"]);
      writer.run(statements, { rows: true, format });
      text = entryChainText(writer.writer.record.resultChain);
    });
    return text;
  };
  const all = "SELECT a FROM t";
  strictEqual(chain([all]), chain([all], 0));
  strictEqual(chain([all], 0), chain([all], 15));
  const distinct = [
    [all],
    ["SELECT a FROM t LIMIT 4"],
    [`${all} ORDER BY rowid DESC`],
    ["INSERT INTO t VALUES(1)"],
    ["INSERT INTO t VALUES(1), (2)"],
    ["nonsense"],
    ["SELECT 1"],
    ["SELECT 1.0"],
    ["SELECT '1'"],
    ["SELECT 9223372036854775807"],
    ["SELECT 9223372036854775806"],
  ].map((statements) => chain(statements));
  strictEqual(new Set(distinct).size, distinct.length);
});

Deno.test("sync() commits, since only a commit under FULL syncs the frames before it (D3)", () => {
  withWriter((writer, path) => {
    writer.run(["CREATE TABLE t(a)"]);
    using other = Connection.open(testLibrary(), { path, mode: "readonly" });
    other.query("SELECT 1 FROM sqlite_schema");
    const before = readDataVersion(other);
    strictEqual(writer.writer.sync(), writer.nextIndex - 1);
    other.query("SELECT 1 FROM sqlite_schema");
    notStrictEqual(readDataVersion(other), before);
  });
});
