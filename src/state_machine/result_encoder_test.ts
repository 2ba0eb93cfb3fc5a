/**
 * Results on the wire (the contract, sections 5.2 to 5.8), from real statements.
 */
import { strictEqual, throws } from "node:assert/strict";
import { FORMAT } from "../command/request.ts";
import type { Connection } from "../sqlite/connection.ts";
import { openMemory } from "../sqlite/testing.ts";
import { JsonWriter } from "./json_writer.ts";
import {
  emptyResult,
  endWithError,
  errorResult,
  executeResult,
  writeRows,
} from "./result_encoder.ts";
import { UnshowableValueError } from "./statement_error.ts";

function rows(connection: Connection, sql: string, format = 0): string {
  using statement = connection.prepare(sql);
  const writer = new JsonWriter();
  writeRows(writer, statement, { format, sink: {} });
  return writer.text();
}

function withTable(): Connection {
  const connection = openMemory();
  connection.exec(`CREATE TABLE foo(id INTEGER PRIMARY KEY, name TEXT);
    INSERT INTO foo VALUES(1, 'fiona'), (2, 'declan')`);
  return connection;
}

Deno.test("writeRows() writes columns, types and values in the default form", () => {
  using connection = withTable();
  strictEqual(
    rows(connection, "SELECT * FROM foo"),
    '{"columns":["id","name"],"types":["integer","text"],"values":[[1,"fiona"],[2,"declan"]]}',
  );
  strictEqual(
    rows(connection, "SELECT * FROM foo WHERE id=9"),
    '{"columns":["id","name"],"types":["integer","text"]}',
  );
  strictEqual(
    rows(connection, "SELECT *, name FROM foo LIMIT 1"),
    '{"columns":["id","name","name"],"types":["integer","text","text"],"values":[[1,"fiona","fiona"]]}',
  );
});

Deno.test("writeRows() takes undeclared types from the first row, and only from it", () => {
  using connection = withTable();
  const cases: readonly [string, string][] = [
    ["SELECT COUNT(*) FROM foo", '{"columns":["COUNT(*)"],"types":["integer"],"values":[[2]]}'],
    ["SELECT sum(name) FROM foo", '{"columns":["sum(name)"],"types":["real"],"values":[[0]]}'],
    ["SELECT 1 WHERE 0", '{"columns":["1"],"types":[""]}'],
    ["SELECT NULL", '{"columns":["NULL"],"types":[""],"values":[[null]]}'],
    [
      "SELECT x'53514C697465'",
      '{"columns":["x\'53514C697465\'"],"types":["text"],"values":[["SQLite"]]}',
    ],
    [
      "SELECT NULL AS a UNION ALL SELECT 1",
      '{"columns":["a"],"types":[""],"values":[[null],[1]]}',
    ],
  ];
  for (const [sql, expected] of cases) strictEqual(rows(connection, sql), expected);
});

Deno.test("writeRows() shows values by the declared type of their column (5.6)", () => {
  using connection = openMemory();
  connection.exec(
    `CREATE TABLE v(b BOOLEAN, bb bool, d DATE, t timestamp, x BLOB, n VARCHAR(9), c CHAR(4));
    INSERT INTO v VALUES(1, 1, '2004-02-14', 1700000000, x'deadbeef', x'6869', x'6869');
    INSERT INTO v VALUES(0, 0, 'nonsense', 3.5, 'text', x'ff', NULL);
    INSERT INTO v VALUES(-5, NULL, NULL, NULL, x'', x'', x'')`,
  );
  strictEqual(
    rows(connection, "SELECT * FROM v"),
    '{"columns":["b","bb","d","t","x","n","c"],' +
      '"types":["boolean","bool","date","timestamp","blob","varchar(9)","char(4)"],"values":[' +
      '[true,1,"2004-02-14T00:00:00Z","2023-11-14T22:13:20Z","3q2+7w==","hi","aGk="],' +
      '[false,0,"0001-01-01T00:00:00Z",3.5,"text","\ufffd",null],' +
      '[false,null,null,null,"","",""]]}',
  );
  strictEqual(
    rows(connection, "SELECT x, n FROM v", FORMAT.blobArray),
    '{"columns":["x","n"],"types":["blob","varchar(9)"],' +
      '"values":[[[222,173,190,239],"hi"],["text","\ufffd"],[[],""]]}',
  );
});

Deno.test("writeRows() writes numbers exactly, 64 bits and all (fault S13)", () => {
  using connection = openMemory();
  strictEqual(
    rows(connection, "SELECT 9223372036854775807 a, -9223372036854775808 b, 9007199254740993 c"),
    '{"columns":["a","b","c"],"types":["integer","integer","integer"],' +
      '"values":[[9223372036854775807,-9223372036854775808,9007199254740993]]}',
  );
  strictEqual(
    rows(connection, "SELECT 2.0 a, 9e999 b, -9e999 c, -0.0 d"),
    '{"columns":["a","b","c","d"],"types":["real","real","real","real"],' +
      '"values":[[2,9.0e+999,-9.0e+999,-0]]}',
  );
});

