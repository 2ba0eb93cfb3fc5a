/**
 * The log as the engine sees it: terms from the log's own memory, entries from the tail or from a
 * window that was read back from disk. What is in neither is "unavailable"; the loop then fetches it.
 */
import type { LogIndex, Term } from "../base/ids.ts";
import { logIndex } from "../base/ids.ts";
import { APPLY_BATCH_BYTES_MAX, APPLY_BATCH_ENTRIES_MAX } from "../base/limits.ts";
import type { EntriesAnswer, EntriesRange, LogStorage } from "../raft/log_storage.ts";
import type { Entry, SnapshotMetadata } from "../raft/types.ts";
import { EntryTail } from "./entry_tail.ts";
import { WANTED_RANGES_MAX } from "./limits.ts";
import type { LogEntry, LogPort, PeersPort } from "./ports.ts";

/** See the file's header. */
export class LogView implements LogStorage {
  readonly #log: LogPort;
  readonly #tail: EntryTail;
  readonly #peers: PeersPort | undefined;
  #window: EntryTail;
  /** What the engine missed, by its first index, the oldest question first: a slow peer each, at most. */
  readonly #wanted = new Map<LogIndex, EntriesRange>();
  #isFetching = false;

  constructor(options: {
    readonly log: LogPort;
    readonly tail: EntryTail;
    readonly peers: PeersPort | undefined;
  }) {
    this.#log = options.log;
    this.#peers = options.peers;
    this.#tail = options.tail;
    this.#window = emptyWindow(options.log.firstIndex);
  }

  get firstIndex(): LogIndex {
    return this.#log.firstIndex;
  }

  get lastIndex(): LogIndex {
    return this.#log.lastIndex;
  }

  term(index: LogIndex): Term | undefined {
    return this.#log.term(index);
  }

  entries(range: EntriesRange): EntriesAnswer {
    if (range.from < this.#log.firstIndex) return "compacted";
    const held = this.held(range);
    if (held.length > 0) return held.map(toEntry);
    if (this.#wanted.size < WANTED_RANGES_MAX) this.#wanted.set(range.from, range);
    return "unavailable";
  }

  /** Entries in memory from `from` on, as many as a batch takes; empty when the first is not there. */
  held(range: EntriesRange): readonly LogEntry[] {
    const options = { ...range, countMax: APPLY_BATCH_ENTRIES_MAX };
    const recent = this.#tail.slice(options);
    if (recent.length > 0) return recent;
    const older = this.#window.slice(options);
    // Entries may have been replaced since they were read; one term at one index is one entry (Raft 5.3).
    return older.every(({ index, term }) => this.#log.term(index) === term) ? older : [];
  }

  snapshot({ indexMin }: { readonly indexMin: LogIndex }): SnapshotMetadata | undefined {
    return this.#peers?.snapshotToSend(indexMin);
  }

  /**
   * Reads the next range that the engine missed. One after the other: there is one window, and who asks again
   * while his range is being read must not have it read twice, or reads beget reads without end.
   * @returns undefined when nothing is missed, or a read is under way; else a promise of the read's end, when
   * the engine is to be told and this to be called again.
   */
  fetchNext(): Promise<void> | undefined {
    const [wanted] = this.#wanted.values();
    if (wanted === undefined || this.#isFetching) return undefined;
    this.#isFetching = true;
    return this.fetch(wanted).finally(() => {
      this.#isFetching = false;
      this.#wanted.delete(wanted.from);
    });
  }

  /** Reads a range into the window, which forgets what it held. */
  async fetch(range: EntriesRange): Promise<void> {
    const sizeBytesMax = Math.min(range.sizeBytesMax, APPLY_BATCH_BYTES_MAX);
    // The log may have become shorter since the range was asked for.
    const to = logIndex(Math.min(range.to, this.#log.lastIndex + 1));
    if (to <= range.from) return;
    const entries = await this.#log.read({ from: range.from, to, sizeBytesMax });
    this.#window = emptyWindow(range.from);
    this.#window.add(entries);
  }

  /** Entries up to `index` were replaced by a snapshot. */
  skipTo(index: LogIndex): void {
    this.#tail.skipTo(index);
    this.#window.skipTo(index);
  }

  /** Entries below `index` are not needed any more. */
  dropBefore(index: LogIndex): void {
    this.#tail.dropBefore(index);
    this.#window.dropBefore(index);
  }
}

function emptyWindow(from: LogIndex): EntryTail {
  return new EntryTail({ from: logIndex(from), sizeBytesMax: Number.MAX_SAFE_INTEGER });
}

function toEntry(entry: LogEntry): Entry {
  const { index, term, kind, payload } = entry;
  return { index, term, kind, size: payload.length, payload };
}
