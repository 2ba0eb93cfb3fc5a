import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import type { Connection } from "./connection.ts";
import { CallbackError, SqlFunctionError, SqliteError } from "./errors.ts";
import { createFunction } from "./functions.ts";
import { setSwitches } from "./settings.ts";
import { openMemory } from "./testing.ts";
import type { BindValue } from "./values.ts";

function define(db: Connection, name: string, results: readonly BindValue[]): void {
  let call = 0;
  createFunction(db, { name, argumentCount: 0, innocuous: true }, () => results[call++] ?? null);
}

Deno.test("createFunction() returns every type exactly", () => {
  using db = openMemory();
  const results: BindValue[] = [
    null,
    7,
    2 ** 40,
    -(2n ** 63n),
    { value: 2 },
    "a\0ü",
    "",
    Uint8Array.of(1, 0),
    new Uint8Array(0),
  ];
  define(db, "f", results);
  using statement = db.prepare("SELECT typeof(v), v FROM (SELECT f() AS v LIMIT 1 OFFSET 0)");
  using plain = db.prepare("SELECT f()");
  const read = results.map(() => plain.all()[0]?.[0]);
  deepStrictEqual(read, [
    null,
    7,
    2 ** 40,
    -(2n ** 63n),
    2,
    "a\0ü",
    "",
    Uint8Array.of(1, 0),
    new Uint8Array(0),
  ]);
  define(db, "f", [{ value: 2 }, { value: 2 }]);
  deepStrictEqual(statement.all()[0]?.[0], "real");
});

Deno.test("FunctionArguments give every type exactly, and any number of arguments", () => {
  using db = openMemory();
  const seen: unknown[] = [];
  createFunction(db, { name: "see", argumentCount: -1 }, (args) => {
    for (let index = 0; index < args.count; index++) {
      seen.push([args.type(index), args.value(index), args.size(index)]);
    }
    return args.count;
  });
  const values: BindValue[] = [1, 2n ** 62n, { value: 0.5 }, "ü\0", Uint8Array.of(9), "", null];
  using statement = db.prepare("SELECT see(?, ?, ?, ?, ?, ?, ?)");
  deepStrictEqual(statement.all(...values), [[7]]);
  deepStrictEqual(seen, [
    [1, 1, 1],
    [1, 2n ** 62n, 19],
    [2, 0.5, 3],
    [3, "ü\0", 3],
    [4, Uint8Array.of(9), 1],
    [3, "", 0],
    [5, null, 0],
  ]);
  deepStrictEqual(db.query("SELECT see()"), [[0]]);
  deepStrictEqual(db.query(`SELECT see(${"1,".repeat(99)}1)`), [[100]]);
});

Deno.test("createFunction() replaces one number of arguments and leaves the others", () => {
  using db = openMemory();
  createFunction(db, { name: "max", argumentCount: 2 }, () => "ours");
  deepStrictEqual(db.query("SELECT max(1, 2), max(1, 2, 3)"), [["ours", 3]]);
  createFunction(db, { name: "max", argumentCount: 2 }, () => "newer");
  deepStrictEqual(db.query("SELECT max(1, 2)"), [["newer"]]);
});

Deno.test("An SqlFunctionError is the statement's error and leaves the connection usable", () => {
  using db = openMemory();
  createFunction(db, { name: "refuse", argumentCount: 1 }, (args) => {
    throw new SqlFunctionError(`no ${args.text(0)} here`);
  });
  throws(() => db.query("SELECT refuse('ü')"), new SqliteError(1, "no ü here"));
  deepStrictEqual(db.query("SELECT 1"), [[1]]);
});

Deno.test("Another exception is thrown by step(), and nothing is written (rule Q8)", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a)");
  let calls = 0;
  createFunction(db, { name: "flaky", argumentCount: 0 }, () => {
    calls++;
    if (calls === 1) throw new TypeError("first call");
    return calls;
  });
  // An exception that left the callback would make a row of NULL, and the insert a success.
  using statement = db.prepare("INSERT INTO t SELECT flaky() UNION ALL SELECT flaky()");
  throws(() => statement.run(), (error: CallbackError) => {
    ok(error instanceof CallbackError);
    ok(error.cause instanceof TypeError);
    return true;
  });
  statement.run();
  deepStrictEqual(db.query("SELECT a FROM t"), [[2], [3]], "only the second run wrote");
});

Deno.test("A result that is no 64-bit integer is a bug, not a wrapped number", () => {
  using db = openMemory();
  createFunction(db, { name: "wrap", argumentCount: 0 }, () => 2n ** 63n);
  createFunction(db, { name: "cut", argumentCount: 0 }, () => 1.5);
  throws(() => db.query("SELECT wrap()"), CallbackError);
  throws(() => db.query("SELECT cut()"), CallbackError);
});

Deno.test("An innocuous random() works in DEFAULT, CHECK, trigger and view (rule Q4)", () => {
  using db = openMemory();
  setSwitches(db, { trustedSchema: false, defensive: true });
  let next = 0;
  createFunction(db, { name: "random", argumentCount: 0, innocuous: true }, () => next++);
  db.exec(`
    CREATE TABLE t(a, b DEFAULT (random()), c CHECK (c IS NULL OR random() >= 0));
    CREATE TABLE log(a);
    CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (random()); END;
    CREATE VIEW v AS SELECT random() AS r;
    INSERT INTO t(a, c) VALUES (1, 5);
  `);
  const [row] = db.query("SELECT b FROM t");
  const [logged] = db.query("SELECT a FROM log");
  deepStrictEqual(row, [0]);
  ok(typeof logged?.[0] === "number" && logged[0] < 10, "the trigger called ours");
  const seen = db.query("SELECT r FROM v")[0]?.[0];
  ok(typeof seen === "number" && seen < 10, "the view called ours");
  strictEqual(db.query("SELECT random() < random() AND random() <> random()")[0]?.[0], 1);
});

Deno.test("A random() that is not innocuous fails in a DEFAULT when the schema is not trusted (rule Q4)", () => {
  using db = openMemory();
  setSwitches(db, { trustedSchema: false });
  createFunction(db, { name: "random", argumentCount: 0 }, () => 1);
  db.exec("CREATE TABLE t(a, b DEFAULT (random()))");
  throws(() => db.exec("INSERT INTO t(a) VALUES (1)"), /unsafe use of random\(\)/);
});

Deno.test("A function that refuses also does so in a DEFAULT, which no authorizer sees (rule Q3)", () => {
  using db = openMemory();
  createFunction(db, { name: "sqlite_source_id", argumentCount: 0, innocuous: true }, () => {
    throw new SqlFunctionError("not authorized to use function: sqlite_source_id");
  });
  db.exec("CREATE TABLE t(a, b DEFAULT (sqlite_source_id()))");
  throws(() => db.exec("INSERT INTO t(a) VALUES (1)"), /not authorized to use function/);
  deepStrictEqual(db.query("SELECT count(*) FROM t"), [[0]]);
});
