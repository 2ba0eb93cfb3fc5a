/**
 * Golden answers, part two: values, types and forms of results (the wire contract, sections 4.3, 5.2
 * to 5.9, 19.4, 19.5).
 */
import { type Block, execute, get, post, prepare, query, step } from "./golden_table.ts";

const FOO = "CREATE TABLE foo (id integer not null primary key, name text)";

/** A value as JSON in a body, bound to `SELECT ?`, and the type and JSON that come back. */
function bound(json: string, type: string, value: string): ReturnType<typeof step> {
  return step(
    "POST /db/query",
    `{"results":[{"columns":["typeof(v)","v"],"types":["text",${
      JSON.stringify(type)
    }],"values":[${value}]}]}`,
    { body: `[["SELECT typeof(v), v FROM (SELECT ? AS v)",${json}]]` },
  );
}

const BLOBS: Block = {
  name: "19.4 BLOBs",
  steps: [
    execute(["CREATE TABLE foo (id integer not null primary key, data blob)"], "{}"),
    prepare('INSERT INTO foo(data) VALUES("fiona")', "INSERT INTO foo(data) VALUES(x'deadbeef')"),
    get(
      "SELECT data FROM foo",
      '{"columns":["data"],"types":["blob"],"values":[["fiona"],["3q2+7w=="]]}',
    ),
    get(
      "SELECT data FROM foo",
      '{"columns":["data"],"types":["blob"],"values":[["fiona"],[[222,173,190,239]]]}',
      "blob_array&",
    ),
    query(
      ["SELECT x'53514C697465'"],
      `{"columns":["x'53514C697465'"],"types":["text"],"values":[["SQLite"]]}`,
    ),
  ],
};

const BLOBS_STRICT: Block = {
  name: "19.4 BLOBs in STRICT tables",
  steps: [
    execute(["CREATE TABLE foo (id integer not null primary key, data blob) STRICT"], "{}"),
    execute(
      [["INSERT INTO foo(id, data) VALUES(?, ?)", 1, "x'deadbeef'"]],
      '{"last_insert_id":1,"rows_affected":1}',
    ),
    execute(
      [["INSERT INTO foo(id, data) VALUES(?, ?)", 2, [222, 173, 190, 239]]],
      '{"last_insert_id":2,"rows_affected":1}',
    ),
    query(
      [["SELECT * FROM foo"]],
      '{"columns":["id","data"],"types":["integer","blob"],"values":[[1,"3q2+7w=="],[2,"3q2+7w=="]]}',
    ),
    execute(
      [["INSERT INTO foo(id, data) VALUES(?, ?)", 3, []]],
      '{"last_insert_id":3,"rows_affected":1}',
    ),
    get(
      "SELECT typeof(data), data FROM foo WHERE id=3",
      '{"columns":["typeof(data)","data"],"types":["text","blob"],"values":[["blob",[]]]}',
      "blob_array&",
    ),
    execute(
      ["DROP TABLE foo", "CREATE TABLE foo (name TEXT, data BLOB) STRICT"],
      '{"last_insert_id":3,"rows_affected":1},{"last_insert_id":3,"rows_affected":1}',
    ),
    execute(
      ['INSERT INTO foo(name, data) VALUES("fiona", "hello")'],
      '{"error":"cannot store TEXT value in BLOB column foo.data"}',
    ),
  ],
};

