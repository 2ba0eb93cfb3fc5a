import { deepStrictEqual, ok, throws } from "node:assert/strict";
import type { Connection } from "../sqlite/connection.ts";
import { openMemory } from "../sqlite/testing.ts";
import { StepBudget } from "./step_budget.ts";

function counting(count: number): string {
  return `WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT ${count})
    SELECT max(x) FROM n`;
}

function run(connection: Connection, count: number): unknown {
  return connection.query(counting(count))[0]?.[0];
}

Deno.test("StepBudget ends what passes its steps, and nothing behind the entry (A4)", () => {
  using connection = openMemory();
  const budget = new StepBudget(connection, { nowMs: () => 0 });
  const limits = { index: 7, softLimitSteps: 100_000, timeoutMs: 0 } as const;
  budget.open({ ...limits, mode: "apply" });
  deepStrictEqual(run(connection, 1_000), 1_000);
  ok(!budget.isExhausted);
  throws(() => run(connection, 1_000_000), /interrupted/);
  ok(budget.isExhausted);
  budget.leave();
  // A ROLLBACK, the schema read anew: not the entry's, and longer than it may be.
  deepStrictEqual(run(connection, 100_000), 100_000);
  ok(!budget.isExhausted);
});

Deno.test("StepBudget counts a trial's time only past the steps at which no replica went on without a verdict (A4)", () => {
  using connection = openMemory();
  let nowMs = 0;
  const budget = new StepBudget(connection, { nowMs: () => nowMs });
  const limits = { index: 7, softLimitSteps: 1_000_000_000, timeoutMs: 5 } as const;
  budget.open({ ...limits, mode: "trial" });
  nowMs = 6;
  // Some 2,000,000 steps.
  deepStrictEqual(run(connection, 150_000), 150_000);
  ok(!budget.isExhausted);
  throws(() => run(connection, 10_000_000), /interrupted/);
  budget.leave();
  nowMs = 0;
  budget.open({ ...limits, mode: "trial" });
  deepStrictEqual(run(connection, 1_000_000), 1_000_000);
  budget.leave();
});
