import { deepStrictEqual, rejects, strictEqual, throws } from "node:assert/strict";
import { FatalError, OperatingError } from "../base/errors.ts";
import { DenoFileSystem } from "./deno_file_system.ts";
import { joinPath, parentPath, pathsDownTo } from "./file_system.ts";

Deno.test("DenoFileSystem tells a full disk from every other error of a write", async () => {
  const file = new DenoFileSystem().openSync("/dev/full", "write");
  throws(
    () => file.writeSync(Uint8Array.of(1), 0),
    (error) => error instanceof OperatingError && error.code === "disk_full",
  );
  await rejects(
    file.write(Uint8Array.of(1), 0),
    (error) => error instanceof OperatingError && error.code === "disk_full",
  );
  file.close();
});

Deno.test("DenoFileSystem names operation and path of a failure, which is fatal", () => {
  throws(
    () => new DenoFileSystem().openSync("/nowhere/at/all", "read"),
    (error) =>
      error instanceof FatalError && error.exitStatus === 74 &&
      error.message.startsWith("Cannot open /nowhere/at/all: "),
  );
});

Deno.test("DenoFileSystem makes a failed sync fatal, whatever the reason", async () => {
  // A pipe cannot be synced: EINVAL, on every Linux.
  const directory = await Deno.makeTempDir({ prefix: "dust-files-" });
  const path = joinPath(directory, "pipe");
  await new Deno.Command("mkfifo", { args: [path] }).output();
  const pipe = new DenoFileSystem().openSync(path, "write");
  await rejects(pipe.syncData(), { name: "FatalError", exitStatus: 74 });
  await rejects(pipe.syncData({ mayBlock: true }), { name: "FatalError", exitStatus: 74 });
  await rejects(pipe.sync(), { name: "FatalError", exitStatus: 74 });
  pipe.close();
  await Deno.remove(directory, { recursive: true });
});

Deno.test("DenoFileSystem.lockDirectory() holds against another process and ends with it", async () => {
  const directory = await Deno.makeTempDir({ prefix: "dust-files-" });
  const module = new URL("./deno_file_system.ts", import.meta.url).href;
  const script = `const { DenoFileSystem } = await import(${JSON.stringify(module)});
    await new DenoFileSystem().lockDirectory(${JSON.stringify(directory)});
    await Deno.stdout.write(new Uint8Array(1));
    await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", script],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  await rejects(new DenoFileSystem().lockDirectory(directory), {
    name: "FatalError",
    exitStatus: 1,
  });
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  const lock = await new DenoFileSystem().lockDirectory(directory);
  lock.release();
  await Deno.remove(directory, { recursive: true });
});

Deno.test("joinPath() and parentPath() undo each other", () => {
  strictEqual(joinPath("/a", "b"), "/a/b");
  strictEqual(joinPath("/", "b"), "/b");
  strictEqual(parentPath("/a/b"), "/a");
  strictEqual(parentPath("/a/b/"), "/a");
  strictEqual(parentPath("/a"), "/");
  strictEqual(parentPath("a"), ".");
  deepStrictEqual(pathsDownTo("/a/b/"), ["/a", "/a/b"]);
  deepStrictEqual(pathsDownTo("a/b"), ["a", "a/b"]);
  deepStrictEqual(pathsDownTo("/"), []);
});
