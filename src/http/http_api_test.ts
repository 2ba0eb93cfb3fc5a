import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { AssertionError } from "../base/assert.ts";
import { type ErrorCode, OperatingError } from "../base/errors.ts";
import { FORMAT } from "../command/request.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { FakeDatabase } from "./fake_database.ts";
import { HttpApi } from "./http_api.ts";
import { BODY_BYTES_MAX, BODY_IDLE_MS_MAX, REQUESTS_IN_FLIGHT_MAX } from "./limits.ts";

interface Setup {
  readonly api: HttpApi;
  readonly database: FakeDatabase;
  readonly clock: FakeClock;
  readonly crashes: unknown[];
}

function setUp(options: {
  readonly allowOrigin?: string;
  readonly bodyBytesMax?: number;
  readonly requestsInFlightMax?: number;
} = {}): Setup {
  const database = new FakeDatabase();
  const clock = new FakeClock();
  const crashes: unknown[] = [];
  const api = new HttpApi({
    database,
    clock,
    version: "v1.2.3",
    advertisedAddress: "dust:4001",
    bindAddress: "127.0.0.1:4001",
    allowOrigin: options.allowOrigin,
    writeQueue: { capacity: 4, batchSize: 2, timeoutMs: 50, transaction: false },
    bodyBytesMax: options.bodyBytesMax ?? BODY_BYTES_MAX,
    requestsInFlightMax: options.requestsInFlightMax ?? REQUESTS_IN_FLIGHT_MAX,
    commandLine: ["serve", "data"],
    crash: (error) => crashes.push(error),
  });
  return { api, database, clock, crashes };
}

function call(
  { api }: Setup,
  path: string,
  init: RequestInit = {},
): Promise<Response> {
  return api.handle(new Request(`http://h${path}`, init));
}

async function expectText(
  response: Promise<Response>,
  expected: { readonly status: number; readonly text: string },
): Promise<Response> {
  const answer = await response;
  deepStrictEqual({ status: answer.status, text: await answer.text() }, expected);
  return answer;
}

/** Without a content type of its own the platform's Request would call a string text/plain. */
const JSON_HEADERS = { "content-type": "application/json" };

const post = (body: BodyInit, headers: HeadersInit = JSON_HEADERS): RequestInit => ({
  method: "POST",
  body,
  headers,
});

Deno.test("HttpApi.handle() sets the common headers on every answer", async () => {
  const setup = setUp({ allowOrigin: "https://example.org" });
  for (const path of ["/db/query", "/xxx", "/db/execute", "/readyz?timeout=x", "/"]) {
    const { headers } = await call(setup, path);
    strictEqual(headers.get("X-RQLITE-VERSION"), "v1.2.3", path);
    strictEqual(headers.get("Access-Control-Allow-Methods"), "OPTIONS, GET, POST");
    strictEqual(headers.get("Access-Control-Allow-Headers"), "Content-Type");
    strictEqual(headers.get("Access-Control-Allow-Origin"), "https://example.org");
    strictEqual(headers.get("Access-Control-Allow-Credentials"), null);
  }
  const bare = await call(setUp(), "/db/query");
  strictEqual(bare.headers.get("Access-Control-Allow-Origin"), null);
});

Deno.test("HttpApi.handle() answers OPTIONS before it looks at anything", async () => {
  for (const path of ["/db/execute", "/xxx", "/db/query?q=%ZZ"]) {
    await expectText(call(setUp(), path, { method: "OPTIONS" }), { status: 200, text: "" });
  }
});

Deno.test("HttpApi.handle() refuses bad query strings on every path, unknown ones too", async () => {
  for (const path of ["/xxx", "/db/execute", "/readyz", "/"]) {
    const response = await expectText(call(setUp(), `${path}?timeout=1`), {
      status: 400,
      text: "timeout is not a valid duration\n",
    });
    strictEqual(response.headers.get("Content-Type"), "text/plain; charset=utf-8");
    strictEqual(response.headers.get("X-Content-Type-Options"), "nosniff");
  }
});

