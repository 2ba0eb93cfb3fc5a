import { deepStrictEqual, notStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { AssertionError } from "../base/assert.ts";
import { CACHED_SQL_LENGTH_MAX } from "./limits.ts";
import { StatementCache } from "./statement_cache.ts";
import { openMemory } from "./testing.ts";

Deno.test("StatementCache gives the same statement again, without its bindings", () => {
  using db = openMemory();
  const cache = new StatementCache(db, 10);
  const first = cache.prepare("SELECT ?1");
  deepStrictEqual(first.statement?.all("bound"), [["bound"]]);
  const second = cache.prepare("SELECT ?1");
  strictEqual(second.statement, first.statement);
  deepStrictEqual(second.statement?.all(), [[null]]);
  ok(first.isKept && second.isKept);
});

Deno.test("StatementCache is bounded, keeps what is used, and finalizes the rest", () => {
  using db = openMemory();
  const cache = new StatementCache(db, 8);
  const hot = cache.prepare("SELECT 'hot'").statement;
  const cold = cache.prepare("SELECT 'cold'").statement;
  for (let n = 0; n < 100; n++) {
    cache.prepare(`SELECT ${n}`);
    strictEqual(cache.prepare("SELECT 'hot'").statement, hot);
    ok(cache.count <= 8);
  }
  throws(() => cold?.step(), AssertionError);
});

Deno.test("StatementCache keeps tails, statements of blanks, and nothing that is long or failed", () => {
  using db = openMemory();
  const cache = new StatementCache(db, 10);
  const two = cache.prepare("SELECT 'ü'; SELECT 2");
  strictEqual(two.tail, 12);
  deepStrictEqual(cache.prepare("SELECT 'ü'; SELECT 2").tail, 12);
  strictEqual(cache.prepare("-- nothing").statement, undefined);
  strictEqual(cache.count, 2);
  const long = cache.prepare(`SELECT '${"x".repeat(CACHED_SQL_LENGTH_MAX)}'`);
  ok(!long.isKept);
  long.statement?.finalize();
  throws(() => cache.prepare("nonsense"), /syntax error/);
  strictEqual(cache.count, 2);
});

Deno.test("StatementCache.release() leaves a statement to the caller", () => {
  using db = openMemory();
  const cache = new StatementCache(db, 10);
  const { statement } = cache.prepare("SELECT 1");
  cache.release("SELECT 1");
  strictEqual(cache.count, 0);
  cache.clear();
  deepStrictEqual(statement?.all(), [[1]]);
});

Deno.test("StatementCache never hands out a statement that is running", () => {
  using db = openMemory();
  const cache = new StatementCache(db, 10);
  const running = cache.prepare("SELECT 1 UNION SELECT 2");
  ok(running.statement?.step());
  const other = cache.prepare("SELECT 1 UNION SELECT 2");
  notStrictEqual(other.statement, running.statement);
  ok(!other.isKept);
  deepStrictEqual(running.statement?.row(), [1]);
});

Deno.test("StatementCache.clear() finalizes all, and a cached statement survives a change of schema", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a)");
  const cache = new StatementCache(db, 10);
  const { statement } = cache.prepare("SELECT * FROM t");
  db.exec("ALTER TABLE t ADD COLUMN b; INSERT INTO t VALUES (1, 2)");
  deepStrictEqual(cache.prepare("SELECT * FROM t").statement?.all(), [[1, 2]]);
  cache.clear();
  strictEqual(cache.count, 0);
  throws(() => statement?.step(), AssertionError);
});
