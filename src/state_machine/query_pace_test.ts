import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { QueryPace } from "./query_pace.ts";

function after(
  pace: QueryPace,
  batches: number,
  [busyMs, count]: readonly [number, number],
): number {
  for (let batch = 0; batch < batches; batch++) pace.took(busyMs, count);
  return pace.togetherMin;
}

Deno.test("QueryPace.togetherMin is one until queries have been quick, and again when they no longer are", () => {
  const pace = new QueryPace();
  strictEqual(pace.togetherMin, 1);
  const point = after(pace, 40, [0.1, 8]);
  const range = after(pace, 10, [4, 8]);
  deepStrictEqual([point, range, after(pace, 40, [0.1, 8])], [8, 1, 8]);
});

Deno.test("QueryPace.took() of a batch with nothing in it changes nothing", () => {
  const pace = new QueryPace();
  after(pace, 40, [0.1, 8]);
  strictEqual(after(pace, 40, [100, 0]), 8);
});
