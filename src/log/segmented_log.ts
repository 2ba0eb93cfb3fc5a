/**
 * The write-ahead log: numbered segment files in one directory (segment.ts), each a run of frames
 * (frame.ts) that hold records (record.ts). An append goes as a whole into one segment, in one write;
 * when it does not fit, into the next, which stays pending under a temporary name until `sync`.
 * Invariants: nothing is written while a sync is in flight (rule D6), nothing at or below the commit
 * index is ever replaced, and after a failure of the disk other than "full" all work is refused: the
 * node must stop and read the log again.
 * Not here: files and rotation (segment_files.ts), what a crash leaves (recovery.ts), reading back
 * (entry_reader.ts), what is in memory (log_contents.ts).
 */
import { assert } from "../base/assert.ts";
import {
  type EntryChain,
  entryChainText,
  isSameEntryChain,
  nextEntryChain,
  nextEntryChainInPieces,
  parseEntryChain,
  startEntryChain,
} from "../base/entry_chain.ts";
import { runInBackground } from "../base/background.ts";
import { FatalError, OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex, nodeId, type Term, term } from "../base/ids.ts";
import { LARGE_ENTRY_BYTES, LARGE_PIECE_BYTES } from "../base/limits.ts";
import type { LogCheck, VerifiableLog } from "../node/log_scrubber.ts";
import type { HardState, LogEntry, LogMarker, LogPort } from "../node/ports.ts";
import type { FileSystem, SyncOptions } from "../os/file_system.ts";
import { type EntryRange, EntryReader } from "./entry_reader.ts";
import { CONFIGURATION_BYTES_MAX, SEGMENT_SIZE_BYTES } from "./limits.ts";
import { LogContents } from "./log_contents.ts";
import {
  ID_BYTES,
  type LogIdentity,
  type LogPoint,
  type LogRecord,
  type MarkerRecord,
} from "./record.ts";
import { listSegments, type LogFinding, recoverLog, removeLeftovers } from "./recovery.ts";
import { type RecordBatch, SegmentFiles, type WrittenBatch } from "./segment_files.ts";

/** Where a log lives. */
export interface LogOptions {
  readonly fileSystem: FileSystem;
  /** A directory for the log alone. */
  readonly directory: string;
  /** Default SEGMENT_SIZE_BYTES. From 4 KiB; a multiple of 512. */
  readonly segmentSizeBytes?: number;
  /** Lets others have their turn while a large entry is written. Default: none, they wait. */
  readonly pause?: () => Promise<void>;
  /** Size of an entry that is written in pieces. Default LARGE_ENTRY_BYTES. */
  readonly largeEntryBytes?: number;
}

/** What a new log begins with. */
export interface NewLogOptions extends LogOptions {
  readonly identity: LogIdentity;
  /** The state it continues; default: nothing, at index 0, generation 0. */
  readonly marker?: LogMarker;
  /** Default: term, commit and no vote as the marker implies. */
  readonly hardState?: HardState;
}

/** The log on files; see the file's header and LogPort. */
export class SegmentedLog implements LogPort, VerifiableLog {
  readonly identity: LogIdentity;
  /** What recovery did at `open`; empty after `create`. */
  readonly findings: readonly LogFinding[];
  readonly #contents: LogContents;
  readonly #files: SegmentFiles;
  readonly #reader: EntryReader;
  readonly #pause: () => Promise<void>;
  readonly #largeEntryBytes: number;
  /** What `hardState.commit` was at the last sync: only entries up to it may be purged (B.1 rule 4). */
  #durableCommit: LogIndex;
  /** A sync or a large write is in flight (rule D6). */
  #isBusy = false;
  #isClosed = false;
  /** Set by the first failure that only a restart can mend; thrown again by every later call. */
  #failure: unknown;

  /** Use `create` or `open`. */
  constructor(options: {
    readonly identity: LogIdentity;
    readonly findings: readonly LogFinding[];
    readonly contents: LogContents;
    readonly files: SegmentFiles;
    readonly pause?: (() => Promise<void>) | undefined;
    readonly largeEntryBytes?: number | undefined;
  }) {
    this.#pause = options.pause ?? (() => Promise.resolve());
    this.#largeEntryBytes = options.largeEntryBytes ?? LARGE_ENTRY_BYTES;
    this.identity = options.identity;
    this.findings = options.findings;
    this.#contents = options.contents;
    this.#files = options.files;
    this.#reader = new EntryReader(options);
    this.#durableCommit = options.contents.hardState.commit;
  }

  /** Whether a log was created in `directory`, which must exist. @throws {FatalError} */
  static async exists(options: LogOptions): Promise<boolean> {
    return (await listSegments(options.fileSystem, options.directory)).length > 0;
  }

