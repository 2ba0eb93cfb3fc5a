/**
 * Golden answers, part one: how statements run (the wire contract, sections 3.1 to 3.3, 6, 19.1 to
 * 19.3, 19.6, 19.7).
 */
import { type Block, execute, get, post, prepare, query, request, step } from "./golden_table.ts";

const FOO = "CREATE TABLE foo (id integer not null primary key, name text)";
const FOO_AGE = "CREATE TABLE foo (id integer not null primary key, name text, age integer)";
const FIONA = '{"columns":["id","name"],"types":["integer","text"],"values":[[1,"fiona"]]}';
const NO_ROWS = '{"columns":["id","name"],"types":["integer","text"]}';
const PLAIN = "text/plain";

/** Section 19.1 through either endpoint. */
function basics(endpoint: "execute" | "request"): Block {
  return {
    name: `19.1 single node basics, /db/${endpoint}`,
    steps: [
      post(endpoint, [FOO], "{}"),
      post(
        endpoint,
        ['INSERT INTO foo(name) VALUES("fiona")'],
        '{"last_insert_id":1,"rows_affected":1}',
      ),
      post(endpoint, ['INSERT INTO bar(name) VALUES("fiona")'], '{"error":"no such table: bar"}'),
      post(endpoint, ["INSERT blah blah"], '{"error":"near \\"blah\\": syntax error"}'),
      step("GET /db/query?level=weak&q=SELECT%20*%20FROM%20foo", `{"results":[${FIONA}]}`),
      post(endpoint, ["DROP TABLE bar"], '{"error":"no such table: bar"}'),
      post(endpoint, ["DROP TABLE foo"], '{"last_insert_id":1,"rows_affected":1}'),
    ],
  };
}

const RAW_TEXT: Block = {
  name: "19.2 raw text bodies",
  steps: [
    prepare(FOO, 'INSERT INTO foo(name) VALUES("fiona")'),
    step("POST /db/execute", '{"results":[{"error":"near \\"blah\\": syntax error"}]}', {
      body: "INSERT blah blah",
      contentType: PLAIN,
    }),
    step("POST /db/query", `{"results":[${FIONA}]}`, {
      body: "SELECT * FROM foo",
      contentType: PLAIN,
    }),
    step("POST /db/query", '{"results":[]}', { body: "", contentType: PLAIN }),
    step("POST /db/execute", '{"results":[]}', {
      body: "",
      contentType: "text/plain; charset=utf-8",
    }),
    step(
      "POST /db/execute?associative",
      '{"results":[{"last_insert_id":99,"rows_affected":1,"rows":null}]}',
      { body: 'INSERT INTO foo(id, name) VALUES(99, "lisa")', contentType: PLAIN },
    ),
    step("POST /db/request", "invalid JSON body\n", {
      body: "SELECT 1",
      contentType: PLAIN,
      status: 400,
    }),
  ],
};

const PARAMETERS: Block = {
  name: "19.3 parameters",
  steps: [
    prepare(FOO_AGE),
    execute(
      [["INSERT INTO foo(name, age) VALUES(?, ?)", "fiona", 20]],
      '{"last_insert_id":1,"rows_affected":1}',
    ),
    ...[
      [["SELECT * FROM foo WHERE NAME=?", "fiona"]],
      [["SELECT * FROM foo WHERE NAME=:name", { name: "fiona" }]],
      [["SELECT * FROM foo WHERE NAME=@name AND age=$age", { name: "fiona", age: 20 }]],
      [["SELECT * FROM foo WHERE NAME=?", "fiona", "more", 1]],
    ].map((statements) =>
      query(
        statements,
        '{"columns":["id","name","age"],"types":["integer","text","integer"],"values":[[1,"fiona",20]]}',
      )
    ),
    query(
      [["SELECT * FROM foo WHERE NAME IN (?, ?)", "ann", "bob"]],
      '{"columns":["id","name","age"],"types":["integer","text","integer"]}',
    ),
    query(
      [["SELECT ?", 1], ["SELECT ?, ?", 1]],
      '{"columns":["?"],"types":["integer"],"values":[[1]]},' +
        '{"error":"not enough args to execute query: want 2 got 1"}',
    ),
    query(
      [["SELECT :a", { ":a": 1 }]],
      '{"error":"name \\":a\\" does not begin with a letter"}',
    ),
    prepare("CREATE TABLE bar (id integer not null primary key, name text, age integer)"),
    execute(
      [
        ["INSERT INTO bar(name, age) VALUES(?,?)", "fiona", 20],
        ['INSERT INTO bar(name, age) VALUES("sinead", 25)'],
      ],
      '{"last_insert_id":1,"rows_affected":1},{"last_insert_id":2,"rows_affected":1}',
    ),
  ],
};

