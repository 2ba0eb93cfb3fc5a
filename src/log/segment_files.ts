/**
 * The row of segment files: which one is written to, when the next begins, publishing and purging.
 * Published segments are gapless in sequence, and stay so at every instant: names are added at the
 * front and removed at the back one at a time, each durable before the next. Pending ones follow,
 * with content that nobody was promised yet.
 * Not here: what the records say; this file only sees their sizes.
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { type File, type FileSystem, joinPath, type SyncOptions } from "../os/file_system.ts";
import { frameBytes, type FrameContext } from "./frame.ts";
import { type FramePlan, FrameWriter, planFrames, type PlannedFrame } from "./frame_writer.ts";
import { isLargeFrame, writeLargeFrame } from "./large_frame.ts";
import { RESERVE_BYTES, SEGMENT_SIZE_BYTES_URGENT } from "./limits.ts";
import type { LogPoint, LogRecord } from "./record.ts";
import { Segment } from "./segment.ts";
import { SegmentPreparer, TEMPORARY_SUFFIX } from "./segment_preparer.ts";
import { BROKEN_SUFFIX } from "./tail_repair.ts";

/** The seal, with the gap that may come before it. */
const SEAL_BYTES = 112;
const BLOCK_BYTES = 4096;

/** Records to write together, and what a new segment needs to begin with. */
export interface RecordBatch {
  readonly records: readonly LogRecord[];
  /** Votes and markers may use the reserve; entries may not. */
  readonly mayUseReserve: boolean;
  /** The log's last point before the batch. */
  readonly previous: LogPoint;
  /** A head's records for a file of this size. Their own size must not depend on it. */
  readonly headRecords: (sizeBytes: number) => readonly LogRecord[];
}

/** Where a batch went. */
export interface WrittenBatch {
  readonly sequence: number;
  readonly plan: FramePlan;
}

/** See the file's header. */
export class SegmentFiles {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #segmentSizeBytes: number;
  readonly #reserveBytes: number;
  readonly #preparer: SegmentPreparer;
  readonly #writer = new FrameWriter();
  #published: Segment[];
  #pending: Segment[] = [];
  /** Nothing more goes into the current segment. */
  #isCut = false;

  /** Takes over `segments`, oldest first; none in a new log. */
  constructor(options: {
    readonly fileSystem: FileSystem;
    readonly directory: string;
    readonly segmentSizeBytes: number;
    readonly segments: readonly Segment[];
  }) {
    const { fileSystem, directory, segmentSizeBytes } = options;
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#segmentSizeBytes = segmentSizeBytes;
    this.#reserveBytes = Math.min(RESERVE_BYTES, Math.floor(segmentSizeBytes / 8));
    this.#preparer = new SegmentPreparer({ fileSystem, directory, sizeBytes: segmentSizeBytes });
    this.#published = [...options.segments];
  }

  /** Published segments, oldest first. */
  get published(): readonly Segment[] {
    return this.#published;
  }

