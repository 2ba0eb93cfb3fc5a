/**
 * Proposals: what a leader takes into its log, and what it refuses and why.
 *
 * A refused proposal left no trace, except that a configuration change which is not possible now is
 * replaced by an empty entry and reported as refused all the same. At most one change is on its way at a
 * time, for overlapping changes could make two disjoint majorities.
 */
import { type LogIndex, logIndex, type Term } from "../base/ids.ts";
import {
  type ConfChange,
  decodeConfChange,
  encodeConfChange,
  isLeaveJoint,
  LEAVE_JOINT,
} from "./conf_change.ts";
import { isJoint } from "./configuration.ts";
import { changeConfiguration } from "./configuration_changer.ts";
import type { ProposeMessage } from "./message.ts";
import { broadcastAppend, payloadBytes } from "./replication.ts";
import type { RaftState } from "./state.ts";
import { type Entry, NO_TERM, NOBODY, type ProposedEntry } from "./types.ts";

/** Why a proposal was refused. */
export type RefusalReason =
  | "no_leader"
  | "not_leader"
  /** This leader was removed and does not step down. */
  | "not_member"
  | "transferring"
  /** Too many bytes are proposed and not applied. */
  | "uncommitted_limit"
  /** An earlier configuration change may not be applied yet. */
  | "change_pending"
  /** The configuration is joint and must be left first. */
  | "joint"
  /** There is no joint configuration to leave. */
  | "not_joint"
  /** The change contradicts the configuration, or its bytes are no change. */
  | "impossible_change";

/** `taken`: in the leader's log, may still be lost. `forwarded`: handed to the leader, fate unknown. */
export type ProposeOutcome =
  | { readonly kind: "taken"; readonly index: LogIndex; readonly term: Term }
  | { readonly kind: "forwarded" }
  | { readonly kind: "refused"; readonly reason: RefusalReason };

const EMPTY_PAYLOAD = new Uint8Array(0);

/** What a leader begins its term with, and what stands in for a refused change. */
const EMPTY_ENTRY: ProposedEntry = { kind: "normal", size: 0, payload: EMPTY_PAYLOAD };

/** Proposes entries as one batch: all are taken or none. `index` is that of the first. */
export function propose(state: RaftState, entries: readonly ProposedEntry[]): ProposeOutcome {
  if (state.role !== "leader") return proposeElsewhere(state, entries);
  if (!state.members.has(state.id)) return { kind: "refused", reason: "not_member" };
  if (state.transferee !== NOBODY) return refuse(state, "transferring");
  const checked = checkConfChanges(state, entries);
  const index = logIndex(state.log.lastIndex + 1);
  if (!appendEntries(state, checked.entries)) return refuse(state, "uncommitted_limit");
  if (checked.pendingConfIndex !== undefined) state.pendingConfIndex = checked.pendingConfIndex;
  broadcastAppend(state);
  if (checked.reason !== undefined) return { kind: "refused", reason: checked.reason };
  return { kind: "taken", index, term: state.term };
}

/** Proposes a configuration change. */
export function proposeConfChange(state: RaftState, change: ConfChange): ProposeOutcome {
  const payload = encodeConfChange(change);
  return propose(state, [{ kind: "conf_change", size: payload.length, payload }]);
}

/** A follower passed a proposal on. */
export function handlePropose(state: RaftState, message: ProposeMessage): ProposeOutcome {
  if (state.role !== "follower" || state.leader === NOBODY || !state.config.forwardProposals) {
    return propose(state, message.entries);
  }
  state.send({ ...message, to: state.leader });
  return { kind: "forwarded" };
}

/** The empty entry by which a new leader learns what is committed (Raft section 8). */
export function appendEmptyEntry(state: RaftState): void {
  appendEntries(state, [EMPTY_ENTRY]);
}

/** Leaves an implicitly entered joint configuration, once the entry that entered it is applied. */
export function proposeAutoLeave(state: RaftState): void {
  const { configuration } = state.members;
  const isDue = configuration.autoLeave && state.role === "leader" &&
    state.log.applied >= state.pendingConfIndex;
  if (!isDue) return;
  const outcome = proposeConfChange(state, LEAVE_JOINT);
  const kind = outcome.kind === "taken" ? "auto_leave_proposed" : "auto_leave_postponed";
  state.trace?.({ kind, configuration });
}

function refuse(
  state: RaftState,
  reason: "no_leader" | "not_leader" | "transferring" | "uncommitted_limit",
): ProposeOutcome {
  const peer = state.role === "leader" ? state.transferee : state.leader;
  state.trace?.({ kind: "proposal_dropped", reason, term: state.term, peer });
  return { kind: "refused", reason };
}

