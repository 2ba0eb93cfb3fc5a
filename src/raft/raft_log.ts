/**
 * The log as one sequence: storage up to the unstable part, then that; with the marks on it.
 *
 *   first ... applied <= applying <= commit <= last
 * `commit`: agreed by a quorum. `applying`: handed out for apply. `applied`: acknowledged as applied.
 * Invariant (rule D1): in asynchronous mode nothing is handed out for apply before storage acknowledged
 * it, so that the state is never ahead of the durable log. Committed entries never change.
 */
import { assert, assertDefined } from "../base/assert.ts";
import { FatalError } from "../base/errors.ts";
import { type LogIndex, logIndex, type Term } from "../base/ids.ts";
import {
  type EntriesAnswer,
  type EntriesRange,
  entrySizeBytes,
  limitEntries,
  type LogStorage,
} from "./log_storage.ts";
import type { LogPosition, TraceSink } from "./trace.ts";
import { type Entry, NO_TERM, type SnapshotMetadata } from "./types.ts";
import { UnappliedChanges } from "./unapplied_changes.ts";
import { UnstableLog } from "./unstable_log.ts";

/** What a log starts from. */
export interface RaftLogOptions {
  readonly storage: LogStorage;
  readonly trace: TraceSink | undefined;
  /** Bytes handed out for apply and not acknowledged; see `RaftConfig.applySizeBytesMax`. */
  readonly applySizeBytesMax: number;
  /** Synchronous mode writes before it applies, in one turn. */
  readonly mayApplyUnstable: boolean;
  /** The last entry that the state has, and what the vote record says is committed. */
  readonly applied: LogIndex;
  readonly commit: LogIndex;
}

/** See the file's header. */
export class RaftLog {
  readonly unstable: UnstableLog;
  readonly #changes: UnappliedChanges;
  readonly #storage: LogStorage;
  readonly #trace: TraceSink | undefined;
  readonly #mayApplyUnstable: boolean;
  readonly #applySizeBytesMax: number;
  #commit: LogIndex;
  #applying: LogIndex;
  #applied: LogIndex;
  #applyingSizeBytes = 0;
  #isApplyPaused = false;
  #isApplyFetching = false;

  /** @throws {FatalError} when the state, the vote record and the log do not fit together. */
  constructor(options: RaftLogOptions) {
    const { storage, applied } = options;
    this.#storage = storage;
    this.#trace = options.trace;
    this.#mayApplyUnstable = options.mayApplyUnstable;
    this.#applySizeBytesMax = options.applySizeBytesMax;
    this.unstable = new UnstableLog({ lastIndex: storage.lastIndex, trace: options.trace });
    this.#changes = new UnappliedChanges({ applied, lastIndex: storage.lastIndex });
    const commit = logIndex(Math.max(options.commit, applied));
    if (applied < storage.firstIndex - 1 || commit > storage.lastIndex) {
      throw new FatalError(
        65,
        `Cannot start: entries ${applied + 1} to ${commit} are needed but the log holds ` +
          `${storage.firstIndex} to ${storage.lastIndex}`,
      );
    }
    this.#commit = commit;
    this.#applying = applied;
    this.#applied = applied;
  }

  get commit(): LogIndex {
    return this.#commit;
  }

  get applying(): LogIndex {
    return this.#applying;
  }

  get applied(): LogIndex {
    return this.#applied;
  }

  /** The first entry that could be read. */
  get firstIndex(): LogIndex {
    const { snapshot } = this.unstable;
    return snapshot === undefined ? this.#storage.firstIndex : logIndex(snapshot.index + 1);
  }

  get lastIndex(): LogIndex {
    return this.unstable.lastIndex;
  }

  /** Everything up to here has been acknowledged by storage. */
  get stableIndex(): LogIndex {
    return logIndex(this.unstable.offset - 1);
  }

  /** The last entry, or the place before the first one. */
  last(): LogPosition {
    const index = this.lastIndex;
    return { index, term: assertDefined(this.term(index), "RaftLog.last: its term is unknown") };
  }

  /** The term at `index`; undefined when it is compacted or past the end. */
  term(index: LogIndex): Term | undefined {
    if (index > this.lastIndex) return undefined;
    const term = this.unstable.term(index);
    if (term !== undefined) return term;
    return index >= this.unstable.offset || index < this.firstIndex - 1
      ? undefined
      : this.#storage.term(index);
  }

