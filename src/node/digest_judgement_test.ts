/**
 * Whose state counts as right, and who is diverged (rule V1).
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { nodeId } from "../base/ids.ts";
import { allVoters, votersOnly } from "../raft/configuration.ts";
import type { ConfState } from "../raft/types.ts";
import { type DigestJudgement, judgeDigests } from "./digest_judgement.ts";

/** `123` are voters, behind a slash the outgoing ones, behind a plus learners. */
function members(text: string): ConfState {
  const [left = "", learners = ""] = text.split("+");
  const [voters = "", outgoing = ""] = left.split("/");
  const ids = (digits: string) => [...digits].map((digit) => nodeId(Number(digit)));
  return {
    ...votersOnly(ids(voters)),
    votersOutgoing: ids(outgoing),
    learners: ids(learners),
  };
}

/** `1a 2b`: node 1 reports a, node 2 reports b. */
function judge(configuration: string, reports: string): string {
  const parsed = reports.split(" ").filter((each) => each !== "").map((each) => ({
    nodeId: Number(each[0]),
    digest: each.slice(1),
  }));
  return textOf(judgeDigests(parsed, members(configuration)));
}

function textOf(judgement: DigestJudgement): string {
  if (judgement.kind !== "decided") return judgement.kind;
  return `${judgement.digest}${judgement.diverged.map((id) => ` -${id}`).join("")}`;
}

const CASES: readonly (readonly [what: string, members: string, reports: string, is: string])[] = [
  ["all equal", "123", "1a 2a 3a", "a"],
  ["one of three differs", "123", "1a 2b 3a", "a -2"],
  ["the leader itself, whichever it is", "123", "1b 2a 3a", "a -1"],
  ["one of three is silent, the others equal", "123", "1a 2a", "a"],
  ["one of three is silent, the others differ", "123", "1a 2b", "undecided"],
  ["three states", "123", "1a 2b 3c", "undecided"],
  ["only one has reported", "123", "1a", "unknown"],
  ["nobody has", "123", "", "unknown"],
  ["two voters, equal", "12", "1a 2a", "a"],
  ["two voters, a tie", "12", "1a 2b", "undecided"],
  ["two voters, one silent", "12", "1a", "unknown"],
  ["two of five differ alike", "12345", "1a 2a 3a 4b 5b", "a -4 -5"],
  ["two of five differ in two ways", "12345", "1a 2b 3a 4c 5a", "a -2 -4"],
  ["two of five are silent, one differs", "12345", "1a 2a 3b", "undecided"],
  ["one of five is silent, one differs", "12345", "1a 2a 3a 4b", "a -4"],
  ["a majority of those who reported is none of all", "12345", "1a 2a 3b 4c", "undecided"],
  ["a majority differs from the leader", "12345", "1a 2b 3b 4b 5b", "b -1"],
  ["two of four and two", "1234", "1a 2a 3b 4b", "undecided"],
  ["a learner differs", "123+4", "1a 2a 3a 4b", "a -4"],
  ["learners decide nothing", "123+45", "1a 2b 4b 5b", "undecided"],
  ["a learner differs and too few voters report", "123+4", "1a 4b", "undecided"],
  ["joint: a majority in one set is not enough", "123/345", "1a 2a 3b", "undecided"],
  ["joint: a majority in both", "123/345", "1a 3a 4a 2b 5b", "a -2 -5"],
  ["a member that is none any more does not count", "123", "1a 2a 9b", "a"],
  ["nor does it make a majority", "123", "1a 9a 8a", "unknown"],
  ["a report twice: the first holds", "123", "1a 2a 2b 3a", "a"],
];

for (const [what, configuration, reports, expected] of CASES) {
  Deno.test(`judgeDigests() when ${what} (V1)`, () => {
    deepStrictEqual(judge(configuration, reports), expected);
  });
}

Deno.test("judgeDigests() never finds a majority of the voters diverged, and does not look at the order (V1)", () => {
  const digest = fc.constantFrom("a", "b", "c", undefined);
  const property = fc.property(
    fc.integer({ min: 1, max: 7 }),
    fc.integer({ min: 0, max: 4 }),
    fc.array(digest, { minLength: 9, maxLength: 9 }),
    (voterCount, outgoingCount, held) => {
      const ids = held.map((_, at) => nodeId(at + 1));
      const configuration = {
        ...votersOnly(ids.slice(0, voterCount)),
        votersOutgoing: ids.slice(9 - outgoingCount),
        learners: ids.slice(voterCount, 9 - outgoingCount),
      };
      const reports = held.flatMap((each, at) =>
        each === undefined ? [] : [{ nodeId: at + 1, digest: each }]
      );
      const judgement = judgeDigests(reports, configuration);
      const again = judgeDigests([...reports].reverse(), configuration);
      deepStrictEqual(again.kind, judgement.kind);
      if (judgement.kind !== "decided") return;
      const voters = allVoters(configuration);
      const bad = voters.filter((id) => judgement.diverged.includes(id));
      ok(bad.length * 2 < voters.length || voters.length === 0);
      for (const set of [configuration.voters, configuration.votersOutgoing]) {
        ok(set.length === 0 || set.filter((id) => bad.includes(id)).length * 2 < set.length);
      }
    },
  );
  fc.assert(property, { numRuns: 500 });
});
