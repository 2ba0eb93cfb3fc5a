/**
 * Makes one replica differ from the others behind the back of its node, by means that production has none of:
 * another process writes into its live file. And waits until the cluster has found that out and mended it.
 */
import { Connection } from "../src/sqlite/connection.ts";
import { testLibrary } from "../src/sqlite/testing.ts";
import { execute, get, type Member, ramDirectoryOf, type TestCluster, values } from "./cluster.ts";
import { sleep } from "./process.ts";

/** Comparisons come every 20 s, and reports are waited for 15 s. */
const HEALED_MS_MAX = 60_000;
const LOOK_MS = 50;

/** What a node writes to its log when it begins to know that its state is wrong, and when that is over. */
export const QUARANTINED = "serves no reads until it is renewed";
export const RENEWED = "The state of this node was renewed";

/** What became of a state that differed. Milliseconds since it began to. */
export interface Renewal {
  /** When the node first said that it is in quarantine; undefined when that was too short to be seen. */
  readonly foundMs: number | undefined;
  readonly healedMs: number;
  /** The answers of the node's own data meanwhile (level none), each once. */
  readonly answers: ReadonlySet<string>;
}

/** The database file that a member works on. */
export async function liveFile(member: Member): Promise<string> {
  const isOnDisk = member.flags.includes("--on-disk");
  const folder = isOnDisk ? `${member.dataDirectory}/state` : ramDirectoryOf(member);
  const files = await filesNamed(folder, "db.sqlite");
  const newest = files.sort((left, right) => left.bornMs - right.bornMs).at(-1);
  if (newest === undefined) throw new Error(`liveFile: none in ${folder}`);
  return newest.path;
}

interface Found {
  readonly path: string;
  readonly bornMs: number;
}

async function filesNamed(folder: string, name: string): Promise<Found[]> {
  const found: Found[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...await filesNamed(path, name));
    else if (entry.name === name) {
      found.push({ path, bornMs: (await Deno.stat(path)).birthtime?.getTime() ?? 0 });
    }
  }
  return found;
}

/** Runs SQL on a member's live file, which no entry of the log tells of. */
export async function meddle(member: Member, sql: string): Promise<void> {
  const path = await liveFile(member);
  using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  connection.exec("PRAGMA busy_timeout = 5000");
  connection.exec(sql);
}

/** Overwrites a table's pages in a member's live file, as a disk might. Nobody else may be writing. */
export async function damagePages(member: Member, table: string): Promise<void> {
  using pages = await leafPages(member, table);
  for (const { offset, sizeBytes } of pages.places) {
    pages.file.seekSync(offset, Deno.SeekMode.Start);
    pages.file.writeSync(new Uint8Array(sizeBytes).fill(0xff));
  }
}

/** How one page is damaged: `torn` as SQLite notices when it reads it, `silent` so that only a text is another. */
export type PageDamage =
  | { readonly kind: "torn" }
  | { readonly kind: "silent"; readonly from: string; readonly to: string };

/** Damages the page of a table that holds `text`, in a member's live file. Nobody else may be writing. */
export async function damagePage(
  member: Member,
  { table, text, damage }: {
    readonly table: string;
    readonly text: string;
    readonly damage: PageDamage;
  },
): Promise<void> {
  using pages = await leafPages(member, table);
  const { file } = pages;
  for (const { offset, sizeBytes } of pages.places) {
    const bytes = new Uint8Array(sizeBytes);
    file.seekSync(offset, Deno.SeekMode.Start);
    file.readSync(bytes);
    // One character a byte, so that places are the same.
    const content = String.fromCharCode(...bytes);
    if (!content.includes(text)) continue;
    const { from, to } = damage.kind === "silent" ? damage : { from: text, to: "" };
    const at = content.indexOf(from, content.indexOf(text));
    if (damage.kind === "torn") bytes.fill(0xff);
    else for (let place = 0; place < to.length; place++) bytes[at + place] = to.charCodeAt(place);
    file.seekSync(offset, Deno.SeekMode.Start);
    file.writeSync(bytes);
    return;
  }
  throw new Error(`damagePage: no page of ${table} holds ${text}`);
}

