/**
 * The log against the model, without crashes, on both file systems; many seeds, small segments.
 */
import { DenoFileSystem } from "../../src/os/deno_file_system.ts";
import type { FileSystem } from "../../src/os/file_system.ts";
import { SimFileSystem } from "../sim/sim_file_system.ts";
import {
  applyStep,
  assertOneOf,
  createWorkloadLog,
  doStep,
  emptyModel,
  LogWorkload,
} from "./log_model.ts";

const STEPS = 150;

async function run(options: {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly segmentSizeBytes: number;
  readonly seed: number;
}): Promise<void> {
  const { seed } = options;
  const workload = new LogWorkload({ seed, payloadBytesMax: options.segmentSizeBytes * 2 });
  let model = emptyModel();
  let log = await createWorkloadLog(options);
  for (let at = 0; at < STEPS; at++) {
    const step = workload.next(model);
    model = applyStep(model, step);
    log = await doStep(log, step, options);
    if (at % 10 === 0) await assertOneOf(log, [model], `seed ${seed}, step ${at} ${step.kind}`);
  }
  await assertOneOf(log, [model], `seed ${seed}, at the end`);
  await log.close();
}

Deno.test("SegmentedLog holds what the model holds, on the simulated file system", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const fileSystem = new SimFileSystem();
    const segmentSizeBytes = [4096, 8192, 16384][seed % 3] ?? 4096;
    await run({ fileSystem, directory: "/data/log", segmentSizeBytes, seed });
  }
});

Deno.test("SegmentedLog holds what the model holds, on the machine's file system", async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const directory = await Deno.makeTempDir({ prefix: "dust-log-" });
    await run({
      fileSystem: new DenoFileSystem(),
      directory: `${directory}/log`,
      segmentSizeBytes: 8192,
      seed,
    });
    await Deno.remove(directory, { recursive: true });
  }
});
