/**
 * Statements of every other kind, drawn at random: inserts, updates, deletes and queries in their many
 * forms, full-text and R-Tree tables, transaction control, pragmas, and what a hostile client sends.
 */
import { boundValue, type Draw, quoteText, TEXTS } from "./draw.ts";
import { aggregate, expression, type Place, windowCall } from "./expressions.ts";
import { FTS4_CALLS, FTS5_CALLS, TABLE_CALLS } from "./functions.ts";
import { TABLES } from "./schema.ts";

const FREE: Place = { columns: [], isBound: true, depth: 2 };
const OF_TABLE: Place = { columns: ["a", "b", "c"], isBound: true, depth: 2 };
const SOURCES = [...TABLES, "v0", "v1", "late"];
const OR = ["", "", "", "", " OR IGNORE", " OR REPLACE", " OR FAIL", " OR ABORT", " OR ROLLBACK"];

function condition(draw: Draw): string {
  return draw.choose([
    [3, () => `a = ${draw.below(30)}`],
    [1, () => `b > ${draw.below(30)} AND c IS NOT NULL`],
    [1, () => `rowid % 5 = ${draw.below(5)}`],
    [1, () => "abs(random() % 4) = 1"],
    [3, () => expression(draw, OF_TABLE)],
  ]);
}

function smallValue(draw: Draw): string {
  return draw.happens(0.5) ? draw.bind(boundValue(draw)) : String(draw.below(30));
}

function returning(draw: Draw): string {
  if (!draw.happens(0.15)) return "";
  return draw.mark("RETURNING", ` RETURNING a, ${expression(draw, { ...OF_TABLE, depth: 1 })}`);
}

/** An INSERT or REPLACE. */
export function insert(draw: Draw): string {
  const or = draw.pick(OR);
  if (or !== "") draw.mark(`INSERT${or}`);
  const table = draw.pick([...TABLES, "t0", "t1", "t3", "v0", "late"]);
  draw.mark("INSERT");
  const into = `INSERT${or} INTO ${table}`;
  const depth = (): Place => ({ ...FREE, depth: draw.below(3) });
  return draw.choose([
    [
      6,
      () =>
        `${into}(a, b, c) VALUES(${smallValue(draw)}, ${smallValue(draw)}, ${smallValue(draw)})`,
    ],
    [6, () => {
      const rows = draw.list(
        1 + draw.below(3),
        () => `(${draw.below(30)}, ${draw.list(2, () => expression(draw, depth()))})`,
      );
      return `${into}(a, b, c) VALUES ${rows}${returning(draw)}`;
    }],
    [2, () => draw.mark("DEFAULT VALUES", `INSERT INTO ${table} DEFAULT VALUES`)],
    [2, () => `${into}(a) VALUES(${draw.below(30)})`],
    [4, () => {
      const source = draw.pick(SOURCES);
      const order = draw.pick(["", "", " ORDER BY random()", " ORDER BY b, a"]);
      const list = draw.list(3, () => expression(draw, OF_TABLE));
      draw.mark("INSERT SELECT");
      return `${into}(a, b, c) SELECT ${list} FROM ${source}${order} LIMIT ${1 + draw.below(4)}`;
    }],
    [2, () => {
      draw.mark("upsert");
      const set = expression(draw, { ...OF_TABLE, columns: ["excluded.a", "b", "c"] });
      const target = draw.pick(["t3(id, a, b)", "t0(id, a, b)"]);
      return `INSERT INTO ${target} VALUES(${draw.below(20)}, ${draw.below(30)}, 1)
        ON CONFLICT DO UPDATE SET b = ${set}${returning(draw)}`;
    }],
    [1, () => {
      draw.mark("WITH RECURSIVE");
      return `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ${
        1 + draw.below(8)
      })
        ${into}(a, b, c) SELECT i, ${expression(draw, FREE)}, random() FROM n`;
    }],
    [
      1,
      () =>
        draw.happens(0.8) ? `INSERT INTO t1(rowid, a) VALUES(${draw.below(90)}, 1)` : draw.mark(
          "rowid at the end",
          "INSERT INTO t1(rowid, a) VALUES(9223372036854775807, 1)",
        ),
    ],
  ]);
}

