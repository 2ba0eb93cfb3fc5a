/**
 * The command line as a process: which command a first word means, what is printed where, and the
 * exit status; TZ; and the shell against a real node as rqlite's end-to-end test drives it.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { startNode } from "./process.ts";

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function dust(args: readonly string[], input = ""): Promise<Outcome> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--quiet", "main.ts", ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", DUST_DATA_DIR: "", DUST_HOST: "", RQLITE_HOST: "" },
  }).spawn();
  const writer = child.stdin.getWriter();
  if (input !== "") await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("dust --help lists commands and flags on stdout, status 0", async () => {
  const { code, stdout, stderr } = await dust(["--help"]);
  deepStrictEqual([code, stderr], [0, ""]);
  for (const words of ["dust shell", "dust bench", "--http-addr", "--on-disk", "DUST_HTTP_ADDR"]) {
    ok(stdout.includes(words), words);
  }
});

Deno.test("dust -version is one line on stderr, status 0, also among flags of a node", async () => {
  for (const args of [["-version"], ["--version"], ["serve", "-version"], ["-fk", "-version"]]) {
    const { code, stdout, stderr } = await dust(args);
    deepStrictEqual([code, stdout], [0, ""]);
    ok(
      /^dust \d+\.\d+\.\d+ \w+ \w+ deno2\.\d+\.\d+ sqlite3\.\d+\.\d+ \(v8 .*\)\n$/.test(stderr),
      stderr,
    );
  }
});

Deno.test("dust refuses: 2 for what it cannot read, 1 for what cannot be", async () => {
  const unknown = await dust(["-nope", "x"]);
  strictEqual(unknown.code, 2);
  ok(unknown.stderr.startsWith("Unknown flag: -nope\nUsage: "), unknown.stderr);
  const missing = await dust([]);
  strictEqual(missing.code, 1);
  ok(missing.stderr.startsWith("fatal: No data directory given"), missing.stderr);
  const auth = await dust(["-auth", "users.json", "/tmp/never"]);
  deepStrictEqual([auth.code, auth.stderr], [1, "fatal: Not available yet: -auth\n"]);
});

Deno.test("dust does not take a command to come for a data directory", async () => {
  const { code, stderr } = await dust(["backup"]);
  strictEqual(code, 2);
  ok(stderr.startsWith("Not available yet: dust backup"), stderr);
});

Deno.test("dust shell does against a node what rqlite's end-to-end test wants", async () => {
  await using node = await startNode();
  const port = node.httpAddress.split(":")[1] ?? "";
  const lines = [
    ".help",
    ".ready",
    ".consistency",
    ".nodes",
    ".status",
    ".expvar",
    "CREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT)",
    "CREATE INDEX names ON foo(name)",
    'INSERT INTO foo(name) VALUES("fiona")',
    "INSERT INTO foo(id, name) WITH RECURSIVE c(x) AS (SELECT 2 UNION ALL SELECT x+1 FROM c LIMIT 1899) SELECT x, x FROM c",
    ".tables",
    ".indexes",
    ".schema",
    "SELECT COUNT(*) FROM foo",
    "SELECT * FROM bar",
    ".exit",
  ];
  const { code, stdout, stderr } = await dust(["shell", "--port", port], lines.join("\n"));
  deepStrictEqual([code, stderr], [0, ""]);
  const wanted = ["Show", "ready", "weak", "api_addr", "build", "cmdline", "sql", "1 row affected"];
  for (const word of [...wanted, "1899 rows affected", "names", "1900", "no such table"]) {
    ok(stdout.includes(word), `${word} is missing in:\n${stdout}`);
  }
});

Deno.test("a node computes with UTC, whatever the machine's zone", async () => {
  const before = Deno.env.get("TZ");
  Deno.env.set("TZ", "EST5");
  const starting = startNode();
  if (before === undefined) Deno.env.delete("TZ");
  else Deno.env.set("TZ", before);
  await using node = await starting;
  const response = await fetch(`${node.url}/db/query`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: `["SELECT datetime(0, 'unixepoch', 'localtime')"]`,
  });
  const { results } = await response.json();
  deepStrictEqual(results[0].values, [["1970-01-01 00:00:00"]]);
});
