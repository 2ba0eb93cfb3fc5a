import { strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { type NodeId, nodeId } from "../base/ids.ts";
import { EVERYTHING, jointIndex, jointVote, majorityIndex, majorityVote } from "./quorum.ts";

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 7 })
  .map((list) => list.map(nodeId));
const indexes = fc.dictionary(
  fc.integer({ min: 1, max: 9 }).map(String),
  fc.integer({ min: 1, max: 20 }),
);
const votes = fc.dictionary(fc.integer({ min: 1, max: 9 }).map(String), fc.boolean());

/** The definition: the largest candidate that more than half have reached. */
function naiveIndex(voters: readonly NodeId[], reached: (id: NodeId) => number): number {
  if (voters.length === 0) return EVERYTHING;
  const candidates = [0, ...voters.map(reached)];
  const agreed = candidates.filter((candidate) =>
    voters.filter((id) => reached(id) >= candidate).length * 2 > voters.length
  );
  return Math.max(...agreed);
}

/** The definition: what every completion of the open votes, or none, would decide. */
function naiveVote(
  voters: readonly NodeId[],
  vote: (id: NodeId) => boolean | undefined,
): "won" | "lost" | "pending" {
  const wins = (fill: boolean): boolean =>
    voters.length === 0 || voters.filter((id) => vote(id) ?? fill).length * 2 > voters.length;
  const [filledNo, filledYes] = [false, true].map(wins);
  if (filledNo === true) return "won";
  return filledYes === true ? "pending" : "lost";
}

Deno.test("majorityIndex() and jointIndex() agree with the definition", () => {
  fc.assert(fc.property(ids, ids, indexes, (voters, votersOutgoing, known) => {
    const reached = (id: NodeId): number => known[id] ?? 0;
    const incoming = naiveIndex(voters, reached);
    const outgoing = naiveIndex(votersOutgoing, reached);
    strictEqual(majorityIndex(voters, reached), incoming);
    const joint = { voters, votersOutgoing };
    strictEqual(jointIndex(joint, reached), Math.min(incoming, outgoing));
    strictEqual(
      jointIndex({ voters: votersOutgoing, votersOutgoing: voters }, reached),
      Math.min(incoming, outgoing),
    );
    strictEqual(jointIndex({ voters, votersOutgoing: voters }, reached), incoming);
    strictEqual(jointIndex({ voters, votersOutgoing: [] }, reached), incoming);
  }));
});

Deno.test("majorityIndex() does not depend on how far behind the minority is", () => {
  fc.assert(fc.property(ids, indexes, (voters, known) => {
    const reached = (id: NodeId): number => known[id] ?? 0;
    const result = majorityIndex(voters, reached);
    const lowered = (id: NodeId): number => reached(id) < result ? 0 : reached(id);
    strictEqual(majorityIndex(voters, lowered), result);
  }));
});

Deno.test("majorityVote() and jointVote() agree with the definition", () => {
  fc.assert(fc.property(ids, ids, votes, (voters, votersOutgoing, cast) => {
    const vote = (id: NodeId): boolean | undefined => cast[id];
    const incoming = naiveVote(voters, vote);
    const outgoing = naiveVote(votersOutgoing, vote);
    strictEqual(majorityVote(voters, vote), incoming);
    const both = incoming === "won" && outgoing === "won"
      ? "won"
      : incoming === "lost" || outgoing === "lost"
      ? "lost"
      : "pending";
    strictEqual(jointVote({ voters, votersOutgoing }, vote), both);
    strictEqual(jointVote({ voters: votersOutgoing, votersOutgoing: voters }, vote), both);
  }));
});

Deno.test("majorityIndex() is what a quorum holds, not the fastest node", () => {
  const match: Record<number, number> = { 1: 9, 2: 5, 3: 4 };
  strictEqual(majorityIndex([1, 2, 3].map(nodeId), (id) => match[id] ?? 0), 5);
});