Deno.test("HttpApi.handle() routes by literal path and prefix", async () => {
  const status = async (path: string): Promise<number> => (await call(setUp(), path)).status;
  for (const path of ["/db/xxx", "/xxx", "/join", "/notify", "/boot/", "/leader/", "//status"]) {
    await expectText(call(setUp(), path), { status: 404, text: "" });
  }
  for (const path of ["/status/anything", "/db/queryX", "/nodesX", "/readyz/", "/licenses"]) {
    strictEqual(await status(path), 200, path);
  }
});

Deno.test("HttpApi.handle() answers a wrong method with an empty 405", async () => {
  const wrong: { readonly [method: string]: readonly string[] } = {
    GET: ["/db/execute", "/boot", "/db/load", "/remove", "/snapshot", "/db/request", "/reap"],
    POST: ["/remove", "/db/backup", "/status", "/nodes", "/licenses", "/console/", "/readyz"],
    DELETE: ["/leader", "/licenses", "/db/sql", "/db/query"],
    HEAD: ["/status", "/db/query", "/readyz", "/db/backup"],
    PUT: ["/db/execute", "/db/query"],
  };
  for (const [method, paths] of Object.entries(wrong)) {
    for (const path of paths) {
      await expectText(call(setUp(), path, { method }), { status: 405, text: "" });
    }
  }
  const response = await call(setUp(), "/db/execute");
  strictEqual(response.headers.get("Content-Type"), "application/json; charset=utf-8");
  strictEqual(response.headers.get("Allow"), null);
});

Deno.test("HttpApi.handle() says in one sentence what is not there yet", async () => {
  const missing: [string, string][] = [
    ["GET", "/db/backup"],
    ["POST", "/db/load"],
    ["POST", "/boot"],
    ["POST", "/reap"],
    ["GET", "/console/"],
    ["GET", "/db/sql"],
    ["GET", "/debug/pprof/cmdline"],
  ];
  for (const [method, path] of missing) {
    const response = await call(setUp(), path, { method });
    strictEqual(response.status, 501, path);
    match(await response.text(), /^[A-Z].* is not available yet\n$/);
  }
});

Deno.test("HttpApi.handle() leads / and /console to the console", async () => {
  const root = await expectText(call(setUp(), "/"), {
    status: 302,
    text: '<a href="/console/">Found</a>.\n\n',
  });
  strictEqual(root.headers.get("Location"), "/console/");
  const bare = await expectText(call(setUp(), "/console"), { status: 301, text: "" });
  strictEqual(bare.headers.get("Location"), "/console/");
});

Deno.test("HttpApi.handle() refuses a host that would move the path", async () => {
  const setup = setUp();
  const request = new Request("http://evil/status/x", { headers: { host: "evil/status" } });
  strictEqual((await setup.api.handle(request)).status, 400);
  deepStrictEqual(setup.database.calls, []);
});

Deno.test("POST /db/execute hands on body and options", async () => {
  const setup = setUp();
  setup.database.answer = { results: "[{}]", raftIndex: 12 };
  const response = await expectText(
    call(
      setup,
      "/db/execute?transaction&associative&timings=x&db_timeout=2s&level=nonsense",
      post('["x"]'),
    ),
    { status: 200, text: '{"results":[{}],"time":0}' },
  );
  deepStrictEqual(setup.database.calls, [{
    name: "execute",
    argument: {
      body: { kind: "json", text: '["x"]' },
      transaction: true,
      format: FORMAT.associative | FORMAT.timings,
      timeoutMs: 2000,
    },
  }]);
  strictEqual(response.headers.get("Content-Type"), "application/json; charset=utf-8");
  strictEqual(response.headers.get("X-RQLITE-SERVED-BY"), "dust:4001");
  strictEqual(response.headers.get("Dust-Raft-Index"), "12");
});

Deno.test("an Idempotency-Key goes along with writes, and is nothing to a query", async () => {
  for (const path of ["/db/execute", "/db/request", "/db/query"]) {
    const setup = setUp();
    await call(setup, path, post("[]", { ...JSON_HEADERS, "Idempotency-Key": "a-1" }));
    const { argument } = setup.database.calls[0] ?? {};
    const { idempotencyKey } = argument as { readonly idempotencyKey?: string };
    strictEqual(idempotencyKey, path === "/db/query" ? undefined : "a-1", path);
  }
});

