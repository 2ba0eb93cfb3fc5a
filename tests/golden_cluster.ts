/**
 * Golden answers, part four: what a cluster answers, by the part that the asked node has in it (the wire
 * contract, sections 2, 3.8 to 3.11, 6.8, 7, 8, 9, 13). What is the same as on a node alone is in the other
 * parts. Two tables: with a leader, and with none because a majority is gone.
 */
import { get, post, type Step, step } from "./golden_table.ts";

/** The part of a node in the cluster. */
export type Part = "leader" | "follower" | "reader";

/** A step, and who has to answer it so. */
export interface ClusterStep {
  readonly parts: readonly Part[];
  readonly step: Step;
}

/** What the tables say of nodes: the leader's addresses. */
export interface Addresses {
  readonly leaderUrl: string;
  readonly leaderRaft: string;
  readonly leaderName: string;
}

const COUNT = "SELECT count(*) FROM foo";
const ONE = "SELECT 1";
const ONE_RESULT = '{"columns":["1"],"types":["integer"],"values":[[1]]}';
const ENDLESS =
  "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT max(x) FROM c";
const INSERTED = /^\{"results":\[\{"last_insert_id":\d+,"rows_affected":1\}\]\}$/;
const SERVED = { "x-rqlite-served-by": /^127\.0\.0\.1:\d+$/ };
const TEXT = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };
const INSERT = ["INSERT INTO foo(name) VALUES('fiona')"];
const DISALLOWED = '{"results":[],"error":"disallowed pragma"}';
const SEQUENCE = /^{"results":\[\],"sequence_number":\d+}$/;
const NOBODY = '{"id":"nobody"}';
const JSON_ONLY = "application/json";

const all = (each: Step): ClusterStep => ({ parts: ["leader", "follower", "reader"], step: each });
const others = (each: Step): ClusterStep => ({ parts: ["follower", "reader"], step: each });
const only = (part: Part, each: Step): ClusterStep => ({ parts: [part], step: each });

const text = (request: string, status: number, message: string, body?: string): Step =>
  step(request, `${message}\n`, {
    status,
    headers: TEXT,
    ...(body === undefined ? {} : { body }),
  });

const sql = (path: string, statements: readonly unknown[], answer: string | RegExp): Step =>
  step(`POST /db/${path}`, answer, { body: JSON.stringify(statements) });

