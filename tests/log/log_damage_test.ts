/**
 * One fixed workload, everything synced, then damage: each of its last two segments cut at every byte,
 * one bit flipped in every byte of every file, files missing, empty, doubled, renamed, foreign, older.
 * Each case ends in a log with every entry, or in a refusal that names file and offset.
 */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { LogDamageError, type LogDamageKind } from "../../src/log/damage.ts";
import { ByteView } from "../../src/log/byte_view.ts";
import { readFrame } from "../../src/log/frame.ts";
import { FrameWriter, planFrames } from "../../src/log/frame_writer.ts";
import { decodeRecords, type LogRecord } from "../../src/log/record.ts";
import { SegmentedLog } from "../../src/log/segmented_log.ts";
import { logIndex, nodeId, term } from "../../src/base/ids.ts";
import { SimFileSystem } from "../sim/sim_file_system.ts";
import {
  applyStep,
  assertOneOf,
  createWorkloadLog,
  describe,
  describeLog,
  doStep,
  emptyModel,
  IDENTITY,
  LOG_DIRECTORY,
  type LogModel,
  type LogStep,
  LogWorkload,
} from "./log_model.ts";

const SEGMENT_SIZE_BYTES = 16 * 1024;
const OPTIONS = { directory: LOG_DIRECTORY, segmentSizeBytes: SEGMENT_SIZE_BYTES };

interface Workload {
  readonly fileSystem: SimFileSystem;
  readonly model: LogModel;
  /** Paths of the segments, oldest first. */
  readonly paths: readonly string[];
}

/** A log of at least `segmentCount` segments, all synced, none purged. */
async function makeWorkload(options: {
  readonly seed: number;
  readonly segmentCount: number;
  readonly segmentSizeBytes?: number;
}): Promise<Workload> {
  const fileSystem = new SimFileSystem();
  const logOptions = { ...OPTIONS, ...options, fileSystem };
  let log = await createWorkloadLog(logOptions);
  let model = emptyModel();
  const workload = new LogWorkload({ seed: options.seed, payloadBytesMax: 2000 });
  let paths: readonly string[] = [];
  while (paths.length < options.segmentCount) {
    const step: LogStep = workload.next(model);
    if (step.kind === "purge") continue;
    model = applyStep(model, step);
    log = await doStep(log, step, logOptions);
    await log.sync();
    paths = await segmentPaths(fileSystem);
  }
  // So that the last segment has something to lose.
  for (let round = 0; round < 12; round++) {
    const step = workload.next(model);
    if (step.kind === "purge" || step.kind === "reopen") continue;
    model = applyStep(model, step);
    log = await doStep(log, step, logOptions);
    await log.sync();
  }
  await log.close();
  return { fileSystem, model, paths: await segmentPaths(fileSystem) };
}

async function segmentPaths(fileSystem: SimFileSystem): Promise<readonly string[]> {
  const names = await fileSystem.listFiles(LOG_DIRECTORY);
  return names.filter((name) => name.endsWith(".log")).map((name) => `${LOG_DIRECTORY}/${name}`);
}

/** Opens a damaged log: "whole" with every entry, or what it said. Anything else fails the test. */
async function outcomeOf(
  fileSystem: SimFileSystem,
  model: LogModel,
  context: string,
): Promise<"whole" | LogDamageError> {
  let log: SegmentedLog;
  try {
    log = await SegmentedLog.open({ ...OPTIONS, fileSystem });
  } catch (error) {
    if (!(error instanceof LogDamageError)) throw new Error(`${context}: ${error}`);
    strictEqual(error.exitStatus, 65);
    ok(error.message.includes(error.place.file) && error.place.offset >= 0, context);
    return error;
  }
  strictEqual(await describeLog(log, model.firstIndexMax), describe(model), context);
  await log.close();
  return "whole";
}

async function assertRefused(
  fileSystem: SimFileSystem,
  model: LogModel,
  expected: { readonly kind: LogDamageKind; readonly file: string },
): Promise<void> {
  const outcome = await outcomeOf(fileSystem, model, expected.kind);
  ok(outcome instanceof LogDamageError, `accepted, but ${expected.file} is ${expected.kind}`);
  strictEqual(outcome.kind, expected.kind, outcome.message);
  strictEqual(outcome.place.file, expected.file, outcome.message);
}

function at<T>(list: readonly T[], index: number): T {
  const found = list.at(index);
  ok(found !== undefined);
  return found;
}

Deno.test("open() of a log whose last two segments are cut at any byte loses nothing silently", async () => {
  const { fileSystem, model, paths } = await makeWorkload({ seed: 3, segmentCount: 3 });
  const counts = { whole: 0, refused: 0 };
  for (const path of paths.slice(-2)) {
    const content = fileSystem.contentOf(path);
    for (let size = 0; size < content.length; size++) {
      const damaged = fileSystem.clone();
      damaged.replaceContent(path, content.subarray(0, size));
      const outcome = await outcomeOf(damaged, model, `${path} cut at ${size}`);
      counts[outcome === "whole" ? "whole" : "refused"] += 1;
    }
  }
  // The unused rest of the last but one segment may go; everything else is missed.
  ok(counts.refused > SEGMENT_SIZE_BYTES, JSON.stringify(counts));
  ok(counts.whole > 0, JSON.stringify(counts));
});