const PARAMETERS_NULL: Block = {
  name: "19.3 a NULL parameter",
  steps: [
    prepare(FOO_AGE),
    execute(
      [["INSERT INTO foo(name, age) VALUES(?, ?)", "declan", null]],
      '{"last_insert_id":1,"rows_affected":1}',
    ),
    query(
      ["SELECT * FROM foo"],
      '{"columns":["id","name","age"],"types":["integer","text","integer"],"values":[[1,"declan",null]]}',
    ),
  ],
};

const INJECTION: Block = {
  name: "19.3 parameters are no SQL",
  steps: [
    execute([FOO], "{}"),
    query([["SELECT * FROM foo WHERE name=?", '"baz";DROP TABLE FOO']], NO_ROWS),
    execute([["DELETE FROM foo WHERE name=?", '"qux";DROP TABLE FOO']], "{}"),
    query(["SELECT * FROM foo"], NO_ROWS),
  ],
};

const UNIFIED: Block = {
  name: "19.6 and 6.6 unified endpoint",
  steps: [
    prepare(
      FOO,
      'INSERT INTO foo(id, name) VALUES(11, "fiona")',
      'INSERT INTO foo(id, name) VALUES(12, "fiona")',
      'INSERT INTO foo(id, name) VALUES(66, "declan")',
    ),
    post(
      "request?associative",
      [
        'INSERT INTO foo(id, name) VALUES(88, "fiona")',
        "nonsense SQL",
        "SELECT COUNT(*) FROM foo WHERE name='fiona'",
        "SELECT * FROM foo WHERE name='declan'",
      ],
      '{"last_insert_id":88,"rows_affected":1,"rows":null},' +
        '{"error":"near \\"nonsense\\": syntax error"},' +
        '{"types":{"COUNT(*)":"integer"},"rows":[{"COUNT(*)":3}]},' +
        '{"types":{"id":"integer","name":"text"},"rows":[{"id":66,"name":"declan"}]}',
    ),
    request(["SELECT * FROM missing"], '{"error":"no such table: missing"}'),
    prepare("CREATE TABLE names (first TEXT, last TEXT)", "INSERT INTO names VALUES('a','b')"),
    request(
      [
        'INSERT INTO names(first, last) VALUES("richard", "feynman")',
        "SELECT COUNT(*) FROM names",
        'SELECT last FROM names WHERE first="richard"',
      ],
      '{"last_insert_id":2,"rows_affected":1},' +
        '{"columns":["COUNT(*)"],"types":["integer"],"values":[[2]]},' +
        '{"columns":["last"],"types":["text"],"values":[["feynman"]]}',
    ),
  ],
};

const UNIFIED_ROLLBACK: Block = {
  name: "19.6 unified endpoint in a transaction",
  steps: [
    prepare(FOO, 'INSERT INTO foo(id, name) VALUES(1, "fiona")'),
    post(
      "request?transaction",
      [
        'INSERT INTO foo(id, name) VALUES(2, "fiona")',
        'INSERT INTO foo(id, name) VALUES(1, "fiona")',
        "SELECT COUNT(*) FROM foo",
      ],
      '{"last_insert_id":2,"rows_affected":1},{"error":"UNIQUE constraint failed: foo.id"}',
    ),
    query(["SELECT * FROM foo"], FIONA),
  ],
};

const PRAGMAS: Block = {
  name: "19.7 and 6.8 pragmas",
  steps: [
    ...["execute", "query", "request"].flatMap((endpoint) =>
      [
        "PRAGMA JOURNAL_MODE=DELETE",
        "PRAGMA wal_autocheckpoint = 1000",
        "  PRAGMA synchronous = NORMAL",
        "PRAGMA      synchronous = NORMAL",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA main.journal_mode=off",
        "PRAGMA query_only=0",
      ].map((pragma) =>
        step(`POST /db/${endpoint}`, '{"results":[],"error":"disallowed pragma"}', {
          body: JSON.stringify(["SELECT 1", pragma]),
        })
      )
    ),
    query(
      ["PRAGMA journal_mode"],
      '{"columns":["journal_mode"],"types":["text"],"values":[["wal"]]}',
    ),
  ],
};

