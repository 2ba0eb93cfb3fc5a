/**
 * Where every message enters: first the rule of terms (Raft section 5.1), which is the same for all,
 * then the rule for its kind, each in a file of its own.
 */
import { unreachable } from "../base/assert.ts";
import { handleAppend } from "./append.ts";
import { handleAppendResponse } from "./append_response.ts";
import { handleHeartbeat, handleHeartbeatResponse } from "./heartbeat.ts";
import type { AppendMessage, HeartbeatMessage, Message, SnapshotMessage } from "./message.ts";
import { handlePropose } from "./proposal.ts";
import { handleReadIndexRequest, handleReadIndexResponse } from "./read_index.ts";
import { becomeFollower } from "./roles.ts";
import { handleSnapshot, handleSnapshotRequest } from "./snapshot.ts";
import type { RaftState } from "./state.ts";
import { handleTimeoutNow, handleTransferLeader } from "./transfer.ts";
import { NO_INDEX, NO_TERM, NOBODY } from "./types.ts";
import { handleVoteRequest, handleVoteResponse, ignoresByLease, rejectVote } from "./vote.ts";

/**
 * What became of a message. `peer_not_found`: an answer from somebody who is not a member.
 * `proposal_dropped`: a proposal passed on was refused. `malformed`: it contradicts itself.
 */
export type StepOutcome = "stepped" | "peer_not_found" | "proposal_dropped" | "malformed";

/** Takes a message from a peer, or a response of this node to itself that had to wait. */
export function step(state: RaftState, message: Message): StepOutcome {
  if (isResponse(message) && !state.members.has(message.from)) return "peer_not_found";
  if (!isWellFormed(message)) return "malformed";
  return stepUnchecked(state, message);
}

/** As `step`, for the engine's own messages. */
export function stepUnchecked(state: RaftState, message: Message): StepOutcome {
  if (message.term !== NO_TERM) {
    if (message.term > state.term && !meetHigherTerm(state, message)) return "stepped";
    if (message.term < state.term) {
      meetLowerTerm(state, message);
      return "stepped";
    }
  }
  return dispatch(state, message);
}

function isResponse(message: Message): boolean {
  switch (message.kind) {
    case "append_response":
    case "vote_response":
    case "heartbeat_response":
    case "read_index_response":
      return true;
    default:
      return false;
  }
}

/** Peers are trusted, not believed: entries must be contiguous, and terms ascend up to the sender's. */
function isWellFormed(message: Message): boolean {
  if (message.kind !== "append") return true;
  let { prevIndex: index, prevTerm: term } = message;
  for (const entry of message.entries) {
    if (entry.index !== index + 1 || entry.term < term) return false;
    index = entry.index;
    term = entry.term;
  }
  return term <= message.term;
}

/** @returns whether the message is to be handled. */
function meetHigherTerm(state: RaftState, message: Message): boolean {
  if (message.kind === "vote_request") {
    if (ignoresByLease(state, message)) return false;
    // A pre-vote is only a question: nobody's term changes by it.
    if (message.ballot === "pre_vote") return true;
  }
  // Granted for the term that was asked for; that election starts when a quorum has granted.
  if (message.kind === "vote_response" && message.ballot === "pre_vote" && message.isGranted) {
    return true;
  }
  state.trace?.({ kind: "higher_term_seen", message, term: state.term });
  const leader = isFromLeader(message) ? message.from : NOBODY;
  becomeFollower(state, { term: message.term, leader });
  return true;
}

function meetLowerTerm(state: RaftState, message: Message): void {
  const keepsTerms = state.config.checkQuorum || state.config.preVote;
  if (keepsTerms && (message.kind === "heartbeat" || message.kind === "append")) {
    // Silence would shut this node out for ever: it may not join the sender's lower term, and leases and
    // pre-votes keep its own campaigns from succeeding. So the sender must come to the higher term.
    state.acceptAppend({ to: message.from, index: NO_INDEX });
  } else if (message.kind === "vote_request" && message.ballot === "pre_vote") {
    // Silence would let two nodes wait for each other for ever.
    rejectVote(state, message);
  } else {
    state.trace?.({ kind: "lower_term_ignored", message, term: state.term });
  }
}

type FromLeader = AppendMessage | HeartbeatMessage | SnapshotMessage;

function isFromLeader(message: Message): message is FromLeader {
  return message.kind === "append" || message.kind === "heartbeat" || message.kind === "snapshot";
}

function dispatch(state: RaftState, message: Message): StepOutcome {
  switch (message.kind) {
    case "append":
    case "heartbeat":
    case "snapshot":
      return stepFromLeader(state, message);
    case "vote_request":
      handleVoteRequest(state, message);
      return "stepped";
    case "vote_response":
      handleVoteResponse(state, message);
      return "stepped";
    case "propose":
      return handlePropose(state, message).kind === "refused" ? "proposal_dropped" : "stepped";
    case "timeout_now":
      handleTimeoutNow(state, message);
      return "stepped";
    case "transfer_leader":
      handleTransferLeader(state, message);
      return "stepped";
    case "read_index":
      handleReadIndexRequest(state, message);
      return "stepped";
    case "read_index_response":
      handleReadIndexResponse(state, message);
      return "stepped";
    case "append_response":
      if (state.role === "leader") handleAppendResponse(state, message);
      return "stepped";
    case "heartbeat_response":
      if (state.role === "leader") handleHeartbeatResponse(state, message);
      return "stepped";
    case "snapshot_request":
      if (state.role === "leader") handleSnapshotRequest(state, message);
      return "stepped";
    default:
      return unreachable(message);
  }
}

/** Whoever sends these leads the term: campaigns in it are over (Raft section 5.2). */
function stepFromLeader(state: RaftState, message: FromLeader): StepOutcome {
  // Two leaders in one term would be the end of all promises; a leader's own never come back.
  if (state.role === "leader") return "malformed";
  if (state.role !== "follower") {
    becomeFollower(state, { term: message.term, leader: message.from });
  }
  state.electionElapsed = 0;
  state.setLeader(message.from);
  if (message.kind === "append") handleAppend(state, message);
  else if (message.kind === "heartbeat") handleHeartbeat(state, message);
  else handleSnapshot(state, message);
  return "stepped";
}
