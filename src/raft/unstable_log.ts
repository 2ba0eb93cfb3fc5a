/**
 * The end of the log that storage has not acknowledged yet: a snapshot to be installed, or entries from
 * `offset` on, of which those before `offsetInProgress` are being written.
 *
 * Invariants: entries are contiguous from `offset`; offset <= offsetInProgress <= offset + count; below
 * `offset` storage (or the snapshot) is what counts. An acknowledgement only counts when it names an
 * entry that is still here in the same term: the log may have been overwritten, even twice, meanwhile.
 */
import { assert } from "../base/assert.ts";
import { type LogIndex, logIndex, type Term } from "../base/ids.ts";
import { type EntriesRange, entrySizeBytes } from "./log_storage.ts";
import type { LogPosition, TraceSink } from "./trace.ts";
import type { Entry, SnapshotMetadata } from "./types.ts";

/** See the file's header. */
export class UnstableLog {
  #entries: Entry[] = [];
  #offset: LogIndex;
  #offsetInProgress: LogIndex;
  #snapshot: SnapshotMetadata | undefined;
  #isSnapshotInProgress = false;
  readonly #trace: TraceSink | undefined;

  /** Starts empty, behind the last entry of storage. */
  constructor(options: { readonly lastIndex: LogIndex; readonly trace: TraceSink | undefined }) {
    this.#offset = logIndex(options.lastIndex + 1);
    this.#offsetInProgress = this.#offset;
    this.#trace = options.trace;
  }

  /** The first index that storage has not acknowledged. */
  get offset(): LogIndex {
    return this.#offset;
  }

  /** The first index that has not been handed out for writing. */
  get offsetInProgress(): LogIndex {
    return this.#offsetInProgress;
  }

  /** Entries not acknowledged. */
  get count(): number {
    return this.#entries.length;
  }

  /** The last index of the whole log. */
  get lastIndex(): LogIndex {
    return logIndex(this.#offset + this.#entries.length - 1);
  }

  /** The snapshot that is not installed yet, handed out or not. */
  get snapshot(): SnapshotMetadata | undefined {
    return this.#snapshot;
  }

  /** The term at `index` if it is known here. */
  term(index: LogIndex): Term | undefined {
    if (index < this.#offset) {
      return this.#snapshot?.index === index ? this.#snapshot.term : undefined;
    }
    return this.#entries[index - this.#offset]?.term;
  }

  /** Entries `[from, to)`, all of which must be here: at least one, then while they fit. A copy. */
  slice(range: EntriesRange): Entry[] {
    const { from, to, sizeBytesMax } = range;
    assert(from >= this.#offset, "UnstableLog.slice: starts before the unstable log");
    assert(to <= this.lastIndex + 1, "UnstableLog.slice: ends behind the log");
    const start = from - this.#offset;
    let end = start;
    let sizeBytes = 0;
    while (end < to - this.#offset) {
      sizeBytes += entrySizeBytes(this.#entries[end] as Entry);
      if (sizeBytes > sizeBytesMax && end > start) break;
      end++;
    }
    return this.#entries.slice(start, end);
  }

  /** Whether there are entries that were not handed out for writing. */
  get hasNewEntries(): boolean {
    return this.#offsetInProgress < this.#offset + this.#entries.length;
  }

  /** Entries that were not handed out for writing. A copy. */
  newEntries(): Entry[] {
    return this.#entries.slice(this.#offsetInProgress - this.#offset);
  }

  /** The snapshot, if it was not handed out yet. */
  newSnapshot(): SnapshotMetadata | undefined {
    return this.#isSnapshotInProgress ? undefined : this.#snapshot;
  }

  /** All that is new has been handed out for writing. */
  acceptInProgress(): void {
    this.#offsetInProgress = logIndex(this.#offset + this.#entries.length);
    if (this.#snapshot !== undefined) this.#isSnapshotInProgress = true;
  }

  /** Storage holds everything up to this entry, if it is still the one meant. */
  stableTo(acknowledged: LogPosition): void {
    const { index, term } = acknowledged;
    const found = this.term(index);
    if (found === undefined) {
      this.#trace?.({ kind: "acknowledgement_missing", index });
    } else if (index < this.#offset) {
      this.#trace?.({ kind: "acknowledgement_of_snapshot", index });
    } else if (found !== term) {
      this.#trace?.({
        kind: "acknowledgement_mismatched",
        acknowledged,
        found: { index, term: found },
      });
    } else {
      this.#entries.splice(0, index + 1 - this.#offset);
      this.#offset = logIndex(index + 1);
      this.#offsetInProgress = logIndex(Math.max(this.#offsetInProgress, this.#offset));
    }
  }

  /** Storage has installed the snapshot at `index`; another one may have arrived since. */
  stableSnapshotTo(index: LogIndex): void {
    if (this.#snapshot?.index !== index) return;
    this.#snapshot = undefined;
    this.#isSnapshotInProgress = false;
  }

  /** A snapshot takes the place of the whole log. */
  restore(snapshot: SnapshotMetadata): void {
    this.#offset = logIndex(snapshot.index + 1);
    this.#offsetInProgress = this.#offset;
    this.#entries = [];
    this.#snapshot = snapshot;
    this.#isSnapshotInProgress = false;
  }

  /** Adds contiguous entries; whatever is at or behind the first of them is discarded. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const first = entries[0];
    assert(first !== undefined, "UnstableLog.truncateAndAppend: no entries");
    const from = first.index;
    const end = this.#offset + this.#entries.length;
    assert(from <= end, "UnstableLog.truncateAndAppend: a gap");
    if (from === end) {
      for (const entry of entries) this.#entries.push(entry);
    } else if (from <= this.#offset) {
      this.#trace?.({ kind: "unstable_replaced", index: from });
      this.#entries = [...entries];
      this.#offset = from;
      this.#offsetInProgress = from;
    } else {
      this.#trace?.({ kind: "unstable_truncated", index: from });
      this.#entries = [...this.#entries.slice(0, from - this.#offset), ...entries];
      this.#offsetInProgress = logIndex(Math.min(this.#offsetInProgress, from));
    }
  }
}
