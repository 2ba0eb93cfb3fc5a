/**
 * Binding by name (the wire contract, section 4.4): which parameters a name stands for, and that finding
 * them costs no more than SQLite's own reading of the statement, however many there are.
 */
import { deepStrictEqual, ok, throws } from "node:assert/strict";
import { Connection } from "../sqlite/connection.ts";
import { findLibrary } from "../sqlite/loader.ts";
import { bindValues } from "./parameters.ts";
import { SqlSession } from "./sql_session.ts";

const { library } = findLibrary({ path: undefined });

function open(): { readonly session: SqlSession } & Disposable {
  const connection = Connection.open(library, { path: ":memory:", mode: "create" });
  const session = new SqlSession(connection, { isWriter: true });
  return { session, [Symbol.dispose]: () => connection.close() };
}

Deno.test("bindValues() gives a name's value to all spellings of it, and the last of equal names counts", () => {
  using opened = open();
  const { statement } = opened.session.compile("SELECT :a, @a, $a, ?2, ?7, $a::b, :ab");
  ok(statement !== undefined);
  const facts = opened.session.facts(statement);
  const named = [
    { name: "a", value: 1 },
    { name: "a", value: 2 },
    { name: "ab", value: 3 },
    { name: "nobody", value: 4 },
    { name: "b", value: 5 },
    { name: "a::b", value: 6 },
  ];
  bindValues(statement, facts, { positional: [], named: [...named, ...named], taken: 0 });
  ok(statement.step());
  const row = Array.from({ length: 7 }, (_, column) => statement.columnValue(column));
  deepStrictEqual(row, [2, 2, 2, 2, null, 6, 3]);
  statement.reset();
  for (const name of ["", ":a", "7", "?7"]) {
    const values = { positional: [], named: Array(9).fill({ name, value: 1 }), taken: 0 };
    throws(() => bindValues(statement, facts, values), /does not begin with a letter/);
  }
});

Deno.test("bindValues() finds thousands of names in less time than SQLite needs to read them", () => {
  const names = Array.from({ length: 8000 }, (_, at) => `parameter${at}`);
  const named = names.map((name, value) => ({ name, value }));
  const sql = `SELECT max(${names.map((name) => `:${name}`).join(",")}) WHERE 0`
    .replace(/(?:[^,]*,){100}/g, (part) => `${part.slice(0, -1)}) + max(`);
  let ratio = Infinity;
  for (let attempt = 0; attempt < 5; attempt++) {
    using opened = open();
    const startedMs = performance.now();
    const { statement } = opened.session.compile(sql);
    ok(statement !== undefined);
    const compiledMs = performance.now();
    bindValues(statement, opened.session.facts(statement), { positional: [], named, taken: 0 });
    const boundMs = performance.now() - compiledMs;
    statement.finalize();
    ratio = Math.min(ratio, boundMs / (compiledMs - startedMs));
  }
  // Asked for each name, SQLite looks through all of them, three times: more than three times as long.
  ok(ratio < 1.5, `binding took ${ratio.toFixed(2)} times as long as compiling`);
});
