/**
 * What is written through it is seen by whoever reads through it, and by nobody else.
 */
import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { DenoFileSystem } from "./deno_file_system.ts";
import { UntouchedFileSystem } from "./untouched_file_system.ts";

Deno.test("UntouchedFileSystem shows what was written, removed and synced, and changes nothing", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/a`;
    await Deno.writeFile(path, new Uint8Array([1, 2, 3, 4]));
    let read = 0;
    const untouched = new UntouchedFileSystem(new DenoFileSystem(), (bytes) => read += bytes);
    const file = untouched.openSync(path, "write");
    await file.write(new Uint8Array([8, 9]), 1);
    await file.syncData();
    const other = untouched.openSync(path, "read");
    const into = new Uint8Array(3);
    strictEqual(await other.read(into, 2), 2);
    deepStrictEqual([...into], [9, 4, 0]);
    strictEqual(read, 2);
    throws(() => file.writeSync(new Uint8Array(2), 3), OperatingError);
    throws(() => untouched.createSync(`${folder}/b`), OperatingError);
    file.close();
    other.close();
    await untouched.remove(path);
    ok(!(await untouched.exists(path)));
    deepStrictEqual(await untouched.listFiles(folder), []);
    await rejects(untouched.rename(path, `${folder}/c`));
    await rejects(untouched.lockDirectory(folder));
    deepStrictEqual([...Deno.readFileSync(path)], [1, 2, 3, 4]);
    deepStrictEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["a"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
