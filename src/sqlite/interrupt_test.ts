import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { interruptConnection } from "./connection.ts";
import { CallbackError, SqliteError } from "./errors.ts";
import type { FromInterruptible } from "./interruptible_worker.ts";
import { removeProgressHandler, setProgressHandler } from "./progress_handler.ts";
import { openMemory, testLibrary, testLibraryLocation } from "./testing.ts";

const ENDLESS =
  "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c";

function isInterrupt(error: SqliteError): boolean {
  deepStrictEqual([error.extendedCode, error.class], [9, "interrupted"]);
  return true;
}

function nextMessage(worker: Worker): Promise<FromInterruptible> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<FromInterruptible>) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
  });
}

Deno.test("interruptConnection() ends a statement that runs in a Worker, which then goes on", async () => {
  const library = testLibrary();
  const worker = new Worker(new URL("./interruptible_worker.ts", import.meta.url), {
    type: "module",
  });
  try {
    worker.postMessage(testLibraryLocation());
    const started = await nextMessage(worker);
    ok(started.kind === "running");
    const ended = nextMessage(worker);
    // The Worker posted right before it steps: an interrupt that came before would have no effect.
    const timer = setInterval(() => interruptConnection(library, started.address), 20);
    const outcome = await ended;
    clearInterval(timer);
    deepStrictEqual(outcome, { kind: "ended", extendedCode: 9 });
    const wentOn = nextMessage(worker);
    worker.postMessage("go on");
    deepStrictEqual(await wentOn, { kind: "went on", result: [[2]] });
  } finally {
    worker.terminate();
  }
});

Deno.test("A second copy of the library is refused in a Worker (rule Q10)", async () => {
  const copy = Deno.makeTempFileSync({ suffix: ".so" });
  Deno.copyFileSync(testLibrary().path, copy);
  const worker = new Worker(new URL("./interruptible_worker.ts", import.meta.url), {
    type: "module",
  });
  try {
    worker.postMessage({ ...testLibraryLocation(), path: copy });
    const answer = await nextMessage(worker);
    ok(answer.kind === "refused" && answer.message.includes("second copy"));
  } finally {
    worker.terminate();
    Deno.removeSync(copy);
  }
});

Deno.test("setProgressHandler() can end a statement, and removeProgressHandler() lets it run", () => {
  using db = openMemory();
  let calls = 0;
  setProgressHandler(db, 1000, () => ++calls < 5);
  throws(() => db.query(ENDLESS), isInterrupt);
  strictEqual(calls, 5);
  removeProgressHandler(db);
  db.query(ENDLESS.replace("FROM c)", "FROM c LIMIT 10000)"));
  strictEqual(calls, 5);
});

Deno.test("interrupt() from within the progress handler ends the statement and nothing after it", () => {
  using db = openMemory();
  setProgressHandler(db, 1000, () => {
    db.interrupt();
    return true;
  });
  throws(() => db.query(ENDLESS), isInterrupt);
  removeProgressHandler(db);
  deepStrictEqual(db.query("SELECT 1"), [[1]]);
});

Deno.test("An exception in the progress handler is not mistaken for an interrupt (rule Q8)", () => {
  using db = openMemory();
  setProgressHandler(db, 1000, () => {
    throw new TypeError("bug");
  });
  throws(() => db.query(ENDLESS), CallbackError);
});