Deno.test("open() of a log with one bit flipped in any byte of any file is whole or refused", async () => {
  const { fileSystem, model, paths } = await makeWorkload({ seed: 4, segmentCount: 2 });
  const counts = { whole: 0, refused: 0 };
  for (const path of paths) {
    const content = fileSystem.contentOf(path);
    for (let offset = 0; offset < content.length; offset++) {
      const damaged = fileSystem.clone();
      damaged.replaceContent(
        path,
        content.with(offset, (content[offset] ?? 0) ^ 1 << offset % 8),
      );
      const outcome = await outcomeOf(damaged, model, `${path} flipped at ${offset}`);
      counts[outcome === "whole" ? "whole" : "refused"] += 1;
    }
  }
  ok(counts.refused > 10_000, JSON.stringify(counts));
});

Deno.test("open() refuses flips of all eight bits around each sector's edges", async () => {
  const { fileSystem, model, paths } = await makeWorkload({ seed: 5, segmentCount: 2 });
  const path = at(paths, -1);
  const content = fileSystem.contentOf(path);
  for (let sector = 0; sector < content.length; sector += 512) {
    for (const offset of [sector, sector + 1, sector + 510, sector + 511]) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = fileSystem.clone();
        damaged.replaceContent(path, content.with(offset, (content[offset] ?? 0) ^ 1 << bit));
        await outcomeOf(damaged, model, `${path} flipped at ${offset}, bit ${bit}`);
      }
    }
  }
});

Deno.test("open() refuses a log with a segment missing, first or last or between", async () => {
  const { fileSystem, model, paths } = await makeWorkload({ seed: 6, segmentCount: 4 });
  for (const [number, path] of paths.entries()) {
    const damaged = fileSystem.clone();
    damaged.eraseName(path);
    if (number === 0) {
      // Like a purged one: the log begins later, which the state machine's index must allow.
      const log = await SegmentedLog.open({ ...OPTIONS, fileSystem: damaged });
      ok(log.firstIndex > 1);
      strictEqual(log.lastIndex, model.lastIndex);
      await log.close();
      continue;
    }
    const file = at(paths, number === paths.length - 1 ? -2 : number + 1);
    await assertRefused(damaged, model, { kind: "missing", file });
  }
});

Deno.test("open() refuses an empty or all-zero segment: it had a head before it had a name", async () => {
  const { fileSystem, model, paths } = await makeWorkload({ seed: 7, segmentCount: 3 });
  for (const path of paths) {
    for (const size of [0, SEGMENT_SIZE_BYTES]) {
      const damaged = fileSystem.clone();
      damaged.replaceContent(path, new Uint8Array(size));
      await assertRefused(damaged, model, { kind: "missing", file: path });
    }
  }
});

Deno.test("open() refuses a doubled or renamed segment", async () => {
  const { fileSystem, model, paths } = await makeWorkload({ seed: 8, segmentCount: 3 });
  const [first, second, third] = [at(paths, 0), at(paths, 1), at(paths, 2)];
  const nameOf = (sequence: number, path: string): string =>
    `${LOG_DIRECTORY}/${sequence.toString(16).padStart(16, "0")}-${path.slice(-20)}`;

  const doubled = fileSystem.clone();
  doubled.replaceContent(nameOf(paths.length + 1, second), fileSystem.contentOf(second));
  await assertRefused(doubled, model, {
    kind: "damaged",
    file: nameOf(paths.length + 1, second),
  });

  const sameNumber = fileSystem.clone();
  const twin = `${second.slice(0, -20)}00000000000000ff.log`;
  sameNumber.replaceContent(twin, fileSystem.contentOf(second));
  await assertRefused(sameNumber, model, {
    kind: "foreign",
    file: [second, twin].sort().at(-1) ?? "",
  });

  const swapped = fileSystem.clone();
  swapped.replaceContent(second, fileSystem.contentOf(third));
  await assertRefused(swapped, model, { kind: "damaged", file: second });

  const renamed = fileSystem.clone();
  renamed.eraseName(first);
  const wrongIndex = `${first.slice(0, -20)}0000000000000002.log`;
  renamed.replaceContent(wrongIndex, fileSystem.contentOf(first));
  await assertRefused(renamed, model, { kind: "foreign", file: wrongIndex });
});

