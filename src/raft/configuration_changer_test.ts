import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { type NodeId, nodeId } from "../base/ids.ts";
import type { ConfChangeSingle } from "./conf_change.ts";
import { assertConfiguration, EMPTY_CONFIGURATION, votersOnly } from "./configuration.ts";
import {
  changeConfiguration,
  changeSimply,
  enterJoint,
  leaveJoint,
} from "./configuration_changer.ts";
import { change } from "./test_cluster.ts";
import type { ConfState } from "./types.ts";

const single: fc.Arbitrary<ConfChangeSingle> = fc.record({
  type: fc.constantFrom("add_voter", "add_learner", "remove", "update"),
  nodeId: fc.integer({ min: 0, max: 6 }).map(nodeId),
});
const singles = fc.array(single, { maxLength: 5 });
const START = votersOnly([1, 2, 3]);

/** The end of a joint change, computed member by member: only the last change of each counts. */
function naiveEnd(
  start: ConfState,
  changes: readonly ConfChangeSingle[],
): { readonly voters: readonly NodeId[]; readonly learners: readonly NodeId[] } {
  const roles = new Map<NodeId, "voter" | "learner">();
  for (const id of start.voters) roles.set(id, "voter");
  for (const id of start.learners) roles.set(id, "learner");
  for (const { type, nodeId: id } of changes) {
    if (id === 0 || type === "update") continue;
    if (type === "remove") roles.delete(id);
    else roles.set(id, type === "add_voter" ? "voter" : "learner");
  }
  const list = (role: string): readonly NodeId[] =>
    [...roles].filter(([, own]) => own === role).map(([id]) => id).sort((a, b) => a - b);
  return { voters: list("voter"), learners: list("learner") };
}

Deno.test("enterJoint() then leaveJoint() end where the changes one by one would", () => {
  fc.assert(fc.property(singles, singles, (first, second) => {
    let current = START;
    for (const changes of [first, second]) {
      const expected = naiveEnd(current, changes);
      const joint = enterJoint(current, { changes, autoLeave: false });
      if (expected.voters.length === 0) {
        deepStrictEqual(joint, { kind: "impossible", reason: "removed all voters" });
        return;
      }
      ok(joint.kind === "changed");
      assertConfiguration(joint.configuration);
      deepStrictEqual(joint.configuration.voters, expected.voters);
      deepStrictEqual(joint.configuration.votersOutgoing, current.voters);
      const left = leaveJoint(joint.configuration);
      ok(left.kind === "changed");
      assertConfiguration(left.configuration);
      const { voters, learners } = left.configuration;
      deepStrictEqual({ voters, learners }, expected);
      current = left.configuration;
    }
  }));
});

Deno.test("changeSimply() allows exactly the ends that differ in at most one voter", () => {
  fc.assert(fc.property(singles, (changes) => {
    const expected = naiveEnd(START, changes);
    const outcome = changeSimply(START, changes);
    const changed = [1, 2, 3, 4, 5, 6].map(nodeId).filter((id) =>
      START.voters.includes(id) !== expected.voters.includes(id)
    );
    strictEqual(outcome.kind === "changed", expected.voters.length > 0 && changed.length <= 1);
    if (outcome.kind !== "changed") return;
    deepStrictEqual(outcome.configuration, { ...EMPTY_CONFIGURATION, ...expected });
  }));
});

Deno.test("enterJoint() is idempotent and any two majorities of the way overlap", () => {
  fc.assert(fc.property(singles, (changes) => {
    const once = enterJoint(START, { changes, autoLeave: true });
    const twice = enterJoint(START, { changes: [...changes, ...changes], autoLeave: true });
    if (once.kind === "changed" && twice.kind === "changed") {
      deepStrictEqual(twice.configuration, once.configuration);
    } else strictEqual(twice.kind, once.kind);
  }));
});

Deno.test("changeConfiguration() keeps an outgoing voter's progress, renews who left for good", () => {
  const joint = changeConfiguration(START, change("r1 v4"));
  ok(joint.kind === "changed");
  deepStrictEqual(joint.renewed, [nodeId(4)]);
  ok(joint.configuration.autoLeave);
  const again = changeSimply(START, change("r1 v1").changes);
  ok(again.kind === "changed");
  deepStrictEqual(again.renewed, [nodeId(1)]);
});
