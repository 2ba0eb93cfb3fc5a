/**
 * The engine's state for operators and tests: a copy, taken when asked.
 */
import type { LogIndex, NodeId } from "../base/ids.ts";
import type { ProgressState } from "./progress.ts";
import type { RaftState } from "./state.ts";
import type { ConfState, HardState, SoftState } from "./types.ts";

/** One member as its leader sees it. */
export interface MemberStatus {
  readonly id: NodeId;
  readonly state: ProgressState;
  /** The last entry known to be durable there. */
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly isLearner: boolean;
  readonly isPaused: boolean;
  /** Whether it was heard from since the last quorum check. */
  readonly isActive: boolean;
  /** 0 unless a snapshot is under way. */
  readonly pendingSnapshot: LogIndex;
  readonly inflightAppends: number;
  readonly inflightBytes: number;
}

/** One engine as a whole. */
export interface RaftStatus extends SoftState, HardState {
  readonly id: NodeId;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** Everything below is durable here. */
  readonly stableIndex: LogIndex;
  readonly applied: LogIndex;
  readonly configuration: ConfState;
  /** To whom leadership is being handed over, or 0. */
  readonly transferee: NodeId;
  readonly uncommittedBytes: number;
  /** Whether this follower waits for a snapshot that it asked for. */
  readonly wantsSnapshot: boolean;
  /** Ascending ids; empty unless this node leads. */
  readonly members: readonly MemberStatus[];
}

/** Copies what matters out of the engine. */
export function statusOf(state: RaftState): RaftStatus {
  const { log } = state;
  return {
    ...state.hardState,
    id: state.id,
    leader: state.leader,
    role: state.role,
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    stableIndex: log.stableIndex,
    applied: log.applied,
    configuration: state.members.configuration,
    transferee: state.transferee,
    uncommittedBytes: state.uncommittedBytes,
    wantsSnapshot: state.wantsSnapshot,
    members: state.role === "leader" ? memberStatuses(state) : [],
  };
}

function memberStatuses(state: RaftState): readonly MemberStatus[] {
  const statuses: MemberStatus[] = [];
  for (const id of state.members.ids) {
    const progress = state.members.progress(id);
    if (progress === undefined) continue;
    statuses.push({
      id,
      state: progress.state,
      match: progress.match,
      next: progress.next,
      isLearner: state.members.isLearner(id),
      isPaused: progress.isPaused,
      isActive: progress.isActive,
      pendingSnapshot: progress.pendingSnapshot,
      inflightAppends: progress.inflights.count,
      inflightBytes: progress.inflights.sizeBytes,
    });
  }
  return statuses;
}
