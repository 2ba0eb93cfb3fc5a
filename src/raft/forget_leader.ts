/**
 * A follower forgets its leader, because something outside the engine knows that it is dead (rule E2):
 * votes are granted at once instead of after an election timeout. Nothing durable changes, and the log
 * check and the one vote per term hold as always; false alarms cost an election at most.
 */
import type { RaftState } from "./state.ts";
import { NOBODY } from "./types.ts";

/** @returns whether there was a leader to forget. */
export function forgetLeader(state: RaftState): boolean {
  if (state.role !== "follower") return false;
  if (state.config.refuseForgetLeader) {
    state.trace?.({ kind: "forget_leader_refused" });
    return false;
  }
  if (state.leader === NOBODY) return false;
  state.trace?.({ kind: "leader_forgotten", leader: state.leader, term: state.term });
  state.setLeader(NOBODY);
  return true;
}