function proposeElsewhere(state: RaftState, entries: readonly ProposedEntry[]): ProposeOutcome {
  if (state.role !== "follower" || state.leader === NOBODY) return refuse(state, "no_leader");
  if (!state.config.forwardProposals) return refuse(state, "not_leader");
  state.send({ kind: "propose", from: state.id, to: state.leader, term: NO_TERM, entries });
  return { kind: "forwarded" };
}

interface CheckedEntries {
  readonly entries: readonly ProposedEntry[];
  readonly reason: RefusalReason | undefined;
  /** Where the last change will stand. */
  readonly pendingConfIndex: LogIndex | undefined;
}

function checkConfChanges(state: RaftState, entries: readonly ProposedEntry[]): CheckedEntries {
  if (!entries.some((entry) => entry.kind === "conf_change")) {
    return { entries, reason: undefined, pendingConfIndex: undefined };
  }
  let reason: RefusalReason | undefined;
  let pendingConfIndex: LogIndex | undefined;
  const checked = entries.map((entry, i) => {
    if (entry.kind !== "conf_change") return entry;
    const refusal = checkConfChange(state, entry, pendingConfIndex ?? state.pendingConfIndex);
    if (refusal !== undefined) {
      reason = refusal;
      return EMPTY_ENTRY;
    }
    pendingConfIndex = logIndex(state.log.lastIndex + i + 1);
    return entry;
  });
  return { entries: checked, reason, pendingConfIndex };
}

function checkConfChange(
  state: RaftState,
  entry: ProposedEntry,
  pendingConfIndex: LogIndex,
): RefusalReason | undefined {
  const change = entry.payload === undefined ? undefined : decodeConfChange(entry.payload);
  if (change === undefined) return "impossible_change";
  if (!state.config.validateConfChanges) return undefined;
  const refusal = findRefusal(state, change, pendingConfIndex);
  if (refusal === undefined) return undefined;
  const { configuration } = state.members;
  state.trace?.({ kind: "conf_change_ignored", change, configuration, reason: refusal.text });
  return refusal.reason;
}

function findRefusal(
  state: RaftState,
  change: ConfChange,
  pendingConfIndex: LogIndex,
): { readonly reason: RefusalReason; readonly text: string } | undefined {
  const { configuration } = state.members;
  const { applied } = state.log;
  if (pendingConfIndex > applied) {
    const text =
      `possible unapplied conf change at index ${pendingConfIndex} (applied to ${applied})`;
    return { reason: "change_pending", text };
  }
  const leaves = isLeaveJoint(change);
  if (isJoint(configuration) && change.changes.length > 0) {
    return { reason: "joint", text: "must transition out of joint config first" };
  }
  if (!isJoint(configuration) && change.changes.length === 0) {
    return { reason: "not_joint", text: "not in joint state; refusing empty conf change" };
  }
  if (leaves) return undefined;
  const outcome = changeConfiguration(configuration, change);
  if (outcome.kind === "changed") return undefined;
  return { reason: "impossible_change", text: outcome.reason };
}

/** @returns false when the limit on uncommitted bytes is passed; nothing was appended then. */
function appendEntries(state: RaftState, proposed: readonly ProposedEntry[]): boolean {
  const { log, term } = state;
  const first = log.lastIndex + 1;
  const entries: Entry[] = proposed.map(({ kind, size, payload }, i) => ({
    index: logIndex(first + i),
    term,
    kind,
    size,
    payload,
  }));
  if (!takeUncommitted(state, entries)) return false;
  log.append(entries);
  // Its own acknowledgement waits for its disk like those of others (Raft thesis 10.2.1).
  state.acceptAppend({ to: state.id, index: log.lastIndex });
  return true;
}

/** Configuration changes and empty entries are always taken: they are what may end an overload. */
function takeUncommitted(state: RaftState, entries: readonly Entry[]): boolean {
  const sizeBytes = payloadBytes(entries.filter((entry) => entry.kind === "normal"));
  const total = state.uncommittedBytes + sizeBytes;
  const isOver = total > state.config.uncommittedBytesMax;
  // A batch larger than the limit passes while nothing else is under way, or it never would.
  if (isOver && sizeBytes > 0 && state.uncommittedBytes > 0) return false;
  state.uncommittedBytes = total;
  return true;
}

/** Entries that were applied no longer count. */
export function releaseUncommitted(state: RaftState, entries: readonly Entry[]): void {
  const sizeBytes = payloadBytes(entries.filter((entry) => entry.kind === "normal"));
  state.uncommittedBytes = Math.max(0, state.uncommittedBytes - sizeBytes);
}
