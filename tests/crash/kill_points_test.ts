/**
 * A few points of kill_points.ts in each mode, for every run of the tests; skipped where there is no
 * strace or it may not trace.
 */
import { ok, strictEqual } from "node:assert/strict";
import type { NodeMode } from "./crash_node.ts";
import { runKillPoints } from "./kill_points.ts";
import { reasonAgainstStrace } from "./tracer.ts";

const KILLS = 3;
const ERRORS = 1;

const reason = await reasonAgainstStrace();
const suffix = reason === undefined ? "" : ` (skipped: ${reason})`;

async function checkPoints(mode: NodeMode): Promise<void> {
  const seed = Date.now() % 1_000_000;
  const counters = await runKillPoints({ mode, rounds: KILLS, errors: ERRORS, seed });
  const text = JSON.stringify({ seed, ...counters });
  strictEqual(counters.rounds, KILLS + ERRORS, text);
  // A point may lie behind the end of a run, but not all of them.
  ok(counters.kills + counters.errorsMet >= 1, text);
  ok(counters.acknowledgedRows > 0, text);
}

for (const mode of ["ram", "disk"] as const) {
  Deno.test({
    name: `A node that ends or fails at a call to the system loses nothing, ${mode} mode${suffix}`,
    ignore: reason !== undefined,
    fn: () => checkPoints(mode),
  });
}