  /** Bytes in frames, over all segments. */
  get usedBytes(): number {
    let bytes = 0;
    for (const segment of this.#published) bytes += segment.endOffset;
    for (const segment of this.#pending) bytes += segment.endOffset;
    return bytes;
  }

  /** Bytes of frames with entries that surely find room, however full the disk is. */
  get roomBytes(): number {
    const current = this.#current;
    const here = current === undefined ? 0 : current.sizeBytes - current.endOffset;
    return Math.max(0, here - this.#keptBytes) +
      Math.max(0, this.#preparer.readyBytes - this.#keptBytes);
  }

  /** The segment with this number, published or pending. */
  find(sequence: number): Segment | undefined {
    const first = this.#published[0]?.sequence ?? sequence;
    return this.#published[sequence - first] ??
      this.#pending[sequence - first - this.#published.length];
  }

  /** Starts preparing the next file. */
  prepare(): void {
    this.#preparer.start();
  }

  /** @throws {FatalError} when the background has found the disk unusable. */
  assertHealthy(): void {
    this.#preparer.assertHealthy();
  }

  /** The next batch begins a segment, so that the one before can be purged. */
  cut(): void {
    this.#isCut = true;
  }

  /** Writes a batch into the page cache. @throws {OperatingError} `disk_full`: nothing has changed. @throws {FatalError} */
  write(batch: RecordBatch): WrittenBatch {
    const current = this.#current;
    if (current === undefined) return this.#writeToNext(batch, { sequence: 1, chain: 0 });
    const { sequence, chain, durableOffset } = current;
    const plan = planFrames([batch.records], current.endOffset);
    const kept = batch.mayUseReserve ? SEAL_BYTES : this.#keptBytes;
    if (this.#isCut || plan.endOffset + kept > current.sizeBytes) {
      return this.#writeToNext(batch, { sequence: sequence + 1, chain });
    }
    current.write(this.#writer.encode(plan, { sequence, chain, durableOffset }));
    return { sequence, plan };
  }

  /**
   * As `write`, but in pieces, with others having their turn in between, and into a segment of its own:
   * what is unfinished when the process ends has no name that counts. Nothing else may be written meanwhile.
   */
  async writeLarge(
    batch: RecordBatch,
    options: { readonly largeBytes: number },
  ): Promise<WrittenBatch> {
    const current = this.#current;
    assert(current !== undefined, "SegmentFiles.writeLarge: an empty log");
    const sequence = current.sequence + 1;
    const needed = planFrames([batch.headRecords(0), batch.records], 0).endOffset + this.#keptBytes;
    const sizeBytes = this.#urgentSize(needed);
    const plan = planFrames([batch.headRecords(sizeBytes), batch.records], 0);
    const name = `${sequence}${TEMPORARY_SUFFIX}`;
    const file = this.#fileSystem.createSync(joinPath(this.#directory, name));
    let { chain } = current;
    try {
      for (const frame of plan.frames) {
        const context = { sequence, chain, durableOffset: 0 };
        chain = isLargeFrame(frame, options.largeBytes)
          ? await writeLargeFrame(file, frame, context)
          : await this.#writeFrame(file, frame, context);
      }
      await file.write(new Uint8Array(sizeBytes - plan.endOffset), plan.endOffset);
    } catch (error) {
      this.#giveUp(file, error);
      throw error;
    }
    this.#addPending({ batch, sequence, sizeBytes, name, chain, plan, file });
    return { sequence, plan };
  }

  async #writeFrame(
    file: File,
    frame: PlannedFrame,
    context: Omit<FrameContext, "offset">,
  ): Promise<number> {
    const { offset } = frame;
    const plan = {
      frames: [frame],
      startOffset: offset,
      endOffset: offset + frameBytes(frame.bodyBytes),
    };
    const { bytes, chain } = this.#writer.encode(plan, context);
    await file.write(bytes, offset);
    return chain;
  }

  /** Makes all that was written durable and publishes what is pending. @throws {FatalError} */
  async sync(options?: SyncOptions): Promise<readonly Segment[]> {
    const replaced: Segment[] = [];
    let current = this.#published.at(-1);
    if (this.#pending.length === 0) {
      if (current?.isDirty) await current.syncData(options);
      return replaced;
    }
    for (let next = this.#pending[0]; next !== undefined; next = this.#pending[0]) {
      // The order on disk: an entry is durable only if all before it are.
      if (current?.isDirty) await current.syncData();
      await next.publish();
      this.#pending.shift();
      this.#published.push(next);
      if (current !== undefined) {
        await this.#seal(current);
        current.closeWriter();
        replaced.push(current);
      }
      current = next;
    }
    this.#preparer.start();
    return replaced;
  }

  /** Deletes the segments before `sequence`, oldest first, each durably gone before the next. @throws {FatalError} */
  async removeBefore(sequence: number): Promise<void> {
    for (let oldest = this.#published[0]; oldest !== undefined; oldest = this.#published[0]) {
      if (oldest.sequence >= sequence) return;
      assert(this.#published.length > 1, "SegmentFiles.removeBefore: the last one");
      this.#published.shift();
      await this.#fileSystem.remove(oldest.path);
      const brokenPath = oldest.path + BROKEN_SUFFIX;
      if (await this.#fileSystem.exists(brokenPath)) await this.#fileSystem.remove(brokenPath);
      await this.#fileSystem.syncDirectory(this.#directory);
    }
  }

  /** Closes all handles; what is pending is lost, as in a crash. */
  async close(): Promise<void> {
    await this.#preparer.close();
    for (const segment of [...this.#published, ...this.#pending]) {
      segment.closeWriter();
      segment.closeReader();
    }
  }

  get #current(): Segment | undefined {
    return this.#pending.at(-1) ?? this.#published.at(-1);
  }

  /** What entries leave free at the end of a segment. */
  get #keptBytes(): number {
    return SEAL_BYTES + this.#reserveBytes;
  }

  /** Begins a segment, pending, with the batch in it. */
  #writeToNext(
    batch: RecordBatch,
    before: { readonly sequence: number; readonly chain: number },
  ): WrittenBatch {
    const { sequence, chain } = before;
    const needed = planFrames([batch.headRecords(0), batch.records], 0).endOffset +
      this.#keptBytes;
    const prepared = this.#preparer.take(needed);
    const sizeBytes = prepared?.sizeBytes ?? this.#urgentSize(needed);
    const plan = planFrames([batch.headRecords(sizeBytes), batch.records], 0);
    assert(plan.endOffset <= sizeBytes, "SegmentFiles: the new segment is too small");
    const frames = this.#writer.encode(plan, { sequence, chain, durableOffset: 0 });
    const name = prepared?.name ?? `${sequence}${TEMPORARY_SUFFIX}`;
    const path = joinPath(this.#directory, name);
    const writer = prepared?.file ?? this.#fileSystem.createSync(path);
    this.#writeOrRemove(writer, () => {
      writer.writeSync(frames.bytes, 0);
      if (prepared !== undefined) return;
      writer.writeSync(new Uint8Array(sizeBytes - frames.bytes.length), frames.bytes.length);
    });
    this.#addPending({ batch, sequence, sizeBytes, name, chain: frames.chain, plan, file: writer });
    return { sequence, plan };
  }

  #addPending(begun: {
    readonly batch: RecordBatch;
    readonly sequence: number;
    readonly sizeBytes: number;
    readonly name: string;
    readonly chain: number;
    readonly plan: FramePlan;
    readonly file: File;
  }): void {
    const { batch, sequence, sizeBytes, name, chain, plan, file: writer } = begun;
    this.#isCut = false;
    this.#pending.push(
      new Segment({
        fileSystem: this.#fileSystem,
        directory: this.#directory,
        name,
        sequence,
        previous: batch.previous,
        sizeBytes,
        endOffset: plan.endOffset,
        durableOffset: 0,
        chain,
        writer,
      }),
    );
  }

  #writeOrRemove(file: File, write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#giveUp(file, error);
      throw error;
    }
  }

  #giveUp(file: File, error: unknown): void {
    file.close();
    if (error instanceof OperatingError) this.#fileSystem.removeSync(file.path);
  }

  /** A size that somebody can wait for: no zeros but these are written before the batch is durable. */
  #urgentSize(needed: number): number {
    const usual = Math.min(SEGMENT_SIZE_BYTES_URGENT, this.#segmentSizeBytes);
    return Math.max(usual, Math.ceil(needed / BLOCK_BYTES) * BLOCK_BYTES);
  }

  /** Says in a segment that the next one exists, so that its loss is noticed. */
  async #seal(segment: Segment): Promise<void> {
    const { sequence, chain, durableOffset } = segment;
    const plan = planFrames([[{ kind: "sealed" }]], segment.endOffset);
    try {
      segment.write(this.#writer.encode(plan, { sequence, chain, durableOffset }));
    } catch (error) {
      // Only where blocks are copied on write. The segment is whole without it.
      if (error instanceof OperatingError) return;
      throw error;
    }
    await segment.syncData();
  }
}
