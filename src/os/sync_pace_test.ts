import { deepStrictEqual } from "node:assert/strict";
import { SyncPace } from "./sync_pace.ts";

function watched(pace: SyncPace, count: number): SyncPace {
  for (let at = 0; at < count; at++) pace.took(0.2);
  return pace;
}

Deno.test("SyncPace.isQuick takes 64 quick syncs in a row, at first and after each slow one", () => {
  const pace = new SyncPace();
  const seen = [pace.isQuick];
  seen.push(watched(pace, 63).isQuick, watched(pace, 1).isQuick);
  pace.took(2);
  seen.push(pace.isQuick);
  pace.took(2.1);
  seen.push(pace.isQuick, watched(pace, 63).isQuick);
  deepStrictEqual(seen, [false, false, true, true, false, false]);
});

Deno.test("SyncPace.took() of a slow sync begins the row anew", () => {
  const pace = watched(new SyncPace(), 63);
  pace.took(30);
  deepStrictEqual([watched(pace, 63).isQuick, watched(pace, 1).isQuick], [false, true]);
});