Deno.test("an Idempotency-Key that is empty, too long or of other characters is refused, as on queued writes", async () => {
  const cases: [string, string, RegExp][] = [
    ["/db/execute", "", /^Cannot take Idempotency-Key: it is empty\n$/],
    ["/db/request", "x".repeat(256), /over 255 characters/],
    ["/db/execute", "a b", /visible ASCII/],
    ["/db/execute", "a, b", /sent twice/],
    ["/db/execute?queue", "a", /^Cannot queue a write that has an Idempotency-Key\n$/],
    ["/db/execute?queue&wait", "a", /^Cannot queue a write/],
  ];
  for (const [path, key, text] of cases) {
    const setup = setUp();
    const response = await call(
      setup,
      path,
      post("[]", { ...JSON_HEADERS, "Idempotency-Key": key }),
    );
    strictEqual(response.status, 400);
    match(await response.text(), text);
    deepStrictEqual(setup.database.calls, []);
  }
  const query = await call(
    setUp(),
    "/db/query",
    post("[]", { ...JSON_HEADERS, "Idempotency-Key": "" }),
  );
  strictEqual(query.status, 200);
});

Deno.test("Dust-Raft-Index of a read is that of the state that it shows, and not in the body", async () => {
  const setup = setUp();
  setup.database.answer = { results: "[{}]", raftIndex: 3, stateIndex: 7 };
  const response = await expectText(call(setup, "/db/query?raft_index&q=x"), {
    status: 200,
    text: '{"results":[{}],"raft_index":3}',
  });
  strictEqual(response.headers.get("Dust-Raft-Index"), "7");
});

Deno.test("min_index goes along with reads, with the timeout as its bound", async () => {
  for (const path of ["/db/query", "/db/request"]) {
    const setup = setUp();
    await call(setup, `${path}?min_index=5&timeout=2s`, post("[]"));
    const { argument } = setup.database.calls[0] ?? {};
    const { minIndex } = argument as { readonly minIndex?: unknown };
    deepStrictEqual(minIndex, { index: 5, timeoutMs: 2000 });
  }
  await expectText(call(setUp(), "/db/query?min_index=x&q=x"), {
    status: 400,
    text: "min_index is not a valid integer\n",
  });
});

Deno.test("text/plain is raw SQL on execute and query, and nowhere else", async () => {
  const kindOf = async (path: string, type: string): Promise<unknown> => {
    const setup = setUp();
    await call(setup, path, post("SELECT 1", { "Content-Type": type }));
    return setup.database.calls.map(({ argument }) => (argument as { body: unknown }).body);
  };
  const sql = [{ kind: "sql", text: "SELECT 1" }];
  const json = [{ kind: "json", text: "SELECT 1" }];
  deepStrictEqual(await kindOf("/db/execute", "text/plain"), sql);
  deepStrictEqual(await kindOf("/db/query", "text/plain; charset=utf-8"), sql);
  deepStrictEqual(await kindOf("/db/request", "text/plain"), json);
  deepStrictEqual(await kindOf("/db/execute", "application/x-www-form-urlencoded"), json);
});

Deno.test("GET /db/query takes q and ignores the rest; without q it is the empty statement", async () => {
  const setup = setUp();
  await expectText(call(setup, "/db/query"), { status: 200, text: '{"results":[]}' });
  await call(setup, "/db/query?q=SELECT%201&level=none&freshness=1s&freshness_strict&transaction");
  await call(setup, "/db/query?q=x&linearizable_timeout=3s&level=Linearizable&blob_array");
  const common = { transaction: false, format: 0, timeoutMs: 0, level: "weak" };
  const fresh = { freshnessMs: 0, freshnessStrict: false, linearizableTimeoutMs: 10_000 };
  deepStrictEqual(setup.database.calls.map(({ argument }) => argument), [
    { id: 1, body: { kind: "sql", text: "" }, ...common, ...fresh },
    {
      id: 2,
      body: { kind: "sql", text: "SELECT 1" },
      ...common,
      transaction: true,
      level: "none",
      freshnessMs: 1000,
      freshnessStrict: true,
      linearizableTimeoutMs: 10_000,
    },
    {
      id: 3,
      body: { kind: "sql", text: "x" },
      ...common,
      format: FORMAT.blobArray,
      level: "linearizable",
      ...fresh,
      linearizableTimeoutMs: 3000,
    },
  ]);
});

