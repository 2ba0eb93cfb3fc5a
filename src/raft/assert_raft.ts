/**
 * What must hold of one engine between any two calls. Cheap enough to be called after every step in
 * tests and simulation. What must hold between engines (one leader in a term, one log) is for those who
 * see all of them.
 */
import { assert } from "../base/assert.ts";
import type { NodeId } from "../base/ids.ts";
import { assertConfiguration } from "./configuration.ts";
import type { Progress } from "./progress.ts";
import type { Raft } from "./raft.ts";
import type { RaftState } from "./state.ts";
import { NOBODY } from "./types.ts";

/** @throws {AssertionError} naming the first rule that does not hold. */
export function assertRaft(raft: Raft): void {
  const { state } = raft;
  assertRole(state);
  assertLog(state);
  assertQueues(state);
  assertMembers(state);
}

function assertRole(state: RaftState): void {
  const { role, id, leader, vote, transferee, votes } = state;
  assert((role === "leader") === (leader === id), "assertRaft: only a leader leads itself");
  assert(role !== "leader" || vote === id, "assertRaft: a leader did not vote for itself");
  assert(role !== "candidate" || vote === id, "assertRaft: a candidate did not vote for itself");
  assert(
    role === "follower" || role === "leader" || leader === NOBODY,
    "assertRaft: a candidate follows",
  );
  assert(role === "leader" || transferee === NOBODY, "assertRaft: only a leader hands over");
  assert(role === "leader" || !state.areAppendsDue, "assertRaft: only a leader sends appends");
  assert(
    role === "candidate" || role === "pre_candidate" || votes.size === 0,
    "assertRaft: old votes",
  );
  assert(
    role === "follower" || !state.wantsSnapshot,
    "assertRaft: only followers ask for snapshots",
  );
  assert(state.electionElapsed >= 0 && state.heartbeatElapsed >= 0, "assertRaft: time runs back");
}

function assertLog(state: RaftState): void {
  const { log, config } = state;
  const { unstable } = log;
  assert(log.applied <= log.applying, "assertRaft: applied past what was handed out");
  assert(log.applying <= log.commit, "assertRaft: handed out past the commit index");
  assert(log.commit <= log.lastIndex, "assertRaft: committed past the end");
  assert(log.firstIndex <= log.lastIndex + 1, "assertRaft: the log begins behind its end");
  assert(unstable.offset <= unstable.offsetInProgress, "assertRaft: stable but not handed out");
  assert(unstable.offsetInProgress <= log.lastIndex + 1, "assertRaft: handed out past the end");
  if (config.storageWrites === "asynchronous" && unstable.snapshot === undefined) {
    // Rule D1: the state is never ahead of the durable log.
    assert(
      log.applying <= log.stableIndex,
      "assertRaft: handed out for apply before it was durable",
    );
  }
  if (unstable.snapshot !== undefined) {
    assert(unstable.snapshot.index < unstable.offset, "assertRaft: a snapshot inside the log");
    assert(unstable.snapshot.index <= log.commit, "assertRaft: a snapshot past the commit index");
  }
  assertTerms(state);
}

/** Terms ascend along the log and do not pass the node's own. */
function assertTerms(state: RaftState): void {
  const { log } = state;
  let term = log.last().term;
  assert(term <= state.term, "assertRaft: an entry of a later term");
  for (let index = log.lastIndex; index >= log.unstable.offset; index--) {
    const own = log.termOrZero(index);
    assert(own > 0 && own <= term, "assertRaft: terms do not ascend");
    term = own;
  }
  assert(
    state.role !== "leader" || log.last().term === state.term,
    "assertRaft: a leader's log is old",
  );
}

function assertQueues(state: RaftState): void {
  for (const message of state.messages) {
    assert(message.to !== state.id, "assertRaft: a message to itself leaves at once");
    assert(message.term <= state.term + 1, "assertRaft: a message from the future");
  }
  for (const message of state.waiting) {
    assert(message.from === state.id, "assertRaft: somebody else's promise");
    // A granted pre-vote speaks of the candidate's next term, which may be far ahead.
    const isQuestion = message.kind === "vote_response" && message.ballot === "pre_vote";
    assert(isQuestion || message.term <= state.term, "assertRaft: a promise for the future");
  }
  assert(state.uncommittedBytes >= 0, "assertRaft: negative size");
  assert(state.pendingConfIndex <= state.log.lastIndex, "assertRaft: a change past the end");
}

function assertMembers(state: RaftState): void {
  const { members, log } = state;
  assertConfiguration(members.configuration);
  assert(
    log.unstable.snapshot !== undefined || members.configuration === state.appliedConfiguration,
    "assertRaft: the configuration is not the applied one",
  );
  for (const id of members.ids) {
    const progress = members.progress(id);
    assert(progress !== undefined, "assertRaft: a member without progress");
    if (state.role === "leader") assertProgress(state, { id, progress });
  }
  const own = members.progress(state.id);
  if (state.role !== "leader" || own === undefined) return;
  assert(own.state === "replicate", "assertRaft: a leader does not replicate to itself");
  assert(own.match <= log.lastIndex, "assertRaft: a leader has more than it has");
}

function assertProgress(
  state: RaftState,
  member: { readonly id: NodeId; readonly progress: Progress },
): void {
  const { progress } = member;
  const { lastIndex } = state.log;
  assert(progress.match < progress.next, "assertRaft: next is not behind match");
  assert(progress.match <= lastIndex, "assertRaft: a peer matches past the end");
  assert(
    progress.inflights.count <= state.config.inflightAppendsMax,
    "assertRaft: window too large",
  );
  switch (progress.state) {
    case "probe":
      assert(progress.inflights.count === 0, "assertRaft: a probe has a window");
      return;
    case "replicate":
      assert(progress.next <= lastIndex + 1, "assertRaft: sent past the end");
      assert(progress.pendingSnapshot === 0, "assertRaft: a snapshot while replicating");
      return;
    case "snapshot":
      assert(progress.pendingSnapshot > 0, "assertRaft: no snapshot under way");
      // A late rejection may have moved it back; it counts again only when the snapshot has ended.
      assert(
        progress.next <= Math.max(progress.pendingSnapshot, progress.match) + 1,
        "assertRaft: sent past a snapshot",
      );
      return;
  }
}
