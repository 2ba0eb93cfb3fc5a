/**
 * Results larger than memory should hold, and clients who do not take them: measured on a node that is
 * running already, at any size (the regular test takes a small one, main.ts the full one).
 */
import { execute } from "./client.ts";
import { sleep } from "../process.ts";
import { MIB, readFigures, resetPeak } from "./process_figures.ts";
import { RawClient } from "./raw_client.ts";
import type { TestNode } from "../process.ts";

/** What a streamed result took. */
export interface StreamFigures {
  readonly rows: number;
  readonly sizeBytes: number;
  readonly elapsedMs: number;
  /** Resident memory at its peak, beyond what it was before the query. */
  readonly grownBytes: number;
}

const OPEN_BRACKET = 0x5b;
/** What a client may still find that was cut off: pieces and buffers that were on their way. */
export const LEFTOVER_BYTES_MAX = 16 * MIB;

/** Of the envelope: results, columns, types, values. */
const ENVELOPE_BRACKETS = 4;

/** A result of so many rows, of some 30 bytes each. */
export function rowsSql(rows: number): string {
  return "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT " + rows +
    ") SELECT x, 'row number ' || x FROM c";
}

/**
 * Reads the whole result and counts its rows.
 * @throws {Error} when a row is missing or the answer breaks off.
 */
export async function streamRows(node: TestNode, rows: number): Promise<StreamFigures> {
  resetPeak(node.pid);
  const before = readFigures(node.pid).residentBytes;
  const startedMs = performance.now();
  const response = await fetch(`${node.url}/db/query?q=${encodeURIComponent(rowsSql(rows))}`);
  let brackets = 0;
  let sizeBytes = 0;
  let tail = "";
  for await (const piece of response.body ?? []) {
    for (const byte of piece) if (byte === OPEN_BRACKET) brackets++;
    sizeBytes += piece.length;
    tail = (tail + new TextDecoder().decode(piece.subarray(-64))).slice(-64);
  }
  const elapsedMs = performance.now() - startedMs;
  const counted = brackets - ENVELOPE_BRACKETS;
  if (counted !== rows || !tail.endsWith(`[${rows},"row number ${rows}"]]}]}`)) {
    throw new Error(`Result broke off: ${counted} of ${rows} rows, at the end ${tail}`);
  }
  const grownBytes = readFigures(node.pid).peakBytes - before;
  return { rows, sizeBytes, elapsedMs, grownBytes };
}

/** What a client did to a node that asked for a large result, took a little, and stopped reading. */
export interface StallFigures {
  /** Resident memory at its peak, beyond what it was before the query. */
  readonly grownBytes: number;
  /** Size of the `-wal` at its largest while others went on writing. */
  readonly walBytesMax: number;
  /** Size of the `-wal` at the end. */
  readonly walBytesLeft: number;
  /** What the client still finds when it reads on: less than all, when it was cut off. */
  readonly leftover: { readonly sizeBytes: number; readonly tail: string };
}

/**
 * Asks for an endless result of a table, takes 64 KiB, and stops reading for `stallMs`, in which others
 * write `writeBytes`, a MiB at a time. The runtime has no way to close a connection whose client takes
 * nothing, so what tells is that the answer does not go on when the client reads again.
 */
export async function stopReading(
  node: TestNode,
  options: { readonly writeBytes: number; readonly stallMs: number },
): Promise<StallFigures> {
  await execute(node.url, ["CREATE TABLE IF NOT EXISTS filler(x)", "INSERT INTO filler VALUES(0)"]);
  resetPeak(node.pid);
  const before = readFigures(node.pid).residentBytes;
  using client = await RawClient.open(node.httpAddress);
  const sql = encodeURIComponent(`SELECT c.* FROM filler, (${rowsSql(1e12)}) AS c`);
  await client.send(`GET /db/query?q=${sql} HTTP/1.1\r\nHost: ${node.httpAddress}\r\n\r\n`);
  await client.read(65_536);
  const stoppedMs = performance.now();
  let walBytesMax = 0;
  for (let written = 0; written < options.writeBytes; written += MIB) {
    await execute(node.url, ["UPDATE filler SET x = randomblob(1048576)"]);
    walBytesMax = Math.max(walBytesMax, walBytes(node));
  }
  const walBytesLeft = walBytes(node);
  await sleep(Math.max(0, stoppedMs + options.stallMs - performance.now()));
  const grownBytes = readFigures(node.pid).peakBytes - before;
  const leftover = await client.drain({ sizeBytesMax: LEFTOVER_BYTES_MAX });
  return { grownBytes, walBytesMax, walBytesLeft, leftover };
}

/** Size of the live file's `-wal`, which is only looked at, never opened. */
export function walBytes(node: TestNode): number {
  const name = node.dataDirectory.slice(node.dataDirectory.lastIndexOf("/"));
  return Math.max(largestWal(node.dataDirectory), largestWal(`/dev/shm${name}`));
}

function largestWal(folder: string): number {
  let largest = 0;
  try {
    for (const { name, isDirectory } of Deno.readDirSync(folder)) {
      const path = `${folder}/${name}`;
      if (isDirectory) largest = Math.max(largest, largestWal(path));
      else if (name.endsWith("-wal")) largest = Math.max(largest, Deno.statSync(path).size);
    }
  } catch (error) {
    // A folder or file that went away meanwhile has no size.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return largest;
}
