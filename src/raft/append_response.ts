/**
 * Answers to appends and snapshots as they arrive at the leader (Raft section 5.3), its own included.
 * Late and repeated answers never move a peer's progress back below what is known to match.
 */
import { assertDefined } from "../base/assert.ts";
import type { NodeId } from "../base/ids.ts";
import { maybeCommit } from "./commit.ts";
import type { AppendResponse } from "./message.ts";
import type { Progress } from "./progress.ts";
import { fillWindow, maybeSendAppend, requestAppend, textOf } from "./replication.ts";
import type { RaftState } from "./state.ts";
import { sendTimeoutNow } from "./transfer.ts";

/** One peer and what is known of it. */
interface Peer {
  readonly id: NodeId;
  readonly progress: Progress;
}

/** One answer: what the peer has, or where it must be tried next. */
export function handleAppendResponse(state: RaftState, message: AppendResponse): void {
  const progress = state.members.progress(message.from);
  if (progress === undefined) return;
  progress.isActive = true;
  const peer = { id: message.from, progress };
  if (message.rejection === undefined) handleAccepted(state, peer, message);
  else handleRejected(state, peer, message);
}

function handleRejected(state: RaftState, peer: Peer, message: AppendResponse): void {
  const { hintIndex, hintTerm } = assertDefined(message.rejection, "handleRejected: accepted");
  const hint = { index: hintIndex, term: hintTerm };
  const from = peer.id;
  state.trace?.({ kind: "rejection_received", from, rejected: message.index, hint });
  // The leader's log, too, may rule out places: those of terms above the follower's there.
  const next = hintTerm > 0 ? state.log.findConflictByTerm(hint).index : hintIndex;
  if (!peer.progress.maybeDecrease({ rejected: message.index, hint: next })) return;
  const progress = textOf(state, from);
  state.trace?.({ kind: "progress_decreased", peer: from, progress });
  if (peer.progress.state === "replicate") peer.progress.becomeProbe();
  maybeSendAppend(state, { to: from, wish: "always" });
}

function handleAccepted(state: RaftState, peer: Peer, message: AppendResponse): void {
  const { id, progress } = peer;
  const isNews = progress.maybeUpdate(message.index);
  if (!isNews && !(progress.match === message.index && endsWait(progress))) return;
  advanceState(state, peer, message);
  if (!maybeCommit(state) && id !== state.id && progress.canBumpCommit(state.log.commit)) {
    requestAppend(state, { to: id, wish: "always" });
  }
  if (id === state.id) return;
  fillWindow(state, id);
  if (id === state.transferee && progress.match === state.log.lastIndex) {
    sendTimeoutNow(state, { to: id, isImmediate: false });
  }
}

/** Whether an answer that only repeats `match` is what the leader waited for. */
function endsWait(progress: Progress): boolean {
  if (progress.state === "snapshot") return progress.match >= progress.pendingSnapshot;
  return progress.state === "probe";
}

/** The answer shows that the peer's log connects to this one, wherever its snapshot came from. */
function advanceState(state: RaftState, peer: Peer, message: AppendResponse): void {
  const { id, progress } = peer;
  switch (progress.state) {
    case "probe":
      progress.becomeReplicate();
      return;
    case "snapshot":
      if (progress.match + 1 < state.log.firstIndex) return;
      state.trace?.({ kind: "progress_recovered", peer: id, progress: textOf(state, id) });
      progress.becomeProbe();
      progress.becomeReplicate();
      return;
    case "replicate":
      progress.inflights.freeTo(message.index);
      return;
  }
}
