/**
 * What one turn of the engine asks of its driver, and in which order things must become durable.
 * The driver loop, in asynchronous mode (production):
 *
 *   while (raft.hasReady()) { const ready = raft.ready(); ... }
 *   1. `messages` leave at once, also while earlier appends are still being written (thesis 10.2.1).
 *   2. `append` goes to the end of the append queue. When it and all before it are written, and synced
 *      where one of them `mustSync`: `for (const m of raft.appended(append)) send(m)`.
 *   3. `apply` goes to the end of the apply queue. When its entries are applied, with every
 *      configuration change among them given to `raft.applyConfChange` first: `raft.applied(apply)`.
 * Both queues are strictly in order and drop nothing; each runs at its own pace.
 *
 * Synchronous mode: write and sync `append`, send `messages` and those of `append.responses` that are
 * for others, apply `apply.entries`, then `raft.advance()`. One Ready at a time.
 */
import type { LogIndex, Term } from "../base/ids.ts";
import type { Message } from "./message.ts";
import type {
  Entry,
  HardState,
  ReadContext,
  ReadState,
  SnapshotMetadata,
  SoftState,
} from "./types.ts";

/** The proof that an append is durable: which part of the unstable log it covers. */
export interface AppendAcknowledgement {
  /** The term in which it was issued: in a later one it no longer speaks for the log (the ABA problem). */
  readonly term: Term;
  /** The last entry of the log when it was issued; 0 and 0 when nothing was unstable. */
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** The snapshot that was installed with it. */
  readonly snapshot: SnapshotMetadata | undefined;
}

/** One item of the append queue. With both, the snapshot is installed first and the entries follow it. */
export interface StorageAppend {
  /** To be written behind the entries; undefined when unchanged. */
  readonly hardState: HardState | undefined;
  /** Written at `entries[0].index`; whatever the log holds from there on is discarded. */
  readonly entries: readonly Entry[];
  /** To be installed in place of state and log. */
  readonly snapshot: SnapshotMetadata | undefined;
  /** False when it may stay in the page cache: nothing but the commit index changed. */
  readonly mustSync: boolean;
  /** To be delivered once this and everything before it is durable; some are for this node itself. */
  readonly responses: readonly Message[];
  /** For `raft.appended`; undefined when there is nothing to acknowledge. */
  readonly acknowledgement: AppendAcknowledgement | undefined;
}

/** One item of the apply queue: committed and durable entries, in order, gapless from one to the next. */
export interface StorageApply {
  /** At least one. */
  readonly entries: readonly Entry[];
}

/** One turn's work. Absent or empty parts need nothing. */
export interface Ready {
  /** Set when it changed. */
  readonly softState: SoftState | undefined;
  /** May leave at once. Order matters only to keep retries rare. */
  readonly messages: readonly Message[];
  readonly append: StorageAppend | undefined;
  readonly apply: StorageApply | undefined;
  /** Reads that may run once their index is applied. */
  readonly readStates: readonly ReadState[];
  /** Reads that were given up because the term or the leader changed; the caller may ask again. */
  readonly readsDropped: readonly ReadContext[];
}
