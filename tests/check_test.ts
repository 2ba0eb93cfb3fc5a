/**
 * `dust check` and `dust recover` as processes, on directories that real nodes have left: what is whole is called so,
 * a byte that changed is found with its file, and a check changes nothing, judged by the bytes of all files.
 */
import { deepStrictEqual, doesNotMatch, match, ok, rejects, strictEqual } from "node:assert/strict";
import { look } from "../src/cli/check.ts";
import { type NodeReport, reportText } from "../src/cli/inspection_report.ts";
import { eventually, execute, get, TestCluster } from "./cluster.ts";
import { dust, startNode, type TestNode } from "./process.ts";

const FLAGS = { "ram-dir": "/dev/shm", "sqlite-lib": "" };

/** Every file below a folder with its bytes' hash, and every folder. */
async function contents(folder: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    found.set(path, "");
    if (isDirectory) { for (const [inner, hash] of await contents(path)) found.set(inner, hash); }
    else {
      const hash = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
      found.set(path, new Uint8Array(hash).toHex());
    }
  }
  return new Map([...found].sort());
}

async function flip(path: string, offset: number): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  const byte = new Uint8Array(1);
  await file.seek(offset, Deno.SeekMode.Start);
  await file.read(byte);
  byte[0] = (byte[0] ?? 0) ^ 0xff;
  await file.seek(offset, Deno.SeekMode.Start);
  await file.write(byte);
}

async function fill(node: TestNode): Promise<void> {
  const statements = ["CREATE TABLE t(a, b)", "CREATE VIEW v AS SELECT a FROM t"];
  for (let at = 0; at < 40; at++) {
    statements.push(`INSERT INTO t VALUES(${at}, hex(zeroblob(500)))`);
  }
  for (const statement of statements) {
    const response = await fetch(`${node.url}/db/execute`, {
      method: "POST",
      body: JSON.stringify([statement]),
      headers: {
        "Content-Type": "application/json",
        "Idempotency-Key": `k${statements.indexOf(statement)}`,
      },
    });
    const answer = await response.text();
    ok(response.status === 200 && !answer.includes("error"), answer);
  }
}

/** What a check finds in this process; nothing may have changed behind it. */
async function check(directory: string): Promise<NodeReport> {
  const before = await contents(directory);
  const report = await look(directory, FLAGS);
  deepStrictEqual(await contents(directory), before, reportText(report));
  return report;
}

function firstSegment(directory: string): string {
  const names = [...Deno.readDirSync(`${directory}/log`)].map(({ name }) => name).sort();
  return `${directory}/log/${names.find((name) => name.endsWith(".log"))}`;
}

