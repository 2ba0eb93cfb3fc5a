/**
 * The decision table of src/log/recovery.ts, cell by cell. One log: a first group of frames, synced, and
 * a last group, not synced. The disk may have any subset of the last group's sectors.
 */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { logIndex, nodeId, term } from "../../src/base/ids.ts";
import { LogDamageError } from "../../src/log/damage.ts";
import { frameStart } from "../../src/log/frame.ts";
import { SegmentedLog } from "../../src/log/segmented_log.ts";
import type { HardState, LogEntry } from "../../src/node/ports.ts";
import { SimEntropy } from "../sim/sim_entropy.ts";
import { SimFileSystem } from "../sim/sim_file_system.ts";
import { createWorkloadLog, LOG_DIRECTORY } from "./log_model.ts";

const SECTOR_BYTES = 512;
const NAME = "0000000000000001-0000000000000001.log";
const PATH = `${LOG_DIRECTORY}/${NAME}`;
const STATE: HardState = { term: term(1), vote: nodeId(1), commit: logIndex(0) };
const NOTHING_KEPT = (): number => 0;
const ALL_KEPT = (count: number): number => count - 1;

function options(fileSystem: SimFileSystem): {
  fileSystem: SimFileSystem;
  directory: string;
  segmentSizeBytes: number;
} {
  return { fileSystem, directory: LOG_DIRECTORY, segmentSizeBytes: 16 * 1024 };
}

function entry(index: number, payload: Uint8Array): LogEntry {
  return { index: logIndex(index), term: term(1), kind: "normal", payload };
}

function noise(size: number, seed = size): Uint8Array {
  return new SimEntropy(seed).bytes(size);
}

interface Prepared {
  /** Running: what is in `last` is not synced. */
  readonly fileSystem: SimFileSystem;
  /** End of the synced frames, and of each frame of the last group. */
  readonly ends: readonly number[];
}

/** Entries 1 and 2 synced, a frame each; then `payloads`, a frame each, not synced. */
async function prepare(payloads: readonly Uint8Array[]): Promise<Prepared> {
  const fileSystem = new SimFileSystem();
  const log = await createWorkloadLog(options(fileSystem));
  log.append({ entries: [entry(1, noise(2000))], hardState: STATE });
  await log.sync();
  log.append({ entries: [entry(2, noise(1200))], hardState: STATE });
  await log.sync();
  const ends = [log.sizeBytes];
  for (const [at, payload] of payloads.entries()) {
    log.append({ entries: [entry(3 + at, payload)], hardState: STATE });
    ends.push(log.sizeBytes);
  }
  return { fileSystem, ends };
}

async function open(fileSystem: SimFileSystem): Promise<SegmentedLog> {
  return await SegmentedLog.open(options(fileSystem));
}

/** The log goes on: an append behind the repair is read back after another start. */
async function assertGoesOn(fileSystem: SimFileSystem, log: SegmentedLog): Promise<void> {
  const last = log.lastIndex;
  log.append({
    entries: [entry(last + 1, noise(900, 1)), entry(last + 2, noise(5))],
    hardState: STATE,
  });
  await log.sync();
  await log.close();
  const again = await open(fileSystem.afterPowerCut(NOTHING_KEPT));
  strictEqual(again.lastIndex, last + 2);
  deepStrictEqual(again.findings.filter(({ kind }) => kind !== "leftover_removed"), []);
  const range = { from: logIndex(1), to: logIndex(last + 3), sizeBytesMax: 1e6 };
  const entries = await again.read(range);
  strictEqual(entries.length, last + 2);
  deepStrictEqual(entries.at(-2)?.payload, noise(900, 1));
  await again.close();
}

async function assertDamage(
  fileSystem: SimFileSystem,
  expected: { readonly kind: string; readonly offset: number },
): Promise<void> {
  const before = fileSystem.contentOf(PATH);
  await rejects(open(fileSystem), (error) => {
    ok(error instanceof LogDamageError, String(error));
    deepStrictEqual(
      { kind: error.kind, offset: error.place.offset, file: error.place.file },
      { ...expected, file: PATH },
      error.message,
    );
    return true;
  });
  deepStrictEqual(fileSystem.contentOf(PATH), before, "a refusal changes nothing");
}

