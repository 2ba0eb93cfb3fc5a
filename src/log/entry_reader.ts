/**
 * Reads entries back from the segment files, checksums checked again. One read at a time: the handles
 * allow no more, and purging waits its turn here, so that no file goes under a read.
 * An `await` is a gap: appends may replace entries meanwhile. The bytes of replaced entries stay in the
 * file, so a read begins again when it notices, and never mixes two histories.
 */
import { assertDefined } from "../base/assert.ts";
import type { EntryChain } from "../base/entry_chain.ts";
import type { LogIndex } from "../base/ids.ts";
import type { LogEntry } from "../node/ports.ts";
import { LogDamageError } from "./damage.ts";
import type { EntryPosition } from "./entry_positions.ts";
import { frameStart, readFrame } from "./frame.ts";
import type { LogContents } from "./log_contents.ts";
import { decodeRecords, type EntryRecord } from "./record.ts";
import type { SegmentFiles } from "./segment_files.ts";

/** Which entries, `[from, to)`, and how many bytes of payload. */
export interface EntryRange {
  readonly from: LogIndex;
  readonly to: LogIndex;
  readonly sizeBytesMax: number;
}

/** See the file's header. */
export class EntryReader {
  readonly #contents: LogContents;
  readonly #files: SegmentFiles;
  /** Settles when the last of the queued tasks has. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: { readonly contents: LogContents; readonly files: SegmentFiles }) {
    this.#contents = options.contents;
    this.#files = options.files;
  }

  /** Runs `task` while no read is running. */
  async alone<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = Promise.allSettled([result]);
    return await result;
  }

  /**
   * Entries `[from, to)` in order, at least the first, then within `sizeBytesMax`; fewer when the rest
   * was discarded meanwhile, none when `from` was. Payloads are views that nobody else holds.
   * @throws {LogDamageError} when the disk returns something else than was written.
   */
  async read(range: EntryRange): Promise<readonly LogEntry[]> {
    return await this.alone(async () => {
      for (;;) {
        const { replacedCount } = this.#contents;
        const entries = await this.#read(range);
        if (replacedCount === this.#contents.replacedCount) return entries;
      }
    });
  }

  /** The chain stored beside an entry; undefined when there is no such entry. @throws {LogDamageError} */
  async chain(index: LogIndex): Promise<EntryChain | undefined> {
    return await this.alone(async () => {
      const found = this.#find(index);
      if (found === undefined) return undefined;
      const records = await this.#entriesFrom(found);
      return records.find((record) => record.point.index === index)?.point.chain;
    });
  }

  #find(index: number): ReturnType<LogContents["positions"]["find"]> {
    const { base, last, positions } = this.#contents;
    return index > base.index && index <= last.index ? positions.find(index) : undefined;
  }

  async #read(range: EntryRange): Promise<readonly LogEntry[]> {
    const entries: LogEntry[] = [];
    let sizeBytes = 0;
    let index: number = range.from;
    while (index < range.to) {
      const found = this.#find(index);
      if (found === undefined) break;
      const before = index;
      for (const record of await this.#entriesFrom(found)) {
        if (record.point.index !== index || index >= range.to) continue;
        sizeBytes += record.payload.length;
        if (entries.length > 0 && sizeBytes > range.sizeBytesMax) return entries;
        const { point, entryKind: kind, payload } = record;
        entries.push({ index: point.index, term: point.term, kind, payload });
        index += 1;
      }
      if (index === before) throw this.#missing(index, found.at);
    }
    return entries;
  }

  /** The valid entries from one position up to the next one. */
  async #entriesFrom(
    found: { readonly at: EntryPosition; readonly next: EntryPosition | undefined },
  ): Promise<readonly EntryRecord[]> {
    const { at: { sequence, offset: from }, next } = found;
    const segment = assertDefined(this.#files.find(sequence), "EntryReader: no such segment");
    const to = next?.sequence === sequence ? next.offset : segment.endOffset;
    const indexEnd = next?.index ?? Infinity;
    const window = await segment.read({ from, to });
    const entries: EntryRecord[] = [];
    for (let at = 0; from + at < to;) {
      const place = { file: segment.path, offset: from + at };
      const frame = readFrame(window, { at, chain: undefined });
      if (frame.kind !== "good") {
        const reason = frame.kind === "wrong" ? frame.reason : `found a ${frame.kind} frame`;
        throw new LogDamageError("damaged", place, reason);
      }
      const body = { from: frame.bodyAt, to: frame.bodyAt + frame.bodyBytes };
      for (const record of decodeRecords(window.data, body, place)) {
        if (record.kind === "entry" && record.point.index < indexEnd) entries.push(record);
      }
      at = frameStart(frame.endOffset) - from;
    }
    return entries;
  }

  #missing(index: number, position: EntryPosition): LogDamageError {
    const file = this.#files.find(position.sequence)?.path ?? `segment ${position.sequence}`;
    return new LogDamageError("missing", { file, offset: position.offset }, `no entry ${index}`);
  }
}
