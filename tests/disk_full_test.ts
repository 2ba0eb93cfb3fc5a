/**
 * A disk without room (fault D9, rule A3), for real: writes are refused with 507, reads go on, writing
 * goes on by itself when there is room again, nothing is lost, and a restart finds all of it. In disk
 * mode, in RAM mode, and with the file of RAM mode on a full file system. Wants root, mkfs.ext4 and loop
 * devices.
 */
import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import {
  ask,
  CrashNode,
  type CrashSite,
  makeCrashSite,
  removeCrashSite,
} from "./crash/crash_node.ts";
import { sleep } from "./process.ts";
import { LoopDisk, reasonAgainstLoopDisk } from "./crash/loop_disk.ts";

const reason = await reasonAgainstLoopDisk();
/** What may be done on a disk of 8 MiB before it is full. */
const WRITES_MAX = 2000;
const VALUE_CHARACTERS = 20_000;
/** A write that is in the log's queue when the disk fills waits for its turn: nobody knows how it ends. */
const ANSWER_MS_MAX = 4_000;
const RESUME_MS_MAX = 10_000;
const WRITERS = 48;

/** A test where disks can be made; says why not where they cannot. */
function diskTest(name: string, body: () => Promise<void>): void {
  const suffix = reason === undefined ? "" : ` (skipped: ${reason})`;
  Deno.test({ name: `${name}${suffix}`, ignore: reason !== undefined, fn: body });
}

/** What was sent, by number: whether it was acknowledged, or nobody knows. Refused ones are not in it. */
class Sent {
  readonly address: string;
  readonly acknowledged = new Set<number>();
  readonly unknown = new Set<number>();
  refusals = 0;
  #next = 1;

  constructor(address: string) {
    this.address = address;
  }

  /** Sends one row. @returns its status; undefined when no answer came in time. */
  async write(): Promise<number | undefined> {
    const id = this.#next++;
    const value = `${id} `.padEnd(VALUE_CHARACTERS, "z");
    const body = JSON.stringify([["INSERT INTO t VALUES(?, ?)", id, value]]);
    const answer = await Promise.race([
      ask(this.address, { path: "/db/execute", body }),
      sleep(ANSWER_MS_MAX),
    ]);
    if (answer === undefined) this.unknown.add(id);
    else if (answer.status === 200) {
      strictEqual(answer.body, `{"results":[{"last_insert_id":${id},"rows_affected":1}]}`);
      this.acknowledged.add(id);
    } else {
      strictEqual(answer.status, 507, answer.body);
      match(answer.body, /^Cannot accept write: the disk is full/);
      this.refusals += 1;
    }
    return answer?.status;
  }

  /** Writes until refused. */
  async writeUntilFull(): Promise<void> {
    for (let count = 0; count < WRITES_MAX; count++) if (await this.write() === 507) return;
    throw new Error(`The disk is not full after ${WRITES_MAX} writes`);
  }

  /** Writes until acknowledged. */
  async writeUntilResumed(): Promise<void> {
    const deadlineMs = performance.now() + RESUME_MS_MAX;
    while (performance.now() < deadlineMs) {
      if (await this.write() === 200) return;
      await sleep(50);
    }
    throw new Error(`Writing has not resumed in ${RESUME_MS_MAX} ms`);
  }

  /** All that was acknowledged is there, once and whole, and nothing that was refused. */
  async compare(context: string, level: "weak" | "none" = "weak"): Promise<void> {
    const body = JSON.stringify([
      "SELECT id, length(value), substr(value, 1, 9) FROM t ORDER BY id",
    ]);
    const deadlineMs = performance.now() + RESUME_MS_MAX;
    let answer = await ask(this.address, { path: `/db/query?level=${level}`, body });
    while (level === "none" && !isRows(answer) && performance.now() < deadlineMs) {
      // A node that has just been started.
      await sleep(50);
      answer = await ask(this.address, { path: `/db/query?level=${level}`, body });
    }
    ok(isRows(answer), `${context}: ${answer?.status} ${answer?.body.slice(0, 100)}`);
    const parsed: { results: { values?: [number, number, string][] }[] } = JSON.parse(answer.body);
    const rows = parsed.results[0]?.values ?? [];
    for (const [id, length, head] of rows) {
      strictEqual(length, VALUE_CHARACTERS, context);
      strictEqual(head, `${id} `.padEnd(9, "z"), context);
      ok(this.acknowledged.has(id) || this.unknown.has(id), `${context}: ${id} was refused`);
    }
    const found = rows.map(([id]) => id);
    strictEqual(new Set(found).size, found.length, `${context}: a row is there twice`);
    deepStrictEqual(
      found.filter((id) => this.acknowledged.has(id)),
      [...this.acknowledged].sort((left, right) => left - right),
      context,
    );
  }
}

function isRows(
  answer: { readonly status: number; readonly body: string } | undefined,
): answer is { readonly status: number; readonly body: string } {
  return answer?.status === 200 && answer.body.includes('"columns"');
}

async function startReady(site: CrashSite): Promise<CrashNode> {
  const node = CrashNode.start(site);
  const readyMs = await node.untilReady();
  notStrictEqual(readyMs, undefined, `The node does not start\n${node.text}`);
  return node;
}

