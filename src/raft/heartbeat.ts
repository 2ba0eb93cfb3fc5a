/**
 * Heartbeats as they arrive, and their answers. An answer shows that the peer lives, that it still
 * follows this leader, and that it may have missed appends.
 */
import type { HeartbeatMessage, HeartbeatResponse } from "./message.ts";
import { finishConfirmedReads } from "./read_index.ts";
import { maybeSendAppend } from "./replication.ts";
import { sendSnapshotRequest } from "./snapshot.ts";
import type { RaftState } from "./state.ts";

/** At a follower. The answer promises nothing and does not wait for the disk. */
export function handleHeartbeat(state: RaftState, message: HeartbeatMessage): void {
  state.log.commitTo(message.commit);
  state.send({
    kind: "heartbeat_response",
    from: state.id,
    to: message.from,
    term: state.term,
    readRound: message.readRound,
  });
  sendSnapshotRequest(state);
}

/** At a leader. Even with a full window one append goes out, so that lost messages do not stop a peer. */
export function handleHeartbeatResponse(state: RaftState, message: HeartbeatResponse): void {
  const progress = state.members.progress(message.from);
  if (progress === undefined) return;
  progress.isActive = true;
  progress.isFetching = false;
  progress.resume();
  if (progress.match < state.log.lastIndex || progress.state === "probe") {
    maybeSendAppend(state, { to: message.from, wish: "always" });
  }
  if (message.readRound === 0) return;
  state.reads.answered({ from: message.from, round: message.readRound });
  finishConfirmedReads(state);
}