  /** The term at `index`, 0 when unknown. */
  termOrZero(index: LogIndex): Term {
    return this.term(index) ?? NO_TERM;
  }

  /** Whether the log has this very entry (Raft figure 3, log matching). */
  matches(position: LogPosition): boolean {
    return this.term(position.index) === position.term;
  }

  /** Whether a candidate's log is at least as complete as this one (Raft section 5.4.1). */
  isUpToDate(candidateLast: LogPosition): boolean {
    const own = this.last();
    return candidateLast.term > own.term ||
      (candidateLast.term === own.term && candidateLast.index >= own.index);
  }

  /** Entries `[from, to)` within the log, not empty: at least one, then as many as `sizeBytesMax` allows. */
  entries(range: EntriesRange): EntriesAnswer {
    const { from, to, sizeBytesMax } = range;
    assert(from < to && to <= this.lastIndex + 1, "RaftLog.entries: not within the log");
    if (from < this.firstIndex) return "compacted";
    const { offset } = this.unstable;
    if (from >= offset) return this.unstable.slice(range);
    const storedTo = logIndex(Math.min(to, offset));
    const stored = this.#storage.entries({ from, to: storedTo, sizeBytesMax });
    if (typeof stored === "string") return stored;
    assert(stored[0]?.index === from, "RaftLog.entries: storage gave other entries");
    if (to <= offset || stored.length < storedTo - from) return stored;
    const rest = this.unstable.slice({ from: offset, to, sizeBytesMax });
    return limitEntries([...stored, ...rest], sizeBytesMax);
  }

  /** A snapshot for a peer, if storage has one now. */
  snapshot(options: { readonly indexMin: LogIndex }): SnapshotMetadata | undefined {
    return this.unstable.snapshot ?? this.#storage.snapshot(options);
  }

