/**
 * The configuration changes when an entry that says so is applied, not when it is appended (Raft
 * section 6 and thesis 4; this engine differs from the paper in the moment). Therefore nobody campaigns
 * while such an entry is committed and not applied (rule D2, election.ts).
 */
import { AssertionError } from "../base/assert.ts";
import type { NodeId } from "../base/ids.ts";
import { maybeCommit } from "./commit.ts";
import type { ConfChange } from "./conf_change.ts";
import { changeConfiguration } from "./configuration_changer.ts";
import { finishConfirmedReads } from "./read_index.ts";
import { requestAppend } from "./replication.ts";
import { becomeFollower } from "./roles.ts";
import type { RaftState } from "./state.ts";
import { type ConfState, NOBODY } from "./types.ts";

/**
 * Applies a committed change. While a snapshot waits to be installed, entries from before it may still be
 * on their way to the state: their changes concern the state, but no longer this node's configuration.
 * @throws {AssertionError} when the change is impossible: proposals are checked.
 */
export function applyConfChange(state: RaftState, change: ConfChange): ConfState {
  const outcome = changeConfiguration(state.appliedConfiguration, change);
  if (outcome.kind === "impossible") {
    throw new AssertionError(
      `applyConfChange: a committed change is impossible: ${outcome.reason}`,
    );
  }
  state.appliedConfiguration = outcome.configuration;
  if (state.log.unstable.snapshot === undefined) switchConfiguration(state, outcome);
  return outcome.configuration;
}

/** Takes a configuration over, and what follows from it for a leader. */
export function switchConfiguration(
  state: RaftState,
  change: { readonly configuration: ConfState; readonly renewed: readonly NodeId[] },
): void {
  const { members } = state;
  members.switchTo({ ...change, lastIndex: state.log.lastIndex });
  state.trace?.({ kind: "configuration_switched", configuration: members.configuration });
  if (state.role !== "leader") return;
  const mayLead = members.has(state.id) && !members.isLearner(state.id);
  if (!mayLead && state.config.stepDownOnRemoval) {
    becomeFollower(state, { term: state.term, leader: NOBODY });
    return;
  }
  // Fewer voters may be needed now, for entries as for reads.
  if (!maybeCommit(state)) probeMembers(state);
  finishConfirmedReads(state);
  if (state.transferee !== NOBODY && !members.voters.includes(state.transferee)) {
    state.transferee = NOBODY;
  }
}

/** New members learn at once what they lack. */
function probeMembers(state: RaftState): void {
  for (const id of state.members.ids) {
    if (id !== state.id) requestAppend(state, { to: id, wish: "if_entries" });
  }
}