const writes = (): readonly ClusterStep[] => [
  all(step("POST /db/execute", INSERTED, { body: JSON.stringify(INSERT), headers: SERVED })),
  all(sql("execute?retries=3&timeout=20s", INSERT, INSERTED)),
  all(
    sql("execute?pretty&raft_index", INSERT, /^\{\n {4}"results": \[\n[^]*"raft_index": \d+\n\}$/),
  ),
  all(
    post(
      "execute?associative",
      ["INSERT INTO foo(name) VALUES('x') RETURNING name", "nonsense"],
      [
        '{"types":{"name":"text"},"rows":[{"name":"x"}]}',
        '{"error":"near \\"nonsense\\": syntax error"}',
      ].join(),
    ),
  ),
  all(
    post("execute?transaction", [
      "INSERT INTO foo(id, name) VALUES(-1, 'a')",
      "INSERT INTO foo(id, name) VALUES(-1, 'b')",
    ], '{"last_insert_id":-1,"rows_affected":1},{"error":"UNIQUE constraint failed: foo.id"}'),
  ),
  all(
    step("POST /db/execute", INSERTED, { body: INSERT.join(), contentType: "text/plain" }),
  ),
  all(
    post(
      "request",
      ["INSERT INTO bar VALUES(1)", ONE, "-----"],
      [
        '{"error":"no such table: bar"}',
        ONE_RESULT,
        "{}",
      ].join(),
    ),
  ),
  all(post("execute", [""], "")),
  all(sql("execute", ["PRAGMA journal_mode=DELETE"], DISALLOWED)),
  all(text("POST /db/execute", 400, "invalid JSON body", "junk")),
  others(sql("execute?db_timeout=20ms", [`INSERT INTO foo(name) ${ENDLESS}`], /execute timeout/)),
  all(sql("execute?queue", INSERT, SEQUENCE)),
  all(sql("execute?queue&wait", INSERT, SEQUENCE)),
  all(sql("execute?queue&wait", [], SEQUENCE)),
  others(
    sql(
      "execute?timeout=0",
      INSERT,
      '{"results":[],"error":"timeout waiting for the leader to respond"}',
    ),
  ),
];

const reads = (): readonly ClusterStep[] => [
  ...["none", "weak", "WEAK", "linearizable", "strong", "auto", ""].flatMap((level) => [
    all(post(`query?level=${level}`, [ONE], ONE_RESULT)),
    // What is linearizable has a second there, which a busy machine may need.
    ...(level === "linearizable" ? [] : [all(post(`request?level=${level}`, [ONE], ONE_RESULT))]),
  ]),
  all(get(COUNT, /"values":\[\[\d+\]\]/)),
  all(step("GET /db/query", '{"results":[]}', { headers: SERVED })),
  all(step("GET /db/query?level=strong", '{"results":[]}')),
  all(sql("query?raft_index&level=weak", [ONE], `{"results":[${ONE_RESULT}]}`)),
  all(sql("query?raft_index&level=strong", [ONE], /\]\}\],"raft_index":\d+\}$/)),
  all(
    post(
      "query?level=strong&qualify_columns",
      ["SELECT name FROM foo WHERE id = 1"],
      '{"columns":["foo.name"],"types":["text"],"values":[["fiona"]]}',
    ),
  ),
  ...["none", "weak", "linearizable", "strong"].flatMap((level) => [
    all(
      post(
        `query?level=${level}`,
        INSERT,
        '{"error":"attempt to change database via query operation"}',
      ),
    ),
    all(sql(`query?level=${level}`, ["PRAGMA synchronous = NORMAL"], DISALLOWED)),
    all(text(`POST /db/query?level=${level}`, 400, "no statements", "[]")),
  ]),
  ...["none", "strong"].map((level) =>
    others(post(`query?level=${level}&db_timeout=20ms`, [ENDLESS], '{"error":"query timeout"}'))
  ),
  only("leader", post("query?level=none&freshness=1ns", [ONE], ONE_RESULT)),
  others(post("query?level=none&freshness=1h&freshness_strict", [ONE], ONE_RESULT)),
  all(post("query?level=strong&freshness=1ns", [ONE], ONE_RESULT)),
  all(post("query?level=linearizable&linearizable_timeout=20s", [ONE], ONE_RESULT)),
  all(
    step("GET /db/query?min_index=99999999&timeout=1ms", /^Cannot read at index 99999999: /, {
      status: 408,
    }),
  ),
];

const redirects = ({ leaderUrl }: Addresses): readonly ClusterStep[] => {
  const sent = (request: string, body?: string): readonly ClusterStep[] => [
    others(
      step(request, "", {
        status: 301,
        headers: { location: leaderUrl + request.slice(request.indexOf("/")) },
        ...(body === undefined ? {} : { body }),
      }),
    ),
  ];
  return [
    ...sent("POST /db/execute?redirect", '["nonsense"]'),
    ...sent("POST /db/execute?pretty&redirect=x&level=none&a=%20%0d%0a", '["nonsense"]'),
    ...sent("POST /db/request?redirect", '["SELECT 1"]'),
    ...sent("GET /db/query?redirect&q=SELECT%201&level=STRONG"),
    ...sent("GET /db/query/x?redirect&q=SELECT+1&level=linearizable"),
    ...sent("DELETE /remove?redirect", NOBODY),
    ...sent("POST /leader?redirect&wait"),
    only(
      "leader",
      post("execute?redirect", ["nonsense"], '{"error":"near \\"nonsense\\": syntax error"}'),
    ),
    only("leader", get(ONE, ONE_RESULT, "redirect&")),
    all(get(ONE, ONE_RESULT, "redirect&level=none&")),
    only("reader", get(ONE, ONE_RESULT, "redirect&level=auto&")),
    only("follower", step("GET /db/query?redirect&level=auto", "", { status: 301 })),
    all(sql("execute?redirect&queue", INSERT, SEQUENCE)),
    all(sql("execute?redirect", ["PRAGMA journal_mode=DELETE"], DISALLOWED)),
    all(text("POST /db/query?redirect", 400, "invalid JSON body", "junk")),
    // Text that is no ASCII ended the process: no header can hold it.
    others(
      step("GET /db/query?redirect&q=\u2192", "", {
        status: 301,
        headers: { location: `${leaderUrl}/db/query?redirect&q=%E2%86%92` },
      }),
    ),
  ];
};

