import { deepStrictEqual, ok } from "node:assert/strict";
import { logIndex, nodeId } from "../base/ids.ts";
import { DenoFileSystem } from "../os/deno_file_system.ts";
import { votersOnly } from "../raft/configuration.ts";
import type { DigestJudgement } from "./digest_judgement.ts";
import { HealthFile } from "./health_file.ts";
import { CLEAN_MARK, type HealthMark, ReplicaHealth } from "./replica_health.ts";

const FIVE = votersOnly([1, 2, 3, 4, 5].map(nodeId));
const SELF = nodeId(5);

function decided(healthy: readonly number[], diverged: readonly number[]): DigestJudgement {
  const ids = { healthy: healthy.map(nodeId), diverged: diverged.map(nodeId) };
  return { kind: "decided", digest: "a", ...ids };
}

Deno.test("ReplicaHealth sends no state in quarantine, nor while nobody knows who is right (V1, V2)", () => {
  const health = new ReplicaHealth();
  ok(health.maySendState);
  health.judged({ kind: "undecided", reported: [nodeId(1)] }, FIVE);
  deepStrictEqual([health.maySendState, health.isLogKept, health.isUndecided], [false, true, true]);
  health.liftBar();
  deepStrictEqual([health.maySendState, health.isLogKept, health.isUndecided], [true, false, true]);
  health.judged({ kind: "undecided", reported: [nodeId(1)] }, FIVE);
  health.judged({ kind: "unknown" }, FIVE);
  ok(!health.maySendState, "too few reports decide nothing");
  health.judged(decided([1, 2, 3], []), FIVE);
  deepStrictEqual([health.maySendState, health.isUndecided], [true, false]);
  health.setMark({ cleanIndex: 0, quarantine: { index: 7, verdictIndex: 8 } });
  deepStrictEqual([health.maySendState, health.isQuarantined], [false, true]);
  health.setMark(health.replacedAt(logIndex(20)));
  deepStrictEqual(health.mark, { cleanIndex: 20, quarantine: undefined });
  deepStrictEqual(health.replacedAt(logIndex(10)), { cleanIndex: 20, quarantine: undefined });
});

Deno.test("ReplicaHealth knows who is diverged until they report the right state, or are no members (V1)", () => {
  const health = new ReplicaHealth();
  ok(!health.isNews(decided([1, 2, 3, 4, 5], [])));
  ok(!health.isNews({ kind: "unknown" }));
  health.judged(decided([1, 2, 3], [4, 5]), FIVE);
  deepStrictEqual([...health.diverged], [4, 5]);
  ok(!health.isNews(decided([1, 2, 3], [])), "they have not reported");
  ok(health.isNews(decided([1, 2, 3, 4], [])));
  health.judged(decided([1, 2, 3, 4], []), FIVE);
  deepStrictEqual([...health.diverged], [5]);
  health.judged(decided([1, 2, 3, 4], []), votersOnly([1, 2, 3, 4].map(nodeId)));
  deepStrictEqual([...health.diverged], []);
});

Deno.test("ReplicaHealth never lets as many go into quarantine as are half of the voters (V2)", () => {
  const health = new ReplicaHealth();
  ok(health.mayQuarantine(SELF, FIVE));
  health.judged(decided([1, 2, 3], [4]), FIVE);
  ok(health.mayQuarantine(SELF, FIVE));
  // Members were removed meanwhile.
  const four = votersOnly([1, 2, 4, 5].map(nodeId));
  ok(!health.mayQuarantine(SELF, four));
  ok(!health.mayQuarantine(SELF, { ...FIVE, votersOutgoing: four.voters }));
  ok(!health.mayQuarantine(SELF, votersOnly([SELF])));
  ok(health.mayStayQuarantined(SELF, four));
  ok(!health.mayStayQuarantined(SELF, votersOnly([1, 4, 5].map(nodeId))));
  ok(!health.mayStayQuarantined(SELF, votersOnly([SELF])));
  const learner = { ...votersOnly([nodeId(1)]), learners: [SELF] };
  ok(health.mayQuarantine(SELF, learner));
});

Deno.test("HealthFile keeps the mark, and takes one that it cannot read for a quarantine (V2, S4)", async () => {
  const directory = await Deno.makeTempDir({ prefix: "dust-health-" });
  const options = { fileSystem: new DenoFileSystem(), directory };
  deepStrictEqual((await HealthFile.open(options)).mark, CLEAN_MARK);
  const marks: HealthMark[] = [
    { cleanIndex: 0, quarantine: { index: 7, verdictIndex: 9 } },
    { cleanIndex: 20, quarantine: undefined },
    { cleanIndex: 20, quarantine: { index: 30, verdictIndex: 31 } },
  ];
  const file = await HealthFile.open(options);
  // What an unfinished save has left.
  Deno.writeTextFileSync(`${directory}/replica.new`, "{");
  for (const mark of marks) {
    await file.save(mark);
    deepStrictEqual((await HealthFile.open(options)).mark, mark);
  }
  for (const text of ["", "{", "null", '{"cleanIndex":-1}', '{"cleanIndex":1,"quarantine":{}}']) {
    Deno.writeTextFileSync(`${directory}/replica`, text);
    const { mark } = await HealthFile.open(options);
    deepStrictEqual(mark, { cleanIndex: 0, quarantine: { index: 0, verdictIndex: 0 } }, text);
  }
  await Deno.remove(directory, { recursive: true });
});
