/**
 * The same log, the same state: the hazards of replicating statements (determinism/hazards.ts), the
 * rules against them (determinism/rules.ts), and processes that differ in all that should not matter.
 */
import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type Hazard, HAZARDS } from "./determinism/hazards.ts";
import { RULES } from "./determinism/rules.ts";
import type { TwinReport } from "./determinism/twin.ts";
import { execute, post, query } from "./limits/client.ts";
import { startNode } from "./process.ts";

const ROOT = new URL("../", import.meta.url);
const HAZARD_COUNT = 33;
/** Of SQLite and its binding. */
const RULE_COUNT = 16;
/** A write without end. */
const ENDLESS =
  "INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c";

/** All TypeScript of a folder. */
function* sources(folder: URL): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* sources(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield Deno.readTextFileSync(new URL(name, folder));
  }
}

/** Runs the fixed log in a process of its own. */
async function runTwin(
  batchSize: number,
  environment: Readonly<Record<string, string>>,
): Promise<TwinReport> {
  const path = new URL("determinism/twin.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--no-check", path, String(batchSize)],
    cwd: ROOT.pathname,
    env: environment,
  }).output();
  strictEqual(code, 0, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** What tests are registered with; some rooms have a word of their own for it. */
const TEST_CALL = /\b(?:Deno\.test|testPinned)\(\s*(?:\{\s*name:\s*)?"((?:[^"\\]|\\.)*)"/g;

/** Every row has tests, and each of them is somewhere in the project. */
function assertTestsExist(table: Readonly<Record<string, Hazard>>): void {
  const texts = [...sources(new URL("src/", ROOT)), ...sources(new URL("tests/", ROOT))];
  const names = new Set(texts.flatMap((text) => [...text.matchAll(TEST_CALL)].map(([, n]) => n)));
  for (const [row, { tests }] of Object.entries(table)) {
    ok(tests.length > 0, row);
    for (const test of tests) ok(names.has(test), `${row}: ${test}`);
  }
}

Deno.test("Every hazard has its tests, and every test named is there", () => {
  const numbers = Array.from({ length: HAZARD_COUNT }, (_, at) => `S${at + 1}`);
  deepStrictEqual(Object.keys(HAZARDS), numbers);
  assertTestsExist(HAZARDS);
});

Deno.test("Every rule of apply and of SQLite has its tests, and every test named is there", () => {
  const numbered = Array.from({ length: RULE_COUNT }, (_, at) => `Q${at + 1}`);
  deepStrictEqual(Object.keys(RULES), ["A1 A2 A3 A4 A4b A4c A5 A6".split(" "), numbered].flat());
  assertTestsExist(RULES);
});

Deno.test("Two processes that differ in all but the log hold the same state", async () => {
  const one = await runTwin(1, { TZ: "Asia/Kolkata", LC_ALL: "C" });
  const other = await runTwin(64, { TZ: "America/St_Johns", LC_ALL: "de_DE.UTF-8" });
  notStrictEqual(one.zone, other.zone);
  strictEqual(one.content, other.content);
  strictEqual(one.resultChain, other.resultChain);
  ok(one.content.length > 100_000);
});

Deno.test("Mathematics does not depend on what the processor can do (Q2)", async () => {
  const plain = await runTwin(7, { TZ: "UTC" });
  const without = "-FMA,-AVX2,-AVX,-AVX512F,-FMA4,-SSE4_2";
  const poor = await runTwin(7, { TZ: "UTC", GLIBC_TUNABLES: `glibc.cpu.hwcaps=${without}` });
  strictEqual(plain.content, poor.content);
  strictEqual(plain.resultChain, poor.resultChain);
  match(plain.content, /math: .*\|string tanh\|/);
});

Deno.test("A node in any time zone computes in UTC (S5)", async () => {
  await using node = await startNode({ environment: { TZ: "Asia/Kathmandu" } });
  await execute(node.url, [
    "CREATE TABLE t(a, b)",
    "INSERT INTO t VALUES(datetime('now'), datetime('now', 'localtime'))",
  ]);
  const rows = await query(node.url, [
    "SELECT a = b, datetime(a, 'utc') = a, datetime(a, 'localtime') = a FROM t",
  ]);
  ok(rows.includes("[[1,1,1]]"), rows);
});

Deno.test("A node that is started with other flags keeps the database's settings (S25)", async () => {
  const dataDirectory = await Deno.makeTempDir({ prefix: "dust-test-" });
  try {
    for (const flags of [["-fk=true"], ["-fk=false"], []]) {
      await using node = await startNode({ dataDirectory, flags });
      await execute(node.url, [
        "CREATE TABLE IF NOT EXISTS p(a PRIMARY KEY)",
        "CREATE TABLE IF NOT EXISTS c(a REFERENCES p(a))",
      ]);
      const { text } = await post(node.url, "/db/execute", '["INSERT INTO c VALUES(1)"]');
      match(text, /FOREIGN KEY constraint failed/, flags.join(" "));
      await node.stop("SIGTERM");
    }
  } finally {
    await Deno.remove(dataDirectory, { recursive: true });
  }
});

Deno.test("A write without end is ended, and a restart neither hangs on it nor decides anew (A4)", async () => {
  const dataDirectory = await Deno.makeTempDir({ prefix: "dust-test-" });
  const mode = ["-on-disk"];
  try {
    let answered = "";
    {
      await using node = await startNode({ dataDirectory, flags: mode });
      await execute(node.url, ["CREATE TABLE t(x)", "INSERT INTO t VALUES(7)"]);
      answered =
        (await post(node.url, "/db/execute?db_timeout=50ms", JSON.stringify([ENDLESS]))).text;
      match(answered, /execute timeout/);
      await execute(node.url, ["INSERT INTO t VALUES(8)"]);
      await node.stop("SIGKILL");
    }
    await using node = await startNode({ dataDirectory, flags: mode, readyMsMax: 10_000 });
    ok((await query(node.url, ["SELECT group_concat(x) FROM t"])).includes('[["7,8"]]'));
    const again = await post(node.url, "/db/execute?db_timeout=50ms", JSON.stringify([ENDLESS]));
    strictEqual(again.text, answered);
  } finally {
    await Deno.remove(dataDirectory, { recursive: true });
  }
});

Deno.test("Nothing is built on sessions of SQLite (S33)", () => {
  const name = ["sqlite3", "session"].join("");
  for (const text of sources(new URL("src/", ROOT))) ok(!text.includes(`${name}_`));
});
