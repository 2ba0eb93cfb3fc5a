import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { AssertionError } from "../base/assert.ts";
import { SqliteError } from "./errors.ts";
import { openMemory } from "./testing.ts";
import type { BindValue } from "./values.ts";
import { StatementStatus } from "./statement.ts";

/** Binds a value, reads it back with its storage class and, for text and blobs, its bytes in hex. */
function roundTrip(value: BindValue): unknown[] {
  using db = openMemory();
  using statement = db.prepare("SELECT ?1, typeof(?1), hex(?1)");
  const [row] = statement.all(value);
  return row ?? [];
}

Deno.test("bindInteger() and columnInteger() are exact over all 64 bits", () => {
  const cases: [number | bigint, number | bigint][] = [
    [0, 0],
    [-1, -1],
    [2 ** 31 - 1, 2 ** 31 - 1],
    [2 ** 31, 2 ** 31],
    [-(2 ** 31) - 1, -(2 ** 31) - 1],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    [Number.MIN_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
    [2n ** 53n - 1n, Number.MAX_SAFE_INTEGER],
    [2n ** 53n, 2n ** 53n],
    [2n ** 53n + 1n, 2n ** 53n + 1n],
    [-(2n ** 53n), -(2n ** 53n)],
    [2n ** 63n - 1n, 2n ** 63n - 1n],
    [-(2n ** 63n), -(2n ** 63n)],
  ];
  for (const [bound, read] of cases) {
    deepStrictEqual(roundTrip(bound).slice(0, 2), [read, "integer"]);
  }
});

Deno.test("bindInteger() refuses what would wrap or be cut", () => {
  using db = openMemory();
  using statement = db.prepare("SELECT ?1");
  for (const value of [2n ** 63n, -(2n ** 63n) - 1n, 1.5, NaN, 2 ** 53, Infinity]) {
    throws(() => statement.bindInteger(1, value), RangeError);
  }
  deepStrictEqual(statement.all(), [[null]], "nothing was bound");
});

Deno.test("bindReal() keeps integral values and signs real", () => {
  deepStrictEqual(roundTrip({ value: 1 }).slice(0, 2), [1, "real"]);
  deepStrictEqual(roundTrip({ value: 1e300 }).slice(0, 2), [1e300, "real"]);
  deepStrictEqual(roundTrip({ value: Infinity }).slice(0, 2), [Infinity, "real"]);
  deepStrictEqual(roundTrip({ value: NaN }).slice(0, 2), [null, "null"]);
  ok(Object.is(roundTrip({ value: -0 })[0], -0));
});

Deno.test("bindText() and columnText() keep NUL, emoji, BOM and the empty string", () => {
  const texts = ["", "a", "a\0b", "\0", "größe", "\ufeffbom", "🦕".repeat(10), "x".repeat(70_000)];
  for (const text of texts) {
    const hex = new TextEncoder().encode(text).toHex().toUpperCase();
    deepStrictEqual(roundTrip(text), [text, "text", hex]);
  }
});

Deno.test("bindBlob() keeps an empty blob apart from NULL", () => {
  deepStrictEqual(roundTrip(new Uint8Array(0)), [new Uint8Array(0), "blob", ""]);
  deepStrictEqual(roundTrip(null), [null, "null", ""]);
  deepStrictEqual(roundTrip(Uint8Array.of(0, 255)), [Uint8Array.of(0, 255), "blob", "00FF"]);
});

Deno.test("bindBlob() and columnBytes() carry a mebibyte from within a larger buffer", () => {
  const buffer = Uint8Array.from({ length: 2 ** 20 + 100 }, (_, index) => index * 31);
  const blob = buffer.subarray(50, 50 + 2 ** 20);
  const [read, type] = roundTrip(blob);
  strictEqual(type, "blob");
  deepStrictEqual(read, new Uint8Array(blob));
});

Deno.test("bindTextBytes() and columnBytes() keep bytes that are not UTF-8", () => {
  using db = openMemory();
  using statement = db.prepare("SELECT ?1, typeof(?1), hex(?1)");
  const bytes = Uint8Array.of(0x61, 0xff, 0x00, 0xc3);
  statement.bindTextBytes(1, bytes);
  ok(statement.step());
  deepStrictEqual(statement.columnBytes(0), bytes);
  strictEqual(statement.columnText(0), "a\ufffd\0\ufffd");
  deepStrictEqual([statement.columnText(1), statement.columnText(2)], ["text", "61FF00C3"]);
  statement.reset();
  statement.bindTextBytes(1, bytes.subarray(0, 0));
  ok(statement.step());
  deepStrictEqual([statement.columnText(0), statement.columnText(1)], ["", "text"]);
});

Deno.test("copyColumnText() and copyColumnBlob() fill a range of the caller's buffer", () => {
  using db = openMemory();
  using statement = db.prepare("SELECT 'grün', x'0102'");
  ok(statement.step());
  const target = new Uint8Array(10);
  statement.copyColumnText(0, target.subarray(1), statement.columnSize(0));
  statement.copyColumnBlob(1, target.subarray(7), statement.columnSize(1));
  deepStrictEqual(target, Uint8Array.of(0, 0x67, 0x72, 0xc3, 0xbc, 0x6e, 0, 1, 2, 0));
  throws(() => statement.copyColumnText(0, target.subarray(6), 5), AssertionError);
});

Deno.test("bindAll() takes 32,000 parameters, and one past the end is RANGE", () => {
  using db = openMemory();
  const count = 32_000;
  db.exec("CREATE TABLE t(a)");
  using statement = db.prepare(`INSERT INTO t VALUES ${"(?),".repeat(count - 1)}(?)`);
  strictEqual(statement.parameterCount, count);
  statement.all(...Array.from({ length: count }, (_, index) => index));
  deepStrictEqual(db.query("SELECT count(*), sum(a) FROM t"), [[count, count * (count - 1) / 2]]);
  throws(
    () => statement.bindInteger(count + 1, 1),
    (error: SqliteError) => error.extendedCode === 25,
  );
});

Deno.test("parameterName() and parameterIndex() know all four spellings", () => {
  using db = openMemory();
  using statement = db.prepare("SELECT :a, @b, $c, ?7, ?");
  strictEqual(statement.parameterCount, 8);
  const names = [1, 2, 3, 7, 8].map((index) => statement.parameterName(index));
  deepStrictEqual(names, [":a", "@b", "$c", "?7", undefined]);
  deepStrictEqual([":a", "$c", "a", ":a\0"].map((name) => statement.parameterIndex(name)), [
    1,
    3,
    0,
    0,
  ]);
  statement.bindText(1, "x");
  strictEqual(statement.all()[0]?.[0], "x", "reset() keeps bindings");
  statement.clearBindings();
  strictEqual(statement.all()[0]?.[0], null);
});

Deno.test("step() throws SQLite's error, stepCode() returns its extended code", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES (1)");
  using statement = db.prepare("INSERT INTO t VALUES (1)");
  throws(
    () => statement.run(),
    new SqliteError(2067, "UNIQUE constraint failed: t.a"),
  );
  strictEqual(statement.stepCode(), 2067);
  strictEqual(db.lastError(2067).message, "UNIQUE constraint failed: t.a");
  strictEqual(db.lastError(2067).class, "result");
});

