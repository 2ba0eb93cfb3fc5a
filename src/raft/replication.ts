/**
 * A leader sends its log (Raft section 5.3): appends, snapshots for those too far behind, heartbeats.
 *
 * Every peer is sent to as far as its `Progress` allows. With batched appends nothing goes out at once:
 * the peer is marked, and the next Ready makes one append of all that came in between.
 */
import { type LogIndex, logIndex, type NodeId } from "../base/ids.ts";
import { allMembers } from "./configuration.ts";
import { type Progress, progressText } from "./progress.ts";
import type { RaftState } from "./state.ts";
import type { Entry, SnapshotMetadata } from "./types.ts";

/** Whether an append without entries is worth sending: `always` also tells a commit index, or probes. */
export type AppendWish = "if_entries" | "always";

/** Sends to all other members, now or with the next Ready. */
export function broadcastAppend(state: RaftState): void {
  for (const id of state.members.ids) {
    if (id !== state.id) requestAppend(state, { to: id, wish: "always" });
  }
}

/** Sends to one member, now or with the next Ready. */
export function requestAppend(
  state: RaftState,
  options: { readonly to: NodeId; readonly wish: AppendWish },
): void {
  if (!state.config.batchAppends) {
    maybeSendAppend(state, options);
    return;
  }
  const progress = state.members.progress(options.to);
  if (progress === undefined) return;
  if (options.wish === "always" || progress.appendDue === "no") progress.appendDue = options.wish;
  state.areAppendsDue = true;
}

/** Sends one member as much as its window takes, now or with the next Ready. */
export function fillWindow(state: RaftState, to: NodeId): void {
  if (state.config.batchAppends) return requestAppend(state, { to, wish: "if_entries" });
  while (maybeSendAppend(state, { to, wish: "if_entries" }));
}

/** Makes the appends that were put off. Called once for each Ready. */
export function sendDueAppends(state: RaftState): void {
  if (!state.areAppendsDue) return;
  state.areAppendsDue = false;
  for (const id of state.members.ids) {
    const progress = state.members.progress(id);
    if (progress === undefined || progress.appendDue === "no") continue;
    const wish = progress.appendDue === "always" && progress.canLearnCommit(state.log.commit)
      ? "always"
      : "if_entries";
    progress.appendDue = "no";
    if (maybeSendAppend(state, { to: id, wish })) {
      while (maybeSendAppend(state, { to: id, wish: "if_entries" }));
    }
  }
}

/**
 * Sends one append to a member that is not paused, or a snapshot when the log does not reach back far
 * enough. @returns whether something was sent.
 */
export function maybeSendAppend(
  state: RaftState,
  options: { readonly to: NodeId; readonly wish: AppendWish },
): boolean {
  const { to, wish } = options;
  const progress = state.members.progress(to);
  if (progress === undefined || progress.isPaused || progress.isFetching) return false;
  if (progress.requestedSnapshot > 0 && maybeSendSnapshot(state, { to, progress })) return true;
  const prevIndex = logIndex(progress.next - 1);
  const prevTerm = state.log.term(prevIndex);
  if (prevTerm === undefined) return maybeSendSnapshot(state, { to, progress });
  const entries = entriesToSend(state, progress);
  if (entries === "compacted") return maybeSendSnapshot(state, { to, progress });
  if (entries === "unavailable") {
    progress.isFetching = true;
    return false;
  }
  if (entries.length === 0 && wish === "if_entries") return false;
  const commit = state.log.commit;
  state.send({
    kind: "append",
    from: state.id,
    to,
    term: state.term,
    prevIndex,
    prevTerm,
    entries,
    commit,
  });
  progress.sentEntries({ count: entries.length, sizeBytes: payloadBytes(entries) });
  progress.sentCommitIndex(commit);
  return true;
}

