/**
 * A large database on disk: what a snapshot, a restart and a new member take. One node holds it; the second
 * one, which joins, gets the state by a snapshot or by the log, as the defaults have it.
 */
import { execute, get, type TestCluster, values } from "../cluster.ts";
import { residentMb } from "./process_memory.ts";

const ROW_BYTES = 4_000;
const ROWS_PER_WRITE = 5_000;

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
  const insert = "INSERT INTO load(b) WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM " +
    `c WHERE x<${ROWS_PER_WRITE}) SELECT randomblob(${ROW_BYTES}) FROM c`;
  const writes = Math.ceil(Number(megabytes) * 1e6 / ROW_BYTES / ROWS_PER_WRITE);
  await time("fillMs", async () => {
    for (let write = 0; write < writes; write++) {
      const text = await execute(first, [insert]);
      if (!text.includes("rows_affected")) throw new Error(text);
    }
  });
  figures["snapshotStatus"] = [];
  const snapshot = async (): Promise<void> => {
    const response = await fetch(`${first.node.url}/snapshot`, { method: "POST" });
    await response.body?.cancel();
    if (response.status !== 200) throw new Error(`snapshot: ${response.status}`);
  };
  await time("snapshotMs", snapshot);
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
