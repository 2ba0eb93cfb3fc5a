import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { FakeDatabase } from "./fake_database.ts";
import { HttpApi } from "./http_api.ts";

/** A database that is changed by the cluster's endpoints. */
class FakeCluster extends FakeDatabase {
  failure: OperatingError | undefined;
  leaderUrl: string | undefined;

  elsewhere(): string | undefined {
    return this.leaderUrl;
  }

  remove(id: string, options: unknown): Promise<void> {
    return this.#do("remove", { id, options });
  }

  stepDown(id: string | undefined, options: unknown): Promise<void> {
    return this.#do("stepDown", { id, options });
  }

  #do(name: string, argument: unknown): Promise<void> {
    this.calls.push({ name, argument });
    return this.failure === undefined ? Promise.resolve() : Promise.reject(this.failure);
  }
}

function setUp(): { readonly database: FakeCluster; readonly api: HttpApi } {
  const database = new FakeCluster();
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
  setup.database.failure = new OperatingError("not_leader", "leader not found");
  deepStrictEqual(await ask(setup, "/remove", request), [503, "leader not found\n"]);
  setup.database.failure = new OperatingError("internal", "Cannot remove the last voter");
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
  setup.database.failure = new OperatingError("internal", "node not found in cluster");
  deepStrictEqual(await ask(setup, "/leader", post), [
    500,
    "stepdown: node not found in cluster\n",
  ]);
  setup.database.failure = new OperatingError("not_ready", "store not open");
  deepStrictEqual(await ask(setup, "/leader", post), [503, "stepdown: store not open\n"]);
  setup.database.failure = new OperatingError("not_leader", "leader not found");
  deepStrictEqual(await ask(setup, "/leader", post), [503, "leader not found\n"]);
  setup.database.failure = new OperatingError("internal", "cannot find peer");
  deepStrictEqual(await ask(setup, "/leader", post), [200, ""]);
  deepStrictEqual(await ask(setup, "/leader?wait", post), [500, "stepdown: cannot find peer\n"]);
});

Deno.test("redirect sends to the leader what only it can do, and nothing else", async () => {
  const setup = setUp();
  setup.database.leaderUrl = "http://leader:4001";
  const requests: [path: string, init: RequestInit, isSent: boolean][] = [
    ["/db/execute?redirect", { method: "POST", body: "[]" }, true],
    ["/db/request?redirect&x", { method: "POST", body: "[]" }, true],
    ["/db/query?redirect&q=SELECT+1", {}, true],
    ["/db/query?redirect&q=SELECT+1&level=none", {}, false],
    ["/db/query?q=SELECT+1", {}, false],
    ["/remove?redirect", { method: "DELETE", body: '{"id":"a"}' }, true],
  ];
  for (const [path, init, isSent] of requests) {
    const response = await setup.api.handle(new Request(`http://a:1${path}`, init));
    await response.body?.cancel();
    strictEqual(response.status, isSent ? 301 : 200, path);
    const location = isSent ? `http://leader:4001${path}` : null;
    strictEqual(response.headers.get("location"), location);
  }
});