/** An UPDATE or DELETE. */
export function change(draw: Draw): string {
  const table = draw.pick([...TABLES, "t0", "t1", "late"]);
  const value = expression(draw, OF_TABLE);
  const column = draw.pick(["a", "b", "b", "c", "c"]);
  return draw.choose([
    [5, () => {
      draw.mark("UPDATE");
      const or = draw.pick(OR);
      return `UPDATE${or} ${table} SET ${column} = ${value} WHERE ${condition(draw)}${
        returning(draw)
      }`;
    }],
    [1, () => {
      draw.mark("UPDATE FROM");
      const source = draw.pick(SOURCES);
      return `UPDATE ${table} SET c = s.b FROM (SELECT a, b FROM ${source}) AS s WHERE s.a = ${table}.a`;
    }],
    [
      1,
      () => draw.mark("DELETE", `DELETE FROM ${table} WHERE ${condition(draw)}${returning(draw)}`),
    ],
    [1, () => {
      draw.mark("picked without order");
      return `DELETE FROM ${table} WHERE a IN (SELECT a FROM ${
        draw.pick(SOURCES)
      } WHERE b > 3 LIMIT 2)`;
    }],
    [
      1,
      () =>
        draw.mark("UPDATE of keys", `UPDATE t0 SET id = id + 100 WHERE id % 7 = ${draw.below(7)}`),
    ],
  ]);
}

/** Keeps a table from growing for ever. */
export function prune(draw: Draw): string {
  const table = draw.pick([...TABLES, "f5", "f4", "rt", "gp", "log", "log", "t0"]);
  draw.mark("prune");
  if (table === "t2") return "DELETE FROM t2 WHERE abs(random() % 3) < 2";
  return `DELETE FROM ${table} WHERE rowid NOT IN (SELECT rowid FROM ${table} ORDER BY rowid DESC LIMIT 20)`;
}

/** A query, whose rows count as a result. */
export function query(draw: Draw): string {
  const source = draw.pick(SOURCES);
  const list = draw.list(1 + draw.below(3), () => expression(draw, OF_TABLE));
  draw.mark("SELECT");
  return draw.choose([
    [4, () => `SELECT ${list} FROM ${source} WHERE ${condition(draw)} LIMIT 5`],
    [3, () => {
      draw.mark("GROUP BY");
      return `SELECT a, ${
        aggregate(draw, OF_TABLE)
      } FROM ${source} GROUP BY a HAVING count(*) > 0 LIMIT 5`;
    }],
    [4, () => `SELECT ${windowCall(draw, OF_TABLE)} FROM ${source} LIMIT 5`],
    [2, () => `SELECT ${list} UNION SELECT ${list} ORDER BY 1 LIMIT 3`],
    [3, () => mathematics(draw)],
    [1, () => draw.mark("join", `SELECT x.b, y.c FROM t1 x JOIN ${source} y ON x.a = y.a LIMIT 5`)],
    [
      1,
      () =>
        draw.mark(
          "json_each",
          `SELECT * FROM json_each(${quoteText('{"a":[1,{"b":2}]}')}), t1 LIMIT 3`,
        ),
    ],
    [
      1,
      () =>
        draw.mark(
          "stored aggregate",
          `INSERT INTO log(a, b, c) SELECT 1, ${aggregate(draw, OF_TABLE)}, 2 FROM ${source}`,
        ),
    ],
    [
      2,
      () =>
        draw.mark(
          "stored window",
          `INSERT INTO log(a, b) SELECT a, ${windowCall(draw, OF_TABLE)} FROM ${source} LIMIT 4`,
        ),
    ],
  ]);
}