Deno.test("writeRows() sorts the keys of the associative form; the last of equal names wins", () => {
  using connection = withTable();
  const { associative } = FORMAT;
  strictEqual(
    rows(connection, "SELECT name, id, 'Z' AS B FROM foo LIMIT 1", associative),
    '{"types":{"B":"text","id":"integer","name":"text"},"rows":[{"B":"Z","id":1,"name":"fiona"}]}',
  );
  strictEqual(
    rows(connection, "SELECT id, name AS id FROM foo", associative),
    '{"types":{"id":"text"},"rows":[{"id":"fiona"},{"id":"declan"}]}',
  );
  strictEqual(
    rows(connection, "SELECT name FROM foo WHERE 0", associative),
    '{"types":{"name":"text"},"rows":[]}',
  );
  strictEqual(rows(connection, "CREATE TABLE x(a)", associative), '{"rows":[]}');
});

Deno.test("writeRows() names tables, not aliases, when columns are qualified (5.8)", () => {
  using connection = withTable();
  strictEqual(
    rows(connection, "SELECT f.id, f.name AS n, 1 FROM foo f LIMIT 1", FORMAT.qualifyColumns),
    '{"columns":["foo.id","foo.name","1"],"types":["integer","text","integer"],"values":[[1,"fiona",1]]}',
  );
});

Deno.test("writeRows() shows columns that came with a changed schema", () => {
  using connection = withTable();
  using statement = connection.prepare("SELECT * FROM foo LIMIT 1");
  const writer = new JsonWriter();
  writeRows(writer, statement, { format: 0, sink: {} });
  statement.reset();
  connection.exec("ALTER TABLE foo ADD COLUMN age INTEGER DEFAULT 7");
  writer.clear();
  writeRows(writer, statement, { format: 0, sink: {} });
  strictEqual(
    writer.text(),
    '{"columns":["id","name","age"],"types":["integer","text","integer"],"values":[[1,"fiona",7]]}',
  );
});

Deno.test("writeRows() refuses a year outside 0 to 9999 in a time column", () => {
  using connection = openMemory();
  connection.exec("CREATE TABLE t(d DATETIME); INSERT INTO t VALUES(9e17)");
  throws(
    () => rows(connection, "SELECT d FROM t"),
    (error) =>
      error instanceof UnshowableValueError &&
      error.message === "Time.MarshalText: year outside of range [0,9999]",
  );
});

Deno.test("writeRows() puts the time where the wire has it", () => {
  using connection = withTable();
  const written = (sql: string, format: number): string => {
    using statement = connection.prepare(sql);
    const writer = new JsonWriter();
    writeRows(writer, statement, { format, sink: { elapsedSeconds: () => 0.000061 } });
    return writer.text();
  };
  strictEqual(
    written("SELECT 1", FORMAT.timings),
    '{"columns":["1"],"types":["integer"],"values":[[1]],"time":0.000061}',
  );
  strictEqual(
    written("SELECT 1 WHERE 0", FORMAT.timings | FORMAT.associative),
    '{"types":{"1":""},"rows":[],"time":0.000061}',
  );
  strictEqual(written("DELETE FROM foo WHERE 0", FORMAT.timings), '{"time":0.000061}');
});

Deno.test("executeResult() leaves out zeros and puts rows last", () => {
  strictEqual(executeResult({ lastInsertId: 0, rowsAffected: 0 }, 0), "{}");
  strictEqual(
    executeResult({ lastInsertId: 1, rowsAffected: 2 }, 0),
    '{"last_insert_id":1,"rows_affected":2}',
  );
  strictEqual(executeResult({ lastInsertId: 2, rowsAffected: 0 }, 0), '{"last_insert_id":2}');
  strictEqual(
    executeResult({ lastInsertId: 9223372036854775807n, rowsAffected: 1 }, 0),
    '{"last_insert_id":9223372036854775807,"rows_affected":1}',
  );
  strictEqual(
    executeResult({ lastInsertId: 1, rowsAffected: 1 }, FORMAT.associative, 0.000061),
    '{"last_insert_id":1,"rows_affected":1,"time":0.000061,"rows":null}',
  );
});

Deno.test("errorResult() and emptyResult() differ between queries and executes", () => {
  strictEqual(errorResult('near "x"', 0, { isQuery: true }), '{"error":"near \\"x\\""}');
  strictEqual(
    errorResult("no", FORMAT.associative, { isQuery: true }),
    '{"rows":[],"error":"no"}',
  );
  strictEqual(errorResult("no", FORMAT.associative, { isQuery: false }), '{"error":"no"}');
  strictEqual(emptyResult(0), "{}");
  strictEqual(emptyResult(FORMAT.associative), '{"rows":[]}');
});

Deno.test("endWithError() closes a result that was sent in part as JSON", () => {
  const writer = new JsonWriter();
  writer.raw('{"columns":["a"],"types":["integer"],"values":[[1]');
  endWithError(writer, "query timeout");
  strictEqual(JSON.parse(writer.text()).error, "query timeout");
});
