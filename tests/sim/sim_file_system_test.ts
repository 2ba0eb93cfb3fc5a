/**
 * What the simulated file system forgets, and what it must not forget. The common behaviour is in
 * file_system_contract_test.ts.
 */
import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { OperatingError } from "../../src/base/errors.ts";
import { SimEntropy } from "./sim_entropy.ts";
import { SimFileSystem, type SimOutcome } from "./sim_file_system.ts";

const NOTHING_KEPT = (): number => 0;
const ALL_KEPT = (count: number): number => count - 1;

async function withFile(size: number, fill: number): Promise<SimFileSystem> {
  const fileSystem = new SimFileSystem();
  await fileSystem.makeDirectory("/d");
  const file = fileSystem.createSync("/d/f");
  file.writeSync(new Uint8Array(size).fill(fill), 0);
  await file.sync();
  file.close();
  await fileSystem.syncDirectory("/");
  await fileSystem.syncDirectory("/d");
  return fileSystem;
}

Deno.test("SimFileSystem keeps what was synced through any power cut", async () => {
  const fileSystem = await withFile(1500, 1);
  const after = fileSystem.afterPowerCut(NOTHING_KEPT);
  deepStrictEqual(after.contentOf("/d/f"), new Uint8Array(1500).fill(1));
});

Deno.test("SimFileSystem: each unsynced sector comes back old or new, on its own", async () => {
  const patterns = new Set<string>();
  for (let seed = 1; seed <= 200; seed++) {
    const fileSystem = await withFile(1536, 1);
    fileSystem.openSync("/d/f", "write").writeSync(new Uint8Array(1536).fill(2), 0);
    const entropy = new SimEntropy(seed);
    const content = fileSystem.afterPowerCut((count) => entropy.below(count)).contentOf("/d/f");
    for (let sector = 0; sector < 3; sector++) {
      const bytes = new Set(content.subarray(sector * 512, sector * 512 + 512));
      strictEqual(bytes.size, 1, "a sector is torn");
    }
    patterns.add([content[0], content[512], content[1024]].join(""));
  }
  strictEqual(patterns.size, 8);
});

Deno.test("SimFileSystem: a sector may come back as any write since the sync left it", async () => {
  const seen = new Set<number | undefined>();
  for (let version = 0; version < 4; version++) {
    const fileSystem = await withFile(512, 1);
    const file = fileSystem.openSync("/d/f", "write");
    for (const value of [2, 3, 4]) file.writeSync(new Uint8Array(512).fill(value), 0);
    seen.add(fileSystem.afterPowerCut(() => version).contentOf("/d/f")[100]);
  }
  deepStrictEqual([...seen], [1, 2, 3, 4]);
});

Deno.test("SimFileSystem: growth may come back as size without content, or not at all", async () => {
  const grow = async (): Promise<SimFileSystem> => {
    const fileSystem = await withFile(512, 1);
    fileSystem.openSync("/d/f", "write").writeSync(new Uint8Array(512).fill(2), 512);
    return fileSystem;
  };
  strictEqual((await grow()).afterPowerCut(NOTHING_KEPT).contentOf("/d/f").length, 512);
  strictEqual((await grow()).afterPowerCut(ALL_KEPT).contentOf("/d/f")[1023], 2);
  let call = 0;
  const sizeOnly = (await grow()).afterPowerCut((count) => (call++ === 0 ? 0 : count - 1));
  deepStrictEqual([sizeOnly.contentOf("/d/f").length, sizeOnly.contentOf("/d/f")[1023]], [1024, 0]);
});

Deno.test("SimFileSystem: names come and go until their directory is synced", async () => {
  const change = async (): Promise<SimFileSystem> => {
    const fileSystem = await withFile(512, 1);
    await fileSystem.rename("/d/f", "/d/g");
    (fileSystem.createSync("/d/new")).close();
    return fileSystem;
  };
  deepStrictEqual(await (await change()).afterPowerCut(NOTHING_KEPT).listFiles("/d"), ["f"]);
  deepStrictEqual(await (await change()).afterPowerCut(ALL_KEPT).listFiles("/d"), ["g", "new"]);
  const synced = await change();
  await synced.syncDirectory("/d");
  deepStrictEqual(await synced.afterPowerCut(NOTHING_KEPT).listFiles("/d"), ["g", "new"]);
});

