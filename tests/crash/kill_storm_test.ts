/**
 * A short kill storm in each mode (kill_storm.ts), for every run of the tests. `KILL_STORM_SEED=n`
 * chooses the seed; by chance of time a seed does not repeat every step, only the plan of the kills.
 */
import { ok, strictEqual } from "node:assert/strict";
import type { NodeMode } from "./crash_node.ts";
import { runKillStorm } from "./kill_storm.ts";

const ROUNDS = 6;

async function checkStorm(mode: NodeMode): Promise<void> {
  const seed = Number(Deno.env.get("KILL_STORM_SEED") ?? Date.now() % 1_000_000);
  const counters = await runKillStorm({ rounds: ROUNDS, mode, seed });
  const text = JSON.stringify({ seed, ...counters });
  // Fewer mean that the storm was none.
  ok(counters.acknowledgedRows > 50, text);
  strictEqual(counters.restarts, ROUNDS + 2, text);
}

Deno.test("A node killed time after time has every acknowledged row once, RAM mode", async () => {
  await checkStorm("ram");
});

Deno.test("A node killed time after time has every acknowledged row once, disk mode", async () => {
  await checkStorm("disk");
});
