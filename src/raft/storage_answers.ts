/**
 * Storage's acknowledgements (asynchronous mode, and the second half of a turn in synchronous mode).
 *
 * An append's acknowledgement may be late: in between the log may have been overwritten by another
 * leader and back again, and look the same. It therefore counts only in the term in which it was issued,
 * and only if the entry it names is still there; every later append attests to the whole log again. A
 * snapshot's acknowledgement counts in any term.
 */
import type { LogIndex } from "../base/ids.ts";
import { proposeAutoLeave, releaseUncommitted } from "./proposal.ts";
import type { AppendAcknowledgement } from "./ready.ts";
import type { RaftState } from "./state.ts";
import type { Entry } from "./types.ts";

/** Storage has made an append and all before it durable. */
export function handleAppendAcknowledgement(
  state: RaftState,
  acknowledgement: AppendAcknowledgement,
): void {
  const { term, lastIndex, lastTerm, snapshot } = acknowledgement;
  if (lastIndex > 0) {
    if (term === state.term) {
      state.log.unstable.stableTo({ index: lastIndex, term: lastTerm });
    } else {
      state.trace?.({
        kind: "acknowledgement_of_older_term",
        term: state.term,
        acknowledgedTerm: term,
      });
    }
  }
  if (snapshot === undefined) return;
  state.log.unstable.stableSnapshotTo(snapshot.index);
  state.appliedConfiguration = snapshot.configuration;
  appliedTo(state, { index: snapshot.index, entries: [] });
}

/** The state machine has applied these entries. */
export function handleApplied(state: RaftState, entries: readonly Entry[]): void {
  const last = entries.at(-1);
  if (last === undefined) return;
  appliedTo(state, { index: last.index, entries });
  releaseUncommitted(state, entries);
}

function appliedTo(
  state: RaftState,
  applied: { readonly index: LogIndex; readonly entries: readonly Entry[] },
): void {
  // A snapshot may have overtaken entries that were still being applied.
  const index = applied.index > state.log.applied ? applied.index : state.log.applied;
  state.log.appliedTo({ index, entries: applied.entries });
  proposeAutoLeave(state);
}
