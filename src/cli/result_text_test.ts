import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { formatExactJson, JsonNumber, memberOf, parseExactJson } from "./exact_json.ts";
import { formatTable, type ResultTable, tableOf } from "./result_text.ts";
import { formatTree } from "./tree_text.ts";

function table(json: string): ResultTable {
  const found = tableOf(parseExactJson(json));
  if (found === undefined) throw new Error(`no table: ${json}`);
  return found;
}

const SAMPLE = table(
  '{"columns":["id","note"],"values":[[9223372036854775807,"two\\nlines"],[1.0,null],[2,"日本"]]}',
);

Deno.test("parseExactJson() keeps each number's spelling, through and back", () => {
  const text = '{"a":9223372036854775807,"b":[1.0,1e3,-0],"c":null,"d":true,"e":"1"}';
  const value = parseExactJson(text);
  strictEqual(formatExactJson(value), text);
  ok(memberOf(value, "a") instanceof JsonNumber);
  strictEqual(memberOf(value, "toString"), undefined);
  throws(() => parseExactJson("{"), { name: "SyntaxError" });
});

Deno.test("formatTable() draws a table for people", () => {
  strictEqual(
    formatTable(SAMPLE, "column"),
    `+---------------------+-------+
| id                  | note  |
+---------------------+-------+
| 9223372036854775807 | two   |
|                     | lines |
| 1.0                 | <nil> |
| 2                   | 日本  |
+---------------------+-------+
`,
  );
});

Deno.test("formatTable() shows the header even without rows", () => {
  const empty = table('{"columns":["id"],"types":["integer"]}');
  strictEqual(formatTable(empty, "column"), "+----+\n| id |\n+----+\n");
  strictEqual(formatTable(empty, "csv"), "id\n");
  strictEqual(formatTable(empty, "json"), "[]\n");
  strictEqual(formatTable(empty, "line"), "");
});

Deno.test("formatTable() writes CSV as RFC 4180 has it", () => {
  const rows = table('{"columns":["a,b","c"],"values":[["say \\"hi\\"",null],["x\\ny",1]]}');
  strictEqual(formatTable(rows, "csv"), '"a,b",c\n"say ""hi""",NULL\n"x\ny",1\n');
});

Deno.test("formatTable() writes JSON that loses nothing", () => {
  strictEqual(
    formatTable(SAMPLE, "json"),
    '[{"id":9223372036854775807,"note":"two\\nlines"},\n {"id":1.0,"note":null},\n ' +
      '{"id":2,"note":"日本"}]\n',
  );
});

Deno.test("formatTable() writes one value a line", () => {
  strictEqual(
    formatTable(table('{"columns":["id","name"],"values":[[1,"a"],[2,null]]}'), "line"),
    "  id = 1\nname = a\n\n  id = 2\nname = NULL\n",
  );
});

Deno.test("formatTable() does not let data command the terminal", () => {
  const hostile = table('{"columns":["a"],"values":[["\\u001b[2J\\u0007\\r"]]}');
  ok(formatTable(hostile, "column").includes("| \\u001b[2J\\u0007\\r |"));
  strictEqual(formatTable(hostile, "line"), "a = \\u001b[2J\\u0007\\r\n");
});

Deno.test("tableOf() is undefined for what is no query's result", () => {
  strictEqual(tableOf(parseExactJson('{"rows_affected":1}')), undefined);
  deepStrictEqual(tableOf(parseExactJson('{"columns":["a"]}')), { columns: ["a"], rows: [] });
});

Deno.test("formatTree() indents objects and arrays", () => {
  const text = '{"build":{"version":"1"},"nodes":[{"id":1},"x"],"none":{},"empty":"","list":[]}';
  strictEqual(
    formatTree(parseExactJson(text)),
    "build:\n  version: 1\nnodes:\n  -\n    id: 1\n  - x\nnone: {}\nempty:\nlist: []\n",
  );
  strictEqual(formatTree(parseExactJson("7")), "7\n");
});
