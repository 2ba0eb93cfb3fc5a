/**
 * The newest log entries in memory, so that applying what was just appended needs no disk read.
 * Contiguous: holds `[from, to)`. Bounded by bytes: when it grows past its limit it forgets all but the
 * newest entry, however large, and whoever needs older entries reads them from the log.
 */
import { assert } from "../base/assert.ts";
import { type LogIndex, logIndex } from "../base/ids.ts";
import type { LogEntry } from "./ports.ts";

/** Entries `[from, to)`; see the file's header. */
export class EntryTail {
  readonly #sizeBytesMax: number;
  #entries: LogEntry[] = [];
  #from: number;
  #sizeBytes = 0;

  /** An empty tail at `from`: the next entry added has this index, or a smaller one that replaces. */
  constructor(options: { readonly from: LogIndex; readonly sizeBytesMax: number }) {
    this.#from = options.from;
    this.#sizeBytesMax = options.sizeBytesMax;
  }

  /** Index of the first entry held; equals `to` when empty. */
  get from(): LogIndex {
    return logIndex(this.#from);
  }

  /** Index behind the last entry held. */
  get to(): LogIndex {
    return logIndex(this.#from + this.#entries.length);
  }

  /** Adds entries in order; those held at or behind the first one are replaced (Raft figure 7). */
  add(entries: readonly LogEntry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index <= this.to, "EntryTail.add: gap");
    if (first.index < this.#from) this.#reset(first.index);
    if (first.index < this.to) this.#truncateFrom(first.index);
    for (const entry of entries) {
      this.#entries.push(entry);
      this.#sizeBytes += entry.payload.length;
    }
    if (this.#sizeBytes > this.#sizeBytesMax) this.#keepNewest();
  }

  /** Entries from `from`, at most `countMax` and, but for the first, within `sizeBytesMax`. Empty when not held. */
  slice(options: {
    readonly from: LogIndex;
    readonly to: LogIndex;
    readonly countMax: number;
    readonly sizeBytesMax: number;
  }): readonly LogEntry[] {
    if (options.from < this.#from) return [];
    const begin = options.from - this.#from;
    const limit = Math.min(
      this.#entries.length,
      options.to - this.#from,
      begin + options.countMax,
    );
    let end = begin;
    let bytes = 0;
    while (end < limit) {
      bytes += this.#entries[end]?.payload.length ?? 0;
      if (end > begin && bytes > options.sizeBytesMax) break;
      end += 1;
    }
    return this.#entries.slice(begin, end);
  }

  /** Entries up to `index` were replaced by a snapshot: the next one follows it. */
  skipTo(index: LogIndex): void {
    if (this.to <= index) this.#reset(index + 1);
    else this.dropBefore(logIndex(index + 1));
  }

  /** Forgets entries below `index`. */
  dropBefore(index: LogIndex): void {
    const count = Math.min(index - this.#from, this.#entries.length);
    if (count <= 0) return;
    for (const entry of this.#entries.splice(0, count)) this.#sizeBytes -= entry.payload.length;
    this.#from += count;
  }

  /** One that is larger than all that is kept otherwise would be read back from the disk at once. */
  #keepNewest(): void {
    const newest = this.#entries.at(-1);
    this.#reset(this.to);
    if (newest === undefined) return;
    this.#entries.push(newest);
    this.#from = newest.index;
    this.#sizeBytes = newest.payload.length;
  }

  #truncateFrom(index: number): void {
    const removed = this.#entries.splice(index - this.#from);
    for (const entry of removed) this.#sizeBytes -= entry.payload.length;
  }

  #reset(from: number): void {
    this.#entries = [];
    this.#sizeBytes = 0;
    this.#from = from;
  }
}
