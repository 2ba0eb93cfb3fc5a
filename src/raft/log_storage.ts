/**
 * The durable log as the engine sees it: one small synchronous interface, implemented by the driver.
 * It shows what has been appended and acknowledged; entries not yet acknowledged live in the engine.
 * Answers come from memory: the driver keeps (index, term, kind, size) and leaves payloads on disk.
 */
import type { LogIndex, Term } from "../base/ids.ts";
import type { Entry, SnapshotMetadata } from "./types.ts";

/** `[from, to)`, not empty, within the log; entries are added while they fit `sizeBytesMax`. */
export interface EntriesRange {
  readonly from: LogIndex;
  readonly to: LogIndex;
  /** By `entrySizeBytes`; at least one entry comes, whatever its size. */
  readonly sizeBytesMax: number;
}

/**
 * `compacted`: `from` is before the first entry; the peer needs a snapshot. `unavailable`: not in memory
 * just now; the driver fetches and then calls `raft.entriesFetched()`.
 */
export type EntriesAnswer = readonly Entry[] | "compacted" | "unavailable";

/** See the file's header. Nothing here may throw for a range within the log. */
export interface LogStorage {
  /** The first entry held, at least 1; `lastIndex + 1` when none is. */
  readonly firstIndex: LogIndex;
  /** The last entry held, or the index of the snapshot below the log. */
  readonly lastIndex: LogIndex;
  /** The term of any index in `[firstIndex - 1, lastIndex]`; undefined outside. */
  term(index: LogIndex): Term | undefined;
  entries(range: EntriesRange): EntriesAnswer;
  /**
   * A snapshot at or past `indexMin` to be sent to a peer, or undefined when there is none yet; the
   * driver then makes one, and the engine asks again with the peer's next sign of life.
   */
  snapshot(options: { readonly indexMin: LogIndex }): SnapshotMetadata | undefined;
}

/** Bytes that an entry counts for besides its payload, so that many empty ones are bounded too. */
const ENTRY_OVERHEAD_BYTES = 24;

/** What an entry counts for against limits on messages and apply batches. */
export function entrySizeBytes(entry: Entry): number {
  return entry.size + ENTRY_OVERHEAD_BYTES;
}

/** The longest prefix within `sizeBytesMax`, but at least one entry if there is any. */
export function limitEntries(entries: readonly Entry[], sizeBytesMax: number): readonly Entry[] {
  let sizeBytes = 0;
  for (let count = 0; count < entries.length; count++) {
    sizeBytes += entrySizeBytes(entries[count] as Entry);
    if (sizeBytes > sizeBytesMax && count > 0) return entries.slice(0, count);
  }
  return entries;
}