Deno.test("nothing found, zeros follow: the log ends there, and nothing is repaired", async () => {
  const { fileSystem } = await prepare([]);
  const log = await open(fileSystem.afterPowerCut(NOTHING_KEPT));
  strictEqual(log.lastIndex, 2);
  deepStrictEqual(log.findings.filter(({ kind }) => kind === "torn_tail_cleared"), []);
  await log.close();
});

Deno.test("any subset of the last group's sectors: whole frames up to the first torn one stay", async () => {
  const payloads = [noise(900), noise(40), new Uint8Array(1200), noise(30)];
  const { fileSystem, ends } = await prepare(payloads);
  const [start = 0] = ends;
  const firstSector = Math.floor(start / SECTOR_BYTES);
  const sectorCount = Math.ceil((ends.at(-1) ?? 0) / SECTOR_BYTES) - firstSector;
  ok(sectorCount >= 6 && sectorCount <= 9, `${sectorCount} sectors`);
  let repairs = 0;
  for (let kept = 0; kept < 2 ** sectorCount; kept++) {
    const isKept = (sector: number): boolean => (kept >> (sector - firstSector) & 1) === 1;
    const disk = withSectors(fileSystem, { firstSector, sectorCount, isKept });
    const log = await open(disk);
    let whole = 0;
    while (whole < payloads.length && isFrameKept(ends[whole] ?? 0, ends[whole + 1] ?? 0, isKept)) {
      whole += 1;
    }
    strictEqual(log.lastIndex, 2 + whole, `sectors kept: ${kept.toString(2)}`);
    const cleared = log.findings.filter(({ kind }) => kind === "torn_tail_cleared").length;
    if (cleared === 0) await log.close();
    else {
      repairs += 1;
      ok(await disk.exists(`${PATH}.broken`));
      if (repairs % 16 === 1) await assertGoesOn(disk, log);
      else await log.close();
    }
  }
  ok(repairs > 2 ** (sectorCount - 2), `${repairs} repairs`);
});

function isFrameKept(from: number, to: number, isKept: (sector: number) => boolean): boolean {
  // A gap before a header belongs to no frame.
  const start = from % SECTOR_BYTES > SECTOR_BYTES - 48
    ? Math.ceil(from / SECTOR_BYTES) * SECTOR_BYTES
    : from;
  for (let sector = Math.floor(start / SECTOR_BYTES); sector * SECTOR_BYTES < to; sector++) {
    if (!isKept(sector)) return false;
  }
  return true;
}

/** The disk with the synced content, and of the last group only the sectors that are kept, whole. */
function withSectors(
  fileSystem: SimFileSystem,
  range: {
    readonly firstSector: number;
    readonly sectorCount: number;
    readonly isKept: (sector: number) => boolean;
  },
): SimFileSystem {
  const all = fileSystem.contentOf(PATH);
  const disk = fileSystem.clone().afterPowerCut(NOTHING_KEPT);
  const content = disk.contentOf(PATH);
  for (let at = 0; at < range.sectorCount; at++) {
    const sector = range.firstSector + at;
    if (!range.isKept(sector)) continue;
    const from = sector * SECTOR_BYTES;
    content.set(all.subarray(from, from + SECTOR_BYTES), from);
  }
  disk.replaceContent(PATH, content);
  return disk;
}

Deno.test("anything else in the last group: damaged, refused, whatever is behind it", async () => {
  const { fileSystem, ends: [start = 0] } = await prepare([noise(900), noise(40)]);
  const header = frameStart(start);
  const disk = fileSystem.afterPowerCut(ALL_KEPT);
  const content = disk.contentOf(PATH);
  for (const offset of [header, header + 17, header + 60, header + 900]) {
    const damaged = disk.clone();
    damaged.replaceContent(PATH, content.with(offset, (content[offset] ?? 0) ^ 16));
    await assertDamage(damaged, { kind: "damaged", offset: header });
  }
});

