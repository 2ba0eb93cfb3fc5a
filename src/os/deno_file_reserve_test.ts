import { strictEqual } from "node:assert/strict";
import { FakeClock } from "./fake_clock.ts";
import { FileReserve } from "./deno_file_reserve.ts";

function openFiles(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

Deno.test("FileReserve holds files, gives them up while they are lent, and takes them again", async () => {
  const before = openFiles();
  const reserve = new FileReserve(new FakeClock());
  const { size } = reserve;
  strictEqual(openFiles(), before + size);
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  strictEqual(reserve.lend(() => 1, () => first.promise), 1);
  reserve.lend(() => 2, () => second.promise);
  strictEqual(openFiles(), before);
  first.resolve();
  await first.promise;
  strictEqual(openFiles(), before, "somebody still has them");
  second.reject(new Error("The thread did not start"));
  await Promise.allSettled([second.promise]);
  strictEqual(openFiles(), before + size);
  reserve[Symbol.dispose]();
  strictEqual(openFiles(), before);
});

Deno.test("FileReserve takes later what it cannot have now", async () => {
  const path = await Deno.makeTempFile();
  await Deno.remove(path);
  const clock = new FakeClock();
  using reserve = new FileReserve(clock, path);
  strictEqual(reserve.size, 0);
  await reserve.lend(() => Promise.resolve(), (done) => done);
  strictEqual(reserve.size, 0);
  await Deno.writeTextFile(path, "");
  clock.advance(2_000);
  strictEqual(reserve.size, 48);
  await Deno.remove(path);
});