Deno.test("columnNames() follow a schema that changes under a kept statement", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a, b)");
  using statement = db.prepare("SELECT * FROM t");
  deepStrictEqual(statement.columnNames(), ["a", "b"]);
  db.exec("ALTER TABLE t ADD COLUMN c");
  ok(!statement.step());
  deepStrictEqual(statement.columnNames(), ["a", "b", "c"]);
  strictEqual(statement.status(StatementStatus.REPREPARE), 1);
});

Deno.test("columnOrigin() and columnDeclaredType() name table and type, of expressions nothing", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a VARCHAR(10))");
  using statement = db.prepare("SELECT a AS x, a || '' FROM t");
  deepStrictEqual(statement.columnOrigin(0), { database: "main", table: "t", column: "a" });
  deepStrictEqual(statement.columnOrigin(1), {
    database: undefined,
    table: undefined,
    column: undefined,
  });
  strictEqual(statement.columnDeclaredType(0), "VARCHAR(10)");
  strictEqual(statement.columnDeclaredType(1), undefined);
});

Deno.test("isReadonly, explain, isBusy and the VM counter say what SQLite says", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)");
  using insert = db.prepare("INSERT INTO t VALUES (3)");
  using select = db.prepare("SELECT * FROM t");
  using explain = db.prepare("EXPLAIN QUERY PLAN SELECT * FROM t");
  deepStrictEqual([insert.isReadonly, select.isReadonly], [false, true]);
  deepStrictEqual([insert.explain, explain.explain], [0, 2]);
  ok(!select.isBusy);
  select.step();
  ok(select.isBusy);
  select.reset();
  ok(!select.isBusy);
  ok(select.status(StatementStatus.VM_STEP, { reset: true }) > 0);
  strictEqual(select.status(StatementStatus.VM_STEP), 0);
  strictEqual(select.sql, "SELECT * FROM t");
});

Deno.test("A finalized statement throws on use instead of reading freed memory", () => {
  using db = openMemory();
  const statement = db.prepare("SELECT ?");
  statement.finalize();
  statement.finalize();
  throws(() => statement.step(), AssertionError);
  throws(() => statement.bindNull(1), AssertionError);
});