const CURVES = "acosh asin asinh atan atanh cos cosh exp ln log10 log2 sin sinh tan tanh".split(
  " ",
);

/** Many values of one function: processors differ in few. */
function mathematics(draw: Draw): string {
  const name = draw.pick(CURVES);
  draw.mark(name);
  draw.mark("many values of a function");
  const step = `${1 + draw.below(999)}.0 / ${1000 + draw.below(90_000)}`;
  return `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 90)
    INSERT INTO log(a) SELECT hex(group_concat(quote(${name}(i * ${step})))) FROM n`;
}

const WORDS = ["fox", "the", "quick", "apple", "a*", '"quick brown"', "fox OR apple", "(", "a:fox"];

/** Reads and writes of virtual tables. */
export function virtual(draw: Draw): string {
  const text = (): string =>
    quoteText(`${draw.pick(TEXTS)} ${draw.pick(["fox", "apple", "the quick"])}`);
  const table = draw.pick(["f5", "fx", "f4"]);
  const coordinate = (): string => expression(draw, { ...FREE, depth: 1 });
  return draw.choose([
    [5, () => draw.mark(table, `INSERT INTO ${table}(a, b) VALUES(${text()}, ${text()})`)],
    [
      2,
      () => draw.mark(table, `UPDATE ${table} SET b = ${text()} WHERE rowid = ${draw.below(20)}`),
    ],
    [2, () => draw.mark(table, `DELETE FROM ${table} WHERE rowid = ${draw.below(20)}`)],
    [1, () => {
      const command = ftsCommand(draw, table);
      if (draw.happens(0.7)) return draw.mark("fts command", command);
      const insert = `INSERT INTO ${table}(a, b) VALUES(${text()}, ${text()})`;
      return draw.mark(
        "fts command undone",
        `SAVEPOINT s; ${insert}; ${command}; ROLLBACK TO s; RELEASE s; ${insert}`,
      );
    }],
    [2, () => fullText(draw, "f5", FTS5_CALLS)],
    [2, () => fullText(draw, "f4", FTS4_CALLS)],
    [3, () => draw.mark("optimize()", "SELECT optimize(f4) FROM f4 WHERE f4 MATCH 'fox' LIMIT 2")],
    [1, () => "INSERT INTO log(a, b) SELECT term, doc FROM fv LIMIT 3"],
    [1, () => "INSERT INTO log(a, b) SELECT term, documents FROM fa LIMIT 3"],
    [1, () => `INSERT INTO log(a, b) SELECT token, position FROM tk WHERE input = ${text()}`],
    [
      4,
      () =>
        `INSERT INTO rt VALUES(${draw.pick(["NULL", "1", "2", "7"])}, ${draw.below(9)}, ${
          draw.below(30)
        }, ${coordinate()}, ${coordinate()}, random())`,
    ],
    [2, () => `INSERT INTO rt SELECT NULL, a, a + 1, 0, abs(random() % 100), b FROM t1 LIMIT 3`],
    [1, () => `INSERT INTO ri VALUES(NULL, ${draw.below(20)}, ${coordinate()})`],
    [1, () => `UPDATE rt SET x1 = x1 + ${draw.below(9)}.1 WHERE x0 > ${draw.below(9)}`],
    [1, () => "DELETE FROM rt WHERE id % 5 = 1"],
    [1, () => "INSERT INTO log(a, b) SELECT id, x1 FROM rt WHERE x0 BETWEEN 1 AND 6 LIMIT 3"],
    [1, () => draw.mark("rtreecheck", `INSERT INTO log(a) VALUES(${TABLE_CALLS["rtreecheck"]})`)],
    [1, () => "INSERT INTO log(a) SELECT rtreenode(2, data) FROM rt_node LIMIT 2"],
    [
      1,
      () =>
        `INSERT INTO gp(_shape, a) VALUES('[[0,0],[${
          1 + draw.below(9)
        },0.5],[0,2],[0,0]]', random())`,
    ],
    [
      1,
      () =>
        "INSERT INTO log(a, b) SELECT geopoly_json(_shape), geopoly_area(_shape) FROM gp LIMIT 2",
    ],
  ]);
}

