/**
 * The schema of a log: tables of every kind, drawn with variations, and the statements that change it
 * while the log goes on. All tables have columns a, b and c, so that most statements fit most tables.
 *
 *   t0 INTEGER PRIMARY KEY   t1 no key   t2 WITHOUT ROWID   t3 AUTOINCREMENT   t4 STRICT, CHECK, UNIQUE
 *   t5 generated columns, indexes on expressions   t6, t7 foreign keys   log what triggers write
 *   f5, fx, f4 full text   rt, ri R-Tree   gp geopoly   v0, v1 views   pl much in it, and many plans
 *   pj, pk few rows and many, an index each that comes and goes   jl which of them came first in a join
 */
import type { Draw } from "./draw.ts";
import { expression, type Place } from "./expressions.ts";

/** Tables with rows of a, b and c. */
export const TABLES = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "log"] as const;

/** An expression in a DEFAULT, CHECK, trigger or view. */
const IN_SCHEMA: Place = { columns: [], isBound: false, depth: 2 };
/** An expression in an index or a generated column. */
const PURE_IN_SCHEMA: Place = { columns: ["a", "b"], isBound: false, isPure: true, depth: 2 };
const OF_ROW: Place = { columns: ["new.a", "new.b"], isBound: false, depth: 2 };

const TYPES = ["", "", "INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC", "DATETIME", "BOOLEAN"];
const CONFLICTS = ["", "", "", " ON CONFLICT IGNORE", " ON CONFLICT REPLACE", " ON CONFLICT FAIL"];
const KEY_ACTIONS = ["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"];

/** The statements that a log begins with. */
export function firstSchema(draw: Draw): readonly string[] {
  return [...plainTables(draw), ...keyTables(draw), ...virtualTables(draw), ...rest(draw)];
}

function column(draw: Draw, name: string): string {
  return `${name} ${draw.pick(TYPES)}${withDefault(draw)}${
    draw.happens(0.1) ? " COLLATE NOCASE" : ""
  }`;
}

function withDefault(draw: Draw): string {
  return draw.choose([
    [3, () => ""],
    [1, () => draw.mark("DEFAULT CURRENT_TIMESTAMP", " DEFAULT CURRENT_TIMESTAMP")],
    [1, () => draw.mark("DEFAULT (random())", " DEFAULT (random())")],
    [1, () => draw.mark("DEFAULT (randomblob())", " DEFAULT (hex(randomblob(4)))")],
    [2, () => draw.mark("DEFAULT (expression)", ` DEFAULT (${expression(draw, IN_SCHEMA)})`)],
  ]);
}

function plainTables(draw: Draw): string[] {
  const abc = (): string => ["a", "b", "c"].map((name) => column(draw, name)).join(", ");
  const conflict = draw.pick(CONFLICTS);
  const generated = draw.mark("generated column", draw.pick(["STORED", "VIRTUAL"]));
  return [
    `CREATE TABLE log(a, b, c, at DEFAULT CURRENT_TIMESTAMP)`,
    `CREATE TABLE t0(id INTEGER PRIMARY KEY, ${abc()})`,
    `CREATE TABLE t1(${abc()})`,
    `CREATE TABLE t2(a, b, c DEFAULT (random()), PRIMARY KEY(a, b DESC)${conflict}) WITHOUT ROWID`,
    `CREATE TABLE t3(id INTEGER PRIMARY KEY AUTOINCREMENT, ${abc()}, UNIQUE(a, b)${conflict})`,
    `CREATE TABLE t4(a INT, b TEXT DEFAULT (datetime('now','localtime')), c ANY,
      CHECK (a < 25 OR random() > 0), UNIQUE(a, b)) STRICT`,
    `CREATE TABLE t5(a, b, c,
      g AS (${expression(draw, PURE_IN_SCHEMA)}) ${generated},
      h AS (coalesce(a, '') || coalesce(b, '')) STORED)`,
    // Where SQLite refuses what was drawn.
    "CREATE TABLE IF NOT EXISTS t0(id INTEGER PRIMARY KEY, a, b DEFAULT (random()), c)",
    "CREATE TABLE IF NOT EXISTS t1(a, b DEFAULT CURRENT_TIMESTAMP, c)",
    "CREATE TABLE IF NOT EXISTS t3(id INTEGER PRIMARY KEY AUTOINCREMENT, a, b, c)",
    "CREATE TABLE IF NOT EXISTS t5(a, b, c, g AS (a) VIRTUAL, h AS (lower(b)) STORED)",
  ];
}

