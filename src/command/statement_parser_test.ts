import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { OperatingError } from "../base/errors.ts";
import type { ErrorCode } from "../base/errors.ts";
import { PARAMETERS_MAX, REFUSED_BODY_CHECK_LENGTH_MAX, STATEMENTS_MAX } from "./limits.ts";
import { parseStatements } from "./statement_parser.ts";
import { Real, type Value } from "./value.ts";

function parse(text: string): ReturnType<typeof parseStatements> {
  return parseStatements({ kind: "json", text });
}

/** The one positional value of the one statement, written as JSON. */
function parseValue(json: string): Value | undefined {
  return parse(`[["SELECT ?",${json}]]`)[0]?.positional[0];
}

function refused(text: string, message: string, code: ErrorCode = "bad_request"): void {
  throws(() => parse(text), (error) => {
    ok(error instanceof OperatingError);
    deepStrictEqual([error.code, error.message], [code, message], text.slice(0, 80));
    return true;
  });
}

const plain = (sql: string): ReturnType<typeof parse>[number] => ({
  sql,
  positional: [],
  named: [],
});

Deno.test("parseStatements() reads strings and arrays, mixed", () => {
  deepStrictEqual(parse(' [["SELECT * FROM foo"] ,\n"SELECT * FROM bar"\t]\r\n'), [
    plain("SELECT * FROM foo"),
    plain("SELECT * FROM bar"),
  ]);
  deepStrictEqual(parse('[""]'), [plain("")]);
});

Deno.test("parseStatements() takes raw SQL as one statement, the empty one too", () => {
  deepStrictEqual(parseStatements({ kind: "sql", text: '["x"]' }), [plain('["x"]')]);
  deepStrictEqual(parseStatements({ kind: "sql", text: "" }), [plain("")]);
});

Deno.test("parseStatements() merges objects and values, in order", () => {
  deepStrictEqual(parse('[["q", 1, {"a":"x", "b":2}, null, {}, {"a":[1]}]]'), [{
    sql: "q",
    positional: [1, null],
    named: [
      { name: "a", value: "x" },
      { name: "b", value: 2 },
      { name: "a", value: Uint8Array.of(1) },
    ],
  }]);
});

Deno.test("parseStatements() types a number by how it was written", () => {
  const cases: [string, Value][] = [
    ["20", 20],
    ["-5", -5],
    ["0", 0],
    ["-0", 0],
    ["999999999999999", 999999999999999],
    ["1676555296046783000", 1676555296046783000n],
    ["9007199254740991", 9007199254740991],
    ["9007199254740993", 9007199254740993n],
    ["-9007199254740993", -9007199254740993n],
    ["9223372036854775807", 9223372036854775807n],
    ["-9223372036854775808", -9223372036854775808n],
    ["9223372036854775808", new Real(9223372036854775808)],
    ["-9223372036854775809", new Real(-9223372036854775808)],
    ["123456789012345678901234567890", new Real(123456789012345678901234567890)],
    ["1.0", new Real(1)],
    ["-0.0", new Real(-0)],
    ["1e3", new Real(1000)],
    ["1E+3", new Real(1000)],
    ["2.5e-3", new Real(0.0025)],
    ["1e-999", new Real(0)],
    ["true", 1],
    ["false", 0],
    ["null", null],
  ];
  for (const [json, value] of cases) deepStrictEqual(parseValue(json), value, json);
});

Deno.test("parseStatements() turns hex literals and byte arrays into BLOBs, and only those", () => {
  const cases: [string, Value][] = [
    [`"x'deadbeef'"`, Uint8Array.of(0xde, 0xad, 0xbe, 0xef)],
    [`" \\tX'DEADbeef'\\n"`, Uint8Array.of(0xde, 0xad, 0xbe, 0xef)],
    [`"x''"`, new Uint8Array(0)],
    [`"x'abc'"`, "x'abc'"],
    [`"x'ab cd'"`, "x'ab cd'"],
    [`"x'zz'"`, "x'zz'"],
    [`"x'ab"`, "x'ab"],
    [`"x'"`, "x'"],
    [`"'"`, "'"],
    [`"x\\"ab\\""`, 'x"ab"'],
    [`"y'ab'"`, "y'ab'"],
    ["[222,173, 190,239]", Uint8Array.of(222, 173, 190, 239)],
    ["[]", new Uint8Array(0)],
    ["[0,255]", Uint8Array.of(0, 255)],
  ];
  for (const [json, value] of cases) deepStrictEqual(parseValue(json), value, json);
});