  /**
   * Makes an empty log, durable on return, and its directory if need be.
   * @throws {FatalError} (1) when there is one already. @throws {OperatingError} `disk_full`.
   */
  static async create(options: NewLogOptions): Promise<SegmentedLog> {
    const { fileSystem, directory, identity } = options;
    assert(identity.clusterId.length === ID_BYTES, "SegmentedLog.create: cluster id");
    assert(identity.incarnation.length === ID_BYTES, "SegmentedLog.create: incarnation");
    await fileSystem.makeDirectory(directory);
    if (await SegmentedLog.exists(options)) {
      throw new FatalError(1, `Cannot create log ${directory}: it exists already`);
    }
    await removeLeftovers(fileSystem, directory);
    const contents = initialContents(options);
    const files = new SegmentFiles({ ...withDefaults(options), segments: [] });
    const log = new SegmentedLog({ ...options, identity, findings: [], contents, files });
    log.#write([{ kind: "hard_state", hardState: contents.hardState }], { mayUseReserve: true });
    await log.sync();
    return log;
  }

  /**
   * Reads the log in `directory`, after a crash too.
   * @throws {LogDamageError} (65) when it is not what was made durable: the node must not vote (D5).
   * @throws {FatalError} (1) when there is none, (74) when the disk refuses.
   * @throws {OperatingError} `disk_full`, where blocks are copied on write; may be tried again.
   */
  static async open(options: LogOptions): Promise<SegmentedLog> {
    const recovered = await recoverLog(options);
    const files = new SegmentFiles({ ...withDefaults(options), segments: recovered.segments });
    files.prepare();
    return new SegmentedLog({ ...options, ...recovered, files });
  }

  /**
   * As `open`, but nothing is prepared, and nothing may be appended: for a file system that nothing is written
   * to (os/untouched_file_system.ts). @throws as `open` does.
   */
  static async look(options: LogOptions): Promise<SegmentedLog> {
    const recovered = await recoverLog(options);
    const files = new SegmentFiles({ ...withDefaults(options), segments: recovered.segments });
    return new SegmentedLog({ ...options, ...recovered, files });
  }