function keyTables(draw: Draw): string[] {
  const action = draw.mark("foreign key", draw.pick(KEY_ACTIONS));
  return [
    `CREATE TABLE t6(a REFERENCES t0(id) DEFERRABLE INITIALLY DEFERRED, b, c)`,
    `CREATE TABLE t7(id INTEGER PRIMARY KEY, a REFERENCES t0(id) ON DELETE ${action} ON UPDATE CASCADE,
      b, c DEFAULT (changes()))`,
  ];
}

function virtualTables(draw: Draw): string[] {
  const tokenizer = draw.pick([
    "",
    ", tokenize='porter'",
    ", tokenize='trigram'",
    ", prefix='2 3'",
  ]);
  const content = draw.pick([
    ", content=''",
    ", content='t1'",
    ", content='', contentless_delete=1",
  ]);
  const [fts = "fts4", of = ""] = draw.pick([["fts3", ""], ["fts4", ""], [
    "fts4",
    "content='t1', ",
  ]]);
  for (const name of ["fts5", fts, "rtree", "rtree_i32", "geopoly", "fts5vocab"]) draw.mark(name);
  return [
    `CREATE VIRTUAL TABLE f5 USING fts5(a, b${tokenizer})`,
    `CREATE VIRTUAL TABLE fx USING fts5(a, b${content})`,
    `CREATE VIRTUAL TABLE f4 USING ${fts}(${of}a, b)`,
    "CREATE VIRTUAL TABLE rt USING rtree(id, x0, x1, y0, y1, +a)",
    "CREATE VIRTUAL TABLE ri USING rtree_i32(id, x0, x1)",
    "CREATE VIRTUAL TABLE gp USING geopoly(a, b)",
    "CREATE VIRTUAL TABLE fv USING fts5vocab('f5', 'row')",
    "CREATE VIRTUAL TABLE tk USING fts3tokenize('porter')",
    "CREATE VIRTUAL TABLE fa USING fts4aux('f4')",
  ];
}

