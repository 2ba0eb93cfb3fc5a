/**
 * Input that cannot be meant: bodies, parameters, flags, data directories. Each gets one clear sentence
 * with the status of its kind (4xx, or a non-zero exit), and nothing on disk is changed by it, which
 * is judged by the bytes of all files before and after.
 */
import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { execute, post } from "./limits/client.ts";
import { waitUntil } from "./limits/process_figures.ts";
import { startNode, type TestNode } from "./process.ts";

/** A segment that is being prepared, empty: made anew at each start. */
const PREPARED_NAME = "prepared.tmp";

/** Every file below a folder: its path and a hash of its bytes. */
function contents(folder: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const look = (path: string): void => {
    for (const { name, isDirectory } of Deno.readDirSync(path)) {
      const inner = `${path}/${name}`;
      if (isDirectory) {
        found.set(`${inner}/`, "");
        look(inner);
      } else if (name !== PREPARED_NAME) {
        const hash = createHash("sha256").update(Deno.readFileSync(inner));
        found.set(inner, `${Deno.statSync(inner).size} ${hash.digest("hex")}`);
      }
    }
  };
  look(folder);
  return new Map([...found].sort());
}

/** The contents once the node has stopped preparing files in the background. */
async function settledContents(node: TestNode): Promise<ReadonlyMap<string, string>> {
  let before = contents(node.dataDirectory);
  await waitUntil(async () => {
    await new Promise((resolve) => setTimeout(resolve, 150));
    const now = contents(node.dataDirectory);
    const isSame = JSON.stringify([...before]) === JSON.stringify([...now]);
    before = now;
    return isSame;
  }, { what: "the data directory rests", withinMs: 10_000 });
  return before;
}

const BODIES: readonly (readonly [body: string, answer: RegExp])[] = [
  ["", /^invalid JSON body\n$/],
  ["[", /^invalid JSON body\n$/],
  ['["INSERT INTO t VALUES(1)"', /^invalid JSON body\n$/],
  ['["INSERT INTO t VALUES(1)",]', /^invalid JSON body\n$/],
  ["['INSERT INTO t VALUES(1)']", /^invalid JSON body\n$/],
  ['["INSERT INTO t VALUES(1)\u0001"]', /^invalid JSON body\n$/],
  ['["INSERT INTO t VALUES(1)\\x"]', /^invalid JSON body\n$/],
  ["[]", /^no statements\n$/],
  ['{"sql":"INSERT INTO t VALUES(1)"}', /^invalid request\n$/],
  ['["INSERT INTO t VALUES(1)", 5]', /^invalid request\n$/],
  ['["INSERT INTO t VALUES(1)", []]', /^invalid request\n$/],
  ['["INSERT INTO t VALUES(1)", ["INSERT INTO t VALUES(?)", [256]]]', /^unsupported type 256\n$/],
  ['["INSERT INTO t VALUES(1)", ["INSERT INTO t VALUES(?)", [1, "a"]]]', /^unsupported type str/],
  ['[["INSERT INTO t VALUES(:a)", {"a": {"b": 1}}]]', /^unsupported type map\[string\]/],
  ['[["INSERT INTO t VALUES(?)", 1e999]]', /^invalid number 1e999\n$/],
  ['[["INSERT INTO t VALUES(?)", 01]]', /^invalid JSON body\n$/],
  ['[["INSERT INTO t VALUES(?)", NaN]]', /^invalid JSON body\n$/],
];

const QUERY_STRINGS: readonly (readonly [query: string, answer: RegExp])[] = [
  ["level=nonsense", /^Unknown level: it is one of none, weak, linearizable, strong, auto\n$/],
  ["timeout=5", /^timeout is not a valid duration\n$/],
  ["db_timeout=-", /^db_timeout is not a valid duration\n$/],
  ["linearizable_timeout=1x", /^linearizable_timeout is not a valid duration\n$/],
  ["freshness=1y", /^freshness is not a valid duration\n$/],
  ["freshness_strict", /^freshness_strict requires freshness\n$/],
  ["q=%GG", /^invalid URL escape "%GG"\n$/],
  ["a;b", /^invalid semicolon separator in query\n$/],
];