  get firstIndex(): LogIndex {
    return logIndex(this.#contents.base.index + 1);
  }

  get lastIndex(): LogIndex {
    return this.#contents.last.index;
  }

  /** As last appended; durable after `sync`. */
  get hardState(): HardState {
    return this.#contents.hardState;
  }

  get marker(): LogMarker {
    const { point, configuration, generation } = this.#contents.marker;
    const entryChain = entryChainText(point.chain);
    return { index: point.index, term: point.term, entryChain, configuration, generation };
  }

  /** Bytes written into all segment files; what is only prepared does not count. */
  get sizeBytes(): number {
    return this.#files.usedBytes;
  }

  /** Bytes that entries surely find room for, however full the disk is: overhead is 32 an entry, 96 a frame. */
  get roomBytes(): number {
    return this.#files.roomBytes;
  }

  term(index: LogIndex): Term | undefined {
    return this.#contents.term(index);
  }

  append(options: { readonly entries: readonly LogEntry[]; readonly hardState: HardState }): void {
    this.#assertUsable();
    const { entries, hardState } = options;
    const records = this.#entryRecords(entries);
    const last = entries.at(-1)?.index ?? this.#contents.last.index;
    this.#assertHardState(hardState, last);
    records.push({ kind: "hard_state", hardState });
    this.#write(records, { mayUseReserve: entries.length === 0 });
    assert(this.#contents.last.index === last, "SegmentedLog.append: last index");
  }

  async appendLarge(
    options: { readonly entries: readonly LogEntry[]; readonly hardState: HardState },
  ): Promise<void> {
    this.#assertUsable();
    const { entries, hardState } = options;
    const last = entries.at(-1)?.index ?? this.#contents.last.index;
    this.#assertHardState(hardState, last);
    this.#isBusy = true;
    try {
      const records = this.#entryRecords(entries, await this.#chainsInPieces(entries));
      records.push({ kind: "hard_state", hardState });
      const batch = { ...this.#batch(records), mayUseReserve: false };
      this.#apply(await this.#files.writeLarge(batch, { largeBytes: this.#largeEntryBytes }));
    } catch (error) {
      if (error instanceof OperatingError) throw error;
      throw this.#fail(error);
    } finally {
      this.#isBusy = false;
    }
    assert(this.#contents.last.index === last, "SegmentedLog.appendLarge: last index");
  }

  async sync(options?: SyncOptions): Promise<void> {
    this.#assertUsable();
    this.#isBusy = true;
    const { commit } = this.#contents.hardState;
    try {
      const replaced = await this.#files.sync(options);
      this.#durableCommit = commit;
      if (replaced.length > 0) this.#closeReaders(replaced);
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.#isBusy = false;
    }
  }

  async read(options: EntryRange): Promise<readonly LogEntry[]> {
    const { from, to } = options;
    assert(from <= to, "SegmentedLog.read: from is past to");
    assert(to <= this.#contents.last.index + 1, "SegmentedLog.read: past the last entry");
    assert(!this.#isClosed, "SegmentedLog: closed");
    return await this.#reader.read(options);
  }

  async verify(range: EntryRange): Promise<LogCheck> {
    try {
      const last = (await this.read(range)).at(-1);
      return { to: last === undefined ? range.from : logIndex(last.index + 1), damage: undefined };
    } catch (error) {
      // Reading has changed nothing: what is not damaged can be written and read as before.
      if (!(error instanceof FatalError)) throw error;
      return { to: range.from, damage: error.message };
    }
  }

  /** The next write begins a segment: what is written so far can be purged as a whole. */
  cut(): void {
    this.#files.cut();
  }

  async saveMarker(
    options: { readonly marker: LogMarker; readonly hardState: HardState },
  ): Promise<void> {
    this.#assertUsable();
    const { marker, hardState } = options;
    const record = markerRecord(marker, { isReset: !this.#contents.holds(pointOf(marker)) });
    if (record.isReset) {
      const { commit } = this.#contents.hardState;
      assert(marker.index >= commit, "SegmentedLog.saveMarker: would discard committed entries");
    } else await this.#assertChain(record.point);
    const last = record.isReset ? marker.index : this.#contents.last.index;
    this.#assertHardState(hardState, last);
    this.#write([record, { kind: "hard_state", hardState }], { mayUseReserve: true });
    await this.sync();
  }

  async purge(index: LogIndex): Promise<void> {
    assert(index <= this.#contents.hardState.commit, "SegmentedLog.purge: not committed");
    assert(!this.#isClosed, "SegmentedLog: closed");
    try {
      await this.#reader.alone(async () => {
        // Or the log might begin behind the commit index that a crash leaves.
        const indexMax = Math.min(index, this.#durableCommit);
        // The log must begin where a segment's head tells of an entry that was not replaced since.
        const first = this.#files.published.findLast(({ previous }) =>
          previous.index <= indexMax && this.#contents.holds(previous)
        );
        if (first === undefined) return;
        this.#contents.dropUpTo(first.previous, first.sequence);
        await this.#files.removeBefore(first.sequence);
      });
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async entryChain(index: LogIndex): Promise<string | undefined> {
    const { last } = this.#contents;
    if (index > last.index) return undefined;
    const chain = this.#contents.chain(index) ?? await this.#reader.chain(index);
    return chain === undefined ? undefined : entryChainText(chain);
  }

  /** Releases all files. What was not synced may be lost, as in a crash. Not during a sync. */
  async close(): Promise<void> {
    assert(!this.#isBusy, "SegmentedLog.close: a sync or a large write is in flight");
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#reader.alone(() => this.#files.close());
  }

  #assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
    assert(!this.#isClosed, "SegmentedLog: closed");
    assert(!this.#isBusy, "SegmentedLog: a sync or a large write is in flight (rule D6)");
    this.#files.assertHealthy();
  }

  /**
   * The records of an append: a truncation if it replaces entries, then the entries with their chains, which
   * are reckoned here unless they are given.
   */
  #entryRecords(entries: readonly LogEntry[], chains: readonly EntryChain[] = []): LogRecord[] {
    const first = entries[0];
    if (first === undefined) return [];
    const records: LogRecord[] = [];
    let point = this.#pointBefore(first);
    if (point !== this.#contents.last) records.push({ kind: "truncate", point });
    for (const [at, { index, term, kind: entryKind, payload }] of entries.entries()) {
      assert(index === point.index + 1, "SegmentedLog.append: entries are not contiguous");
      assert(term >= point.term, "SegmentedLog.append: terms go back");
      const chain = chains[at] ?? nextEntryChain(point.chain, { index, term, payload });
      point = { index, term, chain };
      records.push({ kind: "entry", point, entryKind, payload });
    }
    return records;
  }

  #pointBefore(first: LogEntry): LogPoint {
    const { last, hardState } = this.#contents;
    assert(first.index <= last.index + 1, "SegmentedLog.append: gap");
    assert(first.index > hardState.commit, "SegmentedLog.append: would replace a committed entry");
    return first.index > last.index ? last : this.#contents.pointAt(logIndex(first.index - 1));
  }

  async #chainsInPieces(entries: readonly LogEntry[]): Promise<readonly EntryChain[]> {
    const first = entries[0];
    if (first === undefined) return [];
    const chains: EntryChain[] = [];
    let { chain } = this.#pointBefore(first);
    const options = { pieceBytes: LARGE_PIECE_BYTES, pause: this.#pause };
    for (const entry of entries) {
      chain = entry.payload.length >= this.#largeEntryBytes
        ? await nextEntryChainInPieces(chain, entry, options)
        : nextEntryChain(chain, entry);
      chains.push(chain);
    }
    return chains;
  }

  #assertHardState(next: HardState, last: LogIndex): void {
    const { term, vote, commit } = this.#contents.hardState;
    assert(next.term >= term, "SegmentedLog: the term goes back");
    assert(next.term > term || vote === 0 || next.vote === vote, "SegmentedLog: the vote changes");
    assert(next.commit >= commit, "SegmentedLog: the commit index goes back");
    assert(next.commit <= last, "SegmentedLog: the commit index is past the last entry");
  }

  /** A marker within the log must agree with it, or one of the two is another history. @throws {FatalError} */
  async #assertChain(point: LogPoint): Promise<void> {
    const known = await this.entryChain(point.index);
    if (known === undefined || isSameEntryChain(parseEntryChain(known), point.chain)) return;
    throw new FatalError(
      65,
      `Cannot save marker ${point.index}: its entry chain is ${entryChainText(point.chain)}, ` +
        `the log's is ${known}`,
    );
  }

  #write(records: readonly LogRecord[], options: { readonly mayUseReserve: boolean }): void {
    try {
      this.#apply(this.#files.write({ ...this.#batch(records), ...options }));
    } catch (error) {
      if (error instanceof OperatingError) throw error;
      throw this.#fail(error);
    }
  }

  #batch(records: readonly LogRecord[]): Omit<RecordBatch, "mayUseReserve"> {
    const { last, hardState, marker } = this.#contents;
    const { identity } = this;
    return {
      records,
      previous: last,
      headRecords: (sizeBytes) => [
        { kind: "head", identity, sizeBytes, previous: last },
        { kind: "hard_state", hardState },
        { ...marker, isReset: false },
      ],
    };
  }

  #apply({ sequence, plan }: WrittenBatch): void {
    for (const frame of plan.frames) {
      if (frame.records[0]?.kind === "head") continue;
      const place = { sequence, offset: frame.offset };
      for (const record of frame.records) this.#contents.apply(record, place);
    }
  }

  #closeReaders(segments: readonly { closeReader(): void }[]): void {
    const closing = this.#reader.alone(() => {
      for (const segment of segments) segment.closeReader();
      return Promise.resolve();
    });
    runInBackground(closing, (error) => this.#fail(error));
  }

  /** Remembers a failure, so that nothing is tried again on a disk that has failed once. */
  #fail(error: unknown): unknown {
    const failure = error instanceof OperatingError
      ? new FatalError(74, error.message, { cause: error })
      : error;
    this.#failure ??= failure;
    return failure;
  }
}

function withDefaults(options: LogOptions): LogOptions & { readonly segmentSizeBytes: number } {
  const segmentSizeBytes = options.segmentSizeBytes ?? SEGMENT_SIZE_BYTES;
  assert(segmentSizeBytes >= 4096 && segmentSizeBytes % 512 === 0, "SegmentedLog: segment size");
  return { ...options, segmentSizeBytes };
}

function initialContents(options: NewLogOptions): LogContents {
  const marker: LogMarker = options.marker ?? {
    index: logIndex(0),
    term: term(0),
    entryChain: entryChainText(startEntryChain(options.identity.clusterId)),
    configuration: new Uint8Array(0),
    generation: 0,
  };
  const { index: commit, term: markerTerm } = marker;
  const hardState = options.hardState ?? { term: markerTerm, vote: nodeId(0), commit };
  assert(hardState.commit === commit, "SegmentedLog.create: commit is not the marker's index");
  return new LogContents({
    base: pointOf(marker),
    hardState,
    marker: markerRecord(marker, { isReset: false }),
  });
}

function pointOf(marker: LogMarker): LogPoint {
  return { index: marker.index, term: marker.term, chain: parseEntryChain(marker.entryChain) };
}

function markerRecord(marker: LogMarker, options: { readonly isReset: boolean }): MarkerRecord {
  const { configuration, generation } = marker;
  assert(configuration.length <= CONFIGURATION_BYTES_MAX, "SegmentedLog: configuration too large");
  const { isReset } = options;
  return { kind: "marker", isReset, point: pointOf(marker), generation, configuration };
}
