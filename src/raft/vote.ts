/**
 * (Pre-)votes: granting and refusing them, and the answers as they arrive (Raft sections 5.2, 5.4.1).
 */
import { commitToTell, countVote } from "./election.ts";
import type { VoteRequest, VoteResponse } from "./message.ts";
import { becomeFollower } from "./roles.ts";
import type { RaftState } from "./state.ts";
import type { VoteDecision } from "./trace.ts";
import { NO_INDEX, NO_TERM, NOBODY } from "./types.ts";

/**
 * Whether the present leader's lease holds against this request of a higher term (Raft section 6, last
 * part): removed or flapping nodes cannot disturb. The leader's own request shows that it leads no more.
 */
export function ignoresByLease(state: RaftState, message: VoteRequest): boolean {
  if (!state.config.checkQuorum || message.isTransfer) return false;
  if (state.leader === NOBODY || state.leader === message.from) return false;
  const leaseTicksLeft = state.config.electionTicks - state.electionElapsed;
  if (leaseTicksLeft <= 0) return false;
  traceAnswer(state, message, { kind: "ignored", leaseTicksLeft });
  return true;
}

/** A request of this term, or a pre-vote for a later one. */
export function handleVoteRequest(state: RaftState, message: VoteRequest): void {
  const candidateLast = { index: message.lastIndex, term: message.lastTerm };
  const isGranted = mayVoteFor(state, message) && state.log.isUpToDate(candidateLast);
  if (!isGranted) {
    rejectVote(state, message);
  } else {
    traceAnswer(state, message, { kind: "cast" });
    state.sendWhenDurable({
      kind: "vote_response",
      ballot: message.ballot,
      from: state.id,
      to: message.from,
      // A granted pre-vote speaks of the next term; the own one does not change.
      term: message.term,
      isGranted: true,
      commit: NO_INDEX,
      commitTerm: NO_TERM,
    });
    if (message.ballot === "vote") {
      state.electionElapsed = 0;
      state.vote = message.from;
    }
  }
  maybeCommitByVote(state, message);
}

/** One vote in a term, and none in a term whose leader is known, unless it is a repetition. */
function mayVoteFor(state: RaftState, message: VoteRequest): boolean {
  if (state.vote === message.from) return true;
  if (state.vote === NOBODY && state.leader === NOBODY) return true;
  return message.ballot === "pre_vote" && message.term > state.term;
}

/** Refuses in the own term, so that a candidate of an older one learns of it. */
export function rejectVote(state: RaftState, message: VoteRequest): void {
  traceAnswer(state, message, { kind: "rejected" });
  state.sendWhenDurable({
    kind: "vote_response",
    ballot: message.ballot,
    from: state.id,
    to: message.from,
    term: state.term,
    isGranted: false,
    ...commitToTell(state),
  });
}

/** An answer counts only in the election it belongs to. */
export function handleVoteResponse(state: RaftState, message: VoteResponse): void {
  const role = message.ballot === "vote" ? "candidate" : "pre_candidate";
  if (state.role !== role) return;
  countVote(state, message);
  maybeCommitByVote(state, message);
}

/**
 * The commit index spreads with votes, so that a configuration change which every node holds and nobody
 * knows to be committed cannot keep all of them from campaigning (etcd issue 12359).
 */
function maybeCommitByVote(state: RaftState, message: VoteRequest | VoteResponse): void {
  const { commit, commitTerm } = message;
  if (commit <= state.log.commit || state.role === "leader") return;
  // The same entry in both logs: everything up to it is the same, too (Raft figure 3, log matching).
  if (!state.log.matches({ index: commit, term: commitTerm })) return;
  state.log.commitTo(commit);
  if (state.role === "follower" || !state.log.hasUnappliedChange()) return;
  becomeFollower(state, { term: state.term, leader: NOBODY });
}

function traceAnswer(state: RaftState, message: VoteRequest, decision: VoteDecision): void {
  state.trace?.({
    kind: "vote_answered",
    ballot: message.ballot,
    candidate: message.from,
    candidateLast: { index: message.lastIndex, term: message.lastTerm },
    decision,
    last: state.log.last(),
    vote: state.vote,
    term: state.term,
  });
}
