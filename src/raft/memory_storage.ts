/**
 * A `LogStorage` in memory, for tests, scenarios and benchmarks: what the driver's log would hold.
 * Invariant: `#entries` is contiguous behind `#dummy`, the place of the last entry that is gone.
 */
import { assert } from "../base/assert.ts";
import { type LogIndex, logIndex, type Term } from "../base/ids.ts";
import {
  type EntriesAnswer,
  type EntriesRange,
  limitEntries,
  type LogStorage,
} from "./log_storage.ts";
import type { LogPosition } from "./trace.ts";
import {
  EMPTY_HARD_STATE,
  type Entry,
  type HardState,
  NO_INDEX,
  NO_TERM,
  type SnapshotMetadata,
} from "./types.ts";

/** See the file's header. */
export class MemoryStorage implements LogStorage {
  #dummy: LogPosition = { index: NO_INDEX, term: NO_TERM };
  #entries: Entry[] = [];
  /** The vote record last written. */
  hardState: HardState = EMPTY_HARD_STATE;
  /** What `snapshot` gives. The owner sets it. */
  latestSnapshot: SnapshotMetadata | undefined;

  get firstIndex(): LogIndex {
    return logIndex(this.#dummy.index + 1);
  }

  get lastIndex(): LogIndex {
    return logIndex(this.#dummy.index + this.#entries.length);
  }

  term(index: LogIndex): Term | undefined {
    if (index === this.#dummy.index) return this.#dummy.term;
    return this.#entries[index - this.#dummy.index - 1]?.term;
  }

  entries(range: EntriesRange): EntriesAnswer {
    const { from, to, sizeBytesMax } = range;
    if (from < this.firstIndex) return "compacted";
    assert(from < to && to <= this.lastIndex + 1, "MemoryStorage.entries: not within the log");
    const base = this.firstIndex;
    return limitEntries(this.#entries.slice(from - base, to - base), sizeBytesMax);
  }

  snapshot(options: { readonly indexMin: LogIndex }): SnapshotMetadata | undefined {
    const { latestSnapshot } = this;
    return latestSnapshot !== undefined && latestSnapshot.index >= options.indexMin
      ? latestSnapshot
      : undefined;
  }

  /** All entries held. A copy. */
  all(): readonly Entry[] {
    return [...this.#entries];
  }

  /** Writes entries; what is held from the first of them on goes first. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index >= this.firstIndex, "MemoryStorage.append: before the first entry");
    assert(first.index <= this.lastIndex + 1, "MemoryStorage.append: a gap");
    this.#entries.length = first.index - this.firstIndex;
    for (const entry of entries) this.#entries.push(entry);
  }

  /** Starts anew behind a snapshot. */
  installSnapshot(snapshot: SnapshotMetadata): void {
    this.#dummy = { index: snapshot.index, term: snapshot.term };
    this.#entries = [];
    this.latestSnapshot = snapshot;
  }

  /** Drops entries up to `index`, which must be held. @returns false when they are gone already. */
  compact(index: LogIndex): boolean {
    if (index <= this.#dummy.index) return false;
    const term = this.term(index);
    assert(term !== undefined, "MemoryStorage.compact: past the last index");
    this.#entries.splice(0, index - this.#dummy.index);
    this.#dummy = { index, term };
    return true;
  }
}