const DECLARED_TYPES: Block = {
  name: "19.5 declared types",
  steps: [
    prepare(
      "CREATE TABLE foo (c0 VARCHAR(36), c1 JSON, c2 NCHAR, c3 NVARCHAR, c4 CLOB)",
      `INSERT INTO foo VALUES("fiona", '{"mittens": "foobar"}', "bob", "dana", "declan")`,
    ),
    query(
      ["SELECT * FROM foo"],
      '{"columns":["c0","c1","c2","c3","c4"],"types":["varchar(36)","json","nchar","nvarchar","clob"],' +
        '"values":[["fiona","{\\"mittens\\": \\"foobar\\"}","bob","dana","declan"]]}',
    ),
    prepare(
      "CREATE TABLE dates(d DATE, ts TIMESTAMP, dt DATETIME)",
      'INSERT INTO dates VALUES("2004-02-14", "2004-02-14 07:15:00", "2021-10-22 19:39:32.016087")',
    ),
    query(
      ["SELECT * FROM dates"],
      '{"columns":["d","ts","dt"],"types":["date","timestamp","datetime"],' +
        '"values":[["2004-02-14T00:00:00Z","2004-02-14T07:15:00Z","2021-10-22T19:39:32.016087Z"]]}',
    ),
    prepare("CREATE TABLE test(x foo)", "INSERT INTO test VALUES(1)"),
    query(["SELECT * FROM test"], '{"columns":["x"],"types":["foo"],"values":[[1]]}'),
  ],
};

const SCHEMA: Block = {
  name: "19.5 schema tables and pragmas",
  steps: [
    prepare("CREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT)"),
    query(
      ["SELECT type, name, tbl_name, sql FROM sqlite_master"],
      '{"columns":["type","name","tbl_name","sql"],"types":["text","text","text","text"],"values":' +
        '[["table","foo","foo","CREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT)"]]}',
    ),
    query(
      ["SELECT * FROM sqlite_master"],
      /^\{"results":\[\{"columns":\["type","name","tbl_name","rootpage","sql"\],"types":\["text","text","text","int","text"\],"values":\[\["table","foo","foo",\d+,"CREATE TABLE foo \(id INTEGER NOT NULL PRIMARY KEY, name TEXT\)"\]\]\}\]\}$/,
    ),
    query(
      ['PRAGMA table_info("foo")'],
      '{"columns":["cid","name","type","notnull","dflt_value","pk"],' +
        '"types":["integer","text","text","integer","","integer"],' +
        '"values":[[0,"id","INTEGER",1,null,1],[1,"name","TEXT",0,null,0]]}',
    ),
  ],
};

const TYPE_NAMES: Block = {
  name: "5.7 type names of expressions",
  steps: [
    prepare(
      "CREATE TABLE foo (id integer not null primary key, name text, age integer, height real)",
      ["INSERT INTO foo(name, age, height) VALUES(?,?,?)", "fiona", 20, 8.5],
      ["INSERT INTO foo(name, age, height) VALUES(?,?,?)", "dana", 40, 8.6],
    ),
    query(
      ["SELECT COUNT(*) FROM foo"],
      '{"columns":["COUNT(*)"],"types":["integer"],"values":[[2]]}',
    ),
    query(
      ["SELECT sum(name) FROM foo"],
      '{"columns":["sum(name)"],"types":["real"],"values":[[0]]}',
    ),
    query(
      ["SELECT avg(height),count(*),sum(age) FROM foo"],
      '{"columns":["avg(height)","count(*)","sum(age)"],"types":["real","integer","integer"],' +
        '"values":[[8.55,2,60]]}',
    ),
    query(
      ['SELECT id || "_bar", name FROM foo WHERE id=1'],
      '{"columns":["id || \\"_bar\\"","name"],"types":["text","text"],"values":[["1_bar","fiona"]]}',
    ),
    query(["SELECT 1"], '{"columns":["1"],"types":["integer"],"values":[[1]]}'),
    query(["SELECT 1 WHERE 0"], '{"columns":["1"],"types":[""]}'),
    query(
      ["SELECT NULL AS x UNION ALL SELECT 1"],
      '{"columns":["x"],"types":[""],"values":[[null],[1]]}',
    ),
    query(
      ["SELECT *,name FROM foo WHERE id=1"],
      '{"columns":["id","name","age","height","name"],' +
        '"types":["integer","text","integer","real","text"],"values":[[1,"fiona",20,8.5,"fiona"]]}',
    ),
  ],
};

