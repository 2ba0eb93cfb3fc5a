/**
 * Every operation of a workload as the last one before the power goes, or the process: what comes back
 * is one of the states since the last completed sync, whatever the disk kept of the rest. Then the same
 * again at every operation of the recovery, and a power cut after it that keeps nothing unsynced.
 * Further: every operation that fails with EIO, or for lack of room.
 */
import { ok, rejects, strictEqual } from "node:assert/strict";
import { FatalError, OperatingError } from "../../src/base/errors.ts";
import { type LogOptions, SegmentedLog } from "../../src/log/segmented_log.ts";
import { SimEntropy } from "../sim/sim_entropy.ts";
import { type SimChoice, SimFileSystem, type SimOperation } from "../sim/sim_file_system.ts";
import {
  applyStep,
  assertOneOf,
  candidatesDuring,
  createWorkloadLog,
  doStep,
  emptyModel,
  isDurableAfter,
  LOG_DIRECTORY,
  type LogModel,
  type LogStep,
  LogWorkload,
} from "./log_model.ts";

const SEGMENT_SIZE_BYTES = 4096;
const NOTHING_KEPT: SimChoice = () => 0;
const ALL_KEPT: SimChoice = (count) => count - 1;

/** The disk just before one operation, and what a crash there may leave. Undefined: no log yet. */
interface Image {
  readonly operation: SimOperation;
  readonly fileSystem: SimFileSystem;
  readonly candidates: readonly (LogModel | undefined)[];
}

interface Run {
  readonly fileSystem: SimFileSystem;
  readonly options: LogOptions & { readonly segmentSizeBytes: number };
  /** States that a crash may leave now, oldest first. */
  candidates: (LogModel | undefined)[];
}

function newRun(): Run {
  const fileSystem = new SimFileSystem();
  const options = { fileSystem, directory: LOG_DIRECTORY, segmentSizeBytes: SEGMENT_SIZE_BYTES };
  return { fileSystem, options, candidates: [undefined] };
}

/** Runs `stepCount` steps and returns the disk as it was before each operation. */
async function imagesOf(options: { seed: number; stepCount: number }): Promise<readonly Image[]> {
  const run = newRun();
  const images: Image[] = [];
  run.fileSystem.onOperation = (operation) => {
    const fileSystem = run.fileSystem.clone();
    images.push({ operation, fileSystem, candidates: run.candidates });
    return undefined;
  };
  const workload = new LogWorkload({ seed: options.seed, payloadBytesMax: 1200 });
  let model = emptyModel();
  run.candidates = [undefined, model];
  let log = await createWorkloadLog(run.options);
  run.candidates = [model];
  for (let at = 0; at < options.stepCount; at++) {
    const step = workload.next(model);
    model = applyStep(model, step);
    run.candidates = candidatesDuring(run.candidates, step, model);
    log = await doStep(log, step, run.options);
    if (isDurableAfter(step)) run.candidates = [model];
  }
  await log.sync();
  await log.close();
  return images;
}

/** Opens what a crash left and checks it; returns the disk before each operation of the recovery. */
async function recoverAndCheck(
  fileSystem: SimFileSystem,
  candidates: readonly (LogModel | undefined)[],
  context: string,
  { wantsImages }: { readonly wantsImages: boolean } = { wantsImages: false },
): Promise<readonly Image[]> {
  const options = { fileSystem, directory: LOG_DIRECTORY, segmentSizeBytes: SEGMENT_SIZE_BYTES };
  const images: Image[] = [];
  fileSystem.onOperation = (operation) => {
    if (!wantsImages) return undefined;
    const copy = fileSystem.clone();
    images.push({ operation, fileSystem: copy, candidates });
    return undefined;
  };
  const models = candidates.filter((candidate) => candidate !== undefined);
  if (!await fileSystem.exists(LOG_DIRECTORY) || !await SegmentedLog.exists(options)) {
    ok(models.length < candidates.length, `${context}: the log is gone`);
    return [];
  }
  const log = await openOrExplain(options, context);
  const found = await assertOneOf(log, models, context);
  // What was opened is durable, and can be continued.
  const afterwards = fileSystem.clone().afterPowerCut(NOTHING_KEPT);
  const step: LogStep = {
    kind: "append",
    entries: [],
    hardState: { ...found.hardState, commit: found.hardState.commit },
  };
  log.append(step);
  await log.sync();
  await log.close();
  fileSystem.onOperation = () => undefined;
  const again = await openOrExplain(
    { ...options, fileSystem: afterwards },
    `${context}, then again`,
  );
  await assertOneOf(again, [found], `${context}, then a power cut behind recovery`);
  await again.close();
  return images;
}

async function openOrExplain(options: LogOptions, context: string): Promise<SegmentedLog> {
  try {
    return await SegmentedLog.open(options);
  } catch (error) {
    throw new Error(`${context}: ${error}`, { cause: error });
  }
}

function choices(seed: number, count: number): readonly (readonly [string, SimChoice])[] {
  const random = Array.from({ length: count }, (_, at): readonly [string, SimChoice] => {
    const entropy = new SimEntropy(seed * 1000 + at);
    return [`random ${seed * 1000 + at}`, (limit) => entropy.below(limit)];
  });
  return [["nothing kept", NOTHING_KEPT], ["all kept", ALL_KEPT], ...random];
}

