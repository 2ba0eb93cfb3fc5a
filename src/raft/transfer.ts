/**
 * Handing leadership over (Raft thesis 3.10): the leader stops taking proposals, brings its successor up
 * to date, and tells it to campaign at once. It gives up after an election timeout (tick.ts), or when the
 * successor is removed or demoted (membership.ts). Leases do not hold against such an election.
 */
import type { NodeId } from "../base/ids.ts";
import { campaign } from "./election.ts";
import type { TimeoutNowMessage, TransferLeaderMessage } from "./message.ts";
import { maybeSendAppend } from "./replication.ts";
import type { RaftState } from "./state.ts";
import { NOBODY } from "./types.ts";

/** What a request for a transfer came to. `asked`: this node passed it on to the leader. */
export type TransferOutcome = "started" | "asked" | "already_leader" | "no_leader" | "not_a_voter";

/** Hands over to `to`. A transfer to somebody else that is under way is given up. */
export function transferLeadership(state: RaftState, to: NodeId): TransferOutcome {
  if (state.role === "leader") return startTransfer(state, to);
  if (state.role !== "follower" || state.leader === NOBODY) return "no_leader";
  const { id, leader, term } = state;
  state.send({ kind: "transfer_leader", from: id, to: leader, term, transferee: to });
  return "asked";
}

/** A member asks the leader. */
export function handleTransferLeader(state: RaftState, message: TransferLeaderMessage): void {
  if (state.role === "leader") startTransfer(state, message.transferee);
  else if (state.role === "follower" && state.leader !== NOBODY) {
    state.send({ ...message, to: state.leader });
  }
}

function startTransfer(state: RaftState, to: NodeId): TransferOutcome {
  const { term } = state;
  const progress = state.members.progress(to);
  if (progress === undefined || !state.members.isVoter(to)) {
    state.trace?.({ kind: "transfer_refused", to, term });
    return "not_a_voter";
  }
  if (state.transferee === to) {
    state.trace?.({ kind: "transfer_repeated", to, term });
    return "started";
  }
  if (state.transferee !== NOBODY) {
    state.trace?.({ kind: "transfer_replaced", to: state.transferee, term });
    state.transferee = NOBODY;
  }
  if (to === state.id) return "already_leader";
  state.trace?.({ kind: "transfer_started", to, term });
  state.electionElapsed = 0;
  state.quorumElapsed = 0;
  state.transferee = to;
  if (progress.match === state.log.lastIndex) {
    sendTimeoutNow(state, { to, isImmediate: true });
  } else {
    maybeSendAppend(state, { to, wish: "always" });
  }
  return "started";
}

/** The successor has everything: it may campaign. */
export function sendTimeoutNow(
  state: RaftState,
  options: { readonly to: NodeId; readonly isImmediate: boolean },
): void {
  state.send({ kind: "timeout_now", from: state.id, to: options.to, term: state.term });
  state.trace?.({ kind: "timeout_now_sent", ...options });
}

/** This node is the successor. Whoever campaigns already needs no telling. */
export function handleTimeoutNow(state: RaftState, message: TimeoutNowMessage): void {
  if (state.role !== "follower") return;
  state.trace?.({ kind: "timeout_now_received", from: message.from, term: state.term });
  campaign(state, "transfer");
}