const ends = ({ leaderUrl, leaderRaft, leaderName }: Addresses): readonly ClusterStep[] => {
  const member = (
    name: string,
    flags: { readonly voter: boolean; readonly leader: boolean },
  ): string =>
    `\\{"id":"${name}","api_addr":"http://127\\.0\\.0\\.1:\\d+","addr":"127\\.0\\.0\\.1:\\d+",` +
    `"version":"[^"]+","voter":${flags.voter},"reachable":true,"leader":${flags.leader},` +
    '"time":[0-9.e-]+,"time_s":"[^"]+s"\\}';
  const voters = ["n1", "n2", "n3"].map((name) =>
    member(name, { voter: true, leader: name === leaderName })
  );
  const reader = member("reader", { voter: false, leader: false });
  const leader = `{"addr":"${leaderRaft}","node_id":"${leaderName}"}`;
  const ready = "[+]node ok\n[+]leader ok\n[+]store ok\n";
  const suffrage = (name: string, word: string): string =>
    `\\{"addr":"[0-9.:]+","id":"${name}","suffrage":"${word}"\\}`;
  return [
    all(step("GET /readyz", `${ready}[+]db ok`)),
    all(step("GET /readyz?sync&timeout=20s", `${ready}[+]sync ok\n[+]db ok`)),
    all(step("GET /readyz?noleader&sync", "[+]node ok")),
    all(step("GET /nodes?ver=2", new RegExp(`^\\{"nodes":\\[${voters}\\]\\}$`))),
    all(
      step("GET /nodes?ver=2&nonvoters", new RegExp(`^\\{"nodes":\\[${voters},${reader}\\]\\}$`)),
    ),
    all(step("GET /nodes?ver=1", new RegExp(`^\\{"n1":${voters.join(',"n.":')}\\}$`))),
    all(step("GET /leader", new RegExp(`^${member(leaderName, { voter: true, leader: true })}$`))),
    all(step("GET /leader?pretty", new RegExp(`"api_addr": "${leaderUrl}"`))),
    all(step("GET /status?key=store.leader", leader)),
    all(
      step(
        "GET /status?key=store.nodes",
        new RegExp(
          `^\\[${["n1", "n2", "n3"].map((name) => suffrage(name, "voter"))},${
            suffrage("reader", "nonvoter")
          }\\]$`,
        ),
      ),
    ),
    only("leader", step("GET /status?key=store.raft.state", '"Leader"')),
    others(step("GET /status?key=store.raft.state", '"Follower"')),
    only("leader", step("GET /status?key=store.raft.last_contact", "0")),
    others(step("GET /status?key=store.raft.last_contact", /^"[0-9.]+[mµn]?s"$/)),
    only("follower", step("GET /status?key=store.raft.voter", "true")),
    only("reader", step("GET /status?key=store.raft.voter", "false")),
    all(step("GET /status?key=store.raft.num_peers", "3")),
    all(step("POST /snapshot?trailing_logs=10", "", { status: 200 })),
    all(step("DELETE /remove", "", { body: NOBODY, headers: SERVED })),
    ...["", "junk", "{}", "null", '{"id":"a","b":1}', '{"id":1}'].map((body) =>
      all(step("DELETE /remove", "", { body, status: 400 }))
    ),
    ...stepDowns(leaderName),
    ...["GET /db/backup?noleader", "GET /db/backup", "POST /db/load?redirect", "POST /boot"].map(
      (request) => all(step(request, /^[A-Z].* is not available yet\n$/, { status: 501 })),
    ),
    all(step("HEAD /db/query", "", { status: 405 })),
    all(step("POST /nodes", "", { status: 405 })),
  ];
};