Deno.test("open() refuses a segment of another node, incarnation or cluster, or of an older copy", async () => {
  const { fileSystem, model, paths } = await makeWorkload({ seed: 9, segmentCount: 3 });
  const second = at(paths, 1);
  const others = [
    { ...IDENTITY, nodeId: 4 },
    { ...IDENTITY, clusterId: IDENTITY.clusterId.with(0, 99) },
    { ...IDENTITY, incarnation: IDENTITY.incarnation.with(15, 99) },
  ];
  for (const identity of others) {
    const other = new SimFileSystem();
    const log = await SegmentedLog.create({ ...OPTIONS, fileSystem: other, identity });
    await log.close();
    const [only = ""] = await segmentPaths(other);
    const damaged = fileSystem.clone();
    for (const path of paths) damaged.eraseName(path);
    damaged.replaceContent(only, other.contentOf(only));
    const found = await SegmentedLog.open({ ...OPTIONS, fileSystem: damaged });
    deepStrictEqual(found.identity, identity, "alone it is whole: the caller compares identities");
    await found.close();
    const mixed = fileSystem.clone();
    mixed.replaceContent(at(paths, 0), other.contentOf(only));
    await assertRefused(mixed, model, { kind: "foreign", file: second });
  }
  // Right identity, wrong history.
  const other = await makeWorkload({ seed: 10, segmentCount: 3 });
  const mixed = fileSystem.clone();
  mixed.replaceContent(second, other.fileSystem.contentOf(at(other.paths, 1)));
  const outcome = await outcomeOf(mixed, model, "a segment of another history");
  ok(outcome instanceof LogDamageError);
});

Deno.test("open() refuses a segment whose head does not repeat what is known by then", async () => {
  const { fileSystem, model, paths } = await makeWorkload({ seed: 14, segmentCount: 2 });
  const last = at(paths, -1);
  const window = {
    data: new ByteView(fileSystem.contentOf(last)),
    offset: 0,
    sequence: paths.length,
  };
  const frame = readFrame(window, { at: 0, chain: undefined });
  ok(frame.kind === "good");
  const body = { from: frame.bodyAt, to: frame.bodyAt + frame.bodyBytes };
  const [head, state, marker] = decodeRecords(window.data, body, { file: last, offset: 0 });
  ok(head?.kind === "head" && state?.kind === "hard_state" && marker?.kind === "marker");
  const { hardState } = state;
  const { previous } = head;
  const otherVote = { ...hardState, vote: nodeId(hardState.vote + 1) };
  const otherTerm = { ...hardState, term: term(hardState.term + 1) };
  const heads: readonly (readonly LogRecord[])[] = [
    [head, { kind: "hard_state", hardState: otherVote }, marker],
    [head, { kind: "hard_state", hardState: otherTerm }, marker],
    [head, state, { ...marker, generation: marker.generation + 1 }],
    [{ ...head, previous: { ...previous, term: term(previous.term + 1) } }, state, marker],
    [{ ...head, previous: { ...previous, chain: { high: 1, low: 2 } } }, state, marker],
    [head, state],
    [state, head, marker],
  ];
  for (const records of heads) {
    const plan = planFrames([records], 0);
    const context = { sequence: paths.length, durableOffset: 0, chain: frame.chainBefore };
    const content = new Uint8Array(SEGMENT_SIZE_BYTES);
    content.set(new FrameWriter().encode(plan, context).bytes);
    const damaged = fileSystem.clone();
    damaged.replaceContent(last, content);
    const outcome = await outcomeOf(damaged, model, "another head");
    ok(outcome instanceof LogDamageError && outcome.place.file === last);
  }
});

Deno.test("open() takes no notice of files that are not the log's", async () => {
  const { fileSystem, model } = await makeWorkload({ seed: 11, segmentCount: 2 });
  for (const name of ["lost+found.txt", "x.log", "0000000000000001.log", "a.broken"]) {
    fileSystem.replaceContent(`${LOG_DIRECTORY}/${name}`, Uint8Array.of(1, 2, 3));
  }
  strictEqual(await outcomeOf(fileSystem, model, "other files"), "whole");
  ok(await fileSystem.exists(`${LOG_DIRECTORY}/x.log`));
});

Deno.test("open() removes half-made segments of an interrupted rotation or creation", async () => {
  const { fileSystem, model } = await makeWorkload({ seed: 12, segmentCount: 2 });
  for (const name of ["prepared.tmp", "9.tmp", "x.broken.tmp"]) {
    fileSystem.replaceContent(`${LOG_DIRECTORY}/${name}`, new Uint8Array(700).fill(9));
  }
  const log = await SegmentedLog.open({ ...OPTIONS, fileSystem });
  strictEqual(log.findings.length, 3);
  await assertOneOf(log, [model], "leftovers");
  ok(!await fileSystem.exists(`${LOG_DIRECTORY}/9.tmp`));
  await log.close();
});

Deno.test("read() refuses entries that the disk has changed since they were written", async () => {
  const { fileSystem, paths } = await makeWorkload({ seed: 13, segmentCount: 3 });
  const log = await SegmentedLog.open({ ...OPTIONS, fileSystem });
  for (const path of paths) {
    const content = fileSystem.contentOf(path);
    for (let offset = 300; offset < content.length; offset += 300) {
      content[offset] = (content[offset] ?? 0) ^ 4;
    }
    fileSystem.replaceContent(path, content);
  }
  await rejects(
    log.read({ from: log.firstIndex, to: logIndex(log.lastIndex + 1), sizeBytesMax: 1e6 }),
    (error) => error instanceof LogDamageError && paths.includes(error.place.file),
  );
  await log.close();
});
