/**
 * A leader commits what a quorum holds (Raft section 5.3), but by counting only entries of its own
 * term (section 5.4.2), and tells everybody at once.
 */
import { logIndex } from "../base/ids.ts";
import { startEarlyReads } from "./read_index.ts";
import { broadcastAppend } from "./replication.ts";
import type { RaftState } from "./state.ts";

/** @returns whether the commit index advanced. */
export function maybeCommit(state: RaftState): boolean {
  const index = state.members.quorumMatch();
  if (!Number.isFinite(index)) return false;
  if (!state.log.maybeCommit({ index: logIndex(index), term: state.term })) return false;
  startEarlyReads(state);
  broadcastAppend(state);
  return true;
}