/** Everything that a full disk may ask of a node at `site`; `disk` is the one to fill. */
async function checkFullDisk(site: CrashSite, disk: LoopDisk): Promise<void> {
  const sent = new Sent(site.address);
  let node = await startReady(site);
  try {
    const create = '["CREATE TABLE t(id INTEGER PRIMARY KEY, value TEXT)"]';
    strictEqual((await ask(site.address, { path: "/db/execute", body: create }))?.status, 200);
    for (let times = 1; times <= 2; times++) {
      for (let count = 0; count < 10; count++) strictEqual(await sent.write(), 200);
      disk.fill();
      await sent.writeUntilFull();
      await sent.compare(`full, time ${times}`);
      const { address } = site;
      const snapshot = await ask(address, { path: "/snapshot?trailing_logs=0", body: "" });
      ok([200, 204, 507].includes(snapshot?.status ?? 0), `snapshot: ${snapshot?.status}`);
      await sleep(600);
      strictEqual(await sent.write(), 507, "room came from nowhere");
      ok(!node.isEnded, node.text);
      disk.empty();
      await sent.writeUntilResumed();
      await sent.compare(`room again, time ${times}`);
    }
    disk.fill();
    await sent.writeUntilFull();
    await node.kill();
    // Ready it is once an entry of its own term is applied, which may want room. Reads do not.
    node = CrashNode.start(site);
    await sent.compare("restarted on the full disk", "none");
    disk.empty();
    notStrictEqual(await node.untilReady(), undefined, node.text);
    await sent.writeUntilResumed();
    await sent.compare("restarted, then room");
    await node.kill();
    node = await startReady(site);
    await sent.compare("restarted with room");
    ok(sent.refusals >= 3);
  } catch (error) {
    throw new Error(`${error}\nThe node's words: ${node.text}`, { cause: error });
  } finally {
    await node.kill();
  }
}

for (const mode of ["disk", "ram"] as const) {
  diskTest(
    `A full data directory of 8 MiB refuses writes and loses nothing, ${mode} mode`,
    async () => {
      await using disk = await LoopDisk.make(8);
      const site = await makeCrashSite({ mode, flags: ["--raft-snap-int", "100ms"] });
      try {
        await checkFullDisk({ ...site, dataDirectory: `${disk.path}/data` }, disk);
      } finally {
        await removeCrashSite(site);
      }
    },
  );
}

diskTest(
  "Writes that are under way when the disk fills are answered soon, on disk (A3)",
  async () => {
    await using disk = await LoopDisk.make(32);
    const site = await makeCrashSite({ mode: "disk", flags: ["--raft-snap-int", "100ms"] });
    const place = { ...site, dataDirectory: `${disk.path}/data` };
    const sent = new Sent(place.address);
    const node = await startReady(place);
    try {
      const create = '["CREATE TABLE t(id INTEGER PRIMARY KEY, value TEXT)"]';
      strictEqual((await ask(place.address, { path: "/db/execute", body: create }))?.status, 200);
      // `write` tells what took longer than ANSWER_MS_MAX from what was answered.
      const writers = Array.from({ length: WRITERS }, () => sent.writeUntilFull());
      await Promise.all(writers);
      strictEqual(sent.unknown.size, 0, `${sent.unknown.size} writes had to wait`);
      ok(sent.refusals >= WRITERS);
      await sent.compare("full");
    } finally {
      await node.kill();
      await removeCrashSite(site);
    }
  },
);

diskTest(
  "A full file system under the state of RAM mode refuses writes and loses nothing",
  async () => {
    // Smaller, and the node would not choose it.
    await using disk = await LoopDisk.make(64);
    const site = await makeCrashSite({ mode: "ram", flags: ["--raft-snap-int", "100ms"] });
    const ramDirectory = `${disk.path}/ram`;
    await Deno.mkdir(ramDirectory, { mode: 0o700 });
    try {
      await checkFullDisk({ ...site, ramDirectory }, disk);
      ok([...Deno.readDirSync(ramDirectory)].length > 0, "the state was not there");
    } finally {
      await removeCrashSite(site);
    }
  },
);

diskTest(
  "Writes that fill the memory of RAM mode are refused while there is room for those in the log (A3)",
  async () => {
    await using disk = await LoopDisk.make(64);
    const made = await makeCrashSite({ mode: "ram", flags: [] });
    const site = { ...made, ramDirectory: `${disk.path}/ram` };
    await Deno.mkdir(site.ramDirectory, { mode: 0o700 });
    const sent = new Sent(site.address);
    let node = await startReady(site);
    try {
      const create = '["CREATE TABLE t(id INTEGER PRIMARY KEY, value TEXT)"]';
      strictEqual((await ask(site.address, { path: "/db/execute", body: create }))?.status, 200);
      await sent.writeUntilFull();
      strictEqual(sent.unknown.size, 0, "a write found no room that was in the log already");
      await node.kill();
      // One that is in the log and finds no room would keep the node from ever being ready again.
      node = await startReady(site);
      await sent.compare("restarted");
      await sleep(600);
      strictEqual(await sent.write(), 507, "room came from nowhere");
    } finally {
      await node.kill();
      await removeCrashSite(made);
    }
  },
);