const TRANSACTION: Block = {
  name: "6.4 transaction",
  steps: [
    execute([FOO], "{}"),
    post(
      "execute?transaction",
      [1, 2, 1, 4].map((id) => `INSERT INTO foo(id, name) VALUES(${id}, "fiona")`),
      '{"last_insert_id":1,"rows_affected":1},{"last_insert_id":2,"rows_affected":1},' +
        '{"error":"UNIQUE constraint failed: foo.id"}',
    ),
    query(["SELECT * FROM foo"], NO_ROWS),
    execute(
      [1, 2, 1, 4].map((id) => `INSERT INTO foo(id, name) VALUES(${id}, "fiona")`),
      '{"last_insert_id":1,"rows_affected":1},{"last_insert_id":2,"rows_affected":1},' +
        '{"error":"UNIQUE constraint failed: foo.id"},{"last_insert_id":4,"rows_affected":1}',
    ),
    post(
      "query?transaction",
      ["SELECT COUNT(*) FROM foo", "SELECT * FROM bar", "SELECT id FROM foo WHERE id=4"],
      '{"columns":["COUNT(*)"],"types":["integer"],"values":[[3]]},{"error":"no such table: bar"},' +
        '{"columns":["id"],"types":["integer"],"values":[[4]]}',
    ),
    execute(["UPDATE foo SET name='x' WHERE id=1"], '{"last_insert_id":4,"rows_affected":1}'),
    execute(["UPDATE foo SET name='x' WHERE id=77"], '{"last_insert_id":4}'),
  ],
};

const USER_TRANSACTION: Block = {
  name: "6.5 BEGIN and COMMIT as statements",
  steps: [
    execute([FOO], "{}"),
    execute(
      ["BEGIN", 'INSERT INTO foo(name) VALUES("fiona")', "COMMIT"],
      '{},{"last_insert_id":1,"rows_affected":1},{"last_insert_id":1,"rows_affected":1}',
    ),
    query(["SELECT * FROM foo"], FIONA),
    execute(["COMMIT"], '{"error":"cannot commit - no transaction is active"}'),
    execute(
      ["BEGIN", "BEGIN", "ROLLBACK"],
      '{"last_insert_id":1,"rows_affected":1},' +
        '{"error":"cannot start a transaction within a transaction"},' +
        '{"last_insert_id":1,"rows_affected":1}',
    ),
    execute(
      ["BEGIN TRANSACTION; INSERT INTO foo(name) VALUES('bob'); COMMIT;"],
      '{"last_insert_id":2,"rows_affected":1}',
    ),
    query(
      ["SELECT COUNT(*) FROM foo"],
      '{"columns":["COUNT(*)"],"types":["integer"],"values":[[2]]}',
    ),
  ],
};

const SEVERAL: Block = {
  name: "6.2 and 6.3 several statements in a string, and none",
  steps: [
    prepare(FOO, "CREATE TABLE bar (id INTEGER PRIMARY KEY, name TEXT)"),
    execute(
      ['INSERT INTO foo(name) VALUES("alice");DROP TABLE foo;INSERT INTO bar(name) VALUES("bob")'],
      '{"last_insert_id":1,"rows_affected":1}',
    ),
    query(["SELECT * FROM foo"], '{"error":"no such table: foo"}'),
    query(["SELECT name FROM bar;"], '{"columns":["name"],"types":["text"],"values":[["bob"]]}'),
    ...[execute, query, request].flatMap((endpoint) => [
      endpoint([";", " ", "-----", "/* c */"], "{},{},{},{}"),
      endpoint(["", [""]], ""),
    ]),
    request(["-----", "SELECT * FROM qux"], '{},{"error":"no such table: qux"}'),
    post("query?associative", ["-----"], '{"rows":[]}'),
    query(["-- note\nSELECT 1"], '{"columns":["1"],"types":["integer"],"values":[[1]]}'),
    execute(
      ["", "INSERT INTO bar(name) VALUES('x')", ""],
      '{"last_insert_id":2,"rows_affected":1}',
    ),
  ],
};

const RETURNING: Block = {
  name: "6.7 RETURNING",
  steps: [
    prepare(FOO),
    execute(
      ['INSERT INTO foo(id, name) VALUES(2, "declan") RETURNING *'],
      '{"columns":["id","name"],"types":["integer","text"],"values":[[2,"declan"]]}',
    ),
    post(
      "request?associative",
      ['INSERT INTO foo(id, name) VALUES(7, "siobhan") RETURNING *'],
      '{"types":{"id":"integer","name":"text"},"rows":[{"id":7,"name":"siobhan"}]}',
    ),
    post(
      "execute?associative",
      ["UPDATE foo SET name = 'x' WHERE name = 'no one' RETURNING name"],
      '{"types":{"name":"text"},"rows":[]}',
    ),
    execute(
      ["INSERT INTO nonsense(id) VALUES(2) RETURNING *"],
      '{"error":"no such table: nonsense"}',
    ),
    execute(
      ["INSERT INTO foo(id, name) VALUES(8, 'not RETURNING anything')"],
      '{"last_insert_id":8,"rows_affected":1}',
    ),
    execute(["SELECT 1 RETURNING *"], '{"error":"near \\"RETURNING\\": syntax error"}'),
  ],
};

