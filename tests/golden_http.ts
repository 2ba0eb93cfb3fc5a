/**
 * Golden answers, part three: HTTP itself, and the endpoints around the database (the wire contract,
 * sections 1, 2, 3.8 to 3.13, 4.5, 13, 19.8 to 19.10).
 */
import { type Block, execute, prepare, query, type Step, step } from "./golden_table.ts";

const FOO = "CREATE TABLE foo (id integer not null primary key, name text)";
const JSON_TYPE = "application/json; charset=utf-8";
const TEXT_TYPE = "text/plain; charset=utf-8";

const empty = (request: string, status: number): Step => step(request, "", { status });

const refused = (request: string, message: string, body?: string): Step =>
  step(request, `${message}\n`, {
    status: 400,
    headers: { "content-type": TEXT_TYPE, "x-content-type-options": "nosniff" },
    ...(body === undefined ? {} : { body }),
  });

const METHODS: Block = {
  name: "1.2, 1.4 and 19.10 methods and paths",
  steps: [
    ...["/db/execute", "/boot", "/db/load", "/remove", "/snapshot", "/db/request", "/reap"]
      .map((path) => empty(`GET ${path}`, 405)),
    ...["/remove", "/db/backup", "/status", "/nodes", "/licenses", "/console/", "/readyz"]
      .map((path) => empty(`POST ${path}`, 405)),
    ...["/leader", "/licenses", "/db/sql"].map((path) => empty(`DELETE ${path}`, 405)),
    ...["/db/query", "/status", "/readyz", "/licenses"].map((path) => empty(`HEAD ${path}`, 405)),
    ...["/db/xxx", "/xxx", "/join", "/notify", "/boot/"].map((path) => empty(`GET ${path}`, 404)),
    ...["/db/execute", "/xxx", "/status"].map((path) => empty(`OPTIONS ${path}`, 200)),
    step("GET /xxx", "", {
      status: 404,
      headers: {
        "x-rqlite-version": /./,
        "access-control-allow-methods": "OPTIONS, GET, POST",
        "access-control-allow-headers": "Content-Type",
      },
    }),
    step("GET /", '<a href="/console/">Found</a>.\n\n', {
      status: 302,
      headers: { location: "/console/" },
    }),
  ],
};

const QUERY_STRINGS: Block = {
  name: "2 query parameters",
  steps: [
    refused("GET /db/query?q=", "query parameter not set"),
    refused("GET /xxx?q", "query parameter not set"),
    refused("GET /db/query?q=%ZZ", 'invalid URL escape "%ZZ"'),
    refused("GET /db/query?a;b", "invalid semicolon separator in query"),
    refused("GET /readyz?timeout=10", "timeout is not a valid duration"),
    refused("GET /readyz?retries=x", "retries is not a valid integer"),
    refused("POST /snapshot?trailing_logs=x", "trailing_logs is not a valid integer"),
    refused("GET /db/query?freshness_strict", "freshness_strict requires freshness"),
    refused(
      "GET /db/query?level=unheard&q=SELECT%201",
      "Unknown level: it is one of none, weak, linearizable, strong, auto",
    ),
  ],
};

const BODIES: Block = {
  name: "4.5 unusable bodies",
  steps: ["execute", "query", "request"].flatMap((endpoint) => [
    ...["", "[", "nope", '["a', '["SELECT 1"'].map((body) =>
      refused(`POST /db/${endpoint}`, "invalid JSON body", body)
    ),
    ...["{}", '"x"', "null", "5", "[[]]", "[[1]]", '[[1,"x"]]', "[1]", "[null]", '[{"a":1}]'].map(
      (body) => refused(`POST /db/${endpoint}`, "invalid request", body),
    ),
    refused(`POST /db/${endpoint}`, "no statements", "[]"),
    refused(`POST /db/${endpoint}`, "unsupported type 7889", '[["SELECT ?",[7889]]]'),
    refused(`POST /db/${endpoint}`, "unsupported type string", '[["SELECT ?",["a"]]]'),
    refused(
      `POST /db/${endpoint}`,
      "unsupported type map[string]interface {}",
      '[["SELECT :a",{"a":{}}]]',
    ),
    refused(`POST /db/${endpoint}`, "invalid number 1e999", '[["SELECT ?",1e999]]'),
  ]),
};

const NODE_JSON =
  '\\{"id":"1","api_addr":"http://127\\.0\\.0\\.1:\\d+","addr":"127\\.0\\.0\\.1:\\d+",' +
  '"version":"[^"]+","voter":true,"reachable":true,"leader":true,"time":[0-9.e-]+,"time_s":"[^"]+s"\\}';

