/**
 * Entries that are written in pieces: on the disk they are what one write would have left, and a full
 * disk or a crash in their midst leaves nothing of them.
 */
import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { LARGE_PIECE_BYTES } from "../base/limits.ts";
import { logIndex, nodeId, term } from "../base/ids.ts";
import type { HardState, LogEntry } from "../node/ports.ts";
import { SimFileSystem } from "../../tests/sim/sim_file_system.ts";
import { SegmentedLog } from "./segmented_log.ts";

const DIRECTORY = "/log";
const IDENTITY = {
  clusterId: new Uint8Array(16).fill(1),
  nodeId: 1,
  incarnation: new Uint8Array(16).fill(2),
};
const SEGMENT_SIZE_BYTES = 8192;
const LARGE_BYTES = 2 * LARGE_PIECE_BYTES + 12_345;

/** Random to the eye, and the same each time. */
const NOISE = Uint8Array.from({ length: LARGE_BYTES }, (_, at) => Math.imul(at, 0x9e3779b1) >>> 24);
const ZEROS = new Uint8Array(LARGE_BYTES);
/** Blank in one sector in the midst of the second piece. */
const HOLED = NOISE.slice().fill(0, LARGE_PIECE_BYTES + 5000, LARGE_PIECE_BYTES + 8000);

function state(values: { readonly commit?: number; readonly term?: number } = {}): HardState {
  return { term: term(values.term ?? 1), vote: nodeId(0), commit: logIndex(values.commit ?? 0) };
}

function entry(index: number, payload = new Uint8Array(100).fill(index), inTerm = 1): LogEntry {
  return { index: logIndex(index), term: term(inTerm), kind: "normal", payload };
}

interface Fixture {
  readonly fileSystem: SimFileSystem;
  readonly log: SegmentedLog;
  readonly pauses: () => number;
  reopened(): Promise<SegmentedLog>;
}

async function newLog(): Promise<Fixture> {
  const fileSystem = new SimFileSystem();
  let pauses = 0;
  const pause = (): Promise<void> => {
    pauses += 1;
    return Promise.resolve();
  };
  const options = { fileSystem, directory: DIRECTORY, segmentSizeBytes: SEGMENT_SIZE_BYTES, pause };
  const log = await SegmentedLog.create({ ...options, identity: IDENTITY });
  return {
    fileSystem,
    log,
    pauses: () => pauses,
    reopened: async () => {
      await log.close();
      return await SegmentedLog.open(options);
    },
  };
}

async function assertHolds(log: SegmentedLog, entries: readonly LogEntry[]): Promise<void> {
  const to = logIndex(log.lastIndex + 1);
  const found = await log.read({ from: log.firstIndex, to, sizeBytesMax: Infinity });
  deepStrictEqual(
    found.map(({ index, term }) => [index, term]),
    entries.map(({ index, term }) => [
      index,
      term,
    ]),
  );
  for (const [at, { payload }] of found.entries()) {
    const wanted = entries[at]?.payload ?? NOISE;
    ok(payload.length === wanted.length && payload.every((byte, place) => byte === wanted[place]));
  }
}

Deno.test("appendLarge() leaves what append() leaves, with others having their turn", async () => {
  for (const large of [NOISE, ZEROS, HOLED]) {
    const entries = [entry(2), entry(3, large), entry(4), entry(5, large.subarray(1)), entry(6)];
    const [inPieces, atOnce] = [await newLog(), await newLog()];
    for (const { log } of [inPieces, atOnce]) {
      log.append({ entries: [entry(1)], hardState: state() });
      await log.sync();
    }
    const appended = inPieces.log.appendLarge({ entries, hardState: state({ commit: 1 }) });
    strictEqual(inPieces.log.lastIndex, 1, "nothing is there before all is");
    throws(() => inPieces.log.append({ entries: [entry(2)], hardState: state() }), /rule D6/);
    await appended;
    ok(inPieces.pauses() >= 6, `${inPieces.pauses()} pauses`);
    atOnce.log.append({ entries, hardState: state({ commit: 1 }) });
    for (const { log } of [inPieces, atOnce]) {
      await log.sync();
      await assertHolds(log, [entry(1), ...entries]);
      log.append({ entries: [entry(7)], hardState: state({ commit: 6 }) });
      await log.sync();
    }
    for (const index of [1, 3, 6, 7].map(logIndex)) {
      const chain = await atOnce.log.entryChain(index);
      strictEqual(await inPieces.log.entryChain(index), chain);
    }
    const reopened = await inPieces.reopened();
    deepStrictEqual(reopened.findings, []);
    await assertHolds(reopened, [entry(1), ...entries, entry(7)]);
    await reopened.close();
  }
});

Deno.test("appendLarge() replaces entries of another leader (Raft figure 7)", async () => {
  const { log, reopened } = await newLog();
  log.append({ entries: [entry(1), entry(2), entry(3)], hardState: state() });
  await log.sync();
  const entries = [entry(2, NOISE, 2)];
  await log.appendLarge({ entries, hardState: state({ term: 2, commit: 1 }) });
  await log.sync();
  const again = await reopened();
  await assertHolds(again, [entry(1), ...entries]);
  strictEqual(again.hardState.term, 2);
  await again.close();
});

Deno.test("appendLarge() that finds no room leaves nothing, and the log goes on", async () => {
  const { log, fileSystem, reopened } = await newLog();
  log.append({ entries: [entry(1)], hardState: state() });
  await log.sync();
  fileSystem.capacityBytes = 2 * LARGE_PIECE_BYTES;
  const options = { entries: [entry(2, NOISE)], hardState: state() };
  await rejects(log.appendLarge(options), { code: "disk_full" });
  strictEqual(log.lastIndex, 1);
  log.append({ entries: [entry(2)], hardState: state() });
  await log.sync();
  fileSystem.capacityBytes = Infinity;
  await log.appendLarge({ entries: [entry(3, NOISE)], hardState: state({ commit: 2 }) });
  await log.sync();
  const again = await reopened();
  await assertHolds(again, [entry(1), entry(2), entry(3, NOISE)]);
  await again.close();
});

Deno.test("appendLarge() that a crash cuts short leaves nothing", async () => {
  const { log, reopened } = await newLog();
  log.append({ entries: [entry(1)], hardState: state() });
  await log.sync();
  await log.appendLarge({ entries: [entry(2, NOISE)], hardState: state() });
  // Never synced: closing loses it, as a crash does.
  const again = await reopened();
  await assertHolds(again, [entry(1)]);
  again.append({ entries: [entry(2)], hardState: state() });
  await again.sync();
  await again.close();
});