const PARAMETER_VALUES: Block = {
  name: "4.3 values of parameters",
  steps: [
    bound("20", "integer", '["integer",20]'),
    bound("-5", "integer", '["integer",-5]'),
    bound("1676555296046783000", "integer", '["integer",1676555296046783000]'),
    bound("9223372036854775807", "integer", '["integer",9223372036854775807]'),
    bound("-9223372036854775808", "integer", '["integer",-9223372036854775808]'),
    bound("9007199254740993", "integer", '["integer",9007199254740993]'),
    bound("1.0", "real", '["real",1]'),
    bound("1e3", "real", '["real",1000]'),
    bound("1e21", "real", '["real",1e+21]'),
    bound("1e-7", "real", '["real",1e-7]'),
    bound("-0.0", "real", '["real",-0]'),
    bound("0.1", "real", '["real",0.1]'),
    bound("9223372036854775808", "real", '["real",9223372036854776000]'),
    bound("true", "integer", '["integer",1]'),
    bound("false", "integer", '["integer",0]'),
    bound("null", "", '["null",null]'),
    bound(`"x'41'"`, "text", '["blob","A"]'),
    bound(`" X'4142' "`, "text", '["blob","AB"]'),
    bound(`"x'4'"`, "text", `["text","x'4'"]`),
    bound("[65,66]", "text", '["blob","AB"]'),
    bound('"<>&\\u2028\\t\\u0001é"', "text", '["text","\\u003c\\u003e\\u0026\\u2028\\t\\u0001é"]'),
    bound('"\\ud800"', "text", '["text","\ufffd"]'),
  ],
};

const COLUMN_VALUES: Block = {
  name: "5.6 values by declared type",
  steps: [
    prepare(
      "CREATE TABLE b(x BOOLEAN, y BOOL)",
      "INSERT INTO b VALUES(1,1),(0,0),(-1,2),(2.5,'t'),('t',NULL)",
    ),
    query(
      ["SELECT * FROM b"],
      '{"columns":["x","y"],"types":["boolean","bool"],' +
        '"values":[[true,1],[false,0],[false,2],[2.5,"t"],["t",null]]}',
    ),
    prepare(
      "CREATE TABLE d(id INTEGER PRIMARY KEY, v DATETIME)",
      ...[
        "2004-02-14",
        "2021-10-22 19:39:32.100",
        "2021-10-22 19:39",
        "2004-02-14 07:15:00+05:30",
        "2021-10-22 19:39:32+00:00",
        "2021-10-22T19:39:32Z",
        1700000000,
        1700000000123,
        "garbage",
        "24:00",
        "10000-01-01",
        3.5,
      ].map((value) => ["INSERT INTO d(v) VALUES(?)", value]),
    ),
    query(
      ["SELECT v FROM d ORDER BY id"],
      '{"columns":["v"],"types":["datetime"],"values":[["2004-02-14T00:00:00Z"],' +
        '["2021-10-22T19:39:32.1Z"],["2021-10-22T19:39:00Z"],["2004-02-14T07:15:00+05:30"],' +
        '["2021-10-22T19:39:32Z"],["2021-10-22T19:39:32Z"],["2023-11-14T22:13:20Z"],' +
        '["2023-11-14T22:13:20.123Z"],["0001-01-01T00:00:00Z"],["0001-01-01T00:00:00Z"],' +
        '["0001-01-01T00:00:00Z"],[3.5]]}',
    ),
    query(
      ["SELECT max(v) FROM d WHERE id=1"],
      '{"columns":["max(v)"],"types":["text"],"values":[["2004-02-14"]]}',
    ),
    prepare(["INSERT INTO d(id, v) VALUES(99, ?)", 253402300800000]),
    query(
      ["SELECT v FROM d WHERE id=99"],
      '{"error":"Time.MarshalText: year outside of range [0,9999]"}',
    ),
    prepare(
      "CREATE TABLE t(a CHAR(10), j JSON, u)",
      "INSERT INTO t VALUES(x'4142', x'4142', x'4142')",
    ),
    query(
      ["SELECT * FROM t"],
      '{"columns":["a","j","u"],"types":["char(10)","json","text"],"values":[["QUI=","AB","AB"]]}',
    ),
  ],
};

