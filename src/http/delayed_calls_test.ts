import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { DelayedCalls } from "./delayed_calls.ts";
import { FakeClock } from "../os/fake_clock.ts";

Deno.test("DelayedCalls.add() calls back once, after the delay and in order", () => {
  const clock = new FakeClock();
  const calls = new DelayedCalls({ clock, delayMs: 100 });
  const log: string[] = [];
  calls.add(() => log.push(`a${clock.monotonicMs()}`));
  clock.advance(30);
  calls.add(() => log.push(`b${clock.monotonicMs()}`));
  clock.advance(69);
  deepStrictEqual(log, []);
  clock.advance(1);
  deepStrictEqual(log, ["a100"]);
  clock.advance(1000);
  deepStrictEqual(log, ["a100", "b130"]);
});

Deno.test("DelayedCalls.cancel() holds, also for a call that already came", () => {
  const clock = new FakeClock();
  const calls = new DelayedCalls({ clock, delayMs: 100 });
  const log: string[] = [];
  const first = calls.add(() => log.push("first"));
  const second = calls.add(() => log.push("second"));
  calls.cancel(first);
  clock.advance(200);
  calls.cancel(second);
  deepStrictEqual(log, ["second"]);
});

Deno.test("DelayedCalls has one timer for any number of calls, and none without", () => {
  const clock = new FakeClock();
  const calls = new DelayedCalls({ clock, delayMs: 100 });
  const waiting = Array.from({ length: 1000 }, () => calls.add(() => {}));
  strictEqual(clock.timerCount, 1);
  for (const call of waiting) calls.cancel(call);
  clock.advance(100);
  strictEqual(clock.timerCount, 0);
});

Deno.test("DelayedCalls.add() from within a call is due a whole delay later", () => {
  const clock = new FakeClock();
  const calls = new DelayedCalls({ clock, delayMs: 100 });
  const log: number[] = [];
  calls.add(() => {
    log.push(clock.monotonicMs());
    calls.add(() => log.push(clock.monotonicMs()));
  });
  clock.advance(50);
  calls.add(() => log.push(clock.monotonicMs()));
  clock.advance(1000);
  deepStrictEqual(log, [100, 150, 200]);
  strictEqual(clock.timerCount, 0);
});
