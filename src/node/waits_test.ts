import { deepStrictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { logIndex } from "../base/ids.ts";
import { settle } from "./testing.ts";
import { AppliedWaits } from "./waits.ts";

function waitFor(waits: AppliedWaits, index: number, deadlineMs: number, fates: string[]): void {
  waits.until(logIndex(index), deadlineMs).then(
    () => fates.push(`${index} applied`),
    (error) => fates.push(`${error.code}: ${error.message}`),
  );
}

Deno.test("AppliedWaits.advance() ends waits at or below the index, and no others", async () => {
  const waits = new AppliedWaits();
  const fates: string[] = [];
  for (const index of [5, 3, 4]) waitFor(waits, index, 100, fates);
  waits.advance(logIndex(2));
  await settle();
  deepStrictEqual(fates, []);
  waits.advance(logIndex(4));
  await settle();
  deepStrictEqual(fates, ["3 applied", "4 applied"]);
  waits.advance(logIndex(9));
  await settle();
  deepStrictEqual(fates.slice(2), ["5 applied"]);
});

Deno.test("AppliedWaits.expire() ends waits at their own deadline, in whatever order they came", async () => {
  const waits = new AppliedWaits();
  const fates: string[] = [];
  waitFor(waits, 7, 50, fates);
  waitFor(waits, 8, 10, fates);
  waits.expire(9);
  await settle();
  deepStrictEqual(fates, []);
  waits.expire(10);
  await settle();
  deepStrictEqual(fates, ["timeout: index 8: timeout waiting for fsm"]);
  waits.advance(logIndex(8));
  await settle();
  deepStrictEqual(fates.slice(1), ["7 applied"]);
});

Deno.test("AppliedWaits.abandon() ends all waits, once", async () => {
  const waits = new AppliedWaits();
  const fates: string[] = [];
  for (const index of [1, 2]) waitFor(waits, index, 100, fates);
  waits.abandon(new OperatingError("not_ready", "over"));
  waits.advance(logIndex(9));
  await settle();
  deepStrictEqual(fates, ["not_ready: over", "not_ready: over"]);
});
