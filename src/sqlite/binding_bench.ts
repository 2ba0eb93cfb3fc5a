/**
 * What the binding costs: `deno bench -A src/sqlite/binding_bench.ts`. Rule Q13's numbers are the
 * yardstick: column_int64 30 ns, bind_int64 51, bind_text 292, text decode 928, insert with two binds
 * 1,260, savepoint pair 202, a JavaScript function 330 more.
 */
import { createFunction } from "./functions.ts";
import { hasDeferredForeignKeys } from "./settings.ts";
import { StatementCache } from "./statement_cache.ts";
import { openMemory } from "./testing.ts";

const db = openMemory();
db.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
const cache = new StatementCache(db, 100);
const bind = db.prepare("SELECT ?1");
const read = db.prepare(`SELECT 42, ${2n ** 60n}, 'hello world, this', zeroblob(100), 0.5`);
read.step();
const insert = db.prepare("INSERT INTO t(name, id) VALUES (?1, ?2)");
const select = db.prepare("SELECT name FROM t WHERE id = ?1");
const savepoint = db.prepare("SAVEPOINT s");
const release = db.prepare("RELEASE s");
const utf8 = new TextEncoder().encode("hello world, this is a batch of values");
const target = new Uint8Array(1000);
createFunction(db, { name: "ours", argumentCount: 1 }, (args) => args.integer(0));
const callOurs = db.prepare(
  "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 100) SELECT sum(ours(n)) FROM c",
);
const callBuiltIn = db.prepare(
  "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 100) SELECT sum(abs(n)) FROM c",
);

let id = 0;
db.exec("BEGIN");

Deno.bench("bind an int32", () => bind.bindInteger(1, 42));
Deno.bench("bind a safe integer past int32", () => bind.bindInteger(1, 2 ** 40));
Deno.bench("bind a bigint", () => bind.bindInteger(1, 2n ** 60n));
Deno.bench("bind a real", () => bind.bindReal(1, 0.5));
Deno.bench("bind a string of 17", () => bind.bindText(1, "hello world, this"));
Deno.bench(
  "bind 17 bytes of text from a larger buffer",
  () => bind.bindTextBytes(1, utf8.subarray(6, 23)),
);
Deno.bench("read a small integer", () => void read.columnInteger(0));
Deno.bench("read a large integer", () => void read.columnInteger(1));
Deno.bench("read a real", () => void read.columnReal(4));
Deno.bench("read a string of 17", () => void read.columnText(2));
Deno.bench(
  "copy a text of 17 into a buffer",
  () => read.copyColumnText(2, target, read.columnSize(2)),
);
Deno.bench("read a blob of 100", () => void read.columnBytes(3));
Deno.bench("read type and value of a column", () => void read.columnValue(0));
Deno.bench("savepoint pair", () => {
  savepoint.step();
  savepoint.reset();
  release.step();
  release.reset();
});
Deno.bench("deferred foreign keys (rule A1)", () => void hasDeferredForeignKeys(db));
Deno.bench("prepare and finalize", () => db.prepare("SELECT name FROM t WHERE id = ?1").finalize());
Deno.bench("prepare from the cache", () => void cache.prepare("SELECT name FROM t WHERE id = ?1"));
Deno.bench("insert with two binds", () => {
  insert.bindText(1, "hello world, this");
  insert.bindInteger(2, ++id);
  insert.step();
  insert.reset();
});
Deno.bench("insert with two binds, of it SQLite's own", () => {
  insert.bindInteger(2, ++id);
  insert.step();
  insert.reset();
});
Deno.bench("select by key, one text", () => {
  select.bindInteger(1, 1);
  select.step();
  select.columnText(0);
  select.reset();
});
Deno.bench("100 calls of a function of ours", () => {
  callOurs.step();
  callOurs.reset();
});
Deno.bench("100 calls of a built-in function", () => {
  callBuiltIn.step();
  callBuiltIn.reset();
});
