import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import type { NodeFacts, Readiness } from "./database_port.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { FakeDatabase } from "./fake_database.ts";
import { HttpApi } from "./http_api.ts";
import { BODY_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX } from "./limits.ts";

interface Setup {
  readonly api: HttpApi;
  readonly database: FakeDatabase;
}

function setUp(): Setup {
  const database = new FakeDatabase();
  const api = new HttpApi({
    database,
    clock: new FakeClock(),
    version: "v1",
    advertisedAddress: "dust:4001",
    bindAddress: "127.0.0.1:4001",
    allowOrigin: undefined,
    writeQueue: { capacity: 1024, batchSize: 128, timeoutMs: 50, transaction: false },
    bodyBytesMax: BODY_BYTES_MAX,
    requestsInFlightMax: REQUESTS_IN_FLIGHT_MAX,
    commandLine: ["serve", "data"],
    crash: (error) => {
      throw error;
    },
  });
  return { api, database };
}

async function call(
  { api }: Setup,
  path: string,
  options: { readonly method?: string } = {},
): Promise<{ readonly status: number; readonly type: string | null; readonly text: string }> {
  const response = await api.handle(new Request(`http://h${path}`, options));
  return {
    status: response.status,
    type: response.headers.get("content-type"),
    text: await response.text(),
  };
}

const JSON_TYPE = "application/json; charset=utf-8";
const TEXT_TYPE = "text/plain; charset=utf-8";

const LEADER: NodeFacts = {
  id: "10",
  address: "localhost:4002",
  voter: true,
  contact: {
    reachable: true,
    apiUrl: "http://localhost:4001",
    version: "v1",
    leader: true,
    durationMs: 0.0215,
  },
};

const GONE: NodeFacts = {
  id: "2",
  address: "localhost:5002",
  voter: false,
  contact: { reachable: false, error: "timeout waiting for node to respond" },
};

const LEADER_JSON = '{"id":"10","api_addr":"http://localhost:4001","addr":"localhost:4002",' +
  '"version":"v1","voter":true,"reachable":true,"leader":true,"time":0.0000215,"time_s":"21.5µs"}';
const GONE_JSON = '{"id":"2","addr":"localhost:5002","version":"","voter":false,' +
  '"reachable":false,"leader":false,"error":"timeout waiting for node to respond"}';

