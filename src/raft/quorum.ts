/**
 * Counting: what a majority, or both majorities of a joint configuration (Raft section 6), agree on.
 * Pure functions over voter lists (each id once); nothing is remembered here.
 */
import type { NodeId } from "../base/ids.ts";

/** `won` and `lost` are final: no further vote can change them. */
export type VoteResult = "won" | "lost" | "pending";

/** The index of an empty majority: it agrees to everything, which makes it neutral in a joint one. */
export const EVERYTHING = Number.POSITIVE_INFINITY;

/** Votes needed among `voters`. */
export function majoritySize(voters: readonly NodeId[]): number {
  return Math.floor(voters.length / 2) + 1;
}

/**
 * The largest number that a majority of `voters` has reached. `reached` gives 0 for what is not known.
 * `EVERYTHING` when there are no voters.
 */
export function majorityIndex(
  voters: readonly NodeId[],
  reached: (voter: NodeId) => number,
): number {
  if (voters.length === 0) return EVERYTHING;
  // Insertion sort, ascending: groups are small and this runs for every acknowledgement.
  const sorted: number[] = [];
  for (const voter of voters) {
    const value = reached(voter);
    let at = sorted.length;
    while (at > 0 && (sorted[at - 1] as number) > value) {
      sorted[at] = sorted[at - 1] as number;
      at--;
    }
    sorted[at] = value;
  }
  return sorted[voters.length - majoritySize(voters)] as number;
}

/** What a majority of `voters` decided; `vote` is undefined for those not heard of. No voters: won. */
export function majorityVote(
  voters: readonly NodeId[],
  vote: (voter: NodeId) => boolean | undefined,
): VoteResult {
  if (voters.length === 0) return "won";
  let yes = 0;
  let no = 0;
  for (const voter of voters) {
    const value = vote(voter);
    if (value === true) yes++;
    if (value === false) no++;
  }
  const needed = majoritySize(voters);
  if (yes >= needed) return "won";
  return voters.length - no >= needed ? "pending" : "lost";
}

/** Two majorities; `outgoing` is empty unless the configuration is joint. */
export interface JointVoters {
  readonly voters: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
}

/** As `majorityIndex`, agreed by both majorities. */
export function jointIndex(joint: JointVoters, reached: (voter: NodeId) => number): number {
  const incoming = majorityIndex(joint.voters, reached);
  if (joint.votersOutgoing.length === 0) return incoming;
  return Math.min(incoming, majorityIndex(joint.votersOutgoing, reached));
}

/** As `majorityVote`, decided by both majorities. */
export function jointVote(
  joint: JointVoters,
  vote: (voter: NodeId) => boolean | undefined,
): VoteResult {
  const incoming = majorityVote(joint.voters, vote);
  const outgoing = majorityVote(joint.votersOutgoing, vote);
  if (incoming === outgoing) return incoming;
  return incoming === "lost" || outgoing === "lost" ? "lost" : "pending";
}