Deno.test("POST /db/request waits one second for a linearizable read, whatever is asked", async () => {
  const setup = setUp();
  await call(setup, "/db/request?linearizable_timeout=9s", post('["x"]'));
  const [first] = setup.database.calls;
  strictEqual((first?.argument as { linearizableTimeoutMs: number }).linearizableTimeoutMs, 1000);
});

Deno.test("an unknown level is refused with the list of levels", async () => {
  for (const path of ["/db/query", "/db/request"]) {
    const setup = setUp();
    await expectText(call(setup, `${path}?level=snapshot`, post('["x"]')), {
      status: 400,
      text: "Unknown level: it is one of none, weak, linearizable, strong, auto\n",
    });
    deepStrictEqual(setup.database.calls, []);
  }
});

Deno.test("raft_index shows the index when there is one", async () => {
  const setup = setUp();
  setup.database.answer = { results: "[{}]", raftIndex: 3 };
  await expectText(call(setup, "/db/execute?raft_index", post("[]")), {
    status: 200,
    text: '{"results":[{}],"raft_index":3}',
  });
  setup.database.answer = { results: "[{}]", raftIndex: 0 };
  const response = await expectText(call(setup, "/db/query?raft_index&q=x"), {
    status: 200,
    text: '{"results":[{}]}',
  });
  strictEqual(response.headers.get("Dust-Raft-Index"), null);
});

Deno.test("pretty indents answers and errors", async () => {
  const setup = setUp();
  setup.database.answer = { results: '[{"rows_affected":1}]', raftIndex: 0 };
  await expectText(call(setup, "/db/execute?pretty=no", post("[]")), {
    status: 200,
    text: '{\n    "results": [\n        {\n            "rows_affected": 1\n        }\n    ]\n}',
  });
  setup.database.answer = new OperatingError("internal", "disallowed pragma");
  await expectText(call(setup, "/db/execute?pretty", post("[]")), {
    status: 200,
    text: '{\n    "results": [],\n    "error": "disallowed pragma"\n}',
  });
});

Deno.test("each expected failure has its answer", async () => {
  const envelope = { status: 200, text: '{"results":[],"error":"the \\u003ccause\\u003e"}' };
  const text = (status: number): unknown => ({ status, text: "the <cause>\n" });
  const answers: { readonly [code in ErrorCode]: unknown } = {
    bad_request: text(400),
    too_large: text(413),
    not_leader: { status: 503, text: "leader not found\n" },
    not_ready: envelope,
    overloaded: text(503),
    disk_full: text(507),
    timeout: envelope,
    canceled: text(408),
    stale_read: envelope,
    outcome_unknown: envelope,
    unauthorized: text(401),
    conflict: text(409),
    key_reused: text(422),
    keys_full: text(429),
    session_refused: text(503),
    index_not_reached: text(408),
    quarantined: text(503),
    internal: envelope,
  };
  for (const [code, expected] of Object.entries(answers)) {
    for (const path of ["/db/execute", "/db/query", "/db/request"]) {
      const setup = setUp();
      setup.database.answer = new OperatingError(code as ErrorCode, "the <cause>");
      const response = await call(setup, path, post("[]"));
      deepStrictEqual({ status: response.status, text: await response.text() }, expected, code);
      strictEqual(response.headers.get("X-RQLITE-SERVED-BY"), null);
      deepStrictEqual(setup.crashes, []);
    }
  }
});

