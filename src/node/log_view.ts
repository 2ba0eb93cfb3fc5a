/**
 * The log as the engine sees it: terms from the log's own memory, entries from the tail or from a
 * window that was read back from disk. What is in neither is "unavailable"; the loop then fetches it.
 *
 * Damage on the way (fault D2): what is applied is wanted by a slow peer only, and is in the state as well. So
 * it is told of and the peer waits: the damaged part goes from the log, and the peer gets a copy of the state.
 * What is not applied yet nobody else vouches for, and this node cannot go on without: that ends it.
 */
import { assert } from "../base/assert.ts";
import { FatalError } from "../base/errors.ts";
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
  readonly #appliedIndex: () => LogIndex;
  readonly #onDamage: (damage: string) => void;
  #window: EntryTail;
  /** What the engine missed, by its first index, the oldest question first: a slow peer each, at most. */
  readonly #wanted = new Map<LogIndex, EntriesRange>();
  #isFetching = false;

  constructor(options: {
    readonly log: LogPort;
    readonly tail: EntryTail;
    readonly peers: PeersPort | undefined;
    readonly appliedIndex: () => LogIndex;
    /** Entries that are applied cannot be read, and why. Comes again while they are asked for. */
    readonly onDamage: (damage: string) => void;
  }) {
    this.#log = options.log;
    this.#peers = options.peers;
    this.#appliedIndex = options.appliedIndex;
    this.#onDamage = options.onDamage;
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
   * this is to be called again, and whether the engine is to be told. It is not told of damage, or it would
   * ask again at once: it does when it hears of the peer the next time.
   */
  fetchNext(): Promise<boolean> | undefined {
    const [wanted] = this.#wanted.values();
    if (wanted === undefined || this.#isFetching) return undefined;
    this.#isFetching = true;
    const { from } = wanted;
    const isApplied = from <= this.#appliedIndex();
    const fetched = isApplied ? this.#isFetched(wanted) : this.fetch(wanted).then(() => true);
    return fetched.finally(() => {
      this.#isFetching = false;
      this.#wanted.delete(from);
    });
  }

  /** For a peer: nothing that is not applied is read with it. @returns false when there is damage. */
  async #isFetched({ from, to, sizeBytesMax }: EntriesRange): Promise<boolean> {
    const applied = logIndex(this.#appliedIndex() + 1);
    try {
      await this.fetch({ from, to: applied < to ? applied : to, sizeBytesMax });
      return true;
    } catch (error) {
      if (!(error instanceof FatalError)) throw error;
      this.#onDamage(error.message);
      return false;
    }
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

/** As the log takes it. */
export function toLogEntry(entry: Entry): LogEntry {
  return { index: entry.index, term: entry.term, kind: entry.kind, payload: payloadOf(entry) };
}

/** Of an entry that was proposed here, received or read: it has one. */
export function payloadOf({ payload }: Entry): Uint8Array {
  assert(payload !== undefined, "LogView: an entry without its payload");
  return payload;
}

function toEntry(entry: LogEntry): Entry {
  const { index, term, kind, payload } = entry;
  return { index, term, kind, size: payload.length, payload };
}
