import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { openMemory } from "../sqlite/testing.ts";
import { jsonString, JsonWriter } from "./json_writer.ts";

function written(write: (writer: JsonWriter) => void): string {
  const writer = new JsonWriter();
  write(writer);
  return writer.text();
}

Deno.test("jsonString() escapes as Go does, angle brackets and line separators too", () => {
  strictEqual(jsonString('a"b\\c'), '"a\\"b\\\\c"');
  strictEqual(jsonString("\n\r\t\b\f\u0000\u001f"), '"\\n\\r\\t\\b\\f\\u0000\\u001f"');
  strictEqual(jsonString("<a>&"), '"\\u003ca\\u003e\\u0026"');
  strictEqual(jsonString("\u2028\u2029"), '"\\u2028\\u2029"');
  strictEqual(jsonString("grüße 😀"), '"grüße 😀"');
  strictEqual(jsonString("\ud800"), '"\ufffd"');
});

Deno.test("JsonWriter.columnText() writes what jsonString() says, straight from SQLite", () => {
  using connection = openMemory();
  using statement = connection.prepare("SELECT ?");
  const writer = new JsonWriter();
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      statement.bindText(1, text);
      statement.step();
      writer.clear();
      writer.columnText(statement, 0);
      statement.reset();
      strictEqual(writer.text(), jsonString(text));
    }),
    { numRuns: 300 },
  );
});

Deno.test("JsonWriter.columnText() turns invalid UTF-8 into U+FFFD and keeps NUL", () => {
  using connection = openMemory();
  using statement = connection.prepare("SELECT CAST(x'61ff00623c' AS TEXT)");
  statement.step();
  strictEqual(
    written((writer) => writer.columnText(statement, 0)),
    '"a\ufffd\\u0000b\\u003c"',
  );
});

Deno.test("JsonWriter.integer() writes every safe integer", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      strictEqual(written((writer) => writer.integer(value)), String(value));
    }),
  );
  for (let digits = 0; digits <= 15; digits++) {
    for (const value of [10 ** digits - 1, 10 ** digits, -(10 ** digits) + 1, -(10 ** digits)]) {
      strictEqual(written((writer) => writer.integer(value)), String(value === 0 ? 0 : value));
    }
  }
});

Deno.test("JsonWriter.real() writes shortest forms, and infinities that JSON can hold", () => {
  const cases: readonly [number, string][] = [
    [2, "2"],
    [0.1, "0.1"],
    [1e21, "1e+21"],
    [1e20, "100000000000000000000"],
    [1e-7, "1e-7"],
    [0.000001, "0.000001"],
    [-0, "-0"],
    [Infinity, "9.0e+999"],
    [-Infinity, "-9.0e+999"],
    [1.7976931348623157e308, "1.7976931348623157e+308"],
  ];
  for (const [value, expected] of cases) {
    strictEqual(written((writer) => writer.real(value)), expected);
  }
});

Deno.test("JsonWriter grows, truncates and starts over without losing what was written", () => {
  const writer = new JsonWriter();
  const long = "x".repeat(3_000_000);
  writer.raw("[");
  writer.string(long);
  const { size } = writer;
  writer.raw(",unfinished");
  writer.truncate(size);
  writer.byte(0x5d);
  strictEqual(writer.text(), `["${long}"]`);
  deepStrictEqual(writer.copy().length, long.length + 4);
  writer.clear();
  writer.bytesAsText(new TextEncoder().encode("é<"));
  strictEqual(writer.text(), '"é\\u003c"');
});
