import { ok, rejects, strictEqual, throws } from "node:assert/strict";
import { DenoClock } from "./deno_clock.ts";

Deno.test("DenoClock: monotonic time does not go back, wall time is of this century", () => {
  const clock = new DenoClock();
  let before = clock.monotonicMs();
  for (let round = 0; round < 1000; round++) {
    const now = clock.monotonicMs();
    ok(now >= before);
    before = now;
  }
  ok(clock.wallMs() > Date.UTC(2020) && Number.isInteger(clock.wallMs()));
});

Deno.test("DenoClock.startTimer() calls back once, later, and not when cancelled", async () => {
  const clock = new DenoClock();
  let calls = 0;
  clock.startTimer(0, () => calls += 1).cancel();
  const fired = Promise.withResolvers<void>();
  const timer = clock.startTimer(0, () => {
    calls += 10;
    fired.resolve();
  });
  strictEqual(calls, 0);
  await fired.promise;
  timer.cancel();
  strictEqual(calls, 10);
  throws(() => clock.startTimer(-1, () => {}), { name: "AssertionError" });
  throws(() => clock.startTimer(2 ** 31, () => {}), { name: "AssertionError" });
});

Deno.test("DenoClock.sleep() ends with its signal, before and during", async () => {
  const clock = new DenoClock();
  await clock.sleep(0);
  await clock.sleep(0, new AbortController().signal);
  const reason = new Error("enough");
  await rejects(clock.sleep(60_000, AbortSignal.abort(reason)), reason);
  const controller = new AbortController();
  const sleeping = clock.sleep(60_000, controller.signal);
  controller.abort(reason);
  await rejects(sleeping, reason);
});