const FORMS: Block = {
  name: "5.2 to 5.4, 5.8, 5.9 forms of results",
  steps: [
    execute([FOO], "{}"),
    post(
      "execute?associative",
      ['INSERT INTO foo(id, name) VALUES(1, "fiona")', "INSERT INTO nope VALUES(1)"],
      '{"last_insert_id":1,"rows_affected":1,"rows":null},{"error":"no such table: nope"}',
    ),
    post(
      "query?associative",
      ["SELECT * FROM foo", "SELECT name FROM foo WHERE id=9", "SELECT * FROM nope"],
      '{"types":{"id":"integer","name":"text"},"rows":[{"id":1,"name":"fiona"}]},' +
        '{"types":{"name":"text"},"rows":[]},{"rows":[],"error":"no such table: nope"}',
    ),
    post(
      "query?associative",
      ["SELECT 2 AS b, 1 AS a, 3 AS a"],
      '{"types":{"a":"integer","b":"integer"},"rows":[{"a":3,"b":2}]}',
    ),
    post(
      "execute?timings",
      ['INSERT INTO foo(name) VALUES("x")', "nonsense"],
      /^\{"results":\[\{"last_insert_id":2,"rows_affected":1,"time":[0-9.e-]+\},\{"error":"near \\"nonsense\\": syntax error"\}\],"time":[0-9.e-]+\}$/,
    ),
    post(
      "execute?timings&associative",
      ['INSERT INTO foo(name) VALUES("y")'],
      /^\{"results":\[\{"last_insert_id":3,"rows_affected":1,"time":[0-9.e-]+,"rows":null\}\],"time":[0-9.e-]+\}$/,
    ),
    post(
      "query?timings",
      ["SELECT 1"],
      /^\{"results":\[\{"columns":\["1"\],"types":\["integer"\],"values":\[\[1\]\],"time":[0-9.e-]+\}\],"time":[0-9.e-]+\}$/,
    ),
    step(
      "GET /db/query?pretty&q=SELECT%20*%20FROM%20foo%20WHERE%20id=1",
      `{
    "results": [
        {
            "columns": [
                "id",
                "name"
            ],
            "types": [
                "integer",
                "text"
            ],
            "values": [
                [
                    1,
                    "fiona"
                ]
            ]
        }
    ]
}`,
    ),
    prepare(
      "CREATE TABLE contacts (id INTEGER PRIMARY KEY, name TEXT)",
      "CREATE TABLE titles (id INTEGER PRIMARY KEY, contact_id INTEGER, title TEXT)",
      "INSERT INTO contacts VALUES(1, 'fiona')",
      "INSERT INTO titles VALUES(5, 1, 'Dr')",
    ),
    post(
      "query?qualify_columns",
      ["SELECT *, 1+1 FROM contacts c JOIN titles t ON c.id = t.contact_id"],
      '{"columns":["contacts.id","contacts.name","titles.id","titles.contact_id","titles.title","1+1"],' +
        '"types":["integer","text","integer","integer","text","integer"],' +
        '"values":[[1,"fiona",5,1,"Dr",2]]}',
    ),
  ],
};

/** All blocks of this part. */
export const VALUE_BLOCKS: readonly Block[] = [
  BLOBS,
  BLOBS_STRICT,
  DECLARED_TYPES,
  SCHEMA,
  TYPE_NAMES,
  PARAMETER_VALUES,
  COLUMN_VALUES,
  FORMS,
];
