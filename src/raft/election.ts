/**
 * Elections (Raft section 5.2): when a node may campaign, how it asks, and how it counts. Answering
 * others is in vote.ts.
 *
 * A request for votes waits until the candidate's term, vote and log are durable. It would otherwise be
 * answered on the strength of a log that a crash then shortens, or make a leader of a node that forgets
 * its term: back again it stands in the same term, and votes given to the first attempt elect the second,
 * which lacks committed entries or writes other entries in the same term. Found by
 * tests/raft_chaos_test.ts. Pre-votes bind nobody and do not wait.
 *
 * One gate for every cause of a campaign, transfers included: no campaign without a vote of its own in
 * the configuration, while a snapshot waits to be installed, or while a configuration change is committed
 * and not applied here (rule D2): votes would be counted under a configuration that others have left.
 */
import { assert } from "../base/assert.ts";
import { type LogIndex, type NodeId, type Term, term as toTerm } from "../base/ids.ts";
import type { Ballot } from "./message.ts";
import { appendEmptyEntry } from "./proposal.ts";
import { jointVote } from "./quorum.ts";
import { broadcastAppend } from "./replication.ts";
import { becomeCandidate, becomeFollower, becomePreCandidate } from "./roles.ts";
import type { RaftState } from "./state.ts";
import { NO_INDEX, NO_TERM, NOBODY } from "./types.ts";

/** Why a node campaigns: time or the driver says so, or the leader hands over. */
export type CampaignCause = "election" | "transfer";

/** Starts an election if this node may. With pre-vote, first asks whether one would succeed. */
export function campaign(state: RaftState, cause: CampaignCause): void {
  const { term } = state;
  if (state.role === "leader") {
    state.trace?.({ kind: "election_refused", reason: "leader", term });
    return;
  }
  if (!isPromotable(state)) {
    state.trace?.({ kind: "election_refused", reason: "unpromotable", term });
    return;
  }
  if (state.log.hasUnappliedChange()) {
    state.trace?.({ kind: "election_refused", reason: "unapplied_conf_change", term });
    return;
  }
  state.trace?.({ kind: "election_started", term });
  if (cause === "election" && state.config.preVote) startPreElection(state);
  else startElection(state, cause);
}

/** Whether this node has a vote and a log to stand with. */
export function isPromotable(state: RaftState): boolean {
  const { members, id } = state;
  return members.has(id) && !members.isLearner(id) && state.log.unstable.snapshot === undefined;
}

function startPreElection(state: RaftState): void {
  becomePreCandidate(state);
  requestVotes(state, { ballot: "pre_vote", term: toTerm(state.term + 1), cause: "election" });
}

function startElection(state: RaftState, cause: CampaignCause): void {
  becomeCandidate(state);
  requestVotes(state, { ballot: "vote", term: state.term, cause });
}

function requestVotes(
  state: RaftState,
  election: { readonly ballot: Ballot; readonly term: Term; readonly cause: CampaignCause },
): void {
  const { ballot, term, cause } = election;
  const last = state.log.last();
  const told = commitToTell(state);
  for (const to of state.members.voters) {
    if (to === state.id) {
      voteForSelf(state, { ballot, term });
      continue;
    }
    state.trace?.({ kind: "vote_requested", ballot, to, term: state.term, last });
    const request = {
      kind: "vote_request",
      ballot,
      from: state.id,
      to,
      term,
      lastIndex: last.index,
      lastTerm: last.term,
      isTransfer: cause === "transfer",
      ...told,
    } as const;
    if (ballot === "pre_vote" || state.config.areVoteRequestsImmediate) state.send(request);
    else state.sendWhenDurable(request);
  }
}

/** Its own vote counts when it is durable, like everybody's. */
function voteForSelf(
  state: RaftState,
  vote: { readonly ballot: Ballot; readonly term: Term },
): void {
  state.sendWhenDurable({
    kind: "vote_response",
    ballot: vote.ballot,
    from: state.id,
    to: state.id,
    term: vote.term,
    isGranted: true,
    commit: NO_INDEX,
    commitTerm: NO_TERM,
  });
}

/** The commit index for a vote message, if votes tell it. */
export function commitToTell(
  state: RaftState,
): { readonly commit: LogIndex; readonly commitTerm: Term } {
  if (!state.config.commitInVotes) return { commit: NO_INDEX, commitTerm: NO_TERM };
  const { commit } = state.log;
  return { commit, commitTerm: state.log.termOrZero(commit) };
}

/** Counts one answer in the present (pre-)election, and acts when it is decided. */
export function countVote(
  state: RaftState,
  vote: { readonly from: NodeId; readonly isGranted: boolean },
): void {
  assert(
    state.role === "candidate" || state.role === "pre_candidate",
    "countVote: there is no election",
  );
  const ballot = state.role === "candidate" ? "vote" : "pre_vote";
  const { votes } = state;
  const { from, isGranted } = vote;
  state.trace?.({ kind: "vote_received", ballot, from, isGranted, term: state.term });
  if (!votes.has(from)) votes.set(from, isGranted);
  if (state.trace !== undefined) state.trace({ kind: "votes_counted", ballot, ...tally(state) });
  const result = jointVote(state.members.configuration, (id) => votes.get(id));
  if (result === "lost") {
    // A refusal in a pre-election names the voter's own term, so the term here may stand.
    becomeFollower(state, { term: state.term, leader: NOBODY });
  } else if (result === "won") {
    if (ballot === "pre_vote") startElection(state, "election");
    else becomeLeader(state);
  }
}

/** Only voters count. */
function tally(state: RaftState): { readonly granted: number; readonly rejected: number } {
  const { votes, members } = state;
  const granted = members.voters.filter((id) => votes.get(id) === true).length;
  const rejected = members.voters.filter((id) => votes.get(id) === false).length;
  return { granted, rejected };
}

/** Leads the term it stood for, beginning with an empty entry to learn what is committed (section 8). */
function becomeLeader(state: RaftState): void {
  assert(state.role === "candidate", "becomeLeader: only candidates become leaders");
  state.reset(state.term);
  state.role = "leader";
  state.setLeader(state.id);
  const own = state.members.progress(state.id);
  assert(own !== undefined, "becomeLeader: not a member");
  own.becomeReplicate();
  own.isActive = true;
  // Changes may be anywhere in the log that came from earlier leaders; one bound is enough.
  state.pendingConfIndex = state.log.lastIndex;
  appendEmptyEntry(state);
  state.trace?.({ kind: "role_changed", role: "leader", term: state.term });
  broadcastAppend(state);
}
