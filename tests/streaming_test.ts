/**
 * Large results leave as a stream: memory stays flat, also when the client takes nothing more, and
 * then neither the answer nor what it pins stays for long (faults L5, L7). Small sizes; the full ones
 * are `deno run -A tests/limits/main.ts`.
 */
import { ok, strictEqual } from "node:assert/strict";
import { LEFTOVER_BYTES_MAX, rowsSql, stopReading, streamRows } from "./limits/big_result.ts";
import { execute, query } from "./limits/client.ts";
import { isEstablished, MIB, waitUntil } from "./limits/process_figures.ts";
import { RawClient } from "./limits/raw_client.ts";
import { startNode } from "./process.ts";

/** Of the live file's `-wal` with a reader in the way: the gate closes at 64 MiB, and waits a while. */
const WAL_BYTES_MAX = 256 * MIB;

Deno.test("a result of a million rows streams in less than 64 MiB of further memory", async () => {
  await using node = await startNode();
  await streamRows(node, 1000);
  const { sizeBytes, grownBytes } = await streamRows(node, 1_000_000);
  ok(sizeBytes > 25 * MIB, `only ${sizeBytes} bytes`);
  ok(grownBytes < 64 * MIB, `grown by ${grownBytes} bytes`);
});

for (const flags of [[], ["--on-disk"]]) {
  const mode = flags.length === 0 ? "in memory" : "on disk";
  Deno.test(`a client that stops reading is cut off before the WAL grows far, ${mode}`, async () => {
    await using node = await startNode({ flags });
    const figures = await stopReading(node, { writeBytes: 200 * MIB, stallMs: 0 });
    ok(figures.walBytesMax < WAL_BYTES_MAX, `the WAL grew to ${figures.walBytesMax} bytes`);
    ok(figures.walBytesLeft < 64 * MIB, `the WAL stayed at ${figures.walBytesLeft} bytes`);
    ok(figures.grownBytes < 128 * MIB, `memory grew by ${figures.grownBytes} bytes`);
    const { sizeBytes, tail } = figures.leftover;
    ok(sizeBytes < LEFTOVER_BYTES_MAX, `the answer went on for ${sizeBytes} bytes`);
    ok(!tail.endsWith("\r\n0\r\n\r\n"), `half an answer ends like a whole: ${tail}`);
    ok((await query(node.url, ["SELECT length(x) FROM filler"])).includes("[[1048576]]"));
  });
}

Deno.test("a query that is cut by its time limit in mid-stream says so where its rows end", async () => {
  await using node = await startNode();
  const sql = encodeURIComponent(rowsSql(1e12));
  const response = await fetch(`${node.url}/db/query?db_timeout=300ms&q=${sql}`);
  const text = await response.text();
  strictEqual(text.slice(-64).replace(/^.*?\]\]/, "]]"), ']],"error":"query timeout"}]}');
});

Deno.test("a client that leaves in mid-stream frees its reader", async () => {
  await using node = await startNode({ flags: ["--readers", "1"] });
  await execute(node.url, ["CREATE TABLE t(x)"]);
  for (let count = 0; count < 10; count++) {
    using client = await RawClient.open(node.httpAddress);
    const sql = encodeURIComponent(rowsSql(1e12));
    await client.send(`GET /db/query?q=${sql} HTTP/1.1\r\nHost: ${node.httpAddress}\r\n\r\n`);
    await client.read(100_000);
    client.close();
    await waitUntil(() => !isEstablished(node.pid, client.ports), {
      what: "the connection is closed",
      withinMs: 2000,
    });
  }
  ok((await query(node.url, ["SELECT count(*) FROM t"])).includes("[[0]]"));
});
