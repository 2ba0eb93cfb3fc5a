/**
 * Memory of nodes whose data directory was deleted, across processes: another node's start gives it
 * back, but not while a node still runs on it.
 */
import { ok, strictEqual } from "node:assert/strict";
import { startNode, type TestNode } from "./process.ts";

const MEMORY_FOLDER = "/dev/shm";

async function query(node: TestNode, sql: string): Promise<string> {
  const response = await fetch(`${node.url}/db/request`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify([sql]),
  });
  return await response.text();
}

function folderCount(path: string): number {
  return [...Deno.readDirSync(path)].length;
}

Deno.test({
  name: "a start gives back the memory of a deleted data directory once no node runs on it",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const ramDirectory = await Deno.makeTempDir({ dir: MEMORY_FOLDER, prefix: "dust-test-" });
    const dataDirectory = await Deno.makeTempDir({ prefix: "dust-test-" });
    const flags = ["--ram-dir", ramDirectory];
    try {
      await using first = await startNode({ flags, dataDirectory });
      ok((await query(first, "CREATE TABLE t(x)")).includes("{}"));
      await Deno.remove(dataDirectory, { recursive: true });
      {
        await using _second = await startNode({ flags });
        strictEqual(folderCount(ramDirectory), 2);
      }
      // A new reader opens the file by its name: it is still there.
      ok((await query(first, "SELECT COUNT(*) FROM t")).includes("[[0]]"));
      await first.stop("SIGKILL");
      await using _third = await startNode({ flags });
      strictEqual(folderCount(ramDirectory), 1);
    } finally {
      await Deno.remove(ramDirectory, { recursive: true });
    }
  },
});
