import { deepStrictEqual, notDeepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { encodeRequest } from "./bench_connection.ts";
import { RequestMaker, setupBodies, type Workload } from "./bench_workload.ts";

const BASE: Workload = { mode: "write", level: "none", batch: 1, rows: 10, size: 3, query: "" };

function requests(workload: Partial<Workload>, count = 1): { path: string; body: string }[] {
  const maker = new RequestMaker({ workload: { ...BASE, ...workload }, address: "a:1", client: 0 });
  return Array.from({ length: count }, () => maker.nextRequest());
}

Deno.test("RequestMaker makes the same requests in every run, and others for each client", () => {
  deepStrictEqual(requests({}, 5), requests({}, 5));
  const other = new RequestMaker({ workload: BASE, address: "a:1", client: 1 });
  notDeepStrictEqual(requests({})[0], other.nextRequest());
});

Deno.test("RequestMaker writes one insert, or many in a transaction", () => {
  const [one] = requests({});
  strictEqual(one?.path, "/db/execute");
  const [[sql, text, number]] = JSON.parse(one?.body ?? "");
  strictEqual(sql, "INSERT INTO dust_bench(name,n) VALUES(?,?)");
  strictEqual(text, "xxx");
  ok(Number.isSafeInteger(number));
  const [many] = requests({ batch: 3, query: "queue" });
  strictEqual(many?.path, "/db/execute?transaction&queue");
  strictEqual(JSON.parse(many?.body ?? "").length, 3);
});

Deno.test("RequestMaker writes rows of literals, and reads keys that exist", () => {
  const [bulk] = requests({ mode: "bulk", batch: 2 });
  ok(
    /^\["INSERT INTO dust_bench\(name,n\) VALUES\('xxx',\d+\),\('xxx',\d+\)"\]$/.test(
      bulk?.body ?? "",
    ),
  );
  for (const { path, body } of requests({ mode: "read", level: "strong" }, 50)) {
    strictEqual(path, "/db/query?level=strong");
    const [[, key]] = JSON.parse(body);
    ok(key >= 1 && key <= 10, body);
  }
  const [range] = requests({ mode: "range", batch: 7 });
  ok(range?.body.includes("WHERE id>=? LIMIT 7"));
});

Deno.test("setupBodies() fills the table only for reads, with all rows", () => {
  strictEqual([...setupBodies(BASE)].length, 1);
  const bodies = [...setupBodies({ ...BASE, mode: "read", rows: 1001 })];
  strictEqual(bodies.length, 1 + 3);
  strictEqual(bodies.slice(1).join().match(/\('xxx',/g)?.length, 1001);
});

Deno.test("encodeRequest() counts bytes, not characters", () => {
  const text = new TextDecoder().decode(encodeRequest({ address: "h:1", path: "/p", body: "ü" }));
  strictEqual(
    text,
    "POST /p HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nü",
  );
});