Deno.test("bad bodies and parameters are refused with 400 and one sentence, and change nothing", async () => {
  await using node = await startNode();
  await execute(node.url, ["CREATE TABLE t(x)"]);
  const before = await settledContents(node);
  for (const path of ["/db/execute", "/db/query", "/db/request", "/db/execute?transaction"]) {
    for (const [body, answer] of BODIES) {
      const { status, text } = await post(node.url, path, body);
      strictEqual(status, 400, `${path} ${body}`);
      match(text, answer, `${path} ${body}`);
    }
  }
  for (const [query, answer] of QUERY_STRINGS) {
    for (const path of ["/db/query", "/db/request"]) {
      const write = '["INSERT INTO t VALUES(1)"]';
      const { status, text } = await post(node.url, `${path}?${query}`, write);
      strictEqual(status, 400, query);
      match(text, answer, query);
    }
  }
  deepStrictEqual(contents(node.dataDirectory), before);
  const { text } = await post(node.url, "/db/query", '["SELECT count(*) FROM t"]');
  ok(text.includes('"values":[[0]]'), text);
});

interface Refusal {
  readonly code: number;
  readonly stderr: string;
}

/** Starts a node that is to refuse. One that starts after all is killed, and fails the test. */
async function refuse(...args: readonly string[]): Promise<Refusal> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--quiet", "main.ts", "serve", ...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    env: { NO_COLOR: "1", DUST_DATA_DIR: "" },
  }).spawn();
  const limit = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const { code, signal, stderr } = await child.output();
  clearTimeout(limit);
  strictEqual(signal, null, `it did not refuse: ${args.join(" ")}`);
  return { code, stderr: new TextDecoder().decode(stderr) };
}

/** Flags of a node that could start here. */
function addresses(): readonly string[] {
  using http = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using raft = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = ({ addr }: Deno.TcpListener): string => `127.0.0.1:${addr.port}`;
  return ["-http-addr", address(http), "-raft-addr", address(raft)];
}

/** One line of prose, then at most the pointer to --help: no stack, no cause dumped as JSON. */
function assertSentence({ code, stderr }: Refusal, wanted: RegExp): void {
  notStrictEqual(code, 0, stderr);
  match(stderr, wanted);
  ok(!stderr.includes("    at ") && !stderr.includes("bug in Dust"), stderr);
  ok(stderr.split("\n").filter((line) => line.startsWith("fatal: ")).length <= 1, stderr);
}

const FLAGS: readonly (readonly [args: readonly string[], wanted: RegExp])[] = [
  [["-http-adr", "x:1"], /^Unknown flag: -http-adr\n/],
  [["-http-addr"], /^fatal: No data directory given/],
  [["-http-addr", "nonsense"], /Address "nonsense" of -http-addr is unusable: /],
  [["-http-addr", "127.0.0.1:99999"], /Address "127\.0\.0\.1:99999" of -http-addr is unusable: /],
  [["-http-addr", "127.0.0.1:1", "-raft-addr", "127.0.0.1:1"], /must differ/],
  [["-raft-snap-int", "5"], /-raft-snap-int/],
  [["-raft-snap", "-1"], /-raft-snap/],
  [["-readers", "0"], /-readers/],
  [["-fk=perhaps"], /-fk/],
  [["-raft-log-level", "LOUD"], /-raft-log-level/],
  [["-on-disk", "true"], /./],
];

