/**
 * Values at the edges of what SQLite and JSON can hold go in by every way and come back the same: on
 * execute, query and request, as literals and as parameters, in memory and on disk, before and after a
 * restart. Answers are compared as text, since a parsed number would have lost what is looked for.
 * And two things that are right only together: a new column is there for all readers at once.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { execute, post, query } from "./limits/client.ts";
import { startNode } from "./process.ts";

interface ValueCase {
  /** In SQL. */
  readonly literal: string;
  /** As a parameter in JSON; undefined where JSON has no such value. */
  readonly parameter: string | undefined;
  /** What typeof(), hex() and the value itself answer, as text on the wire. */
  readonly kind: "integer" | "real" | "text" | "blob" | "null";
  readonly hex?: string;
  readonly wire: string;
}

const same = (text: string): Pick<ValueCase, "literal" | "parameter" | "wire"> => ({
  literal: text,
  parameter: text,
  wire: text,
});

const MEBIBYTE = "a5".repeat(1024 * 1024);

const CASES: readonly ValueCase[] = [
  { ...same("9223372036854775807"), kind: "integer" },
  { ...same("-9223372036854775808"), kind: "integer" },
  { ...same("9007199254740993"), kind: "integer" },
  { ...same("1"), kind: "integer" },
  { ...same("1.0"), kind: "real", wire: "1" },
  { ...same("-0.0"), kind: "real", wire: "-0" },
  { ...same("0.1"), kind: "real" },
  { ...same("5e-324"), kind: "real" },
  { ...same("1.7976931348623157e308"), kind: "real", wire: "1.7976931348623157e+308" },
  { ...same("9223372036854775808"), kind: "real", wire: "9223372036854776000" },
  { literal: "9e999", parameter: undefined, kind: "real", wire: "9.0e+999" },
  { literal: "-9e999", parameter: undefined, kind: "real", wire: "-9.0e+999" },
  { literal: "NULL", parameter: "null", kind: "null", wire: "null" },
  { literal: "''", parameter: '""', kind: "text", hex: "", wire: '""' },
  {
    literal: "'a' || char(0) || 'é😀'",
    parameter: '"a\\u0000é😀"',
    kind: "text",
    hex: "6100C3A9F09F9880",
    wire: '"a\\u0000é😀"',
  },
  { literal: "x''", parameter: "[]", kind: "blob", hex: "", wire: '""' },
  { literal: "x'00'", parameter: "\"x'00'\"", kind: "blob", hex: "00", wire: '"AA=="' },
  {
    literal: "x'FF00FE80C3'",
    parameter: "[255,0,254,128,195]",
    kind: "blob",
    hex: "FF00FE80C3",
    wire: '"/wD+gMM="',
  },
  {
    literal: `x'${MEBIBYTE}'`,
    parameter: `"x'${MEBIBYTE}'"`,
    kind: "blob",
    hex: MEBIBYTE.toUpperCase(),
    wire: `"${btoa("\xa5".repeat(1024 * 1024))}"`,
  },
];

/** Ways in; each answers with an error when the value does not arrive. */
const WAYS: readonly {
  readonly path: string;
  readonly body: (each: ValueCase, id: number) => string | undefined;
}[] = ["/db/execute", "/db/request"].flatMap((path) => [
  {
    path,
    body: ({ literal }, id) => JSON.stringify([`INSERT INTO v VALUES(${id}, ${literal})`]),
  },
  {
    path,
    body: ({ parameter }, id) =>
      parameter && `[["INSERT INTO v VALUES(?, ?)", ${id}, ${parameter}]]`,
  },
  {
    path,
    body: ({ parameter }, id) =>
      parameter && `[["INSERT INTO v VALUES(:id, $x)", {"id": ${id}, "x": ${parameter}}]]`,
  },
]);

/** Writes all cases by all ways. @returns which case each id is. */
async function writeAll(url: string): Promise<ReadonlyMap<number, ValueCase>> {
  // The declared type decides how a blob comes back, and none of these changes a value.
  await execute(url, ["CREATE TABLE v(id INTEGER PRIMARY KEY, x BLOB)"]);
  const written = new Map<number, ValueCase>();
  for (const way of WAYS) {
    for (const each of CASES) {
      const id = written.size + 1;
      const body = way.body(each, id);
      if (body === undefined) continue;
      const { text } = await post(url, way.path, body);
      ok(text.includes('"rows_affected":1'), `${each.literal.slice(0, 80)}: ${text.slice(0, 500)}`);
      written.set(id, each);
    }
  }
  return written;
}

async function readAll(url: string, written: ReadonlyMap<number, ValueCase>): Promise<void> {
  for (const path of ["/db/query", "/db/request", "/db/query?level=strong"]) {
    for (const [id, { literal, kind, hex, wire }] of written) {
      const sql = hex === undefined
        ? "SELECT typeof(x), '', x FROM v WHERE id = ?"
        : "SELECT typeof(x), hex(x), x FROM v WHERE id = ?";
      const { text } = await post(url, path, `[["${sql}", ${id}]]`);
      const values = text.slice(text.indexOf('"values":') + 9, -3);
      strictEqual(
        values,
        `[["${kind}","${hex ?? ""}",${wire}]]`,
        `${path} of ${literal.slice(0, 80)}, id ${id}`,
      );
    }
  }
}