function describeOperation(operation: SimOperation): string {
  return `operation ${operation.number} (${operation.kind} ${operation.path})`;
}

async function crashEverywhere(options: {
  readonly seed: number;
  readonly stepCount: number;
  readonly randomCount: number;
}): Promise<{ readonly points: number; readonly recoveries: number }> {
  const { seed, randomCount } = options;
  const images = await imagesOf(options);
  let recoveries = 0;
  for (const [at, { operation, fileSystem, candidates }] of images.entries()) {
    const where = `seed ${seed}, crash before ${describeOperation(operation)}`;
    await recoverAndCheck(
      fileSystem.clone().afterProcessCrash(),
      candidates,
      `${where}, process only`,
    );
    for (const [name, choose] of choices(seed * 10000 + at, randomCount)) {
      const context = `${where}, ${name}`;
      const second = await recoverAndCheck(
        fileSystem.clone().afterPowerCut(choose),
        candidates,
        context,
        { wantsImages: true },
      );
      recoveries += 1;
      for (const inner of second) {
        const [again] = choices(seed + at + inner.operation.number, 1).slice(-1);
        const disk = inner.fileSystem.afterPowerCut(again?.[1] ?? NOTHING_KEPT);
        const innerContext = `${context}, then before ${describeOperation(inner.operation)}`;
        await recoverAndCheck(disk, candidates, innerContext);
        recoveries += 1;
      }
    }
  }
  return { points: images.length, recoveries };
}

Deno.test("SegmentedLog survives a crash before every operation, and another while it recovers", async () => {
  const total = { points: 0, recoveries: 0 };
  for (let seed = 1; seed <= 3; seed++) {
    const { points, recoveries } = await crashEverywhere({ seed, stepCount: 25, randomCount: 2 });
    total.points += points;
    total.recoveries += recoveries;
  }
  // Fewer mean that the workload has lost its power to find anything.
  ok(total.points >= 200 && total.recoveries >= 5000, JSON.stringify(total));
});

/** Runs a workload in which one operation fails; returns how it ended. */
async function runWithFault(options: {
  readonly seed: number;
  readonly failAt: number;
  readonly outcome: "EIO" | "ENOSPC";
}): Promise<"past the end" | "fatal" | "went on"> {
  const { seed, failAt, outcome } = options;
  const run = newRun();
  let firedAt: string | undefined;
  run.fileSystem.onOperation = ({ number, path }) => {
    if (number !== failAt) return undefined;
    firedAt = path;
    return outcome;
  };
  const context = `seed ${seed}, ${outcome} at operation ${failAt}`;
  const workload = new LogWorkload({ seed, payloadBytesMax: 1200 });
  let model = emptyModel();
  run.candidates = [undefined, model];
  let log: SegmentedLog | undefined;
  try {
    log = await createWorkloadLog(run.options);
    run.candidates = [model];
    for (let at = 0; at < 40; at++) {
      const step = workload.next(model);
      const after = applyStep(model, step);
      run.candidates = candidatesDuring(run.candidates, step, after);
      try {
        log = await doStep(log, step, run.options);
      } catch (error) {
        if (!(error instanceof OperatingError)) throw error;
        strictEqual(error.code, "disk_full", context);
        // Nothing was done: the log must go on as if never asked.
        run.candidates = run.candidates.slice(0, -1);
        if (step.kind === "reopen") log = await SegmentedLog.open(run.options);
        continue;
      }
      model = after;
      if (isDurableAfter(step)) run.candidates = [model];
    }
    await assertOneOf(log, [model], context);
    await log.sync();
    await log.close();
  } catch (error) {
    if (error instanceof OperatingError) strictEqual(log, undefined, context);
    else ok(error instanceof FatalError, `${context}: ${error}`);
    if (log !== undefined) {
      const dead = log;
      await rejects(async () => await dead.sync(), `${context}: still usable`);
    }
    run.fileSystem.onOperation = () => undefined;
    const left = run.fileSystem.clone().afterPowerCut(NOTHING_KEPT);
    await recoverAndCheck(left, run.candidates, context);
    const seen = run.fileSystem.afterProcessCrash();
    await recoverAndCheck(seen, run.candidates, `${context}, process only`);
    return "fatal";
  }
  if (firedAt === undefined) return "past the end";
  // While closing, nobody needs the next segment any more.
  const isUnused = firedAt.endsWith("/prepared.tmp");
  ok(outcome === "ENOSPC" || isUnused, `${context}: an I/O error was swallowed`);
  return "went on";
}

for (const outcome of ["EIO", "ENOSPC"] as const) {
  Deno.test(`SegmentedLog stops or goes on, and loses nothing, at ${outcome} of every operation`, async () => {
    const ends = { "past the end": 0, fatal: 0, "went on": 0 };
    for (let seed = 11; seed <= 14; seed++) {
      for (let failAt = 1;; failAt++) {
        const end = await runWithFault({ seed, failAt, outcome });
        ends[end] += 1;
        if (end === "past the end") break;
      }
    }
    if (outcome === "ENOSPC") {
      ok(ends["went on"] > 100, `a full disk was survived only ${ends["went on"]} times`);
    }
    ok(ends.fatal + ends["went on"] > 300, "too few operations");
  });
}