Deno.test("what is no expected failure goes to the crash handler", async () => {
  const setup = setUp();
  const bug = new AssertionError("broken promise");
  setup.database.answer = bug;
  strictEqual((await call(setup, "/db/execute", post("[]"))).status, 500);
  setup.database.sections = bug;
  strictEqual((await call(setup, "/status")).status, 500);
  deepStrictEqual(setup.crashes, [bug, bug]);
});

Deno.test("redirect leads to the leader's own address, if it is known", async () => {
  const setup = setUp();
  setup.database.leaderUrl = "https://foo:4001";
  const response = await call(setup, "/db/query?redirect&q=SELECT%20*");
  deepStrictEqual([response.status, response.headers.get("Location"), await response.text()], [
    301,
    "https://foo:4001/db/query?redirect&q=SELECT%20*",
    "",
  ]);
  setup.database.leaderKnown = false;
  await expectText(call(setup, "/db/query?redirect&q=x"), {
    status: 503,
    text: "leader not found\n",
  });
});

Deno.test("bodies past the limit are refused by their announced length, unread", async () => {
  const setup = setUp();
  const body = new ReadableStream({
    pull: () => {
      throw new Error("must not be read");
    },
  }, { highWaterMark: 0 });
  const headers = { "content-length": String(BODY_BYTES_MAX + 1) };
  const response = await call(setup, "/db/execute", post(body, headers));
  deepStrictEqual([response.status, setup.database.calls, setup.crashes], [413, [], []]);
});

Deno.test("a body limit that is configured holds at its value, announced and unannounced", async () => {
  const setup = setUp({ bodyBytesMax: 12 });
  const exact = '["SELECT 1"]';
  for (const [body, status] of [[exact, 200], [`${exact} `, 413]] as const) {
    const stream = new Blob([body]).stream();
    strictEqual((await call(setup, "/db/execute", post(stream))).status, status);
    const headers = { ...JSON_HEADERS, "content-length": String(body.length) };
    const response = await call(setup, "/db/execute", post(body, headers));
    strictEqual(response.status, status);
    if (status === 413) ok((await response.text()).includes("over 12 bytes"));
  }
  strictEqual(setup.database.calls.length, 2);
});

Deno.test("a body that stops arriving ends its request", async () => {
  const setup = setUp();
  let cancelled = false;
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode("[")),
    cancel: () => {
      cancelled = true;
    },
  });
  const response = call(setup, "/db/execute", post(body));
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  setup.clock.advance(BODY_IDLE_MS_MAX);
  strictEqual((await response).status, 408);
  ok(cancelled);
  deepStrictEqual(setup.database.calls, []);
});

Deno.test("requests past the limit in flight are refused, and room comes back", async () => {
  const setup = setUp({ requestsInFlightMax: 3 });
  const { promise, resolve } = Promise.withResolvers<{ results: string; raftIndex: number }>();
  setup.database.answer = () => promise;
  const running = Array.from({ length: 3 }, () => call(setup, "/db/query"));
  strictEqual((await call(setup, "/db/query")).status, 503);
  resolve({ results: "[]", raftIndex: 0 });
  for (const response of await Promise.all(running)) strictEqual(response.status, 200);
  strictEqual((await call(setup, "/db/query")).status, 200);
});

Deno.test("a query whose client goes away is cancelled, a short one is not even watched", async () => {
  const setup = setUp();
  const { promise, resolve } = Promise.withResolvers<{ results: string; raftIndex: number }>();
  setup.database.answer = () => promise;
  const client = new AbortController();
  const response = call(setup, "/db/query?q=x", { signal: client.signal });
  setup.clock.advance(100);
  client.abort();
  deepStrictEqual(setup.database.calls.map(({ name }) => name), ["query", "cancel"]);
  deepStrictEqual(setup.database.calls[1]?.argument, 1);
  resolve({ results: "[]", raftIndex: 0 });
  await response;
  const late = new AbortController();
  await call(setup, "/db/query?q=x", { signal: late.signal });
  late.abort();
  setup.clock.advance(100);
  deepStrictEqual(setup.database.calls.map(({ name }) => name), ["query", "cancel", "query"]);
});