Deno.test("GET /status shows the sections and this room's own, sorted", async () => {
  const setup = setUp();
  setup.database.sections = { store: { raft: { term: 2, state: "Leader" }, addr: "x" }, build: {} };
  const { status, type, text } = await call(setup, "/status");
  deepStrictEqual([status, type], [200, JSON_TYPE]);
  strictEqual(
    text,
    '{"build":{},"http":{"auth":"disabled","bind_addr":"127.0.0.1:4001","queue":{"_default":' +
      '{"batch_size":128,"max_size":1024,"sequence_number":0,"timeout":"50ms"}},' +
      '"tls":{"enabled":"false"}},"store":{"addr":"x","raft":{"state":"Leader","term":2}}}',
  );
  match(
    (await call(setup, "/status?pretty")).text,
    /^\{\n {4}"build": \{\},\n {4}"http": \{\n {8}/,
  );
});

Deno.test("GET /status?key= selects a part", async () => {
  const setup = setUp();
  setup.database.sections = { store: { raft: { term: 2 }, list: [1, 2] } };
  for (
    const [key, text] of [
      ["store.raft", '{"term":2}'],
      ["store.raft.term", "2"],
      ["store.raft.term.more", "2"],
      ["store.list", "[1,2]"],
      ["store.nothing", "{}"],
      ["store.constructor", "{}"],
      ["http.tls", '{"enabled":"false"}'],
    ] as const
  ) strictEqual((await call(setup, `/status?pretty&key=${key}`)).text, text, key);
});

Deno.test("GET /nodes has two forms, neither reorders the nodes", async () => {
  const setup = setUp();
  setup.database.members = [LEADER, GONE];
  deepStrictEqual(await call(setup, "/nodes?nonvoters&timeout=2s"), {
    status: 200,
    type: JSON_TYPE,
    text: `{"10":${LEADER_JSON},"2":${GONE_JSON}}`,
  });
  deepStrictEqual(setup.database.calls[0]?.argument, { timeoutMs: 2000, nonVoters: true });
  strictEqual((await call(setup, "/nodes?ver=2")).text, `{"nodes":[${LEADER_JSON},${GONE_JSON}]}`);
  strictEqual((await call(setup, "/nodes?ver=1")).text, `{"10":${LEADER_JSON},"2":${GONE_JSON}}`);
  setup.database.members = [];
  strictEqual((await call(setup, "/nodes")).text, "{}");
  strictEqual((await call(setup, "/nodes?ver=2")).text, '{"nodes":[]}');
  setup.database.members = new OperatingError("not_ready", "store not open");
  deepStrictEqual(await call(setup, "/nodes"), {
    status: 503,
    type: TEXT_TYPE,
    text: "store nodes: store not open\n",
  });
});

Deno.test("GET /leader shows one node, or says that there is none", async () => {
  const setup = setUp();
  setup.database.members = [GONE, LEADER];
  deepStrictEqual(await call(setup, "/leader"), {
    status: 200,
    type: JSON_TYPE,
    text: LEADER_JSON,
  });
  ok((await call(setup, "/leader?pretty")).text.startsWith('{\n    "id": "10",\n'));
  for (const members of [[GONE], []]) {
    setup.database.members = members;
    deepStrictEqual(await call(setup, "/leader"), {
      status: 503,
      type: TEXT_TYPE,
      text: "leader not found\n",
    });
  }
});

Deno.test("GET /readyz shows how far the checks came", async () => {
  const cases: [string, Readiness, number, string][] = [
    ["", { state: "ready" }, 200, "[+]node ok\n[+]leader ok\n[+]store ok\n[+]db ok"],
    [
      "?sync",
      { state: "ready" },
      200,
      "[+]node ok\n[+]leader ok\n[+]store ok\n[+]sync ok\n[+]db ok",
    ],
    ["", { state: "no_leader" }, 503, "[+]node ok\n[+]leader does not exist"],
    [
      "",
      { state: "leader_not_contactable", error: "refused" },
      503,
      "[+]node ok\n[+]leader not contactable: refused",
    ],
    ["", { state: "store_not_ready" }, 503, "[+]node ok\n[+]leader ok\n[+]store not ready"],
    [
      "?sync",
      { state: "sync_failed", error: "timeout waiting for commit index" },
      503,
      "[+]node ok\n[+]leader ok\n[+]store ok\n[+]sync timeout waiting for commit index",
    ],
    [
      "",
      { state: "database_failed", error: "x, y" },
      503,
      "[+]node ok\n[+]leader ok\n[+]store ok\n[+]db not ok: (x, y)",
    ],
  ];
  for (const [query, ready, status, text] of cases) {
    const setup = setUp();
    setup.database.ready = ready;
    deepStrictEqual(await call(setup, `/readyz${query}`), { status, type: TEXT_TYPE, text });
  }
});

Deno.test("GET /readyz?noleader asks nobody", async () => {
  const setup = setUp();
  setup.database.ready = { state: "no_leader" };
  deepStrictEqual(await call(setup, "/readyz?noleader&sync"), {
    status: 200,
    type: TEXT_TYPE,
    text: "[+]node ok",
  });
  deepStrictEqual(setup.database.calls, []);
});

Deno.test("POST /snapshot answers by what was done, and counts", async () => {
  const setup = setUp();
  const post = { method: "POST" };
  deepStrictEqual(await call(setup, "/snapshot?trailing_logs=7", post), {
    status: 200,
    type: null,
    text: "",
  });
  deepStrictEqual(setup.database.calls[0]?.argument, { trailingLogs: 7 });
  setup.database.snapshotOutcome = "nothing_new";
  strictEqual((await call(setup, "/snapshot", post)).status, 204);
  setup.database.snapshotOutcome = new OperatingError("internal", "load in progress");
  deepStrictEqual(await call(setup, "/snapshot", post), {
    status: 500,
    type: TEXT_TYPE,
    text: "load in progress\n",
  });
  const { text } = await call(setup, "/debug/vars");
  strictEqual(JSON.parse(text).http.user_snapshots, 3);
});

Deno.test("/debug/vars is a line per name, and key selects one", async () => {
  const setup = setUp();
  const { text } = await call(setup, "/debug/vars", { method: "DELETE" });
  ok(text.startsWith('{\n"cmdline": ["serve","data"],\n"http": {"'));
  ok(text.endsWith("}\n}\n"));
  JSON.parse(text);
  strictEqual(
    (await call(setup, "/debug/vars?key=cmdline")).text,
    '{\n"cmdline": ["serve","data"]\n}\n',
  );
  strictEqual((await call(setup, "/debug/vars?key=x")).text, "{\n\n}\n");
});

Deno.test("GET /metrics joins the node's and this room's", async () => {
  const setup = setUp();
  await call(setup, "/readyz");
  const { type, text } = await call(setup, "/metrics");
  strictEqual(type, "text/plain; version=0.0.4; charset=utf-8");
  ok(text.startsWith("metric 1\n# TYPE dust_http_executions counter\ndust_http_executions 0\n"));
  match(text, /^dust_http_num_readyz 1$/m);
});

Deno.test("GET /licenses names ours", async () => {
  const { type, text } = await call(setUp(), "/licenses");
  strictEqual(type, TEXT_TYPE);
  match(text, /MIT License/);
});
