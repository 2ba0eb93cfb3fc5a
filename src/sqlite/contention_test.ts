/** One connection per thread (THREADSAFE=2), all on one WAL file, interrupted from the main thread. */
import { deepStrictEqual, ok } from "node:assert/strict";
import { Connection, interruptConnection } from "./connection.ts";
import type { ContendingTask, FromContending } from "./contending_worker.ts";
import { TemporaryFolder, testLibrary, testLibraryLocation } from "./testing.ts";

const WRITER_COUNT = 3;
const ROW_COUNT = 150;

Deno.test("Threads with a connection each write one WAL file, interrupted, and lose nothing", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("db");
  using db = Connection.open(testLibrary(), { path, mode: "create" });
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t(writer, row)");
  const addresses: bigint[] = [];
  const workers: Worker[] = [];
  const runs = Array.from({ length: WRITER_COUNT }, (_, writer) => {
    const worker = new Worker(new URL("./contending_worker.ts", import.meta.url), {
      type: "module",
    });
    workers.push(worker);
    const task: ContendingTask = {
      location: testLibraryLocation(),
      path,
      writer,
      rowCount: ROW_COUNT,
    };
    worker.postMessage(task);
    return new Promise<number>((resolve, reject) => {
      worker.onerror = (event) => reject(new Error(event.message));
      worker.onmessage = ({ data }: MessageEvent<FromContending>) => {
        if (data.kind === "opened") addresses.push(data.address);
        else resolve(data.retries);
      };
    });
  });
  const timer = setInterval(() => {
    for (const address of addresses) interruptConnection(testLibrary(), address);
  }, 1);
  try {
    const retries = await Promise.all(runs);
    ok(retries.reduce((sum, count) => sum + count, 0) > 0, "some interrupt met a statement");
  } finally {
    clearInterval(timer);
    // The addresses are dropped: the Workers may close (rule Q12).
    for (const worker of workers) worker.postMessage("close");
  }
  const counts = db.query("SELECT count(DISTINCT row) FROM t GROUP BY writer ORDER BY writer");
  deepStrictEqual(counts, Array(WRITER_COUNT).fill([ROW_COUNT]));
  deepStrictEqual(db.query("PRAGMA integrity_check"), [["ok"]]);
});
