/**
 * The values that the engine and its driver exchange: entries, states, configurations, reads.
 * All are plain and immutable; whoever receives one may keep it. Messages between nodes are in
 * message.ts, what one step of the engine asks for is in ready.ts.
 *
 * The engine handles (index, term, kind, size) of an entry and never looks into a normal payload
 * (rule N2): bytes pass through as a reference and may be absent once the entry is in storage.
 */
import { type LogIndex, logIndex, type NodeId, nodeId, type Term, term } from "../base/ids.ts";

/** No node: no vote given, no leader known. */
export const NOBODY: NodeId = nodeId(0);

/** Before the first entry; also "no index" where a field says so. */
export const NO_INDEX: LogIndex = logIndex(0);

/** Before the first election; also "no term" where a field says so. */
export const NO_TERM: Term = term(0);

/** `normal`: the driver's bytes, or empty for a leader's no-op. `conf_change`: see conf_change.ts. */
export type EntryKind = "normal" | "conf_change";

/** What a caller proposes; the leader gives it its place. */
export interface ProposedEntry {
  readonly kind: EntryKind;
  /** Bytes of the payload, known even where `payload` is absent. 0 for a no-op. */
  readonly size: number;
  /** Never copied, modified or (for `normal`) read by the engine. */
  readonly payload: Uint8Array | undefined;
}

/** An entry of the log. `payload` may be absent when it was read back from storage. */
export interface Entry extends ProposedEntry {
  readonly index: LogIndex;
  readonly term: Term;
}

/** What must survive a crash beside the entries (Raft figure 2), with the commit index (rule D2). */
export interface HardState {
  readonly term: Term;
  /** Whom this node voted for in `term`; 0 is nobody. */
  readonly vote: NodeId;
  readonly commit: LogIndex;
}

/** The vote record of a node that has never run. */
export const EMPTY_HARD_STATE: HardState = { term: NO_TERM, vote: NOBODY, commit: NO_INDEX };

/** The parts a node can play in a term. A pre-candidate asks whether an election would succeed. */
export type Role = "follower" | "pre_candidate" | "candidate" | "leader";

/** What is interesting to know and may be forgotten. */
export interface SoftState {
  /** 0 while no leader is known. */
  readonly leader: NodeId;
  readonly role: Role;
}

/** A configuration as it is stored and sent. Ids ascending, each once, none 0. */
export interface ConfState {
  readonly voters: readonly NodeId[];
  /** The old voters while the configuration is joint (Raft section 6), otherwise empty. */
  readonly votersOutgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
  /** Old voters that become learners when the joint configuration is left. */
  readonly learnersNext: readonly NodeId[];
  /** Whether the leader leaves the joint configuration by itself. */
  readonly autoLeave: boolean;
}

/** What the engine knows of a snapshot; the content is the driver's. */
export interface SnapshotMetadata {
  /** The last entry that the snapshot replaces, at least 1. */
  readonly index: LogIndex;
  readonly term: Term;
  /** The configuration in force at `index`. */
  readonly configuration: ConfState;
}

/** The caller's own mark on a read. Never leaves the node and is only compared by the caller. */
export type ReadContext = number;

/** A read may run once `index` is applied here (Raft thesis 6.4). */
export interface ReadState {
  readonly context: ReadContext;
  readonly index: LogIndex;
}