const READ_ONLY: Block = {
  name: "3.2 and 6.9 queries do not write",
  steps: [
    prepare(FOO),
    ...[
      'INSERT INTO foo(name) VALUES("x")',
      "UPDATE foo SET name='x'",
      "DELETE FROM foo",
      "CREATE TABLE bar(x)",
      "DROP TABLE foo",
      "INSERT INTO foo(name) VALUES('x') RETURNING *",
      "VACUUM",
      "ANALYZE",
      "PRAGMA user_version=5",
    ].map((sql) => query([sql], '{"error":"attempt to change database via query operation"}')),
    query(["SELECT * FROM foo"], NO_ROWS),
    query(
      ["EXPLAIN QUERY PLAN INSERT INTO foo(name) VALUES('x')"],
      /^\{"results":\[\{"columns":\["id","parent","notused","detail"\],"types":\[/,
    ),
    request(["EXPLAIN QUERY PLAN SELECT * FROM foo"], /"detail"\].*"SCAN foo"\]\]\}\]\}$/),
    step("GET /db/query", '{"results":[]}'),
    get("SELECT * FROM foo", NO_ROWS, "level=NONE&"),
    get("SELECT * FROM foo", NO_ROWS, "level=strong&"),
    get("SELECT * FROM foo", NO_ROWS, "level=linearizable&"),
    get("SELECT * FROM foo", NO_ROWS, "level=auto&"),
  ],
};

const ERROR_TEXTS: Block = {
  name: "6.10 and 6.11 texts of errors",
  steps: [
    prepare(FOO, "CREATE TABLE parent(id INTEGER PRIMARY KEY)"),
    execute(
      ["utter nonsense", "INSERT INTO", FOO, "SELECT xxx FROM foo", "SELECT rot13('a')"],
      '{"error":"near \\"utter\\": syntax error"},{"error":"incomplete input"},' +
        '{"error":"table foo already exists"},{"error":"no such column: xxx"},' +
        '{"error":"no such function: rot13"}',
    ),
    query(["SELECT load_extension('x')"], /"error":"/),
    post(
      "query?db_timeout=100ms",
      ["WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT max(x) FROM c"],
      '{"error":"query timeout"}',
    ),
  ],
};

const RAFT_INDEX: Block = {
  name: "5.1 raft_index",
  steps: [
    step("POST /db/execute?raft_index", '{"results":[{}],"raft_index":3}', {
      body: JSON.stringify([FOO]),
      headers: { "dust-raft-index": "3" },
    }),
    step(
      "POST /db/request?raft_index",
      /^\{"results":\[\{"last_insert_id":1,"rows_affected":1\}\],"raft_index":4\}$/,
      {
        body: JSON.stringify(['INSERT INTO foo(name) VALUES("fiona")']),
      },
    ),
    step("GET /db/query?raft_index&level=none&q=SELECT%20*%20FROM%20foo", `{"results":[${FIONA}]}`),
    step("GET /db/query?raft_index&level=weak&q=SELECT%20*%20FROM%20foo", `{"results":[${FIONA}]}`),
    step(
      "GET /db/query?raft_index&level=strong&q=SELECT%20*%20FROM%20foo",
      /^\{"results":\[\{"columns":\["id","name"\],"types":\["integer","text"\],"values":\[\[1,"fiona"\]\]\}\],"raft_index":[1-9]\d*\}$/,
    ),
  ],
};

/** All blocks of this part. */
export const STATEMENT_BLOCKS: readonly Block[] = [
  basics("execute"),
  basics("request"),
  RAW_TEXT,
  PARAMETERS,
  PARAMETERS_NULL,
  INJECTION,
  UNIFIED,
  UNIFIED_ROLLBACK,
  PRAGMAS,
  TRANSACTION,
  USER_TRANSACTION,
  SEVERAL,
  RETURNING,
  READ_ONLY,
  ERROR_TEXTS,
  RAFT_INDEX,
];