function rest(draw: Draw): string[] {
  draw.mark("VIEW");
  draw.mark("INSTEAD OF");
  return [
    `CREATE VIEW v0 AS SELECT a, b, ${
      expression(draw, { ...IN_SCHEMA, columns: ["a", "b"] })
    } AS c FROM t0`,
    "CREATE VIEW v1(a, b, c) AS SELECT a, julianday('now'), random() FROM t1",
    `CREATE TRIGGER iv INSTEAD OF INSERT ON v0 BEGIN INSERT INTO t0(a, b) VALUES(new.a, random()); END`,
    `CREATE TRIGGER tt AFTER INSERT ON t0 BEGIN
      INSERT INTO log(a, b, c) VALUES(new.id, random(), datetime('now','subsec','localtime')); END`,
    "CREATE TABLE pl(a, b, c)",
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300)
      INSERT INTO pl SELECT i % ${2 + draw.below(5)}, i % ${2 + draw.below(60)}, i FROM n`,
    "CREATE INDEX pa ON pl(a, c)",
    "CREATE INDEX pb ON pl(b, c DESC)",
    "CREATE TABLE pj(a, b, c)",
    "CREATE TABLE pk(a, b, c)",
    "CREATE TABLE jl(a, b)",
    fill("pj", 20),
    fill("pk", 150),
    createIndex(draw),
    createIndex(draw),
    createTrigger(draw),
    createTrigger(draw),
  ];
}

function fill(table: "pj" | "pk", rowCount: number): string {
  return `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ${rowCount})
      INSERT INTO ${table} SELECT i % 10, i % 7, i FROM n`;
}

function createIndex(draw: Draw): string {
  const name = `i${draw.below(6)}`;
  const table = draw.pick(TABLES);
  draw.mark("CREATE INDEX");
  return draw.choose([
    [3, () => `CREATE INDEX ${name} ON ${table}(${draw.pick(["a", "b", "c", "b, a", "a DESC"])})`],
    [1, () => {
      const condition = expression(draw, PURE_IN_SCHEMA);
      return draw.mark("partial index", `CREATE INDEX ${name} ON ${table}(b) WHERE ${condition}`);
    }],
    [2, () => {
      const text = `CREATE INDEX ${name} ON ${table}(${expression(draw, PURE_IN_SCHEMA)}, c)`;
      return draw.mark("index on expression", text);
    }],
    [1, () => `CREATE UNIQUE INDEX ${name} ON ${table}(a, c)`],
  ]);
}

function createTrigger(draw: Draw): string {
  const name = `g${draw.below(5)}`;
  const table = draw.pick(["t1", "t2", "t3", "t4", "t5", "t6"]);
  const time = draw.pick(["BEFORE", "AFTER"]);
  const event = draw.pick(["INSERT", "UPDATE", "UPDATE OF a", "INSERT"]);
  draw.mark("TRIGGER");
  const when = draw.happens(0.3) ? ` WHEN ${expression(draw, OF_ROW)}` : "";
  const action = draw.choose([
    [5, () => `INSERT INTO log(a, b, c) VALUES(${draw.list(3, () => expression(draw, OF_ROW))})`],
    [2, () => "INSERT INTO log VALUES(last_insert_rowid(), changes(), total_changes(), random())"],
    [1, () => "UPDATE t1 SET b = new.a WHERE rowid = abs(random() % 5)"],
    [1, () => "DELETE FROM t7 WHERE a = new.a"],
    [1, () => {
      const kind = draw.pick(["ROLLBACK", "ABORT", "FAIL", "IGNORE"]);
      const reason = kind === "IGNORE" ? "" : ", 'from a trigger'";
      draw.mark(`RAISE(${kind})`);
      return `SELECT RAISE(${kind}${reason}) WHERE abs(new.a % 7) = 3`;
    }],
  ]);
  return `CREATE TRIGGER ${name} ${time} ${event} ON ${table}${when} BEGIN ${action}; END`;
}

/** What makes the planner choose another index of `pl`, or asks it for a row without an order. */
export function planning(draw: Draw): string {
  draw.mark("planner");
  const where = `a = ${draw.below(4)} AND b = ${draw.below(4)}`;
  const modulus = 2 + draw.below(40);
  const column = draw.pick(["a", "b"]);
  return draw.choose([
    [9, () => `INSERT INTO log(a, b) SELECT rowid, c FROM pl WHERE ${where} LIMIT 1`],
    [3, () => `DELETE FROM pl WHERE c IN (SELECT c FROM pl WHERE ${where} LIMIT 1)`],
    [3, () => `INSERT INTO pl SELECT a, b, random() FROM pl WHERE ${where} LIMIT 1`],
    [2, () => `UPDATE pl SET ${column} = rowid % ${modulus}`],
    [3, () => "ANALYZE pl"],
    [5, () => {
      const other = column === "a" ? "b" : "a";
      const skew = `UPDATE pl SET ${column} = 1, ${other} = rowid`;
      return `SAVEPOINT s; ${skew}; ANALYZE pl; ROLLBACK TO s; RELEASE s`;
    }],
    [1, () => "ALTER TABLE pl RENAME TO pm; ALTER TABLE pm RENAME TO pl"],
    [1, () => "DROP INDEX IF EXISTS pa"],
    [1, () => "CREATE INDEX IF NOT EXISTS pa ON pl(a, c)"],
    [1, () => "CREATE INDEX IF NOT EXISTS pb ON pl(b, c DESC)"],
  ]);
}

/**
 * A join that asks for some rows without an order, or what changes the sizes that the planner believes.
 * A connection remembers a table's size when the statistics are gone that it came from, with the only
 * index or with the rows; whoever reads the schema anew knows nothing of it.
 */
export function joining(draw: Draw): string {
  draw.mark("join without order");
  const table = draw.pick(["pj", "pk"] as const);
  const column = (): string => draw.pick(["a", "b", "c"]);
  const drop = `DROP INDEX IF EXISTS ${table}x`;
  const create = (): string => `CREATE INDEX IF NOT EXISTS ${table}x ON ${table}(${column()})`;
  return draw.choose([
    [12, () => {
      const pair = `pj.${column()} = pk.${column()}`;
      return `INSERT INTO jl SELECT pj.rowid, pk.rowid FROM pj, pk WHERE ${pair} LIMIT 2`;
    }],
    [2, () => drop],
    [2, () => create()],
    [2, () => `ANALYZE ${table}`],
    [4, () => `${create()}; ANALYZE ${table}; ${drop}`],
    [2, () => `DELETE FROM ${table}; ANALYZE ${table}; ${fill(table, 10 + draw.below(200))}`],
  ]);
}

/** A statement that changes the schema, or what the planner knows. */
export function schemaChange(draw: Draw): string {
  const table = draw.pick(TABLES);
  const extra = `x${draw.below(3)}`;
  const marked = (name: string, text: string): string => draw.mark(name, text);
  return draw.choose([
    [3, () => createIndex(draw)],
    [3, () => marked("DROP INDEX", `DROP INDEX IF EXISTS i${draw.below(6)}`)],
    [2, () => createTrigger(draw)],
    [2, () => marked("DROP TRIGGER", `DROP TRIGGER IF EXISTS g${draw.below(5)}`)],
    [2, () => marked("ADD COLUMN", `ALTER TABLE ${table} ADD COLUMN ${extra} ${draw.pick(TYPES)}`)],
    [1, () => marked("ADD COLUMN", `ALTER TABLE ${table} ADD COLUMN ${column(draw, extra)}`)],
    [2, () => marked("DROP COLUMN", `ALTER TABLE ${table} DROP COLUMN ${extra}`)],
    [1, () => marked("RENAME COLUMN", `ALTER TABLE ${table} RENAME COLUMN ${extra} TO "x 9"`)],
    [2, () => {
      // There and back in one string, as a table that stays away is missed by all other statements.
      const back = draw.happens(0.9) ? `; ALTER TABLE moved RENAME TO ${table}` : "";
      return marked("RENAME", `ALTER TABLE ${table} RENAME TO moved${back}`);
    }],
    [2, () => {
      const home = draw.pick(TABLES);
      return marked("RENAME", `ALTER TABLE moved RENAME TO ${home}`);
    }],
    [3, () => marked("ANALYZE", draw.pick(["ANALYZE", `ANALYZE ${table}`, "ANALYZE t1"]))],
    [2, () => marked("REINDEX", draw.pick(["REINDEX", `REINDEX ${table}`, "REINDEX NOCASE"]))],
    [2, () => marked("late table", `CREATE TABLE late(a, b, c, ${column(draw, "d")})`)],
    [
      1,
      () =>
        marked("CREATE AS", "CREATE TABLE late AS SELECT a, random() AS b, date() AS c FROM t1"),
    ],
    [2, () => marked("DROP TABLE", "DROP TABLE IF EXISTS late")],
    [1, () => marked("fts drop", "DROP TABLE IF EXISTS f9")],
    [1, () => marked("fts5", "CREATE VIRTUAL TABLE f9 USING fts5(a, b)")],
    [1, () => marked("rtree", "CREATE VIRTUAL TABLE f9 USING rtree(id, a, b)")],
    [1, () => "DROP VIEW IF EXISTS v9"],
    [
      1,
      () =>
        marked(
          "VIEW",
          `CREATE VIEW v9 AS SELECT ${expression(draw, IN_SCHEMA)} AS a, 1 AS b, 2 AS c`,
        ),
    ],
    [3, () => marked("rowid at the end", "DELETE FROM t1 WHERE rowid = 9223372036854775807")],
  ]);
}