Deno.test("parseStatements() refuses with the wire's texts", () => {
  for (
    const text of ["", "  ", "[", '["a"', '["a', '["a\\"', "nope", '["a",]', "[,]", '["a"]["b"]']
      .concat(
        [
          '["a\nb"]',
          '["\\x"]',
          '[["a",01]]',
          '[["a",1.]]',
          '[["a",1e]]',
          '[["a",-]]',
          '[["a",+1]]',
        ],
        [
          '[["a",.5]]',
          '[["a",nul]]',
          '[["a",{"n" 1}]]',
          '[["a",{"n":1]]',
          '[["a",{n:1}]]',
          "{",
          "[1",
        ],
        ['[["a",[1,]]]', '[["a",{}', '[["a"]', '["a"] junk', '[["a",[{]]'],
      )
  ) refused(text, "invalid JSON body");
  for (
    const text of ["{}", '"x"', "null", "5", "[[]]", "[[1]]", '[[1,"x"]]', "[1]", "[null]"].concat(
      ['[{"a":1}]', '["ok",true]', "[[[[[]]]]]"],
    )
  ) refused(text, "invalid request");
  refused("[]", "no statements");
  refused(" [ ] ", "no statements");
  const types: [string, string][] = [
    ["[7889]", "7889"],
    ["[1.5]", "1.5"],
    ["[1.0]", "1.0"],
    ["[-1]", "-1"],
    ["[256]", "256"],
    ["[1,9223372036854775807]", "9223372036854775807"],
    ['["a"]', "string"],
    ["[true]", "bool"],
    ["[null]", "<nil>"],
    ["[[1]]", "[]interface {}"],
    ["[{}]", "map[string]interface {}"],
    ['{"a":{}}', "map[string]interface {}"],
  ];
  for (const [json, type] of types) refused(`[["q",${json}]]`, `unsupported type ${type}`);
  refused('[["q",1e999]]', "invalid number 1e999");
  refused(`[["q",${"9".repeat(400)}]]`, `invalid number ${"9".repeat(64)}`);
});

Deno.test("parseStatements() does not read a large refused body to its end", () => {
  const rest = `"${"x".repeat(REFUSED_BODY_CHECK_LENGTH_MAX)}"`;
  refused(`[1,${rest}`, "invalid request");
  refused(`[1,"x"`, "invalid JSON body");
});

Deno.test("parseStatements() refuses disallowed pragmas, after bodies that are unusable", () => {
  refused('["SELECT 1","PRAGMA journal_mode=DELETE"]', "disallowed pragma", "internal");
  refused('["PRAGMA journal_mode=DELETE",1]', "invalid request");
  throws(
    () => parseStatements({ kind: "sql", text: "PRAGMA wal_checkpoint" }),
    /disallowed pragma/,
  );
});

Deno.test("parseStatements() refuses NUL in SQL and keeps it in values", () => {
  refused('["SELECT 1\\u0000; DROP"]', "Cannot take SQL with a NUL character in it");
  throws(() => parseStatements({ kind: "sql", text: "a\0" }), OperatingError);
  strictEqual(parseValue('"a\\u0000b"'), "a\0b");
});

Deno.test("parseStatements() puts U+FFFD for lone surrogates", () => {
  strictEqual(parseValue('"a\\ud800b\\ud83d\\ude00"'), "a\ufffdb\u{1f600}");
});

Deno.test("parseStatements() judges huge strings as it does short ones", () => {
  const huge = "x[]\u00e9\u{1f600} ~".repeat(200_000);
  strictEqual(parseValue(`"${huge}"`), huge);
  strictEqual(parseValue(`"${huge}\\n"`), `${huge}\n`);
  for (const character of ["\0", "\x1f", "\n"]) {
    refused(`[["q","${huge}${character}"]]`, "invalid JSON body");
  }
});

Deno.test("parseStatements() bounds statements and parameters", () => {
  const over = `[${'"",'.repeat(STATEMENTS_MAX)}""]`;
  refused(over, `Cannot take request: over ${STATEMENTS_MAX} statements`, "too_large");
  strictEqual(parse(`[${'"",'.repeat(STATEMENTS_MAX - 1)}""]`).length, STATEMENTS_MAX);
  const half = `["q"${",0".repeat(PARAMETERS_MAX / 2)}]`;
  strictEqual(parse(`[${half},${half}]`).length, 2);
  refused(
    `[${half},${half},["q",0]]`,
    `Cannot take request: over ${PARAMETERS_MAX} parameters`,
    "too_large",
  );
});

Deno.test("parseStatements() survives deep nesting", () => {
  refused("[".repeat(1_000_000), "invalid request");
  refused(`[["q",${"[".repeat(1_000_000)}`, "unsupported type []interface {}");
});

Deno.test("parseStatements() agrees with JSON.parse on any strings and small integers", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.string({ unit: "grapheme", minLength: 240, maxLength: 300 }),
    fc.string({ unit: fc.constantFrom('"', "\\", "a", "\n", "'", "{", "]") }),
  ).filter((value) => !value.trim().endsWith("'"));
  const value = fc.oneof(text, fc.maxSafeInteger(), fc.constant(null));
  const sql = text.filter((candidate) => !candidate.includes("\0"));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(sql, fc.array(value)), { minLength: 1 }),
      fc.nat(3),
      (list, indent) => {
        const body = JSON.stringify(list.map(([first, rest]) => [first, ...rest]), null, indent);
        deepStrictEqual(
          parse(body).map((statement) => [statement.sql, [...statement.positional]]),
          list.map(([first, rest]) => [first, rest.map((each) => Object.is(each, -0) ? 0 : each)]),
        );
      },
    ),
  );
});

Deno.test("parseStatements() accepts no body that JSON.parse refuses", () => {
  const unit = fc.constantFrom(..."[]{}\",:\\0123456789.eE+-xnulltrefs' \n");
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 30 }), (middle) => {
      const body = `[["q",${middle}]]`;
      let accepted = true;
      try {
        parse(body);
      } catch (error) {
        ok(error instanceof OperatingError);
        accepted = false;
      }
      if (accepted) JSON.parse(body);
    }),
    { numRuns: 2000 },
  );
});