Deno.test("bad flags are refused with one sentence, before a directory is made", async () => {
  const parent = await Deno.makeTempDir({ prefix: "dust-test-" });
  try {
    for (let at = 0; at < FLAGS.length; at += 2) {
      await Promise.all(
        FLAGS.slice(at, at + 2).map(async ([args, wanted]) => {
          assertSentence(await refuse(...args, `${parent}/data`), wanted);
        }),
      );
    }
    deepStrictEqual([...contents(parent)], []);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});

/** Runs `test` with a data directory that a node has used, and stopped. */
async function withUsedDirectory(
  test: (directory: string) => Promise<void>,
  options: { readonly flags?: readonly string[] } = {},
): Promise<void> {
  await using node = await startNode(options);
  await execute(node.url, ["CREATE TABLE t(x)", "INSERT INTO t VALUES(randomblob(10000))"]);
  await execute(node.url, ["INSERT INTO t VALUES(1)"]);
  await node.stop("SIGTERM");
  await test(node.dataDirectory);
}

/** The data directory is refused, and is as it was. */
async function assertRefused(
  directory: string,
  wanted: RegExp,
  flags: readonly string[] = [],
): Promise<void> {
  const before = contents(directory);
  const refusal = await refuse(...addresses(), ...flags, directory);
  assertSentence(refusal, wanted);
  deepStrictEqual(contents(directory), before);
}

function firstSegment(directory: string): string {
  const names = [...Deno.readDirSync(`${directory}/log`)].map(({ name }) => name).sort();
  return `${directory}/log/${names.find((name) => name.endsWith(".log"))}`;
}

function patch(path: string, offset: number, change: (byte: number) => number): void {
  const bytes = Deno.readFileSync(path);
  bytes[offset] = change(bytes[offset] ?? 0);
  Deno.writeFileSync(path, bytes);
}

Deno.test("a directory of another program, or that is no directory, is refused and left alone", async () => {
  const parent = await Deno.makeTempDir({ prefix: "dust-test-" });
  try {
    for (const name of ["raft.db", "db.sqlite", "member"]) {
      await Deno.mkdir(`${parent}/${name}-data`);
      await Deno.writeTextFile(`${parent}/${name}-data/${name}`, "not ours");
      await assertRefused(`${parent}/${name}-data`, new RegExp(`it holds ${name} of another`));
    }
    await Deno.writeTextFile(`${parent}/file`, "not ours");
    assertSentence(await refuse(...addresses(), `${parent}/file`), /\/file/);
    assertSentence(await refuse(...addresses(), `${parent}/file/below`), /\/file/);
    strictEqual(await Deno.readTextFile(`${parent}/file`), "not ours");
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});

Deno.test("a directory in use is refused by its lock, and its owner goes on", async () => {
  await using node = await startNode();
  await execute(node.url, ["CREATE TABLE t(x)"]);
  await settledContents(node);
  await assertRefused(node.dataDirectory, /another process uses this data directory/);
  await execute(node.url, ["INSERT INTO t VALUES(1)"]);
});

Deno.test("a damaged log is refused with file and offset, and not repaired", async () => {
  await withUsedDirectory(async (directory) => {
    patch(firstSegment(directory), 200, (byte) => byte ^ 0x10);
    await assertRefused(directory, /\.log.*\d/s);
  });
});

Deno.test("a log of a newer format is refused by that name", async () => {
  await withUsedDirectory(async (directory) => {
    // The fourth byte of a frame's magic is its version.
    patch(firstSegment(directory), 3, (byte) => byte + 1);
    await assertRefused(directory, /\.log/);
  });
});

Deno.test("a directory whose log is gone is refused, and its state is not begun anew", async () => {
  for (const flags of [[], ["--on-disk"]]) {
    await withUsedDirectory(async (directory) => {
      await Deno.remove(`${directory}/log`, { recursive: true });
      await Deno.mkdir(`${directory}/log`);
      await assertRefused(directory, /its state is there and its log is gone/, flags);
    }, { flags });
  }
});

Deno.test("a damaged or missing state file is refused on disk, where nothing else has its content", async () => {
  const disk = ["--on-disk"];
  await withUsedDirectory(async (directory) => {
    const path = `${directory}/state/1/db.sqlite`;
    const bytes = await Deno.readFile(path);
    for (const end of ["-wal", "-shm"]) await Deno.remove(path + end);
    for (const content of ["", "this is no database".repeat(300)]) {
      await Deno.writeTextFile(path, content);
      await assertRefused(
        directory,
        /state\/1\/db\.sqlite: it is damaged, or no state of Dust/,
        disk,
      );
    }
    await Deno.writeFile(path, bytes);
    await Deno.rename(path, `${path}.gone`);
    await assertRefused(directory, /state\/1\/db\.sqlite/, disk);
  }, { flags: disk });
});

Deno.test("a read-only file system is refused with one sentence", async () => {
  const folder = await Deno.makeTempDir({ prefix: "dust-test-" });
  const mount = (...args: readonly string[]): boolean =>
    new Deno.Command(args[0] ?? "", { args: args.slice(1), stderr: "null" }).outputSync().success;
  try {
    // Permissions do not hold root back; a read-only mount does, where one may be made.
    if (!mount("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder)) {
      await Deno.chmod(folder, 0o500);
      if (Deno.uid() === 0) return;
    }
    assertSentence(await refuse(...addresses(), `${folder}/data`), /data/);
    deepStrictEqual([...contents(folder)], []);
  } finally {
    mount("umount", folder);
    await Deno.remove(folder, { recursive: true });
  }
});
