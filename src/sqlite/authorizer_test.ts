import { deepStrictEqual, ok, throws } from "node:assert/strict";
import { Action, type Authorization, removeAuthorizer, setAuthorizer } from "./authorizer.ts";
import { CallbackError, SqliteError } from "./errors.ts";
import { openMemory } from "./testing.ts";

Deno.test("setAuthorizer() is asked with action, names, database and accessor", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a, b); CREATE VIEW v AS SELECT a FROM t");
  const seen: unknown[] = [];
  setAuthorizer(db, (request) => {
    const { action, first, second, database, accessor } = request;
    seen.push([action, first, second, database, accessor]);
    return "allow";
  });
  db.query("SELECT a FROM v");
  deepStrictEqual(seen, [
    [Action.SELECT, undefined, undefined, undefined, undefined],
    [Action.READ, "t", "a", "main", "v"],
    [Action.READ, "v", "a", "main", undefined],
    [Action.SELECT, undefined, undefined, undefined, "v"],
  ]);
});

Deno.test("deny fails with AUTH, which is a result, and ignore reads NULL", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 2)");
  let answer: Authorization = "deny";
  setAuthorizer(
    db,
    ({ action, second }) => action === Action.READ && second === "b" ? answer : "allow",
  );
  throws(() => db.query("SELECT a, b FROM t"), (error: SqliteError) => {
    deepStrictEqual([error.extendedCode, error.class], [23, "result"]);
    return true;
  });
  answer = "ignore";
  deepStrictEqual(db.query("SELECT a, b FROM t"), [[1, null]]);
  removeAuthorizer(db);
  deepStrictEqual(db.query("SELECT a, b FROM t"), [[1, 2]]);
});

Deno.test("An exception in the authorizer denies and is thrown by prepare (rule Q8)", () => {
  using db = openMemory();
  let asked = 0;
  setAuthorizer(db, () => {
    asked++;
    if (asked === 1) throw new TypeError("bug");
    return "allow";
  });
  throws(() => db.query("SELECT 1"), (error: CallbackError) => {
    ok(error instanceof CallbackError && error.cause instanceof TypeError);
    return true;
  });
  deepStrictEqual(db.query("SELECT 1"), [[1]]);
});

Deno.test("The authorizer sees PRAGMA, ATTACH, VACUUM INTO and transactions in any spelling", () => {
  using db = openMemory();
  const denied: unknown[] = [];
  setAuthorizer(db, ({ action, first, second }) => {
    if (action === Action.SELECT || action === Action.FUNCTION) return "allow";
    denied.push([action, first, second]);
    return "deny";
  });
  const statements = [
    'pragma/**/"synchronous"=off',
    "PRAGMA main.journal_mode(delete)",
    "ATTACH 'x' AS y",
    "VACUUM INTO 'z'",
    "BEGIN IMMEDIATE",
    "SAVEPOINT s",
  ];
  for (const sql of statements) throws(() => db.exec(sql), SqliteError);
  deepStrictEqual(denied, [
    [Action.PRAGMA, "synchronous", "off"],
    [Action.PRAGMA, "journal_mode", "delete"],
    [Action.ATTACH, "x", undefined],
    [Action.ATTACH, "z", undefined],
    [Action.TRANSACTION, "BEGIN", undefined],
    [Action.SAVEPOINT, "BEGIN", "s"],
  ]);
});