for (const flags of [[], ["--on-disk"]]) {
  const mode = flags.length === 0 ? "in memory" : "on disk";
  Deno.test(`values at the edges survive a round trip and a restart, ${mode}`, async () => {
    await using node = await startNode({ flags });
    const written = await writeAll(node.url);
    await readAll(node.url, written);
    await node.stop("SIGKILL");
    await using again = await startNode({ flags, dataDirectory: node.dataDirectory });
    await readAll(again.url, written);
  });
}

Deno.test("a literal means the same to a query without a table", async () => {
  await using node = await startNode();
  for (const path of ["/db/query", "/db/request"]) {
    for (const { literal, parameter, kind, wire } of CASES) {
      // Without a declared type a blob is answered as text.
      if (kind === "blob") continue;
      const statements = [JSON.stringify(`SELECT typeof(${literal}), ${literal}`)];
      if (parameter !== undefined) {
        statements.push(`["SELECT typeof(?1), ?1", ${parameter}]`);
      }
      for (const statement of statements) {
        const { text } = await post(node.url, path, `[${statement}]`);
        ok(text.endsWith(`"values":[["${kind}",${wire}]]}]}`), `${statement}: ${text}`);
      }
    }
  }
});

Deno.test("infinity is no number in JSON: as a parameter it is refused, in arithmetic it is a value", async () => {
  await using node = await startNode();
  for (const number of ["1e999", "-1e999", "9.0e+999"]) {
    const { status, text } = await post(node.url, "/db/query", `[["SELECT ?", ${number}]]`);
    deepStrictEqual([status, text], [400, `invalid number ${number}\n`]);
  }
  for (const path of ["/db/query", "/db/query?associative", "/db/query?pretty", "/db/request"]) {
    const { status, text } = await post(node.url, path, '["SELECT 1e308 * 10 AS x, -1e308 * 10"]');
    strictEqual(status, 200);
    // Every JSON parser reads these back as infinities.
    const flat = text.replaceAll(/\s/g, "");
    ok(flat.includes("9.0e+999") && flat.includes("-9.0e+999"), text);
    JSON.parse(text);
  }
});

Deno.test("32,000 parameters reach their places, named ones too; one past SQLite's limit does not", async () => {
  await using node = await startNode();
  const values = Array.from({ length: 32_000 }, (_, at) => at + 1);
  // Names are looked up one by one in a list, by SQLite's parser too: they cost their square.
  const few = values.slice(0, 2000);
  await execute(node.url, ["CREATE TABLE p(x)"]);
  await execute(node.url, [
    [`INSERT INTO p VALUES ${values.map(() => "(?)").join()}`, ...values],
    [
      `INSERT INTO p VALUES ${few.map((value) => `(:n${value})`).join()}`,
      Object.fromEntries(few.map((value) => [`n${value}`, value])),
    ],
  ]);
  const text = await query(node.url, [
    "SELECT count(*), sum(x = (rowid - 1) % 32000 + 1) FROM p",
    [`SELECT count(*) FROM p WHERE x IN (${values.map(() => "?").join()})`, ...values],
  ]);
  ok(text.includes('"values":[[34000,34000]]') && text.includes('"values":[[34000]]'), text);
  const zeros = Array(32_767).fill(0);
  for (const path of ["/db/query", "/db/execute"]) {
    const sql = `SELECT 1 WHERE 0 IN (${zeros.map(() => "?").join()})`;
    const tooMany = await post(node.url, path, JSON.stringify([[sql, ...zeros]]));
    strictEqual(tooMany.text, '{"results":[{"error":"too many SQL variables"}]}');
  }
});

Deno.test("after ALTER TABLE every reader shows the new column at once", async () => {
  await using node = await startNode({ flags: ["--readers", "4"] });
  const { url } = node;
  await execute(url, ["CREATE TABLE a(c0)", "INSERT INTO a VALUES(0)"]);
  let columns = 1;
  let isDone = false;
  let reads = 0;
  const hammer = async (level: string): Promise<void> => {
    while (!isDone) {
      const wanted = columns;
      const { text } = await post(url, `/db/query?level=${level}`, '["SELECT * FROM a"]');
      const got = JSON.parse(text).results[0].columns.length;
      ok(got >= wanted, `${level}: ${got} columns after ${wanted} were acknowledged`);
      reads++;
    }
  };
  const levels = ["none", "weak", "linearizable", "strong"];
  const readers = Array.from({ length: 32 }, (_, at) => hammer(levels[at % 4] ?? "weak"));
  for (; columns < 60; columns++) await execute(url, [`ALTER TABLE a ADD COLUMN c${columns}`]);
  isDone = true;
  await Promise.all(readers);
  ok(reads > 300, `only ${reads} reads`);
});

Deno.test("an unknown level is refused with the list of those there are", async () => {
  await using node = await startNode();
  for (const path of ["/db/query", "/db/request"]) {
    const { status, text } = await post(node.url, `${path}?level=strnog`, '["SELECT 1"]');
    strictEqual(status, 400);
    strictEqual(text, "Unknown level: it is one of none, weak, linearizable, strong, auto\n");
  }
});
