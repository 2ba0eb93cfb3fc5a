/**
 * Turns what the rules have queued into the next Ready, and remembers what was handed out.
 *
 * A storage append is made when there is something to write or something waits for what was written
 * before. Whenever anything is unstable, every append attests to the whole log: acknowledgements may have
 * been discarded after a change of term, and the next one must make up for them.
 */
import { assert } from "../base/assert.ts";
import type { AppendAcknowledgement, Ready, StorageAppend } from "./ready.ts";
import { sendDueAppends } from "./replication.ts";
import type { RaftState } from "./state.ts";
import {
  type HardState,
  NO_INDEX,
  NO_TERM,
  type SnapshotMetadata,
  type SoftState,
} from "./types.ts";

/** See the file's header. One for each engine. */
export class ReadyMaker {
  readonly #state: RaftState;
  #softState: SoftState;
  #hardState: HardState;

  /** What holds at the start needs no handing out. */
  constructor(state: RaftState) {
    this.#state = state;
    this.#softState = { leader: state.leader, role: state.role };
    this.#hardState = state.hardState;
  }

  /** Whether `take` would give anything. */
  get hasWork(): boolean {
    const { log, messages, waiting, reads, areAppendsDue } = this.#state;
    return messages.length > 0 || waiting.length > 0 || areAppendsDue || reads.hasOutcomes ||
      log.unstable.hasNewEntries || log.unstable.newSnapshot() !== undefined ||
      log.hasNextToApply || this.#changedHardState() !== undefined ||
      this.#changedSoftState() !== undefined;
  }

  /** Hands out all there is to do. From here on the engine treats it as under way. */
  take(): Ready {
    const state = this.#state;
    sendDueAppends(state);
    const softState = this.#changedSoftState();
    const append = this.#makeAppend();
    const committed = state.log.nextToApply();
    const messages = state.messages;
    const { states, dropped } = state.reads.takeOutcomes();
    state.messages = [];
    state.waiting = [];
    state.reads.closeRound();
    if (softState !== undefined) this.#softState = softState;
    if (append?.hardState !== undefined) this.#hardState = append.hardState;
    state.log.unstable.acceptInProgress();
    if (committed.length > 0) state.log.acceptApplying(committed);
    return {
      softState,
      messages,
      append,
      apply: committed.length > 0 ? { entries: committed } : undefined,
      readStates: states,
      readsDropped: dropped,
    };
  }

  #changedSoftState(): SoftState | undefined {
    const { leader, role } = this.#state;
    const isSame = leader === this.#softState.leader && role === this.#softState.role;
    return isSame ? undefined : { leader, role };
  }

  #changedHardState(): HardState | undefined {
    const { term, vote, log } = this.#state;
    const old = this.#hardState;
    if (term === old.term && vote === old.vote && log.commit === old.commit) return undefined;
    assert(term >= old.term && log.commit >= old.commit, "ReadyMaker: the hard state moved back");
    return { term, vote, commit: log.commit };
  }

  #makeAppend(): StorageAppend | undefined {
    const { log, waiting } = this.#state;
    const hardState = this.#changedHardState();
    const entries = log.unstable.newEntries();
    const snapshot = log.unstable.newSnapshot();
    const isNeeded = hardState !== undefined || entries.length > 0 || snapshot !== undefined ||
      waiting.length > 0;
    if (!isNeeded) return undefined;
    return {
      hardState,
      entries,
      snapshot,
      mustSync: entries.length > 0 || snapshot !== undefined || this.#isBinding(hardState),
      responses: waiting,
      acknowledgement: this.#makeAcknowledgement(snapshot),
    };
  }

  /**
   * A forgotten term or vote could be used twice. A forgotten commit index is learned again, but not
   * that of a change: who was removed may be gone, and without its vote the rest would never learn.
   */
  #isBinding(hardState: HardState | undefined): boolean {
    if (hardState === undefined) return false;
    const { term, vote, commit } = this.#hardState;
    if (hardState.term !== term || hardState.vote !== vote) return true;
    return hardState.commit !== commit && this.#state.log.hasUnappliedChange();
  }

  #makeAcknowledgement(snapshot: SnapshotMetadata | undefined): AppendAcknowledgement | undefined {
    const { log, term } = this.#state;
    const isUnstable = log.unstable.count > 0;
    if (!isUnstable && snapshot === undefined) return undefined;
    const last = isUnstable ? log.last() : { index: NO_INDEX, term: NO_TERM };
    return { term, lastIndex: last.index, lastTerm: last.term, snapshot };
  }
}
