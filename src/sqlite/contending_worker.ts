/**
 * A Worker of contention_test.ts: writes rows, one transaction each, into a WAL file that others write
 * to and read from as well, and tries again whatever was BUSY or interrupted.
 */
/// <reference lib="deno.worker" />
import { Connection } from "./connection.ts";
import { SqliteError } from "./errors.ts";
import { type LibraryLocation, openLibrary } from "./loader.ts";

/** What the Worker is to do. */
export interface ContendingTask {
  readonly location: LibraryLocation;
  readonly path: string;
  readonly writer: number;
  readonly rowCount: number;
}

/** What it posts: where it can be interrupted, that it wrote all, that nobody will interrupt it now. */
export type FromContending =
  | { readonly kind: "opened"; readonly address: bigint }
  | { readonly kind: "wrote"; readonly retries: number };

let db: Connection | undefined;

function write({ location, path, writer, rowCount }: ContendingTask): number {
  const connection = Connection.open(openLibrary(location), { path, mode: "readwrite" });
  db = connection;
  connection.setBusyTimeoutMs(1000);
  using insert = connection.prepare("INSERT INTO t VALUES (?1, ?2)");
  using scan = connection.prepare("SELECT sum(length(hex(zeroblob(200)))) FROM t");
  // Only now: an interrupt also ends what is being prepared.
  self.postMessage({ kind: "opened", address: connection.address });
  let retries = 0;
  for (let row = 0; row < rowCount;) {
    try {
      insert.bindAll([writer, row]);
      insert.run();
      row++;
      scan.run();
    } catch (error) {
      if (
        !(error instanceof SqliteError) || (error.class !== "busy" && error.class !== "interrupted")
      ) {
        throw error;
      }
      retries++;
    }
  }
  return retries;
}

self.onmessage = ({ data }: MessageEvent<ContendingTask | "close">): void => {
  if (data === "close") {
    db?.close();
    self.close();
  } else {
    self.postMessage({ kind: "wrote", retries: write(data) });
  }
};