function entriesToSend(
  state: RaftState,
  progress: Progress,
): readonly Entry[] | "compacted" | "unavailable" {
  if (progress.state === "replicate" && progress.inflights.isFull) return [];
  // A peer that asked for a snapshot takes nothing behind the index it asked for.
  const last = progress.requestedSnapshot > 0
    ? Math.min(state.log.lastIndex, progress.requestedSnapshot)
    : state.log.lastIndex;
  if (progress.next > last) return [];
  return state.log.entries({
    from: progress.next,
    to: logIndex(last + 1),
    sizeBytesMax: state.config.appendSizeBytesMax,
  });
}

/** Payload bytes, which is what windows and the limit on proposals count. */
export function payloadBytes(entries: readonly Entry[]): number {
  let sizeBytes = 0;
  for (const entry of entries) sizeBytes += entry.size;
  return sizeBytes;
}

/** Sends a snapshot, unless the peer seems dead or there is none yet: asked again at its next sign of life. */
function maybeSendSnapshot(
  state: RaftState,
  peer: { readonly to: NodeId; readonly progress: Progress },
): boolean {
  const { to, progress } = peer;
  if (!progress.isActive) {
    state.trace?.({ kind: "snapshot_not_sent", peer: to, reason: "not recently active" });
    return false;
  }
  const snapshot = findSnapshot(state, peer);
  if (snapshot === undefined) {
    state.trace?.({ kind: "snapshot_not_sent", peer: to, reason: "temporarily unavailable" });
    return false;
  }
  state.trace?.({
    kind: "snapshot_sent",
    peer: to,
    snapshot,
    firstIndex: state.log.firstIndex,
    commit: state.log.commit,
    progress: textOf(state, to),
  });
  progress.becomeSnapshot(snapshot.index);
  state.trace?.({ kind: "progress_paused", peer: to, progress: textOf(state, to) });
  state.send({ kind: "snapshot", from: state.id, to, term: state.term, snapshot });
  return true;
}

/** A snapshot that connects to the log and knows the peer as a member: it would refuse any other. */
function findSnapshot(
  state: RaftState,
  peer: { readonly to: NodeId; readonly progress: Progress },
): SnapshotMetadata | undefined {
  const { log } = state;
  const { match, requestedSnapshot } = peer.progress;
  const oldest = logIndex(Math.max(log.firstIndex - 1, match, requestedSnapshot));
  for (const indexMin of [oldest, log.applied]) {
    const snapshot = log.snapshot({ indexMin });
    if (snapshot === undefined || snapshot.index < oldest) return undefined;
    if (allMembers(snapshot.configuration).includes(peer.to)) return snapshot;
  }
  return undefined;
}

/** A member's progress for a trace. */
export function textOf(state: RaftState, id: NodeId): string {
  const progress = state.members.progress(id);
  if (progress === undefined) return "unknown";
  return progressText(progress, { isLearner: state.members.isLearner(id) });
}

/** Heartbeats to all other members; they also ask to confirm the reads that wait. */
export function broadcastHeartbeat(state: RaftState): void {
  const readRound = state.reads.pendingRound;
  for (const to of state.members.ids) {
    const progress = state.members.progress(to);
    if (to === state.id || progress === undefined) continue;
    const commit = heartbeatCommit(state, progress);
    state.send({ kind: "heartbeat", from: state.id, to, term: state.term, commit, readRound });
    progress.sentCommitIndex(commit);
  }
}

/** No further than what the peer is known to hold: it may have lost the rest of an older term's log. */
function heartbeatCommit(state: RaftState, progress: Progress): LogIndex {
  return progress.match < state.log.commit ? progress.match : state.log.commit;
}

/** Storage has fetched what it lacked: goes on where sending or applying stopped. */
export function entriesFetched(state: RaftState): void {
  state.log.entriesFetched();
  for (const id of state.members.ids) {
    const progress = state.members.progress(id);
    if (progress?.isFetching !== true) continue;
    progress.isFetching = false;
    if (state.role === "leader" && id !== state.id) {
      requestAppend(state, { to: id, wish: "if_entries" });
    }
  }
}
