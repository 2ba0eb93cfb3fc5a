/**
 * What every FileSystem must do, run against the machine's and the simulated one. What differs by
 * nature (power cuts, injected errors) is in sim_file_system_test.ts, what only the real one can show
 * (locks between handles, errors of the system) in src/os/deno_file_system_test.ts.
 */
import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { DenoFileSystem } from "../../src/os/deno_file_system.ts";
import { type FileSystem, joinPath, parentPath } from "../../src/os/file_system.ts";
import { SimFileSystem } from "./sim_file_system.ts";

const GIB = 1024 ** 3;

type Check = (fileSystem: FileSystem, directory: string) => Promise<void>;

function contract(name: string, check: Check): void {
  Deno.test(`DenoFileSystem: ${name}`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "dust-files-" });
    try {
      await check(new DenoFileSystem(), directory);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
  Deno.test(`SimFileSystem: ${name}`, async () => {
    const fileSystem = new SimFileSystem();
    await fileSystem.makeDirectory("/data");
    await check(fileSystem, "/data");
  });
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function content(fileSystem: FileSystem, path: string): string {
  const file = fileSystem.openSync(path, "read");
  try {
    const into = new Uint8Array(file.sizeSync());
    strictEqual(file.readSync(into, 0), into.length);
    return new TextDecoder().decode(into);
  } finally {
    file.close();
  }
}

contract("a file returns what was written, sync or not, at any position", async (fs, directory) => {
  const path = joinPath(directory, "file");
  const file = fs.createSync(path);
  file.writeSync(bytes("hello world"), 0);
  await file.write(bytes("WORLD"), 6);
  const into = new Uint8Array(5);
  strictEqual(file.readSync(into, 6), 5);
  strictEqual(new TextDecoder().decode(into), "WORLD");
  strictEqual(await file.read(into, 0), 5);
  strictEqual(new TextDecoder().decode(into), "hello");
  await file.syncData();
  // Often enough for a quick disk to be waited for on this thread.
  for (let at = 0; at < 100; at++) await file.syncData({ mayBlock: true });
  await file.sync();
  file.close();
  strictEqual(content(fs, path), "hello WORLD");
});

contract(
  "a read past the end is short, a write past the end leaves zeros",
  async (fs, directory) => {
    const file = fs.createSync(joinPath(directory, "file"));
    file.writeSync(bytes("ab"), 0);
    file.writeSync(bytes("z"), 1000);
    strictEqual(file.sizeSync(), 1001);
    const into = new Uint8Array(8).fill(7);
    deepStrictEqual([file.readSync(into, 996), ...into], [5, 0, 0, 0, 0, 122, 7, 7, 7]);
    strictEqual(await file.read(into, 2000), 0);
    strictEqual(file.readSync(new Uint8Array(0), 0), 0);
    file.close();
  },
);

contract("truncateSync() cuts, and extends with zeros", (fs, directory) => {
  const file = fs.createSync(joinPath(directory, "file"));
  file.writeSync(new Uint8Array(2000).fill(1), 0);
  file.truncateSync(700);
  strictEqual(file.sizeSync(), 700);
  file.truncateSync(1500);
  const into = new Uint8Array(2000);
  strictEqual(file.readSync(into, 0), 1500);
  deepStrictEqual(into.subarray(0, 700), new Uint8Array(700).fill(1));
  deepStrictEqual(into.subarray(700), new Uint8Array(1300));
  file.close();
  return Promise.resolve();
});

contract("positions past 2 and 4 GiB are kept apart", async (fs, directory) => {
  const path = joinPath(directory, "sparse");
  const file = fs.createSync(path);
  for (const [at, position] of [0, 2 * GIB, 4 * GIB, 4 * GIB + 511, 5 * GIB].entries()) {
    file.writeSync(bytes(`#${at}`), position);
  }
  await file.sync();
  strictEqual(file.sizeSync(), 5 * GIB + 2);
  const into = new Uint8Array(2);
  for (const [at, position] of [0, 2 * GIB, 4 * GIB, 4 * GIB + 511, 5 * GIB].entries()) {
    strictEqual(await file.read(into, position), 2);
    strictEqual(new TextDecoder().decode(into), `#${at}`);
    strictEqual(file.readSync(into, position), 2);
    strictEqual(new TextDecoder().decode(into), `#${at}`);
  }
  file.close();
  await fs.remove(path);
});

contract(
  "createSync() refuses a name that is taken, openSync() one that is not",
  (fs, directory) => {
    const path = joinPath(directory, "file");
    fs.createSync(path).close();
    throws(() => fs.createSync(path), { name: "FatalError", exitStatus: 74 });
    throws(() => fs.openSync(joinPath(directory, "none"), "read"), {
      name: "FatalError",
      exitStatus: 74,
    });
    throws(() => fs.removeSync(joinPath(directory, "none")), { name: "FatalError" });
    throws(() => fs.createSync(joinPath(directory, "none/file")), { name: "FatalError" });
    return Promise.resolve();
  },
);

contract("a file opened for reading cannot be written", (fs, directory) => {
  const path = joinPath(directory, "file");
  fs.createSync(path).close();
  const file = fs.openSync(path, "read");
  throws(() => file.writeSync(bytes("x"), 0), { name: "FatalError", exitStatus: 74 });
  file.close();
  return Promise.resolve();
});

contract("rename() replaces the target; names are listed in order", async (fs, directory) => {
  for (const name of ["b", "a", "c"]) {
    const file = fs.createSync(joinPath(directory, name));
    file.writeSync(bytes(name), 0);
    file.close();
  }
  await fs.makeDirectory(joinPath(directory, "folder"));
  deepStrictEqual(await fs.listFiles(directory), ["a", "b", "c"]);
  await fs.rename(joinPath(directory, "b"), joinPath(directory, "c"));
  deepStrictEqual(await fs.listFiles(directory), ["a", "c"]);
  strictEqual(content(fs, joinPath(directory, "c")), "b");
  await fs.remove(joinPath(directory, "a"));
  fs.removeSync(joinPath(directory, "c"));
  deepStrictEqual(await fs.listFiles(directory), []);
  await fs.syncDirectory(directory);
  await rejects(fs.rename(joinPath(directory, "a"), joinPath(directory, "d")), {
    name: "FatalError",
  });
});

contract("a handle outlives the file's name, whether renamed or removed", async (fs, directory) => {
  const path = joinPath(directory, "file");
  const writer = fs.createSync(path);
  const reader = fs.openSync(path, "read");
  await fs.rename(path, joinPath(directory, "other"));
  writer.writeSync(bytes("1"), 0);
  strictEqual(content(fs, joinPath(directory, "other")), "1");
  await fs.remove(joinPath(directory, "other"));
  writer.writeSync(bytes("2"), 1);
  const into = new Uint8Array(2);
  strictEqual(reader.readSync(into, 0), 2);
  strictEqual(new TextDecoder().decode(into), "12");
  writer.close();
  reader.close();
});

contract("exists(), makeDirectory() and listFiles() agree", async (fs, directory) => {
  const deep = joinPath(joinPath(directory, "a"), "b");
  ok(!await fs.exists(deep));
  await fs.makeDirectory(deep);
  await fs.makeDirectory(deep);
  ok(await fs.exists(deep));
  ok(await fs.exists(parentPath(deep)));
  deepStrictEqual(await fs.listFiles(deep), []);
  await rejects(fs.listFiles(joinPath(directory, "none")), { name: "FatalError", exitStatus: 74 });
  await rejects(fs.syncDirectory(joinPath(directory, "none")), { name: "FatalError" });
});

contract("freeBytes() is a number of bytes", async (fs, directory) => {
  ok(await fs.freeBytes(directory) > 0);
});

contract("a second operation while one is pending is a bug", async (fs, directory) => {
  const file = fs.createSync(joinPath(directory, "file"));
  const pending = file.syncData();
  throws(() => file.writeSync(bytes("x"), 0), { name: "AssertionError" });
  throws(() => file.close(), { name: "AssertionError" });
  await rejects(file.read(new Uint8Array(1), 0), { name: "AssertionError" });
  await pending;
  file.writeSync(bytes("x"), 0);
  file.close();
  file.close();
  throws(() => file.readSync(new Uint8Array(1), 0), { name: "AssertionError" });
});

contract("lockDirectory() admits one at a time", async (fs, directory) => {
  const lock = await fs.lockDirectory(directory);
  await rejects(fs.lockDirectory(directory), { name: "FatalError", exitStatus: 1 });
  lock.release();
  lock.release();
  (await fs.lockDirectory(directory)).release();
});
