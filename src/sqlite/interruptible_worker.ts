/**
 * A Worker of interrupt_test.ts: opens the library at the location that it is sent, runs a statement
 * without end, and says how it ended and whether the next one works.
 */
/// <reference lib="deno.worker" />
import { Connection } from "./connection.ts";
import { type LibraryLocation, openLibrary } from "./loader.ts";

/** What the Worker posts. */
export type FromInterruptible =
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "running"; readonly address: bigint }
  | { readonly kind: "ended"; readonly extendedCode: number; readonly next: unknown };

function post(message: FromInterruptible): void {
  self.postMessage(message);
}

function run(location: LibraryLocation): void {
  using db = Connection.open(openLibrary(location), { path: ":memory:", mode: "create" });
  using endless = db.prepare(
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c",
  );
  post({ kind: "running", address: db.address });
  const extendedCode = endless.stepCode();
  endless.reset();
  post({ kind: "ended", extendedCode, next: db.query("SELECT 1 + 1")[0]?.[0] });
}

self.onmessage = ({ data }: MessageEvent<LibraryLocation>): void => {
  try {
    run(data);
  } catch (error) {
    post({ kind: "refused", message: error instanceof Error ? error.message : String(error) });
  }
};
