/**
 * What a leader knows of one peer's log, and how fast it may send to it.
 *
 * probe      one append at a time, `next` is a guess; paused until an answer or a heartbeat response
 * replicate  `next` runs ahead of `match`, as far as the window allows
 * snapshot   a snapshot is under way; nothing else is sent
 * Invariants: match < next; `match` never moves back within a term; `sentCommit` is what the last message told.
 */
import { assert } from "../base/assert.ts";
import { type LogIndex, logIndex } from "../base/ids.ts";
import { Inflights } from "./inflights.ts";
import { NO_INDEX } from "./types.ts";

/** How a peer is sent to; see the file's header. */
export type ProgressState = "probe" | "replicate" | "snapshot";

/** The window that a new `Progress` gets. */
export interface WindowLimits {
  readonly inflightAppendsMax: number;
  readonly inflightBytesMax: number;
}

/** See the file's header. Mutable; owned by one leader. */
export class Progress {
  readonly inflights: Inflights;
  state: ProgressState = "probe";
  /** The last entry known to be the same as the leader's, and durable at the peer. */
  match: LogIndex = NO_INDEX;
  /** The next entry to send, at least 1. */
  next: LogIndex;
  /** Whether the peer was heard from since the last quorum check. */
  isActive: boolean;
  /** While `snapshot`: the index of the snapshot under way. Otherwise 0. */
  pendingSnapshot: LogIndex = NO_INDEX;
  /** The peer asked for a snapshot and gets no entries behind this index until then; 0 when it did not. */
  requestedSnapshot: LogIndex = NO_INDEX;
  /** Storage could not give entries at once; they are on their way (`raft.entriesFetched`). */
  isFetching = false;
  /** With batched appends: an append is due with the next Ready, `always` even without entries. */
  appendDue: "no" | "if_entries" | "always" = "no";
  #isFlowPaused = false;
  #sentCommit: LogIndex = NO_INDEX;

  constructor(
    options: { readonly next: LogIndex; readonly isActive: boolean; readonly window: WindowLimits },
  ) {
    this.next = options.next;
    this.isActive = options.isActive;
    this.inflights = new Inflights({
      countMax: options.window.inflightAppendsMax,
      sizeBytesMax: options.window.inflightBytesMax,
    });
  }

  /** Whether appends must wait. */
  get isPaused(): boolean {
    return this.state === "snapshot" || this.#isFlowPaused;
  }

  /** Optimistic sending from the first entry that is not known to match. */
  becomeReplicate(): void {
    this.#reset("replicate");
    this.next = logIndex(this.match + 1);
  }

  /** One append at a time, behind the snapshot if one was under way. */
  becomeProbe(): void {
    const behind = this.state === "snapshot" ? this.pendingSnapshot : NO_INDEX;
    this.#reset("probe");
    this.next = logIndex(Math.max(this.match, behind) + 1);
    this.#limitSentCommit();
  }

  /** A snapshot at `index` is under way. */
  becomeSnapshot(index: LogIndex): void {
    this.#reset("snapshot");
    this.pendingSnapshot = index;
    this.requestedSnapshot = NO_INDEX;
    this.next = logIndex(index + 1);
    this.#sentCommit = index;
  }

  /** The snapshot did not arrive: the next probe starts from what is known to match. */
  forgetPendingSnapshot(): void {
    this.pendingSnapshot = NO_INDEX;
  }

  #reset(state: ProgressState): void {
    this.state = state;
    this.pendingSnapshot = NO_INDEX;
    this.#isFlowPaused = false;
    this.isFetching = false;
    this.inflights.reset();
  }

  /** Notes an append of `count` entries, perhaps none, from `next` on. */
  sentEntries(append: { readonly count: number; readonly sizeBytes: number }): void {
    assert(this.state !== "snapshot", "Progress.sentEntries: a snapshot is under way");
    if (this.state === "probe") {
      if (append.count > 0) this.#isFlowPaused = true;
      return;
    }
    if (append.count > 0) {
      this.next = logIndex(this.next + append.count);
      this.inflights.add({ last: logIndex(this.next - 1), sizeBytes: append.sizeBytes });
    }
    this.#isFlowPaused = this.inflights.isFull;
  }

  /** Notes the commit index that the peer was just told. */
  sentCommitIndex(commit: LogIndex): void {
    this.#sentCommit = commit;
  }

  /** Whether telling `commit` could move the peer's commit index beyond what it was told already. */
  canBumpCommit(commit: LogIndex): boolean {
    return commit > this.#sentCommit && this.#sentCommit < this.next - 1;
  }

  /** Whether the peer was not told `commit` yet. */
  canLearnCommit(commit: LogIndex): boolean {
    return commit > this.#sentCommit;
  }

  /** Holds further appends back until the peer gives a sign of life. */
  pause(): void {
    this.#isFlowPaused = true;
  }

  /** The peer lives: one append may go out, even when the window is full. */
  resume(): void {
    this.#isFlowPaused = false;
  }

  /** The peer acknowledged `index`. @returns whether that was news. */
  maybeUpdate(index: LogIndex): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = logIndex(Math.max(this.next, index + 1));
    this.#isFlowPaused = false;
    return true;
  }

  /**
   * The peer did not find `rejected`, the entry before those sent, and hints where to try next.
   * @returns false when the rejection is a late one and says nothing about the present.
   */
  maybeDecrease(answer: { readonly rejected: LogIndex; readonly hint: LogIndex }): boolean {
    if (this.state === "replicate") {
      if (answer.rejected <= this.match) return false;
      this.next = logIndex(this.match + 1);
    } else {
      if (this.next - 1 !== answer.rejected) return false;
      const wanted = Math.min(answer.rejected, answer.hint + 1);
      this.next = logIndex(Math.max(wanted, this.match + 1));
      this.#isFlowPaused = false;
    }
    this.#limitSentCommit();
    return true;
  }

  #limitSentCommit(): void {
    if (this.#sentCommit >= this.next) this.#sentCommit = logIndex(this.next - 1);
  }
}

/** Such as `StateReplicate match=11 next=15 paused inflight=3[full]`. */
export function progressText(
  progress: Progress,
  options: { readonly isLearner: boolean },
): string {
  const { inflights } = progress;
  let text = `${STATE_NAMES[progress.state]} match=${progress.match} next=${progress.next}`;
  if (options.isLearner) text += " learner";
  if (progress.isPaused) text += " paused";
  if (progress.pendingSnapshot > 0) text += ` pendingSnap=${progress.pendingSnapshot}`;
  if (!progress.isActive) text += " inactive";
  if (inflights.count > 0) {
    text += ` inflight=${inflights.count}${inflights.isFull ? "[full]" : ""}`;
  }
  return text;
}

const STATE_NAMES = {
  probe: "StateProbe",
  replicate: "StateReplicate",
  snapshot: "StateSnapshot",
} as const;
