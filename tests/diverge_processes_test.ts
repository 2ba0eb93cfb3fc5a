/**
 * The divergence fuzzer on real nodes as part of the regular tests: a short run in which nothing may be wrong
 * and every deed must have happened, and one that must fail, since a row was changed behind a node's back.
 * The campaign is `deno task diverge -- --processes --statements N`.
 */
import { deepStrictEqual, match, ok } from "node:assert/strict";
import { eventually } from "./cluster.ts";
import { ProcessCluster } from "./diverge/process_cluster.ts";
import { runProcesses } from "./diverge/process_run.ts";
import { stream } from "./sim/chance.ts";

const SHORT = {
  seed: 1,
  perCluster: 50_000,
  minutesMax: Infinity,
  isMeddled: false,
  isVerbose: false,
};

Deno.test("Real nodes that are restarted, killed and replaced hold the same after the same log", async () => {
  const lines: string[] = [];
  const print = (text: string): void => void lines.push(text);
  const isGood = await runProcesses({ ...SHORT, statementCount: 2400, perLog: 1200, print });
  ok(isGood, lines.join("\n"));
  match(lines.join("\n"), /, joinsByLog 1, joinsBySnapshot [1-9]/);
});

Deno.test("The fuzzer on real nodes fails when a row was changed behind a node's back, and says which", async () => {
  const lines: string[] = [];
  const print = (text: string): void => void lines.push(text);
  // It ends behind the second log.
  const run = { ...SHORT, statementCount: 2700, perLog: 300, isMeddled: true };
  ok(!await runProcesses({ ...run, print }));
  const text = lines.join("\n");
  match(text, /PROBLEM: n\d has (logged: .*Replicas differ|dust_replica)/);
  match(text, /PROBLEM: .* has dust_replica_alarms_total [1-9]/);
});

Deno.test("ProcessCluster notices a process that nobody of the test has ended", async () => {
  await using cluster = await ProcessCluster.start(stream(1, "cluster"), { hasDisk: false });
  const [, victim] = cluster.members;
  deepStrictEqual([...cluster.alarms], []);
  ok(victim !== undefined);
  Deno.kill(victim.node.pid, "SIGKILL");
  await eventually(() => Promise.resolve(cluster.alarms.size > 0), "an alarm");
  match(
    [...cluster.alarms].join(),
    /^n2 (?:ended by itself with status 137|does not tell of itself)/,
  );
});
