/**
 * The simulator as part of the regular tests: a share of the seeds, those that found something, and the
 * question whether it can still fail. The campaign is `deno task sim`, all teeth are `deno task sim-teeth`.
 */
import { deepStrictEqual, notStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { explore } from "./explore/explorer.ts";
import { ALL_BUGS, CANARY } from "./sim/planted/all_bugs.ts";
import { applyEdit } from "./sim/planted/planted_bug.ts";
import { trial } from "./sim/planted/trial.ts";
import { REGRESSION_SEEDS } from "./sim/regression_seeds.ts";
import { runSeed } from "./sim/run.ts";
import { withTraps } from "./sim/traps.ts";

const SEEDS = 200;
const DIVERGING_SEEDS = 40;
const STATES = 30_000;
const ROOT = new URL("../", import.meta.url);

async function assertSurvives(seed: number, options: { readonly isShort: boolean }): Promise<void> {
  const { violation } = await runSeed(seed, { hasText: false, ...options });
  const flag = options.isShort ? " --short" : "";
  strictEqual(violation, undefined, `deno task sim -- --seed ${seed}${flag}: ${violation}`);
}

Deno.test("Simulated clusters keep their promises, and work again when healed", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) await assertSurvives(seed, { isShort: true });
});

Deno.test("Simulated clusters find states that differ, contain and renew them (V1, V2)", async () => {
  for (let seed = 1; seed <= DIVERGING_SEEDS; seed++) {
    const { violation } = await runSeed(seed, { hasText: false, isShort: true, diverges: true });
    const command = `deno task sim -- --seed ${seed} --diverge --short`;
    strictEqual(violation, undefined, `${command}: ${violation}`);
  }
});

Deno.test("Simulated clusters survive what once broke them", async () => {
  for (const { seed } of REGRESSION_SEEDS) await assertSurvives(seed, { isShort: false });
});

Deno.test("runSeed() gives the same events for the same seed, and others for another", async () => {
  const hashes = [];
  for (const seed of [3, 3, 7, 7, 8]) {
    const { hash, events } = await runSeed(seed, { hasText: false, isShort: true });
    hashes.push(`${hash} ${events}`);
  }
  deepStrictEqual(hashes[0], hashes[1]);
  deepStrictEqual(hashes[2], hashes[3]);
  strictEqual(new Set(hashes).size, 3);
});

Deno.test("withTraps() lets nobody see the real clock, timers or chance, and takes them back", () => {
  withTraps(() => {
    throws(() => Date.now(), /used Date.now/);
    throws(() => Math.random(), /used Math.random/);
    throws(() => setTimeout(() => undefined, 0), /used setTimeout/);
    throws(() => performance.now(), /used performance.now/);
    throws(() => crypto.getRandomValues(new Uint8Array(1)), /used crypto.getRandomValues/);
  });
  ok(Date.now() > 0 && Math.random() < 1 && performance.now() > 0);
});

Deno.test("The simulator notices the canary in a single seed", async () => {
  const { outcome, reason } = await trial(CANARY, { harness: "sim", seeds: 1 });
  strictEqual(outcome, "caught", reason);
});

Deno.test("Every planted bug finds its place in the code exactly once", () => {
  for (const { name, edits } of [...ALL_BUGS, CANARY]) {
    for (const edit of edits) {
      const text = Deno.readTextFileSync(new URL(edit.path, ROOT));
      notStrictEqual(applyEdit(text, edit), text, name);
    }
  }
});

Deno.test("explore() finds nothing wrong in the first states of a small cluster", () => {
  const scope = {
    terms: 3,
    entries: 2,
    crashes: 1,
    doublings: 0,
    heartbeats: 1,
    reads: 1,
    changes: 0,
    wire: 6,
    preVote: false,
  };
  const found = explore(scope, { statesMax: STATES, onProgress: () => undefined });
  strictEqual(found.violation, undefined, JSON.stringify(found.violation));
  ok(found.states >= STATES);
});