  /** A leader's own entries, behind the last one. */
  append(entries: readonly Entry[]): void {
    const first = assertDefined(entries[0], "RaftLog.append: no entries");
    assert(first.index > this.#commit, "RaftLog.append: would overwrite a committed entry");
    this.unstable.truncateAndAppend(entries);
    this.#changes.appended(entries);
  }

  /**
   * A leader's entries behind `prev` (Raft figure 2, AppendEntries 2 to 5). Entries that are here already
   * stay, with all behind them: the message may be an old one. Commits no further than what it verified.
   * @returns the last index verified, or undefined when `prev` is not here.
   * @throws {FatalError} when a committed entry would change.
   */
  maybeAppend(
    append: {
      readonly prev: LogPosition;
      readonly entries: readonly Entry[];
      readonly commit: LogIndex;
    },
  ): LogIndex | undefined {
    const { prev, entries } = append;
    if (!this.matches(prev)) return undefined;
    const verified = logIndex(prev.index + entries.length);
    const conflict = entries.findIndex((entry) => !this.matches(entry));
    if (conflict >= 0) this.#overwrite(entries.slice(conflict));
    this.commitTo(logIndex(Math.min(append.commit, verified)));
    return verified;
  }

  #overwrite(entries: readonly Entry[]): void {
    const { index, term } = assertDefined(entries[0], "RaftLog.overwrite: no entries");
    if (index <= this.#commit) {
      throw new FatalError(
        65,
        `Cannot append entry ${index} of term ${term}: another one is committed up to ${this.#commit}`,
      );
    }
    if (index <= this.lastIndex) {
      this.#trace?.({
        kind: "log_conflict",
        index,
        existingTerm: this.termOrZero(index),
        conflictingTerm: term,
      });
    }
    this.append(entries);
  }

  /**
   * The largest index at or below `index` whose term is not above `term`: everything behind it cannot
   * match a log that has `term` there. The term is 0 where it is not known any more.
   */
  findConflictByTerm(position: LogPosition): LogPosition {
    for (let index = position.index; index > 0; index = logIndex(index - 1)) {
      const term = this.term(index);
      if (term === undefined) return { index, term: NO_TERM };
      if (term <= position.term) return { index, term };
    }
    return { index: logIndex(0), term: NO_TERM };
  }

  /**
   * Raises the commit index. Stale targets are ignored, since messages arrive in any order.
   * @throws {FatalError} when the log ends before `target`: this node has lost entries that it acknowledged.
   */
  commitTo(target: LogIndex): void {
    if (target <= this.#commit) return;
    if (target > this.lastIndex) {
      throw new FatalError(
        65,
        `Cannot commit entry ${target}: the log ends at ${this.lastIndex}, so durable entries are missing`,
      );
    }
    this.#commit = target;
  }

  /** A leader commits by counting, but only an entry of its own term (Raft section 5.4.2). */
  maybeCommit(position: LogPosition): boolean {
    if (position.index <= this.#commit || !this.matches(position)) return false;
    this.commitTo(position.index);
    return true;
  }

  /** A snapshot takes the place of the log. */
  restore(snapshot: SnapshotMetadata): void {
    assert(
      snapshot.index >= this.#commit,
      "RaftLog.restore: the snapshot is behind the commit index",
    );
    this.#trace?.({
      kind: "restore_started",
      snapshot,
      commit: this.#commit,
      applied: this.#applied,
      applying: this.#applying,
      unstableOffset: this.unstable.offset,
      unstableOffsetInProgress: this.unstable.offsetInProgress,
      unstableCount: this.unstable.count,
    });
    this.#commit = snapshot.index;
    this.unstable.restore(snapshot);
    this.#changes.restored();
  }

  /** Whether a configuration change is committed and not applied; what cannot be read counts as one. */
  hasUnappliedChange(): boolean {
    return this.#changes.mayBeUpTo(this.#commit, (range) => this.entries(range));
  }

  /** The last index that may be applied now. */
  #applicable(): LogIndex {
    if (this.#mayApplyUnstable) return this.#commit;
    return logIndex(Math.min(this.#commit, this.unstable.offset - 1));
  }

  /** Whether `nextToApply` would give entries, unless storage has to fetch them. */
  get hasNextToApply(): boolean {
    return !this.#isApplyPaused && !this.#isApplyFetching &&
      this.unstable.snapshot === undefined && this.#applying < this.#applicable();
  }

  /** Entries to hand out for apply, none while a snapshot is pending or too many are under way. */
  nextToApply(): readonly Entry[] {
    if (!this.hasNextToApply) return [];
    const answer = this.entries({
      from: logIndex(this.#applying + 1),
      to: logIndex(this.#applicable() + 1),
      sizeBytesMax: this.#applySizeBytesMax - this.#applyingSizeBytes,
    });
    assert(answer !== "compacted", "RaftLog.nextToApply: unapplied entries were compacted");
    if (answer !== "unavailable") return answer;
    this.#isApplyFetching = true;
    return [];
  }

  /** Storage has fetched what it lacked. */
  entriesFetched(): void {
    this.#isApplyFetching = false;
  }

  /** These entries have been handed out. */
  acceptApplying(entries: readonly Entry[]): void {
    const last = assertDefined(entries.at(-1), "RaftLog.acceptApplying: no entries").index;
    assert(last <= this.#commit, "RaftLog.acceptApplying: not committed");
    this.#applying = last;
    this.#applyingSizeBytes += sizeOf(entries);
    this.#isApplyPaused = this.#applyingSizeBytes >= this.#applySizeBytesMax ||
      (last < this.#applicable() && !this.#fitsNextToApply());
  }

  /** Storage may have given fewer entries than there is room for; then more may follow at once. */
  #fitsNextToApply(): boolean {
    const from = logIndex(this.#applying + 1);
    const answer = this.entries({ from, to: logIndex(from + 1), sizeBytesMax: 0 });
    if (typeof answer === "string") return true;
    return this.#applyingSizeBytes + sizeOf(answer) <= this.#applySizeBytesMax;
  }

  /** Entries up to `index`, counting `sizeBytes`, have been applied. */
  appliedTo(options: { readonly index: LogIndex; readonly entries: readonly Entry[] }): void {
    const { index, entries } = options;
    assert(index <= this.#commit, "RaftLog.appliedTo: not committed");
    assert(index >= this.#applied, "RaftLog.appliedTo: moves back");
    this.#applied = index;
    this.#changes.applied(index);
    this.#applying = logIndex(Math.max(this.#applying, index));
    this.#applyingSizeBytes = Math.max(0, this.#applyingSizeBytes - sizeOf(entries));
    this.#isApplyPaused = this.#applyingSizeBytes >= this.#applySizeBytesMax;
  }
}

function sizeOf(entries: readonly Entry[]): number {
  return entries.reduce((size, entry) => size + entrySizeBytes(entry), 0);
}
