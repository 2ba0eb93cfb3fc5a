/**
 * `dust bench`: its connection against a server that answers in awkward pieces, its loop against one
 * that fails, and the whole command as a process.
 */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { BenchConnection } from "../src/cli/bench_connection.ts";
import { runLoad } from "../src/cli/bench_load.ts";

const REQUEST = new TextEncoder().encode("POST / HTTP/1.1\r\n\r\n");

/** A server that sends `pieces` one by one for the first request, then closes. */
function pieces(parts: readonly string[]): { address: string; done: Promise<void> } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async (): Promise<void> => {
    using connection = await listener.accept();
    await connection.read(new Uint8Array(1000));
    for (const part of parts) {
      await connection.write(new TextEncoder().encode(part));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    listener.close();
  };
  return { address: `127.0.0.1:${listener.addr.port}`, done: serve() };
}

async function exchange(parts: readonly string[]): Promise<unknown> {
  const server = pieces(parts);
  const connection = await BenchConnection.open(server.address);
  try {
    return await connection.exchange(REQUEST);
  } finally {
    connection.close();
    await server.done;
  }
}

Deno.test("BenchConnection reads an answer that comes byte by byte", async () => {
  const text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello";
  deepStrictEqual(await exchange([...text]), { status: 200, body: "hello" });
});

Deno.test("BenchConnection reads chunks, cut anywhere", async () => {
  const text =
    "HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
  deepStrictEqual(await exchange([text]), { status: 503, body: "hello world" });
  deepStrictEqual(await exchange([...text]), { status: 503, body: "hello world" });
});

Deno.test("BenchConnection reads a body that is larger than its buffer", async () => {
  const body = "x".repeat(200_000);
  const answer = await exchange([
    `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`,
    body,
  ]);
  deepStrictEqual(answer, { status: 200, body });
});

Deno.test("BenchConnection fails when the server closes, or never ends its header", async () => {
  await rejects(exchange(["HTTP/1.1 200 OK\r\nContent-Le"]), /closed by the server/);
  await rejects(exchange([`HTTP/1.1 200 OK\r\nX: ${"y".repeat(40_000)}`]), /too long/);
});

Deno.test("runLoad() counts good answers, bad answers and broken connections apart", async () => {
  let count = 0;
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (r) => {
      await r.text();
      count += 1;
      if (count % 10 === 1) return new Response('{"results":[{"error":"no such table"}]}');
      if (count % 10 === 2) return new Response("full", { status: 503 });
      return new Response('{"results":[{}]}');
    },
  );
  const address = `127.0.0.1:${server.addr.port}`;
  const body = new TextEncoder().encode(
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]",
  );
  const load = {
    clients: 3,
    seconds: 0.3,
    warmUpSeconds: 0,
    requests: () => ({ next: () => body }),
  };
  const result = await runLoad({ ...load, addresses: [address] });
  ok(result.latencies.count > 20, `count ${result.latencies.count}`);
  ok(result.errors > 0);
  strictEqual(result.firstError, '200 {"results":[{"error":"no such table"}]}');
  ok(result.latencies.maxMs > 0 && result.seconds >= 0.3);
  const nobody = await runLoad({ ...load, addresses: ["127.0.0.1:1"] });
  strictEqual(nobody.latencies.count, 0);
  ok(/refused/.test(nobody.firstError), nobody.firstError);
});

Deno.test("dust bench prints one line of JSON, and its limits", async () => {
  const bodies: string[] = [];
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (r) => {
      if (bodies.length < 3) bodies.push(await r.text());
      else await r.text();
      return new Response('{"results":[{"last_insert_id":1,"rows_affected":1}]}');
    },
  );
  const folder = await Deno.makeTempDir({ prefix: "dust-bench-" });
  const args =
    `--mode bulk --batch 2 --clients 2 --seconds 1 --warm-up 0 --json --limits ${folder}`;
  const { code, stdout, stderr } = await runBench([
    "--",
    ...args.split(" "),
    "--addr",
    `127.0.0.1:${server.addr.port}`,
  ]);
  deepStrictEqual([...Deno.readDirSync(folder)], []);
  await Deno.remove(folder);
  strictEqual(stderr, "");
  strictEqual(code, 0);
  ok(
    bodies[0]?.includes("CREATE TABLE dust_bench") && bodies[1]?.includes("INSERT INTO dust_bench"),
  );
  const figures = JSON.parse(stdout);
  deepStrictEqual([figures.mode, figures.clients, figures.batch, figures.errors], [
    "bulk",
    2,
    2,
    0,
  ]);
  ok(figures.perSecond > 0 && Math.abs(figures.rowsPerSecond - 2 * figures.perSecond) <= 2);
  ok(figures.p50Ms <= figures.p90Ms && figures.p999Ms <= figures.maxMs);
  ok(figures.diskSyncsPerSecond > 0 && figures.bareServerPerSecond > 0);
});

Deno.test("dust bench says in one sentence why it cannot measure", async () => {
  const refused = await runBench(["--addr", "127.0.0.1:1"]);
  strictEqual(refused.code, 1);
  ok(/^fatal: .*refused/.test(refused.stderr), refused.stderr);
  const wrong = await runBench(["--mode", "fast"]);
  strictEqual(wrong.code, 2);
  ok(wrong.stderr.startsWith("Flag -mode must be one of "), wrong.stderr);
});

async function runBench(
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--quiet", "main.ts", "bench", ...args],
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: text(output.stdout), stderr: text(output.stderr) };
}
