/**
 * The log under a real `kill -9`: a process of its own appends, syncs and says how far it got; what it
 * said must be there afterwards. The page cache survives here; power cuts are log_crash_test.ts's.
 * Run with the argument `writer DIRECTORY` this file is that process.
 */
import { ok, strictEqual } from "node:assert/strict";
import { logIndex, nodeId, term } from "../../src/base/ids.ts";
import { SegmentedLog } from "../../src/log/segmented_log.ts";
import type { LogEntry } from "../../src/node/ports.ts";
import { DenoFileSystem } from "../../src/os/deno_file_system.ts";
import { IDENTITY } from "./log_model.ts";

const SEGMENT_SIZE_BYTES = 256 * 1024;
const ROUNDS = 5;

function optionsOf(directory: string): {
  fileSystem: DenoFileSystem;
  directory: string;
  segmentSizeBytes: number;
} {
  return { fileSystem: new DenoFileSystem(), directory, segmentSizeBytes: SEGMENT_SIZE_BYTES };
}

function entry(index: number): LogEntry {
  const payload = new TextEncoder().encode(`entry ${index} `.repeat(1 + index % 50));
  return { index: logIndex(index), term: term(1), kind: "normal", payload };
}

/** Appends until it is killed; one line with the last index after each sync. */
async function write(directory: string): Promise<void> {
  const options = optionsOf(directory);
  const exists = await options.fileSystem.exists(directory) && await SegmentedLog.exists(options);
  const log = exists
    ? await SegmentedLog.open(options)
    : await SegmentedLog.create({ ...options, identity: IDENTITY });
  for (;;) {
    const first = log.lastIndex + 1;
    const entries = Array.from({ length: 1 + first % 20 }, (_, at) => entry(first + at));
    log.append({
      entries,
      hardState: { term: term(1), vote: nodeId(1), commit: logIndex(first - 1) },
    });
    await log.sync();
    Deno.stdout.writeSync(new TextEncoder().encode(`${log.lastIndex}\n`));
  }
}

/** Lets a writer run until it has said `lineCount` lines, kills it, and returns the last index it said. */
async function killAfter(directory: string, lineCount: number): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", import.meta.filename ?? "", "writer", directory],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let text = "";
  let isKilled = false;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (isKilled || text.split("\n").length <= lineCount) continue;
    child.kill("SIGKILL");
    isKilled = true;
  }
  await child.status;
  return Number(text.slice(0, text.lastIndexOf("\n")).split("\n").at(-1));
}

Deno.test("SegmentedLog has everything that was synced before kill -9, time after time", async () => {
  const parent = await Deno.makeTempDir({ prefix: "dust-log-" });
  const directory = `${parent}/log`;
  let acknowledged = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const said = await killAfter(directory, 40 * round);
    ok(said > acknowledged, `round ${round}: ${said}`);
    acknowledged = said;
    const log = await SegmentedLog.open(optionsOf(directory));
    ok(log.lastIndex >= acknowledged, `${log.lastIndex} of ${acknowledged}`);
    const to = logIndex(log.lastIndex + 1);
    const entries = await log.read({ from: logIndex(1), to, sizeBytesMax: 1e9 });
    strictEqual(entries.length, log.lastIndex);
    for (const { index, payload } of entries) {
      strictEqual(
        new TextDecoder().decode(payload),
        new TextDecoder().decode(entry(index).payload),
      );
    }
    await log.close();
  }
  await Deno.remove(parent, { recursive: true });
});

if (import.meta.main && Deno.args[0] === "writer") await write(Deno.args[1] ?? "");