interface LeafPages extends Disposable {
  readonly file: Deno.FsFile;
  readonly places: readonly { readonly offset: number; readonly sizeBytes: number }[];
}

/** The pages with a table's rows, none of which is in the -wal any more. */
async function leafPages(member: Member, table: string): Promise<LeafPages> {
  const path = await liveFile(member);
  const connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  connection.exec("PRAGMA busy_timeout = 5000; PRAGMA wal_checkpoint(TRUNCATE)");
  const leaves = "SELECT pageno, pgsize FROM dbstat WHERE name = ? AND pagetype = 'leaf'";
  const places = connection.query(leaves, table).map(([number, size]) => {
    return { offset: (Number(number) - 1) * Number(size), sizeBytes: Number(size) };
  });
  if (places.length === 0) throw new Error(`leafPages: ${table} has no pages`);
  const file = await Deno.open(path, { read: true, write: true });
  const dispose = (): void => {
    file.close();
    connection[Symbol.dispose]();
  };
  return { file, places, [Symbol.dispose]: dispose };
}

/** What a member says of itself beside the others. */
export async function replicaFacts(member: Member): Promise<Readonly<Record<string, unknown>>> {
  return JSON.parse(await get(member, "/status?key=cluster.replicas"));
}

/** Hands over to `heir`: a new leader compares at once. */
export async function handOverTo({ node }: Member, heir: Member): Promise<void> {
  const response = await fetch(`${node.url}/leader?wait`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id: heir.name }),
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`handOverTo: ${response.status}`);
}

/**
 * Waits until a member's state was renewed, looking at what its own data answers to `sql` all the while.
 * `logged`: how much of what it has written to its log is older.
 */
export async function untilRenewed(
  member: Member,
  sql: string,
  logged = 0,
): Promise<Renewal> {
  const startedMs = performance.now();
  const answers = new Set<string>();
  let foundMs: number | undefined;
  for (;;) {
    const ms = Math.round(performance.now() - startedMs);
    const isQuarantined = (await replicaFacts(member)).state === "quarantined";
    if (isQuarantined) foundMs ??= ms;
    const answer = await values(member, sql, "none");
    if (isQuarantined) answers.add(answer);
    if (!isQuarantined && member.node.log().includes(RENEWED, logged)) {
      return { foundMs, healedMs: ms, answers };
    }
    if (ms > HEALED_MS_MAX) {
      throw new Error(`not renewed: ${JSON.stringify(await replicaFacts(member))}`);
    }
    await sleep(LOOK_MS);
  }
}

/** How a member's process ended, which it does by itself. @throws {Error} when it does not in time. */
export async function endOf({ node }: Member): Promise<Deno.CommandStatus> {
  const startedMs = performance.now();
  for (;;) {
    const status = node.ended();
    if (status !== undefined) return status;
    if (performance.now() - startedMs > HEALED_MS_MAX) throw new Error(`not ended: ${node.log()}`);
    await sleep(LOOK_MS);
  }
}

/** Writes that go on through a member until the function is called that comes back. @returns how many it acknowledged. */
export function writeOn(member: Member): () => Promise<number> {
  let isOver = false;
  const written = (async () => {
    let count = 0;
    while (!isOver) {
      if ((await execute(member, ["INSERT INTO w DEFAULT VALUES"])).includes('"rows_affected":1')) {
        count += 1;
      }
    }
    return count;
  })();
  return () => {
    isOver = true;
    return written;
  };
}

/** The content of a table as every member's own data has it. */
export async function everywhere(cluster: TestCluster, sql: string): Promise<ReadonlySet<string>> {
  const answers = cluster.members.map((member) => values(member, sql, "none"));
  return new Set(await Promise.all(answers));
}
