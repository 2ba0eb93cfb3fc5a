import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { FakeDatabase } from "./fake_database.ts";
import { HttpApi } from "./http_api.ts";

function setUp(): { readonly database: FakeDatabase; readonly api: HttpApi } {
  const database = new FakeDatabase();
  const api = new HttpApi({
    database,
    clock: new FakeClock(),
    version: "1",
    advertisedAddress: "a:1",
    bindAddress: "a:1",
    allowOrigin: undefined,
    writeQueue: { capacity: 1, batchSize: 1, timeoutMs: 1, transaction: false },
    bodyBytesMax: 1000,
    requestsInFlightMax: 10,
    commandLine: [],
    crash: (error) => {
      throw error;
    },
  });
  return { database, api };
}

async function ask(
  { api }: { readonly api: HttpApi },
  path: string,
  init: RequestInit,
): Promise<[status: number, text: string]> {
  const response = await api.handle(new Request(`http://a:1${path}`, init));
  return [response.status, await response.text()];
}

const JSON_HEADERS = { "content-type": "application/json" };

Deno.test("DELETE /remove takes exactly one id, and hands it on", async () => {
  for (const body of ["", "x", "[]", "{}", '{"id":1}', '{"id":"a","b":1}', '{"ID":"a"}', "null"]) {
    const setup = setUp();
    deepStrictEqual(await ask(setup, "/remove", { method: "DELETE", body }), [400, ""], body);
    deepStrictEqual(setup.database.calls, []);
  }
  const setup = setUp();
  const request = { method: "DELETE", body: '{"id":"n2"}' };
  deepStrictEqual(await ask(setup, "/remove?timeout=2s", request), [200, ""]);
  deepStrictEqual(setup.database.calls, [
    { name: "remove", argument: { id: "n2", options: { timeoutMs: 2000 } } },
  ]);
  setup.database.change = new OperatingError("not_leader", "leader not found");
  deepStrictEqual(await ask(setup, "/remove", request), [503, "leader not found\n"]);
  setup.database.change = new OperatingError("internal", "Cannot remove the last voter");
  deepStrictEqual(await ask(setup, "/remove", request), [500, "Cannot remove the last voter\n"]);
});

Deno.test("POST /leader hands over to whom the body names, read only with its content type", async () => {
  const setup = setUp();
  const calls: [body: string, id: string | undefined][] = [
    ['{"id":"n2"}', "n2"],
    ['{"id":null}', undefined],
    ['{"id":""}', undefined],
    ["{}", undefined],
    ["", undefined],
  ];
  for (const [body, id] of calls) {
    const init = { method: "POST", headers: JSON_HEADERS, body };
    deepStrictEqual(await ask(setup, "/leader", init), [200, ""], body);
    deepStrictEqual(setup.database.calls.at(-1), {
      name: "stepDown",
      argument: { id, options: { timeoutMs: 30_000 } },
    });
  }
  const wrong = await ask(setup, "/leader", { method: "POST", headers: JSON_HEADERS, body: "{" });
  deepStrictEqual(wrong, [400, "invalid JSON: it is no object\n"]);
  deepStrictEqual(await ask(setup, "/leader", { method: "POST", body: "{" }), [200, ""]);
});

Deno.test("POST /leader says why not", async () => {
  const setup = setUp();
  const post = { method: "POST" };
  setup.database.change = new OperatingError("internal", "node not found in cluster");
  deepStrictEqual(await ask(setup, "/leader", post), [
    500,
    "stepdown: node not found in cluster\n",
  ]);
  setup.database.change = new OperatingError("not_ready", "store not open");
  deepStrictEqual(await ask(setup, "/leader", post), [503, "stepdown: store not open\n"]);
  setup.database.change = new OperatingError("not_leader", "leader not found");
  deepStrictEqual(await ask(setup, "/leader", post), [503, "leader not found\n"]);
  setup.database.change = new OperatingError("internal", "cannot find peer");
  deepStrictEqual(await ask(setup, "/leader", post), [200, ""]);
  deepStrictEqual(await ask(setup, "/leader?wait", post), [500, "stepdown: cannot find peer\n"]);
});

Deno.test("redirect sends to the leader what only it can do, and nothing else", async () => {
  const setup = setUp();
  setup.database.leaderUrl = "http://leader:4001";
  const post = { method: "POST", headers: JSON_HEADERS, body: '["a"]' };
  const requests: [path: string, init: RequestInit, isSent: boolean][] = [
    ["/db/execute?redirect", post, true],
    ["/db/execute?redirect&level=none", post, true],
    ["/db/execute?redirect&queue", post, false],
    ["/db/request?redirect&x", post, true],
    ["/db/query?redirect&q=SELECT+1", {}, true],
    ["/db/query?redirect&q=SELECT+1&level=none", {}, false],
    ["/db/query?q=SELECT+1", {}, false],
    ["/remove?redirect", { method: "DELETE", body: '{"id":"a"}' }, true],
    ["/leader?redirect", { method: "POST" }, true],
    ["/time?redirect", { method: "POST" }, true],
    ["/time", { method: "POST" }, false],
  ];
  for (const [path, init, isSent] of requests) {
    const response = await setup.api.handle(new Request(`http://a:1${path}`, init));
    await response.body?.cancel();
    strictEqual(response.status, isSent ? 301 : 200, path);
    const location = isSent ? `http://leader:4001${path}` : null;
    strictEqual(response.headers.get("location"), location);
  }
});

Deno.test("redirect does not send on what no leader would take", async () => {
  const setup = setUp();
  setup.database.leaderUrl = "http://leader:4001";
  const post = (body: string): RequestInit => ({ method: "POST", headers: JSON_HEADERS, body });
  for (const path of ["/db/execute?redirect", "/db/query?redirect", "/db/request?redirect"]) {
    deepStrictEqual(await ask(setup, path, post("[]")), [400, "no statements\n"]);
    deepStrictEqual(await ask(setup, path, post('["PRAGMA journal_mode=off"]')), [
      200,
      '{"results":[],"error":"disallowed pragma"}',
    ]);
    setup.database.leaderKnown = false;
    deepStrictEqual(await ask(setup, path, post('["a"]')), [503, "leader not found\n"]);
    setup.database.leaderKnown = true;
  }
});

Deno.test("a redirect holds what a header can hold, whatever the path does", async () => {
  const setup = setUp();
  setup.database.leaderUrl = "http://leader:4001";
  // A Request's own URL is escaped; the server's is as it was sent.
  const url = "http://a:1/db/query/\u2192?redirect&q=\u00e9";
  const request = new Proxy(new Request("http://a:1/"), {
    get: (target, name) => name === "url" ? url : Reflect.get(target, name, target),
  });
  const { status, headers } = await setup.api.handle(request);
  strictEqual(status, 301);
  strictEqual(
    headers.get("location"),
    "http://leader:4001/db/query/%E2%86%92?redirect&q=%C3%A9",
  );
});