Deno.test("SimFileSystem: a directory is durable once makeDirectory() is done, not before", async () => {
  for (let crashAt = 1; crashAt <= 5; crashAt++) {
    const fileSystem = new SimFileSystem();
    fileSystem.onOperation = ({ number }) => number === crashAt ? "crash" : undefined;
    const making = fileSystem.makeDirectory("/d/e");
    if (crashAt <= 4) await rejects(making, { name: "SimulatedCrash" });
    else await making;
    const after = fileSystem.afterPowerCut(NOTHING_KEPT);
    deepStrictEqual([crashAt, await after.exists("/d/e")], [crashAt, crashAt === 5]);
  }
  const fileSystem = new SimFileSystem();
  fileSystem.onOperation = ({ kind }) => kind === "syncDirectory" ? "EIO" : undefined;
  await rejects(fileSystem.makeDirectory("/d"), { name: "FatalError" });
  fileSystem.onOperation = () => undefined;
  await fileSystem.makeDirectory("/d");
  ok(await fileSystem.afterPowerCut(NOTHING_KEPT).exists("/d"), "the second try syncs the name");
});

Deno.test("SimFileSystem: a process crash loses nothing, but makes nothing durable", async () => {
  const fileSystem = await withFile(512, 1);
  fileSystem.openSync("/d/f", "write").writeSync(Uint8Array.of(9), 0);
  const after = fileSystem.afterProcessCrash();
  strictEqual(after.contentOf("/d/f")[0], 9);
  strictEqual(after.afterPowerCut(NOTHING_KEPT).contentOf("/d/f")[0], 1);
});

Deno.test("SimFileSystem: what is written while a sync runs is not saved by it", async () => {
  const fileSystem = await withFile(512, 1);
  const release = Promise.withResolvers<void>();
  fileSystem.delay = () => release.promise;
  const syncing = fileSystem.openSync("/d/f", "write").syncData();
  fileSystem.openSync("/d/f", "write").writeSync(new Uint8Array(512).fill(2), 0);
  release.resolve();
  await syncing;
  strictEqual(fileSystem.afterPowerCut(NOTHING_KEPT).contentOf("/d/f")[0], 1);
});

Deno.test("SimFileSystem: after a failed sync the content is seen, and lost, later syncs or not", async () => {
  const fileSystem = await withFile(512, 1);
  const file = fileSystem.openSync("/d/f", "write");
  file.writeSync(new Uint8Array(512).fill(2), 0);
  fileSystem.onOperation = (operation) => operation.kind === "syncData" ? "EIO" : undefined;
  await rejects(file.syncData(), { name: "FatalError", exitStatus: 74 });
  fileSystem.onOperation = () => undefined;
  strictEqual(fileSystem.contentOf("/d/f")[0], 2);
  await file.syncData();
  strictEqual(fileSystem.afterPowerCut(ALL_KEPT).contentOf("/d/f")[0], 1);
});

Deno.test("SimFileSystem cuts the power at the operation it is told to", async () => {
  const fileSystem = await withFile(512, 1);
  const at = fileSystem.operationCount + 2;
  fileSystem.onOperation = ({ number }): SimOutcome | undefined => {
    return number === at ? "crash" : undefined;
  };
  const file = fileSystem.openSync("/d/f", "write");
  file.writeSync(new Uint8Array(512).fill(2), 0);
  await rejects(file.syncData(), { name: "SimulatedCrash" });
  throws(() => file.readSync(new Uint8Array(1), 0), { name: "SimulatedCrash" });
  await rejects(fileSystem.exists("/d/f"), { name: "SimulatedCrash" });
  strictEqual(fileSystem.afterPowerCut(NOTHING_KEPT).contentOf("/d/f")[0], 1);
});

Deno.test("SimFileSystem: a full disk takes a part of a write, and room comes back", async () => {
  const fileSystem = await withFile(1000, 1);
  fileSystem.capacityBytes = 1200;
  const file = fileSystem.createSync("/d/g");
  file.writeSync(new Uint8Array(100), 0);
  throws(
    () => file.writeSync(new Uint8Array(200).fill(3), 100),
    (error) => error instanceof OperatingError && error.code === "disk_full",
  );
  strictEqual(file.sizeSync(), 200);
  strictEqual(await fileSystem.freeBytes("/d"), 0);
  file.writeSync(new Uint8Array(200).fill(4), 0);
  await fileSystem.remove("/d/f");
  strictEqual(await fileSystem.freeBytes("/d"), 1000);
  file.writeSync(new Uint8Array(200).fill(3), 200);
  strictEqual(file.sizeSync(), 400);
});

Deno.test("SimFileSystem: a clone is independent", async () => {
  const fileSystem = await withFile(512, 1);
  const clone = fileSystem.clone();
  clone.openSync("/d/f", "write").writeSync(Uint8Array.of(7), 0);
  await clone.remove("/d/f");
  strictEqual(fileSystem.contentOf("/d/f")[0], 1);
});
