/**
 * The divergence fuzzer as part of the regular tests: a few logs, whether it uses everything that the
 * policy allows, and whether it can still fail. The campaign is `deno task diverge -- --statements N`;
 * all planted bugs are `deno task diverge -- --plant all`.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { USED_FUNCTIONS } from "./diverge/functions.ts";
import { describeEntry, encodeEntry, generateLog } from "./diverge/generated_log.ts";
import { trial } from "./diverge/plant.ts";
import { PLANTED_BUGS } from "./diverge/planted_bugs.ts";
import { Replicas } from "./diverge/replicas.ts";
import { shrink } from "./diverge/shrink.ts";
import { applyEdit } from "./sim/planted/planted_bug.ts";
import { ALLOWED_MODULES, FUNCTION_RULES } from "../src/state_machine/sql_policy.ts";

const SEEDS = [1, 2, 3, 4];
const STATEMENTS = 800;
const EVERY = 100;
/** Noticed early; the others take more statements. */
const QUICKLY_CAUGHT = ["changes_leaks", "clock_of_the_batch", "snapshot_renumbers_rowids"];
const ROOT = new URL("../", import.meta.url);

Deno.test("Replicas as unlike as possible hold the same state after the same log", async () => {
  await using replicas = new Replicas();
  for (const seed of SEEDS) {
    const job = { seed, statementCount: STATEMENTS, every: EVERY };
    const { reports, failure } = await replicas.run(job);
    strictEqual(failure, undefined, `deno task diverge -- --seed ${seed}: ${failure?.text}`);
    deepStrictEqual(reports.map(({ checkpoints }) => checkpoints.length > 3), [true, true, true]);
    const oks = Object.values(reports[0]?.counts ?? {}).reduce((sum, [count]) => sum + count, 0);
    ok(oks > STATEMENTS, `Few statements succeed: ${oks}`);
    ok(reports.flatMap(({ deeds }) => deeds).length > 5, `Little happens to seed ${seed}`);
  }
});

Deno.test("generateLog() uses every function and module that the policy allows", () => {
  const isUsable = ([, rule]: readonly [string, string]): boolean =>
    rule === "allow" || rule === "freeze";
  const allowed = [...FUNCTION_RULES].filter(isUsable).map(([name]) => name);
  deepStrictEqual(allowed.filter((name) => !USED_FUNCTIONS.has(name)), []);
  deepStrictEqual([...USED_FUNCTIONS].filter((name) => !allowed.includes(name)), []);
  const text = SEEDS.flatMap((seed) => generateLog(seed, STATEMENTS)).map(describeEntry).join("\n");
  const created = new Set([...text.matchAll(/USING (\w+)/g)].map(([, name]) => name));
  deepStrictEqual([...ALLOWED_MODULES].filter((name) => !created.has(name)), []);
});

Deno.test("generateLog() gives the same log for the same seed", () => {
  const bytes = (seed: number): string[] =>
    generateLog(seed, 200).map((entry) => encodeEntry(entry).toHex());
  deepStrictEqual(bytes(7), bytes(7));
  ok(bytes(7).join() !== bytes(8).join());
});

Deno.test("shrink() finds the only entry that matters", async () => {
  const job = { seed: 5, statementCount: 300, every: 1000 };
  const failure = { kind: "content", text: "", number: 120, tables: [] } as const;
  const replicas = {
    run: ({ kept = [] }: { readonly kept?: readonly { readonly number: number }[] }) =>
      Promise.resolve({
        reports: [],
        failure: kept.some(({ number }) => number === 77) ? failure : undefined,
      }),
  };
  const { kept } = await shrink(job, failure, { replicas, triesMax: 500 });
  deepStrictEqual(kept.map(({ number, statements }) => [number, statements.length]), [[77, 1]]);
});

Deno.test("The fuzzer notices planted bugs", async () => {
  for (const bug of PLANTED_BUGS.filter(({ name }) => QUICKLY_CAUGHT.includes(name))) {
    const { outcome, reason } = await trial(bug, { statementCount: 3000, seed: 1 });
    strictEqual(outcome, "caught", `${bug.name}: ${reason}`);
    match(reason, /^Seed 1 failed: (?:Content|Results) of steady and /);
  }
});

Deno.test("Every planted divergence finds its place in the code exactly once", () => {
  strictEqual(new Set(PLANTED_BUGS.map(({ name }) => name)).size, PLANTED_BUGS.length);
  ok(PLANTED_BUGS.length >= 15);
  for (const { edits } of PLANTED_BUGS) {
    for (const edit of edits) {
      const text = Deno.readTextFileSync(new URL(edit.path, ROOT));
      ok(applyEdit(text, edit) !== text, edit.path);
    }
  }
});
