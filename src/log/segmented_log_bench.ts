/**
 * What the log costs: `deno run -A src/log/segmented_log_bench.ts [entries]`. Prints the processor time
 * of appending 64 entries of 150 bytes, durable appends one after the other, recovery, reading back.
 */
import { logIndex, nodeId, term } from "../base/ids.ts";
import type { LogEntry } from "../node/ports.ts";
import { DenoFileSystem } from "../os/deno_file_system.ts";
import { SegmentedLog } from "./segmented_log.ts";

const BATCH_ENTRIES = 64;
const PAYLOAD_BYTES = 150;
const DURABLE_ROUNDS = 500;

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
}

function batch(from: number, payload: Uint8Array): readonly LogEntry[] {
  return Array.from({ length: BATCH_ENTRIES }, (_, i) => {
    return { index: logIndex(from + i), term: term(1), kind: "normal" as const, payload };
  });
}

async function main(entryCount: number): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "dust-log-bench-" });
  const fileSystem = new DenoFileSystem();
  const identity = { clusterId: new Uint8Array(16), nodeId: 1, incarnation: new Uint8Array(16) };
  const options = { fileSystem, directory: `${directory}/log` };
  const payload = crypto.getRandomValues(new Uint8Array(PAYLOAD_BYTES));
  const vote = nodeId(1);
  const started = performance.now();
  let log = await SegmentedLog.create({ ...options, identity });
  print(`create: ${(performance.now() - started).toFixed(1)} ms`);

  const appends: number[] = [];
  let syncMs = 0;
  for (let index = 1; index <= entryCount; index += BATCH_ENTRIES) {
    const entries = batch(index, payload);
    const hardState = { term: term(1), vote, commit: logIndex(index - 1) };
    const before = performance.now();
    log.append({ entries, hardState });
    const written = performance.now();
    appends.push(written - before);
    // Many appends for each sync here: the sync's own cost is the disk's.
    if (appends.length % 16 === 0) await log.sync();
    syncMs += performance.now() - written;
  }
  await log.sync();
  appends.sort((left, right) => left - right);
  const microseconds = (share: number): string =>
    ((appends[Math.floor(appends.length * share)] ?? 0) * 1000).toFixed(1);
  print(
    `append of ${BATCH_ENTRIES} x ${PAYLOAD_BYTES} bytes: p50 ${microseconds(0.5)} us, ` +
      `p99 ${microseconds(0.99)} us, max ${microseconds(0.99999)} us; syncs ${
        syncMs.toFixed(0)
      } ms`,
  );
  let last = log.lastIndex;
  await log.close();

  const opening = performance.now();
  log = await SegmentedLog.open(options);
  print(`open with ${log.lastIndex} entries: ${(performance.now() - opening).toFixed(0)} ms`);

  const reading = performance.now();
  let count = 0;
  for (let from = 1; from <= last;) {
    const read = await log.read({
      from: logIndex(from),
      to: logIndex(last + 1),
      sizeBytesMax: 4 * 1024 * 1024,
    });
    count += read.length;
    from += read.length;
  }
  print(`read ${count} entries: ${(performance.now() - reading).toFixed(0)} ms`);

  const durable = performance.now();
  for (let round = 0; round < DURABLE_ROUNDS; round++) {
    const hardState = { term: term(1), vote, commit: last };
    log.append({ entries: batch(last + 1, payload), hardState });
    await log.sync();
    last = log.lastIndex;
  }
  const each = (performance.now() - durable) / DURABLE_ROUNDS;
  print(`append and sync of ${BATCH_ENTRIES} entries: ${(each * 1000).toFixed(0)} us`);
  await log.close();
  await Deno.remove(directory, { recursive: true });
}

if (import.meta.main) await main(Number(Deno.args[0] ?? 1_000_000));