const ENDPOINTS: Block = {
  name: "13 and 19.9 readiness, nodes, leader",
  steps: [
    step("GET /readyz", "[+]node ok\n[+]leader ok\n[+]store ok\n[+]db ok", {
      headers: { "content-type": TEXT_TYPE },
    }),
    step("GET /readyz?", "[+]node ok\n[+]leader ok\n[+]store ok\n[+]db ok"),
    step("GET /readyz?sync", "[+]node ok\n[+]leader ok\n[+]store ok\n[+]sync ok\n[+]db ok"),
    step("GET /readyz?noleader", "[+]node ok"),
    step("GET /nodes", new RegExp(`^\\{"1":${NODE_JSON}\\}$`), {
      headers: { "content-type": JSON_TYPE },
    }),
    step("GET /nodes?ver=2", new RegExp(`^\\{"nodes":\\[${NODE_JSON}\\]\\}$`)),
    step("GET /leader", new RegExp(`^${NODE_JSON}$`), { headers: { "content-type": JSON_TYPE } }),
    step("GET /licenses", /MIT License/, { headers: { "content-type": TEXT_TYPE } }),
    step("GET /status?key=store.raft.state", '"Leader"'),
    step("GET /status?key=store.nothing", "{}"),
    step("GET /debug/vars", /^\{\n"cmdline": \[/),
    step("GET /metrics", /^# /),
    step("POST /db/execute", /^\{"results":\[\{\}\]\}$/, {
      body: JSON.stringify([FOO]),
      headers: {
        "content-type": JSON_TYPE,
        "x-rqlite-served-by": /^127\.0\.0\.1:\d+$/,
      },
    }),
    step("POST /db/execute?redirect", /"error":"near \\"nonsense\\": syntax error"/, {
      body: '["nonsense"]',
    }),
    step("POST /snapshot", "", { status: 200 }),
    step("GET /debug/vars?key=http", /"user_snapshots":1[,}]/),
    step("POST /snapshot?trailing_logs=5", "", { status: 204 }),
  ],
};

const QUEUE: Block = {
  name: "19.8 queued writes",
  steps: [
    execute([FOO], "{}"),
    step("POST /db/execute?queue", /^{"results":\[\],"sequence_number":\d+}$/, {
      body: JSON.stringify(Array(3).fill('INSERT INTO foo(name) VALUES("fiona")')),
    }),
    step("POST /db/execute?queue&wait", /^{"results":\[\],"sequence_number":\d+}$/, {
      body: JSON.stringify(Array(3).fill('INSERT INTO foo(name) VALUES("fiona")')),
    }),
    query(
      ["SELECT COUNT(*) FROM foo"],
      '{"columns":["COUNT(*)"],"types":["integer"],"values":[[6]]}',
    ),
    step("POST /db/execute?queue&wait", /^{"results":\[\],"sequence_number":\d+}$/, { body: "[]" }),
    step("POST /db/execute?queue&wait", /^{"results":\[\],"sequence_number":\d+}$/, {
      body: "null",
    }),
    refused("POST /db/execute?queue", "no statements", "[]"),
    step("POST /db/execute?queue&wait", /^{"results":\[\],"sequence_number":\d+}$/, {
      body: '["INSERT INTO foo(name) VALUES(1)","INSERT bad","INSERT INTO foo(name) VALUES(2)"]',
    }),
    query(
      ["SELECT COUNT(*) FROM foo"],
      '{"columns":["COUNT(*)"],"types":["integer"],"values":[[8]]}',
    ),
  ],
};

const LARGE: Block = {
  name: "5 large answers",
  steps: [
    prepare("CREATE TABLE t(x INTEGER, y TEXT)"),
    prepare(
      "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 50000) " +
        "SELECT n, 'row ' || n FROM c",
    ),
    query(
      ["SELECT x, y FROM t ORDER BY x"],
      `{"columns":["x","y"],"types":["integer","text"],"values":[${
        Array.from({ length: 50_000 }, (_, at) => `[${at + 1},"row ${at + 1}"]`).join()
      }]}`,
    ),
  ],
};

/** All blocks of this part. */
export const HTTP_BLOCKS: readonly Block[] = [
  METHODS,
  QUERY_STRINGS,
  BODIES,
  ENDPOINTS,
  QUEUE,
  LARGE,
];