/** What changes an index of full text, or how it is kept: in memory, too. */
function ftsCommand(draw: Draw, table: string): string {
  const plain = (): string => {
    const command = draw.pick(["optimize", "rebuild", "integrity-check", "delete-all", "flush"]);
    return `INSERT INTO ${table}(${table}) VALUES('${command}')`;
  };
  if (table === "f4") {
    const command = draw.pick(["merge=4,2", "merge=100,4", "automerge=2", "automerge=0"]);
    return draw.happens(0.5) ? plain() : `INSERT INTO f4(f4) VALUES('${command}')`;
  }
  const setting = draw.pick([
    ["merge", "4"],
    ["merge", "-16"],
    ["automerge", "2"],
    ["automerge", "0"],
    ["usermerge", "2"],
    ["crisismerge", "3"],
    ["deletemerge", "5"],
    ["pgsz", "64"],
    ["pgsz", "1000"],
    ["hashsize", "2000"],
    ["secure-delete", "1"],
    ["rank", "'bm25(10.0, 5.0)'"],
  ]);
  const [name = "", value = ""] = setting;
  return draw.happens(0.4)
    ? plain()
    : `INSERT INTO ${table}(${table}, rank) VALUES('${name}', ${value})`;
}

function fullText(draw: Draw, table: string, calls: Readonly<Record<string, string>>): string {
  const name = draw.pick(Object.keys(calls));
  draw.mark(name);
  draw.mark("match");
  const found = `SELECT a, ${(calls[name] ?? "").replace("{t}", table)} FROM ${table}
    WHERE ${table} MATCH ${quoteText(draw.pick(WORDS))} ORDER BY rowid LIMIT 3`;
  return draw.happens(0.5) ? found : `INSERT INTO log(a, b) ${found}`;
}

/** Transaction control by hand. */
export function control(draw: Draw): string {
  const text = draw.pick([
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT s",
    "RELEASE s",
    "ROLLBACK TO s",
    'savepoint "S"',
    "SAVEPOINT dust_reset",
    "BEGIN",
    "COMMIT",
  ]);
  return draw.mark(text.split(" ").slice(0, 2).join(" "), text);
}

const PRAGMAS = [
  "foreign_keys=ON",
  "foreign_keys=OFF",
  "foreign_keys",
  "defer_foreign_keys=ON",
  "user_version=7",
  "user_version",
  "table_info(t0)",
  "integrity_check",
  "foreign_key_check",
  "optimize",
  "recursive_triggers=ON",
  "case_sensitive_like(1)",
  "reverse_unordered_selects=1",
  "cache_size=5",
  "journal_mode=DELETE",
  "page_count",
  "schema_version",
  "data_version",
  "writable_schema=1",
  "main.synchronous=OFF",
  "application_id=5",
  "incremental_vacuum",
  "max_page_count=10",
  "encoding='UTF-16'",
  "automatic_index=OFF",
  "ignore_check_constraints=1",
  "temp_store=1",
  "table_list",
  "index_list(t1)",
  "no_such_pragma=1",
  "shrink_memory",
  "page_size=512",
];

/** A pragma, most of them without effect. */
export function pragma(draw: Draw): string {
  const text = draw.pick(PRAGMAS);
  draw.mark(`PRAGMA ${text.split(/[=(]/)[0]}`);
  return draw.pick(["PRAGMA ", "pragma ", "/* x */ PRAGMA ", "PRAGMA main."]) + text;
}