/** Only what is refused: nobody is to lose its office here. */
function stepDowns(leaderName: string): readonly ClusterStep[] {
  return ["POST /leader", "POST /leader?wait"].flatMap((request) => [
    all(stepDown(request, NOBODY, 500, "stepdown: node not found in cluster\n")),
    all(stepDown(request, '{"id":"reader"}', 500, "stepdown: node not found in cluster\n")),
    all(
      stepDown(
        request,
        `{"id":"${leaderName}"}`,
        500,
        "stepdown: cannot step down to the current Leader\n",
      ),
    ),
    all(stepDown(request, "{", 400, /^invalid JSON: /)),
    all(stepDown(request, "[]", 400, /^invalid JSON: /)),
  ]);
}

function stepDown(request: string, body: string, status: number, answer: string | RegExp): Step {
  return step(request, answer, { body, status, contentType: JSON_ONLY });
}

/** With a leader, block by block: all nodes have ended one before the next begins. `foo(id, name)` is there. */
export function withLeader(addresses: Addresses): readonly (readonly ClusterStep[])[] {
  return [writes(), reads(), redirects(addresses), ends(addresses)];
}

/** Two voters of three are gone: the old leader, and the node that only reads. In any order, also at once. */
export function withoutLeader(): readonly ClusterStep[] {
  const parts = ["leader", "reader"] as const;
  const both = (each: Step): ClusterStep => ({ parts, step: each });
  const noLeader = (request: string, body?: string): ClusterStep =>
    both(text(request, 503, "leader not found", body));
  const write = JSON.stringify(INSERT);
  return [
    ...["/readyz", "/readyz?sync"].map((path) =>
      both(step(`GET ${path}`, "[+]node ok\n[+]leader does not exist", { status: 503 }))
    ),
    both(step("GET /readyz?noleader", "[+]node ok")),
    both(step("GET /status?key=store.leader", '{"addr":"","node_id":""}')),
    both(
      step(
        "GET /nodes?ver=2&timeout=100ms",
        /"version":"","voter":true,"reachable":false,"leader":false,"error":"[^"]+"\}/,
      ),
    ),
    noLeader("GET /leader"),
    noLeader("POST /leader?timeout=1ms"),
    noLeader("POST /leader?redirect"),
    noLeader("DELETE /remove?timeout=1ms", NOBODY),
    noLeader("DELETE /remove?redirect", NOBODY),
    both(step("DELETE /remove", "", { status: 400, body: "junk" })),
    noLeader("POST /db/execute?timeout=1ms", write),
    noLeader("POST /db/execute?redirect", write),
    noLeader("POST /db/execute?queue", write),
    noLeader("POST /db/execute?queue&wait", write),
    both(sql("execute?queue&noleader", INSERT, SEQUENCE)),
    both(
      text("POST /db/execute?queue&noleader&wait&timeout=1ms", 408, "queue wait timeout", write),
    ),
    both(text("POST /db/execute", 400, "invalid JSON body", "junk")),
    both(sql("execute", ["PRAGMA journal_mode=DELETE"], DISALLOWED)),
    ...["query", "request"].flatMap((path) => [
      ...["weak", "linearizable", "strong"].flatMap((level) => [
        noLeader(`POST /db/${path}?timeout=1ms&level=${level}`, '["SELECT 1"]'),
        both(text(`POST /db/${path}?level=${level}`, 400, "no statements", "[]")),
        both(sql(`${path}?level=${level}`, ["PRAGMA journal_mode=DELETE"], DISALLOWED)),
      ]),
      only(
        "leader",
        text(`POST /db/${path}?timeout=1ms&level=auto`, 503, "leader not found", '["SELECT 1"]'),
      ),
      only("reader", post(`${path}?level=auto`, [ONE], ONE_RESULT)),
      noLeader(`POST /db/${path}?redirect`, '["SELECT 1"]'),
      both(post(`${path}?level=none`, [ONE], ONE_RESULT)),
      both(post(`${path}?redirect&level=none&freshness=1h`, [ONE], ONE_RESULT)),
      both(sql(`${path}?level=none&freshness=10ms`, [ONE], '{"results":[],"error":"stale read"}')),
    ]),
    noLeader("POST /db/request?level=none&timeout=1ms", write),
  ];
}
