/**
 * The functions that replace SQLite's own: they must say what SQLite says, where that does not depend
 * on chance or on the processor, in every place where SQL may call them.
 */
import { deepStrictEqual, notStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import type { Connection } from "../sqlite/connection.ts";
import { setSwitches } from "../sqlite/settings.ts";
import { openMemory } from "../sqlite/testing.ts";
import type { BindValue, ReadValue } from "../sqlite/values.ts";
import { freezeArithmetic, freezeChance, FROZEN_NAMES } from "./frozen_functions.ts";
import { SEARCH_PRODUCT_MAX } from "./replicated_limits.ts";
import { RandomSource } from "./random_source.ts";
import { FUNCTION_RULES } from "./sql_policy.ts";

function frozen(random = new RandomSource()): Connection {
  const connection = openMemory();
  setSwitches(connection, { trustedSchema: false });
  freezeArithmetic(connection);
  freezeChance(connection, { random, totalChanges: () => 42 });
  return connection;
}

function both(sql: string, ...values: readonly BindValue[]): readonly [ReadValue, ReadValue] {
  using ours = frozen();
  using plain = openMemory();
  const one = (connection: Connection): ReadValue => {
    const [row] = connection.query(`SELECT ${sql}`, ...values);
    return row?.[0] ?? null;
  };
  return [one(ours), one(plain)];
}

function assertClose([left, right]: readonly [ReadValue, ReadValue], message: string): void {
  if (typeof left !== "number" || typeof right !== "number" || !Number.isFinite(right)) {
    return strictEqual(left, right, message);
  }
  const error = Math.abs(left - right) / Math.max(Math.abs(right), Number.MIN_VALUE);
  ok(error < 1e-12, `${message}: ${left} and ${right}`);
}

const UNARY = "acos acosh asin asinh atan atanh cos cosh exp ln log log10 log2 sin sinh tan tanh";

Deno.test("freezeArithmetic() keeps SQLite's mathematics up to the last bits", () => {
  const arguments_ = [0, 0.5, 1, -1, 2, -2.5, 10, 100.25, 1e-9, 1e300, -1e300, 700];
  for (const name of UNARY.split(" ")) {
    for (const x of arguments_) {
      assertClose(both(`${name}(?)`, { value: x }), `${name}(${x})`);
    }
    for (const sql of ["NULL", "'abc'", "' 2.5 '", "'2.5x'", "x'31'", "''", "1"]) {
      assertClose(both(`${name}(${sql})`), `${name}(${sql})`);
    }
  }
  for (const name of ["pow", "power", "atan2", "log"]) {
    for (const x of [...arguments_, NaN]) {
      for (const y of [0, 1, -1, 2.5, -0.5, 1e308]) {
        assertClose(both(`${name}(?, ?)`, { value: x }, { value: y }), `${name}(${x}, ${y})`);
      }
    }
    assertClose(both(`${name}(NULL, 2)`), `${name}(NULL, 2)`);
    assertClose(both(`${name}('3', '2')`), `${name}('3', '2')`);
    assertClose(both(`${name}('a', 2)`), `${name}('a', 2)`);
  }
  assertClose(both("pow(1, 9e999)"), "pow(1, inf)");
  assertClose(both("pow(-1, -9e999)"), "pow(-1, -inf)");
});

Deno.test("freezeArithmetic() gives the values of V8, whatever the processor has", () => {
  using connection = frozen();
  const [[sine, power] = []] = connection.query("SELECT sin(0.7), pow(1.1, 3.3)");
  deepStrictEqual([sine, power], [Math.sin(0.7), Math.pow(1.1, 3.3)]);
});

const text = fc.string({ unit: fc.constantFrom("a", "b", "ä", "😀", " ", "x"), maxLength: 12 });

Deno.test("instr(), replace() and trim() say what SQLite says", () => {
  fc.assert(
    fc.property(text, text, text, (x, y, z) => {
      for (const sql of ["instr(?1, ?2)", "trim(?1, ?2)", "ltrim(?1, ?2)", "rtrim(?1, ?2)"]) {
        const [left, right] = both(`${sql} WHERE ?3 = ?3`, x, y, z);
        strictEqual(left, right, `${sql} of ${JSON.stringify([x, y])}`);
      }
      const [left, right] = both("replace(?1, ?2, ?3)", x, y, z);
      strictEqual(left, right, `replace of ${JSON.stringify([x, y, z])}`);
    }),
    { numRuns: 150 },
  );
  const cases = [
    "instr(x'00ff00', x'ff')",
    "instr(x'6162', 'b')",
    "instr('abc', '')",
    "instr(NULL, 'a')",
    "instr(12345, 34)",
    "instr('a' || char(0) || 'b', 'b')",
    "replace('abc', '', 'x')",
    "replace(121, 1, 3)",
    "replace('a', NULL, 'b')",
    "replace(x'616261', 'a', 'c')",
    "typeof(replace(1, 2, 3))",
    "trim('  a ')",
    "ltrim('  a ')",
    "rtrim('  a ')",
    "trim(NULL)",
    "trim('a', NULL)",
    "trim(11211, 1)",
    "trim('', 'a')",
    "trim('aaa', 'a')",
  ];
  for (const sql of cases) {
    const [left, right] = both(sql);
    deepStrictEqual(left, right, sql);
  }
});

Deno.test("Searches refuse more work than their bound (rule A4b)", () => {
  using connection = frozen();
  const size = Math.ceil(Math.sqrt(SEARCH_PRODUCT_MAX)) + 1;
  for (const name of ["instr", "replace"]) {
    const rest = name === "replace" ? ", 'c'" : "";
    throws(
      () =>
        connection.query(
          `SELECT ${name}(hex(zeroblob(${size})), hex(zeroblob(${size}))${rest})`,
        ),
      { message: `${name}: arguments are too long` },
    );
  }
  throws(
    () => connection.query("SELECT replace(hex(zeroblob(40000)), '0', hex(zeroblob(10000)))"),
    { message: "string or blob too big" },
  );
});

Deno.test("random() and randomblob() work in DEFAULT, CHECK, triggers and views (rule Q4)", () => {
  const content = (seed: number): ReadValue[][] => {
    const random = new RandomSource();
    random.seed(seed, 1);
    using connection = frozen(random);
    connection.exec(`CREATE TABLE t(a, r DEFAULT (random()), b DEFAULT (randomblob(4)),
        CHECK(random() IS NOT NULL));
      CREATE TABLE l(x);
      CREATE TRIGGER tt AFTER INSERT ON t BEGIN INSERT INTO l VALUES(random()); END;
      CREATE VIEW v AS SELECT random() AS r FROM t;
      INSERT INTO t(a) VALUES(1), (2)`);
    return connection.query(
      "SELECT r, hex(b) FROM t UNION ALL SELECT x, 0 FROM l UNION ALL SELECT r, 1 FROM v",
    );
  };
  deepStrictEqual(content(7), content(7));
  notStrictEqual(JSON.stringify(content(7), bigText), JSON.stringify(content(8), bigText));
  const values = content(7).map(([value]) => value);
  strictEqual(
    new Set(values).size,
    values.length,
    "one value for each call, not for each statement",
  );
});

function bigText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

Deno.test("RandomSource never changes: what it gave is in databases", () => {
  const random = new RandomSource();
  random.seed(0x89abcdef, 0x01234567);
  deepStrictEqual(
    [random.int64(), random.int64(), random.bytes(6)],
    [-5967738577450402668n, 2135476700150227770n, Uint8Array.of(203, 75, 183, 36, 243, 201)],
  );
});

Deno.test("randomblob() takes sizes as SQLite does", () => {
  using connection = frozen();
  deepStrictEqual(
    connection.query("SELECT length(randomblob(0)), length(randomblob(-3)), length(randomblob(7))"),
    [[1, 1, 7]],
  );
  throws(() => connection.query("SELECT randomblob(2000000000)"), {
    message: "string or blob too big",
  });
});

Deno.test("Functions that show local facts raise, in a DEFAULT too (rule Q3)", () => {
  using connection = frozen();
  connection.exec("CREATE TABLE t(a, s DEFAULT (sqlite_source_id()))");
  throws(() => connection.exec("INSERT INTO t(a) VALUES(1)"), /not authorized to use function/);
  for (const [name, rule] of FUNCTION_RULES) {
    if (rule !== "local") continue;
    const argument = name.startsWith("sqlite_compileoption") ? "1" : "";
    throws(() => connection.query(`SELECT ${name}(${argument})`), /not authorized/, name);
  }
  strictEqual(connection.query("SELECT total_changes()")[0]?.[0], 42);
});

Deno.test("FROZEN_NAMES covers every function with the rule freeze, but those of the clock", () => {
  const clock = /^(?:current_|date|datetime|julianday|strftime|time|timediff|unixepoch)/;
  // Counters of the connection that are reset rather than replaced (rule Q6).
  const reset = ["changes", "last_insert_rowid"];
  const missing = [...FUNCTION_RULES]
    .filter(([name, rule]) => rule === "freeze" && !clock.test(name) && !reset.includes(name))
    .filter(([name]) => !FROZEN_NAMES.includes(name));
  deepStrictEqual(missing, []);
});
