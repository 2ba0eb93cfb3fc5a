/**
 * Snapshots as they arrive at a follower (Raft section 7), what the transport tells the leader of those
 * it sent, and a follower's wish for one. The content travels and is installed outside the engine.
 */
import { assert } from "../base/assert.ts";
import { type NodeId, term as toTerm } from "../base/ids.ts";
import { allMembers } from "./configuration.ts";
import { switchConfiguration } from "./membership.ts";
import type { SnapshotMessage, SnapshotRequest } from "./message.ts";
import { maybeSendAppend, requestAppend, textOf } from "./replication.ts";
import { becomeFollower } from "./roles.ts";
import type { RaftState } from "./state.ts";
import { NO_INDEX, NOBODY, type SnapshotMetadata } from "./types.ts";

/** The sender is known to lead this term. */
export function handleSnapshot(state: RaftState, message: SnapshotMessage): void {
  const { snapshot } = message;
  const isRestored = maybeRestore(state, snapshot);
  state.trace?.({
    kind: isRestored ? "snapshot_accepted" : "snapshot_ignored",
    snapshot,
    commit: state.log.commit,
  });
  const index = isRestored ? state.log.lastIndex : state.log.commit;
  state.acceptAppend({ to: message.from, index });
}

/** Takes a snapshot in place of log and configuration, unless this node has or must have more. */
function maybeRestore(state: RaftState, snapshot: SnapshotMetadata): boolean {
  const { log } = state;
  // What this node holds may have been counted already; a snapshot must not take it away.
  const isRequested = state.wantsSnapshot && snapshot.index >= log.lastIndex;
  if (snapshot.index < log.commit || (snapshot.index === log.commit && !isRequested)) return false;
  if (state.role !== "follower") {
    // Only followers get here; whatever went wrong, a new term makes it harmless.
    becomeFollower(state, { term: toTerm(state.term + 1), leader: NOBODY });
    return false;
  }
  if (!allMembers(snapshot.configuration).includes(state.id)) {
    state.trace?.({ kind: "snapshot_refused", configuration: snapshot.configuration });
    return false;
  }
  if (!isRequested && log.matches(snapshot)) {
    state.trace?.({
      kind: "restore_fast_forwarded",
      snapshot,
      commit: log.commit,
      last: log.last(),
    });
    log.commitTo(snapshot.index);
    return false;
  }
  log.restore(snapshot);
  state.wantsSnapshot = false;
  switchConfiguration(state, { configuration: snapshot.configuration, renewed: [] });
  state.trace?.({ kind: "restored", snapshot, commit: log.commit, last: log.last() });
  assert(log.lastIndex === snapshot.index, "maybeRestore: the log does not end at the snapshot");
  return true;
}

/** `installed` or `failed`: what became of a snapshot that this leader sent. */
export type SnapshotReport = "installed" | "failed";

/** The transport reports on a snapshot. Late reports are ignored. */
export function reportSnapshot(
  state: RaftState,
  report: { readonly peer: NodeId; readonly outcome: SnapshotReport },
): void {
  const progress = state.members.progress(report.peer);
  if (state.role !== "leader" || progress?.state !== "snapshot") return;
  if (report.outcome === "failed") progress.forgetPendingSnapshot();
  progress.becomeProbe();
  const kind = report.outcome === "failed" ? "snapshot_failed" : "snapshot_succeeded";
  state.trace?.({ kind, peer: report.peer, progress: textOf(state, report.peer) });
  // Wait for the acknowledgement, or for a heartbeat's answer, before the next append.
  progress.pause();
}

/** This follower wants to be rebuilt. @returns false when no leader is known. */
export function requestSnapshot(state: RaftState): boolean {
  if (state.role !== "follower" || state.leader === NOBODY) return false;
  if (state.log.unstable.snapshot !== undefined) return true;
  state.wantsSnapshot = true;
  sendSnapshotRequest(state);
  return true;
}

/** Asks, or asks again with every heartbeat, since the request or the snapshot may be lost. */
export function sendSnapshotRequest(state: RaftState): void {
  if (!state.wantsSnapshot || state.leader === NOBODY) return;
  state.send({
    kind: "snapshot_request",
    from: state.id,
    to: state.leader,
    term: state.term,
    indexMin: state.log.lastIndex,
  });
}

/**
 * What is held back for a requested snapshot goes out after an election timeout: the snapshot may wait for
 * an entry that these commit, such as a verdict (rule A4). The follower asks anew with the next heartbeat.
 */
export function releaseHeldBack(state: RaftState): void {
  for (const id of state.members.ids) {
    const progress = state.members.progress(id);
    if (progress === undefined || progress.requestedSnapshot === NO_INDEX) continue;
    progress.requestedSnapshot = NO_INDEX;
    requestAppend(state, { to: id, wish: "if_entries" });
  }
}

/**
 * A follower asks this leader, which then holds back what comes behind `indexMin`, so that a snapshot can
 * overtake the follower's log. It must be able to commit up to there without sending more: entries of
 * earlier terms are only committed by later ones (Raft section 5.4.2). Else the next request will do.
 */
export function handleSnapshotRequest(state: RaftState, message: SnapshotRequest): void {
  const { log } = state;
  const { from, indexMin } = message;
  const progress = state.members.progress(from);
  if (progress === undefined) return;
  progress.isActive = true;
  if (progress.state === "snapshot" && progress.pendingSnapshot >= indexMin) return;
  const canReach = indexMin <= log.commit || log.termOrZero(indexMin) === state.term;
  progress.requestedSnapshot = canReach ? indexMin : NO_INDEX;
  if (!canReach) return;
  if (progress.state === "snapshot") progress.becomeProbe();
  progress.resume();
  maybeSendAppend(state, { to: from, wish: "if_entries" });
}
