/**
 * Appends as they arrive at a follower (Raft figure 2, AppendEntries): the log takes them, or the answer
 * says where the leader should try next.
 */
import { logIndex } from "../base/ids.ts";
import type { AppendMessage } from "./message.ts";
import type { RaftState } from "./state.ts";

/** The sender is known to lead this term. */
export function handleAppend(state: RaftState, message: AppendMessage): void {
  const { log } = state;
  const { from: leader, prevIndex, prevTerm } = message;
  if (prevIndex < log.commit) {
    // A late message: what it could add is committed here already, or comes again.
    state.acceptAppend({ to: leader, index: log.commit });
    return;
  }
  const prev = { index: prevIndex, term: prevTerm };
  const { entries, commit } = message;
  const verified = log.maybeAppend({ prev, entries, commit });
  if (verified !== undefined) {
    state.acceptAppend({ to: leader, index: verified });
    return;
  }
  rejectAppend(state, message);
}

/** Hints at the last place where the logs can still agree, so that the leader skips whole terms. */
function rejectAppend(state: RaftState, message: AppendMessage): void {
  const { log } = state;
  const { prevIndex, prevTerm } = message;
  state.trace?.({
    kind: "append_rejected",
    from: message.from,
    prev: { index: prevIndex, term: prevTerm },
    ownTerm: log.termOrZero(prevIndex),
  });
  const from = logIndex(Math.min(prevIndex, log.lastIndex));
  const hint = log.findConflictByTerm({ index: from, term: prevTerm });
  state.sendWhenDurable({
    kind: "append_response",
    from: state.id,
    to: message.from,
    term: state.term,
    index: prevIndex,
    rejection: { hintIndex: hint.index, hintTerm: hint.term },
  });
}
