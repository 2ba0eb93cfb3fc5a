/**
 * A Worker of interrupt_test.ts: opens the library at the location that it is sent, runs a statement
 * without end, and says how it ended and whether the next one works.
 */
/// <reference lib="deno.worker" />
import { Connection } from "./connection.ts";
import { type LibraryLocation, openLibrary } from "./loader.ts";

/** What the Worker posts, in this order; `refused` in place of all others. */
export type FromInterruptible =
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "running"; readonly address: bigint }
  | { readonly kind: "ended"; readonly extendedCode: number }
  | { readonly kind: "went on"; readonly result: unknown };

let db: Connection | undefined;

function post(message: FromInterruptible): void {
  self.postMessage(message);
}

function run(location: LibraryLocation): void {
  db = Connection.open(openLibrary(location), { path: ":memory:", mode: "create" });
  using endless = db.prepare(
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c",
  );
  post({ kind: "running", address: db.address });
  const extendedCode = endless.stepCode();
  endless.reset();
  post({ kind: "ended", extendedCode });
}

/** The main thread has dropped the address: the connection may be used as usual, and closed (rule Q12). */
function goOn(): void {
  post({ kind: "went on", result: db?.query("SELECT 1 + 1") });
  db?.close();
}

self.onmessage = ({ data }: MessageEvent<LibraryLocation | "go on">): void => {
  if (data === "go on") return goOn();
  try {
    run(data);
  } catch (error) {
    post({ kind: "refused", message: error instanceof Error ? error.message : String(error) });
  }
};