/** A change in a copy of a directory, and what the check says of it. */
async function checkChanged(
  directory: string,
  change: (copy: string) => Promise<void>,
): Promise<string> {
  const copy = await Deno.makeTempDir({ prefix: "dust-test-" });
  try {
    const status = await new Deno.Command("cp", { args: ["-a", `${directory}/.`, copy] }).spawn()
      .status;
    ok(status.success);
    await change(copy);
    const report = await check(copy);
    return `${report.verdict}\n${reportText(report)}`;
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

Deno.test("dust check finds a node on disk whole, and each byte that changed in its log, file and -wal", async () => {
  await using node = await startNode({ flags: ["-on-disk"] });
  const { dataDirectory } = node;
  const early = await Deno.readFile(firstSegment(dataDirectory));
  await fill(node);
  const running = await dust("check", dataDirectory);
  deepStrictEqual([running.code, running.stdout], [75, ""]);
  match(running.stderr, /^fatal: Cannot check .*: a node runs on it; stop the node first\n$/);
  await node.stop("SIGKILL");
  const whole = reportText(await check(dataDirectory));
  match(whole, /^ok +log +entries \d+ to \d+, committed/m);
  match(whole, /^ok +state +generation 1 \(live file/m);
  doesNotMatch(whole, /damaged|What to do/);
  const changes: readonly (readonly [(copy: string) => Promise<void>, RegExp])[] = [
    [(copy) => flip(firstSegment(copy), 4000), /^damaged\ndamaged +log +\S+\.log at offset \d+: /],
    [
      (copy) => flip(`${copy}/state/1/db.sqlite-wal`, 32 + 4120 + 500),
      /^damaged\n[^]*^damaged +state +\S+\/db\.sqlite-wal at offset 4152: /m,
    ],
    [
      (copy) => Deno.remove(`${copy}/state/1/db.sqlite`),
      /^damaged\n[^]*^damaged +state +\S+\/db\.sqlite: the file is missing/m,
    ],
    [
      // The log has it all: a file without its -wal is only behind.
      async (copy) => {
        for (const end of ["wal", "shm"]) await Deno.remove(`${copy}/state/1/db.sqlite-${end}`);
      },
      /^whole\n[^]*^ok +state +generation 1 \(one file/m,
    ],
    [
      (copy) => Deno.remove(`${copy}/log`, { recursive: true }),
      /^amnesic\ndamaged +log +\S+\/log: no segment is there[^]*What to do:[^]*the only copy/,
    ],
    [
      (copy) => Deno.writeFile(firstSegment(copy), early),
      /^amnesic\n[^]*^damaged +state +\S+: it has applied entry \d+, and the log ends at \d+/m,
    ],
    [
      (copy) => Deno.writeTextFile(`${copy}/raft/peers.json`, "{}"),
      /^damaged\n[^]*^damaged +recovery +\S+\/peers\.json: /m,
    ],
  ];
  for (const [change, pattern] of changes) {
    match(await checkChanged(dataDirectory, change), pattern);
  }
});

Deno.test("dust check finds a node in memory whole, a changed page of its snapshot, and names what lies about", async () => {
  await using node = await startNode();
  const { dataDirectory } = node;
  await fill(node);
  await (await fetch(`${node.url}/snapshot`, { method: "POST" })).body?.cancel();
  await node.stop("SIGTERM");
  const before = await contents(dataDirectory);
  const outcome = await dust("check", "--json", dataDirectory);
  deepStrictEqual(await contents(dataDirectory), before);
  deepStrictEqual([outcome.code, outcome.stderr], [0, ""]);
  const report = JSON.parse(outcome.stdout);
  strictEqual(report.verdict, "whole");
  ok(report.log.lastIndex >= report.state.appliedIndex && report.state.appliedIndex > 40);
  const path = `state/${report.log.generation}/db.sqlite`;
  const damaged = /^damaged\n[^]*^damaged +state +\S+\/db\.sqlite: /m;
  // What kind of page it is, and what kind of file.
  for (const offset of [4096 * 4, 3]) {
    match(await checkChanged(dataDirectory, (copy) => flip(`${copy}/${path}`, offset)), damaged);
  }
  const leftover = await checkChanged(dataDirectory, (copy) => Deno.mkdir(`${copy}/state/777`));
  match(leftover, /^whole\n[^]*^note +leftover +\S+\/state\/777 is unfinished/m);
});

Deno.test("dust recover tells who is newest, and writes peers.json only after the words that accept the loss", async () => {
  await using cluster = await TestCluster.start(3);
  const leader = await cluster.leader();
  const [left, lost] = cluster.others(leader);
  ok(left !== undefined && lost !== undefined);
  await eventually(async () => {
    const nodes: { voter: boolean }[] = Object.values(JSON.parse(await get(left, "/nodes")));
    return nodes.filter(({ voter }) => voter).length === 3;
  }, "three voters");
  await execute(leader, ["CREATE TABLE t(a)"]);
  for (const { node } of cluster.members) await node.stop("SIGKILL");
  const { dataDirectory, name } = left;
  const before = await contents(dataDirectory);
  const write = ["--write-peers", left.node.raftAddress];
  const refused = await dust("recover", ...write, dataDirectory);
  strictEqual(refused.code, 1, refused.stdout);
  match(refused.stdout, new RegExp(`^node .*\n${name} +whole [^]*newest log is that of ${name}`));
  const [, words] = /--accept-data-loss="(lose what only .* had)"\n$/.exec(refused.stderr) ?? [];
  ok(words !== undefined, refused.stderr);
  deepStrictEqual(await contents(dataDirectory), before);
  const written = await dust("recover", ...write, "--accept-data-loss", words, dataDirectory);
  strictEqual(written.code, 0, written.stderr);
  deepStrictEqual(JSON.parse(Deno.readTextFileSync(`${dataDirectory}/raft/peers.json`)), [
    { id: name, address: left.node.raftAddress },
  ]);
  match(reportText(await check(dataDirectory)), /^note +recovery +raft\/peers\.json waits/m);
});

Deno.test("dust check and dust recover refuse what is no data, and what they cannot read, in a sentence", async () => {
  const empty = await Deno.makeTempDir({ prefix: "dust-test-" });
  try {
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [["check", empty], 66, /^fatal: Cannot check .*: it is empty, so it is no node's data\n$/],
      [["check", "-nope", empty], 64, /^Unknown flag: -nope\nUsage: dust check/],
      [["recover", "--accept-data-loss=x", empty], 64, /goes with -write-peers/],
    ];
    for (const [args, status, message] of cases) {
      const { code, stdout, stderr } = await dust(...args);
      deepStrictEqual([code, stdout], [status, ""], stderr);
      match(stderr, message);
    }
    const report = `${empty}/report.json`;
    await rejects(look(report, FLAGS), /there is no such directory/);
    await Deno.writeTextFile(`${empty}/raft.db`, "");
    await rejects(look(empty, FLAGS), /it holds no log and no state/);
    deepStrictEqual([...Deno.readDirSync(empty)].map(({ name }) => name), ["raft.db"]);
  } finally {
    await Deno.remove(empty, { recursive: true });
  }
});
