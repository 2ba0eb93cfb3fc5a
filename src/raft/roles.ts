/**
 * Changes of role (Raft figure 4), except becoming leader, which also appends an entry (election.ts).
 */
import { assert } from "../base/assert.ts";
import { type NodeId, type Term, term as toTerm } from "../base/ids.ts";
import type { RaftState } from "./state.ts";
import { NOBODY } from "./types.ts";

/** Follows `leader`, or nobody yet, in `term`. */
export function becomeFollower(
  state: RaftState,
  options: { readonly term: Term; readonly leader: NodeId },
): void {
  state.reset(options.term);
  state.role = "follower";
  state.setLeader(options.leader);
  state.trace?.({ kind: "role_changed", role: "follower", term: state.term });
}

/** Stands for election in the next term, with its own vote. */
export function becomeCandidate(state: RaftState): void {
  assert(state.role !== "leader", "becomeCandidate: a leader does not campaign");
  state.reset(toTerm(state.term + 1));
  state.role = "candidate";
  state.vote = state.id;
  state.trace?.({ kind: "role_changed", role: "candidate", term: state.term });
}

/** Asks whether an election would succeed; term and vote stay (Raft thesis 9.6). */
export function becomePreCandidate(state: RaftState): void {
  assert(state.role !== "leader", "becomePreCandidate: a leader does not campaign");
  state.role = "pre_candidate";
  state.votes.clear();
  state.wantsSnapshot = false;
  state.setLeader(NOBODY);
  state.trace?.({ kind: "role_changed", role: "pre_candidate", term: state.term });
}