/** What must be refused, or must not matter, on every replica alike. */
export function hostile(draw: Draw): string {
  draw.mark("hostile");
  return draw.pick([
    "INSERT INTO log(a) SELECT name FROM dbstat",
    "INSERT INTO log(a) SELECT rootpage FROM sqlite_schema",
    "INSERT INTO log(a) SELECT file FROM pragma_database_list",
    "INSERT INTO log(a) SELECT page_count FROM pragma_page_count",
    "INSERT INTO log(a) SELECT freelist_count FROM pragma_freelist_count",
    "INSERT INTO log(a) SELECT schema_version FROM pragma_schema_version",
    "INSERT INTO log(a) SELECT * FROM pragma_data_version",
    "INSERT INTO log(a) SELECT * FROM pragma_cache_size",
    "INSERT INTO log(a, b) SELECT name, builtin FROM pragma_function_list LIMIT 3",
    "INSERT INTO log(a) SELECT compile_options FROM pragma_compile_options LIMIT 1",
    "INSERT INTO log(a) SELECT sql FROM sqlite_schema ORDER BY random() LIMIT 2",
    "INSERT INTO log(a) SELECT stat FROM sqlite_stat1 LIMIT 2",
    "INSERT INTO log(a) SELECT seq FROM sqlite_sequence",
    "UPDATE sqlite_sequence SET seq = 5",
    "INSERT INTO log(a) SELECT sqlite_source_id()",
    "INSERT INTO log(a) VALUES(sqlite_version())",
    "INSERT INTO log(a) SELECT pgno FROM sqlite_dbpage LIMIT 1",
    "CREATE TABLE own(a DEFAULT (sqlite_source_id()))",
    "INSERT INTO own DEFAULT VALUES",
    "SELECT * FROM sqlite_dust_state",
    "UPDATE sqlite_dust_state SET applied_index = 1",
    "CREATE TEMP TABLE tt(a)",
    "CREATE TABLE temp.tt(a)",
    "ATTACH ':memory:' AS x",
    "VACUUM INTO '/tmp/never'",
    "SELECT load_extension('x')",
    "UPDATE sqlite_schema SET sql = 'x'",
    "UPDATE sqlite_stat1 SET stat = '1 1'",
    "INSERT INTO f5_data VALUES(1, x'00')",
    "SELECT explain FROM nowhere",
    "EXPLAIN SELECT * FROM t1",
    "EXPLAIN QUERY PLAN SELECT * FROM t1 WHERE a = 1 AND b = 2",
    "EXPLAIN INSERT INTO t1 VALUES(1, 2, 3)",
    "nonsense",
    "SELECT 'unfinished",
    "",
    "-- nothing",
    ";;;",
    'INSERT INTO log(a) VALUES("not a column")',
    "INSERT INTO log(a, b, c) VALUES(changes(), last_insert_rowid(), total_changes())",
    "SELECT changes(), last_insert_rowid(), total_changes()",
    "INSERT INTO log(a) SELECT count(*) FROM t1, t1, t1",
    "INSERT INTO log(a) SELECT 1/0 + x'00'",
    "INSERT INTO log(a) VALUES(9223372036854775807 + 1)",
    "INSERT INTO log(a) VALUES(abs(-9223372036854775808))",
    "INSERT INTO log(a) VALUES(zeroblob(1000000000))",
    "CREATE TABLE deep AS SELECT 1 AS a",
    "DROP TABLE IF EXISTS deep",
    "DROP TABLE IF EXISTS own",
    "PRAGMA foreign_keys",
  ]);
}

/** What SQLite would do with a table that comes and goes, to its knowledge of the moment. */
export function explain(draw: Draw): string {
  draw.mark("EXPLAIN");
  return draw.pick(["EXPLAIN ", "EXPLAIN QUERY PLAN "]) +
    draw.pick(["INSERT INTO late DEFAULT VALUES", "SELECT * FROM late"]);
}

/** A write that never ends: the log's verdict is what ends it. */
export function endless(draw: Draw): string {
  draw.mark("endless");
  return `INSERT INTO log(a) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT ${draw.pick(["i", "random()", "max(i)"])} FROM n WHERE i < 0`;
}
