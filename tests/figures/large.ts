/**
 * A large database on disk: what a snapshot, a restart and a new member take. One node holds it; the second
 * one, which joins, gets the state by a snapshot or by the log, as the defaults have it.
 */
import { execute, get, type Member, type TestCluster, values } from "../cluster.ts";
import { folderMb, residentMb } from "./process_memory.ts";

const ROW_BYTES = 4_000;
const ROWS_PER_WRITE = 250;
const FILLERS = 4;

/** `words`: megabytes. */
export async function large(
  cluster: TestCluster,
  [megabytes = "2000"]: readonly string[],
): Promise<object> {
  const [first] = cluster.members;
  if (first === undefined) throw new Error("large: no member");
  const figures: Record<string, unknown> = {};
  const time = async (name: string, work: () => Promise<unknown>): Promise<number> => {
    const startedMs = performance.now();
    await work();
    const tookMs = Math.round(performance.now() - startedMs);
    figures[name] = tookMs;
    return tookMs;
  };
  await time("fillMs", () => fill(first, Number(megabytes)));
  const snapshot = async (): Promise<void> => {
    const response = await fetch(`${first.node.url}/snapshot`, { method: "POST" });
    await response.body?.cancel();
    if (response.status !== 200) throw new Error(`snapshot: ${response.status}`);
  };
  await time("snapshotMs", snapshot);
  figures["logMbAfterSnapshot"] = folderMb(`${first.dataDirectory}/log`);
  await execute(first, [["INSERT INTO load(a) VALUES(?)", 1]]);
  await time("snapshotAfterOneWriteMs", snapshot);
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    await first.node.stop(signal);
    await time(`restartAfter${signal}Ms`, () => cluster.restart(first));
  }
  const rows = await values(first, "SELECT count(*) FROM load");
  figures["databaseMb"] = Math.round(
    Number(
      /\[\[(\d+)\]\]/.exec(
        await values(
          first,
          "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
        ),
      )?.[1],
    ) / 1e6,
  );
  figures["leaderMbBeforeJoin"] = residentMb(first.node.pid);
  const joinMs = await time("joinMs", async () => {
    const joiner = await cluster.add("n2");
    const joined = await values(joiner, "SELECT count(*) FROM load", "none");
    if (joined !== rows) throw new Error(`The new member has ${joined} rows, not ${rows}`);
  });
  figures["joinMbPerSecond"] = Math.round(Number(megabytes) / joinMs * 1000);
  figures["leaderMbAfterJoin"] = residentMb(first.node.pid);
  figures["firstLogIndex"] = await get(first, "/status?key=store.raft.first_log_index");
  return figures;
}

/** Fills the table `load`. Rows that come from outside: their bytes go through the log, too. */
export async function fill(member: Member, megabytes: number): Promise<void> {
  let left = Math.ceil(megabytes * 1e6 / ROW_BYTES / ROWS_PER_WRITE);
  const sql = `INSERT INTO load(b) VALUES${Array(ROWS_PER_WRITE).fill("(?)").join()}`;
  const write = async (): Promise<void> => {
    while (left-- > 0) {
      const random = crypto.getRandomValues(new Uint8Array(ROW_BYTES / 2)).toHex();
      const texts = Array.from({ length: ROWS_PER_WRITE }, (_, row) => `${row}${random}`);
      const text = await execute(member, [[sql, ...texts]]);
      if (!text.includes("rows_affected")) throw new Error(text);
    }
  };
  await Promise.all(Array.from({ length: FILLERS }, write));
}
