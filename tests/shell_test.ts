/**
 * `dust shell` as a process, lines on standard input, against small HTTP servers of the test: what
 * scripts see. The end-to-end test against a real node is readme_test.ts and rqlite's own.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";

const TABLE = '{"results":[{"columns":["1"],"types":["integer"],"values":[[1]]}]}';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the shell with `lines` on its standard input. */
async function runShell(
  args: readonly string[],
  lines: readonly string[],
  environment: Record<string, string> = {},
): Promise<Outcome> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--quiet", "main.ts", "shell", ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", DUST_HOST: "", RQLITE_HOST: "", ...environment },
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(lines.join("\n")));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

interface TestServer extends AsyncDisposable {
  readonly port: string;
  readonly requests: string[];
}

/** A node that answers with `respond`, /status apart. */
function startServer(respond: (request: Request) => Response | Promise<Response>): TestServer {
  const requests: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const path = new URL(request.url).pathname;
    requests.push(`${request.method} ${path}`);
    return path.endsWith("/status") ? new Response("{}") : respond(request);
  });
  return {
    port: String(server.addr.port),
    requests,
    [Symbol.asyncDispose]: async () => await server.shutdown(),
  };
}

/** A port where nobody listens. */
function freePort(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return String(listener.addr.port);
}

Deno.test("dust shell runs the lines of a pipe in order and exits with 0", async () => {
  await using server = startServer(() => new Response(TABLE));
  const { code, stdout, stderr } = await runShell(["--port", server.port], [
    ".help",
    ".mode csv",
    "SELECT 1",
    ".mode line",
    "SELECT 1",
  ]);
  strictEqual(stderr, "");
  strictEqual(code, 0);
  ok(stdout.includes("Show"));
  ok(stdout.endsWith("1\n1\n1 = 1\n"), stdout);
});

Deno.test("dust shell sends a write once, though its connection ends before the answer", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let writes = 0;
  const serve = async (connection: Deno.Conn): Promise<void> => {
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const count = await connection.read(buffer);
      if (count === null) return connection.close();
      const isWrite = new TextDecoder().decode(buffer.subarray(0, count)).startsWith("POST");
      writes += isWrite ? 1 : 0;
      // The first is answered, so that there is a connection to keep.
      if (isWrite && writes > 1) return connection.close();
      const text = isWrite ? TABLE : "{}";
      const head = `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n`;
      await connection.write(new TextEncoder().encode(head + text));
    }
  };
  const accepting = (async () => {
    const open: Promise<void>[] = [];
    try {
      for await (const connection of listener) open.push(serve(connection));
    } catch (error) {
      // Closed at the end of the test.
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
    await Promise.allSettled(open);
  })();
  const port = String((listener.addr as Deno.NetAddr).port);
  const { stdout } = await runShell(["-p", port], ["SELECT 1", "SELECT 2"]);
  strictEqual(writes, 2);
  match(stdout, /may still happen/);
  listener.close();
  await accepting;
});

Deno.test("dust shell stops at .exit, and prints no prompt into a pipe", async () => {
  await using server = startServer(() => new Response(TABLE));
  const { code, stdout } = await runShell(["-p", server.port], [".exit", "SELECT 1"]);
  deepStrictEqual({ code, stdout }, { code: 0, stdout: "" });
  deepStrictEqual(server.requests, ["GET /status"]);
});

Deno.test("dust shell says that nobody answers, with status 1", async () => {
  const port = freePort();
  const { code, stdout, stderr } = await runShell(["-p", port], ["SELECT 1"]);
  deepStrictEqual({ code, stdout }, { code: 1, stdout: "" });
  match(stderr, new RegExp(`^ERR! Cannot reach http://127.0.0.1:${port}: .*refused`));
});

Deno.test("dust shell goes to an alternative when the first node cannot be reached", async () => {
  await using server = startServer(() => new Response(TABLE));
  const args = ["-p", freePort(), "-a", `127.0.0.1:${server.port}`];
  const { code, stdout } = await runShell(args, [".show", ".mode csv", "SELECT 1"]);
  strictEqual(code, 0);
  ok(stdout.includes(`node: 127.0.0.1:${server.port}`), stdout);
  ok(stdout.endsWith("1\n1\n"), stdout);
});

Deno.test("dust shell sends credentials and prefix, and follows 301", async () => {
  const seen: string[] = [];
  await using server = startServer((request) => {
    const url = new URL(request.url);
    seen.push(`${url.pathname}${url.search} ${request.headers.get("authorization")}`);
    return seen.length === 1
      ? new Response(null, {
        status: 301,
        headers: { location: `${url.origin}/other${url.search}` },
      })
      : new Response(TABLE);
  });
  const args = ["-p", server.port, "-P", "/api", "-u", "user:pass:word"];
  const { code } = await runShell(args, ["SELECT 1"]);
  strictEqual(code, 0);
  const credentials = `Basic ${btoa("user:pass:word")}`;
  deepStrictEqual(seen, [
    `/api/db/request?level=weak ${credentials}`,
    `/other?level=weak ${credentials}`,
  ]);
});

Deno.test("dust shell gives up at its time limit, and says what a write may have done", async () => {
  const { promise: never, resolve } = Promise.withResolvers<void>();
  await using server = startServer(async () => {
    await never;
    return new Response(TABLE);
  });
  const { code, stdout } = await runShell(["-p", server.port, "-t", "300ms"], ["INSERT", ".ready"]);
  resolve();
  strictEqual(code, 0);
  strictEqual(
    stdout,
    "ERR! No answer within 0.3 s; a write may still happen\nERR! No answer within 0.3 s\n",
  );
});

Deno.test("dust shell refuses an unknown option with status 2", async () => {
  const { code, stderr } = await runShell(["--nope"], []);
  strictEqual(code, 2);
  strictEqual(stderr, "Unknown flag: -nope\nUsage: dust shell [options]; see dust shell --help\n");
});