Deno.test("a sector of zeros in a payload does not make a flipped bit look like a torn write", async () => {
  const payload = new Uint8Array(3000).fill(7, 2900);
  const { fileSystem, ends: [start = 0, end = 0] } = await prepare([payload]);
  const disk = fileSystem.afterPowerCut(ALL_KEPT);
  const log = await open(disk.clone());
  deepStrictEqual(
    (await log.read({ from: logIndex(3), to: logIndex(4), sizeBytesMax: 1 }))[0]?.payload,
    payload,
  );
  await log.close();
  const content = disk.contentOf(PATH);
  for (let offset = frameStart(start); offset < end - 8; offset += 7) {
    const damaged = disk.clone();
    damaged.replaceContent(PATH, content.with(offset, (content[offset] ?? 0) ^ 1));
    await assertDamage(damaged, { kind: "damaged", offset: frameStart(start) });
  }
});

Deno.test("zeros over synced frames: missing, because a later frame states that they were durable", async () => {
  const { fileSystem, ends: [start = 0] } = await prepare([noise(40)]);
  const disk = fileSystem.afterPowerCut(ALL_KEPT);
  const content = disk.contentOf(PATH);
  let refused = 0;
  for (let sector = 1; (sector + 1) * SECTOR_BYTES <= start; sector++) {
    const damaged = disk.clone();
    const from = sector * SECTOR_BYTES;
    damaged.replaceContent(PATH, content.slice().fill(0, from, from + SECTOR_BYTES));
    await rejects(open(damaged), (error) => {
      ok(error instanceof LogDamageError && error.kind === "missing", String(error));
      return true;
    });
    refused += 1;
  }
  ok(refused >= 2);
});

Deno.test("zeros over the last synced frame: an ordinary crash, since nothing tells otherwise (D5)", async () => {
  const { fileSystem, ends: [start = 0] } = await prepare([]);
  const disk = fileSystem.afterPowerCut(ALL_KEPT);
  const content = disk.contentOf(PATH);
  const from = Math.floor((start - 1) / SECTOR_BYTES) * SECTOR_BYTES;
  disk.replaceContent(PATH, content.fill(0, from));
  const log = await open(disk);
  strictEqual(log.lastIndex, 1);
  strictEqual(log.findings.at(-1)?.kind, "torn_tail_cleared");
  await assertGoesOn(disk, log);
});

Deno.test("a file that is shorter or longer than its head says is refused, zeros or not", async () => {
  const { fileSystem } = await prepare([]);
  const disk = fileSystem.afterPowerCut(ALL_KEPT);
  const content = disk.contentOf(PATH);
  const short = disk.clone();
  short.replaceContent(PATH, content.subarray(0, -4));
  await assertDamage(short, { kind: "missing", offset: content.length - 4 });
  const long = disk.clone();
  long.replaceContent(PATH, Uint8Array.of(...content, 0, 0, 0, 0));
  await assertDamage(long, { kind: "damaged", offset: content.length });
});

Deno.test("a repair without room for the copy is done all the same, and says so", async () => {
  const { fileSystem, ends: [start = 0] } = await prepare([noise(900)]);
  let call = 0;
  const disk = fileSystem.afterPowerCut((count) => (call++ % 2 === 0 ? 0 : count - 1));
  disk.capacityBytes = disk.contentOf(PATH).length + 100;
  const log = await open(disk);
  strictEqual(log.lastIndex, 2);
  const finding = log.findings.at(-1);
  ok(finding?.kind === "torn_tail_cleared" && !finding.hasCopy && finding.offset === start);
  ok(!await disk.exists(`${PATH}.broken`));
  await log.close();
});

Deno.test("the first frames of a segment are durable since it has its name: torn ones are missing", async () => {
  const prepared = await prepare([noise(9000)]);
  const disk = prepared.fileSystem.afterPowerCut(ALL_KEPT);
  const log = await open(disk);
  log.append({ entries: [entry(log.lastIndex + 1, noise(6000, 2))], hardState: STATE });
  await log.sync();
  await log.close();
  strictEqual((await disk.listFiles(LOG_DIRECTORY)).length, 2);
  const path = `${LOG_DIRECTORY}/${(await disk.listFiles(LOG_DIRECTORY))[1]}`;
  const content = disk.contentOf(path);
  for (let sector = 1; sector < 10; sector++) {
    const damaged = disk.clone();
    const from = sector * SECTOR_BYTES;
    damaged.replaceContent(path, content.slice().fill(0, from, from + SECTOR_BYTES));
    await rejects(open(damaged), (error) => {
      ok(error instanceof LogDamageError && error.kind === "missing", String(error));
      return true;
    });
  }
});
