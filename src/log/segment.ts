/**
 * One segment file of the log: `SEQUENCE-FIRST.log`, both 16 hex digits, FIRST being the index behind
 * the point that its head names. Frames back to back (frame.ts), then zeros up to a fixed size.
 * Life: written under a temporary name (pending), synced, renamed (published), sealed when the next
 * one is published, purged. So a file that has its final name has lost something if its head is bad,
 * if its size is not the one its head states, or if it is sealed and nothing follows.
 * Invariant: `[0, durableOffset)` survives a crash; `[endOffset, sizeBytes)` is zero.
 */
import { assert, assertDefined } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { type File, type FileSystem, joinPath, type SyncOptions } from "../os/file_system.ts";
import { ByteView } from "./byte_view.ts";
import type { FrameWindow } from "./frame.ts";
import type { LogPoint } from "./record.ts";

const NAME_PATTERN = /^([0-9a-f]{16})-([0-9a-f]{16})\.log$/;

/** The name of a segment's file. */
export function segmentName(segment: { sequence: number; firstIndex: number }): string {
  return `${hex16(segment.sequence)}-${hex16(segment.firstIndex)}.log`;
}

/** What a name of `segmentName` says, or undefined for other files, which are none of the log's. */
export function parseSegmentName(
  name: string,
): { readonly sequence: number; readonly firstIndex: number } | undefined {
  const match = NAME_PATTERN.exec(name);
  if (match === null) return undefined;
  return { sequence: parseInt(match[1] ?? "", 16), firstIndex: parseInt(match[2] ?? "", 16) };
}

function hex16(value: number): string {
  return value.toString(16).padStart(16, "0");
}

/** A segment and its open handles; see the file's header. */
export class Segment {
  readonly sequence: number;
  /** The point before its first entry. */
  readonly previous: LogPoint;
  readonly sizeBytes: number;
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  /** The temporary name while pending. */
  #name: string;
  /** Absent once the next segment is published. */
  #writer: File | undefined;
  /** Opened with the writer, so that it can be read while a sync runs and while its name changes. */
  #reader: File | undefined;
  #endOffset: number;
  #durableOffset: number;
  /** Chain of checksums behind the last frame. Meaningless for segments that were not written to. */
  #chain: number;

  /** Takes over `writer`. `durableOffset` is 0 while pending. */
  constructor(options: {
    readonly fileSystem: FileSystem;
    readonly directory: string;
    readonly name: string;
    readonly sequence: number;
    readonly previous: LogPoint;
    readonly sizeBytes: number;
    readonly endOffset: number;
    readonly durableOffset: number;
    readonly chain: number;
    readonly writer: File | undefined;
  }) {
    this.sequence = options.sequence;
    this.previous = options.previous;
    this.sizeBytes = options.sizeBytes;
    this.#fileSystem = options.fileSystem;
    this.#directory = options.directory;
    this.#name = options.name;
    this.#endOffset = options.endOffset;
    this.#durableOffset = options.durableOffset;
    this.#chain = options.chain;
    this.#writer = options.writer;
    if (options.writer !== undefined) {
      this.#reader = options.fileSystem.openSync(options.writer.path, "read");
    }
  }

  get name(): string {
    return this.#name;
  }

  get path(): string {
    return joinPath(this.#directory, this.#name);
  }

  /** Where the next frame goes. */
  get endOffset(): number {
    return this.#endOffset;
  }

  get durableOffset(): number {
    return this.#durableOffset;
  }

  /** Chain of checksums behind the last frame written. */
  get chain(): number {
    return this.#chain;
  }

  get isDirty(): boolean {
    return this.#durableOffset < this.#endOffset;
  }

  /**
   * Writes frames at the end, into the page cache.
   * @throws {OperatingError} `disk_full`: nothing has changed. @throws {FatalError}
   */
  write(frames: { readonly bytes: Uint8Array; readonly chain: number }): void {
    const { bytes } = frames;
    const writer = assertDefined(this.#writer, "Segment.write: sealed");
    assert(this.#endOffset + bytes.length <= this.sizeBytes, "Segment.write: past the end");
    try {
      writer.writeSync(bytes, this.#endOffset);
    } catch (error) {
      // Filled with zeros before, this space can only run out where blocks are copied on write. What
      // was written of the frames must go, or the next ones might end before it.
      if (error instanceof OperatingError) {
        writer.writeSync(new Uint8Array(bytes.length), this.#endOffset);
      }
      throw error;
    }
    this.#endOffset += bytes.length;
    this.#chain = frames.chain;
  }

  /** Makes what was written durable. @throws {FatalError} never to be tried again. */
  async syncData(options?: SyncOptions): Promise<void> {
    const end = this.#endOffset;
    await assertDefined(this.#writer, "Segment.syncData: sealed").syncData(options);
    assert(end === this.#endOffset, "Segment.syncData: written while a sync was in flight");
    this.#durableOffset = end;
  }

  /** Makes a pending segment part of the log: content first, then the name. @throws {FatalError} */
  async publish(): Promise<void> {
    const end = this.#endOffset;
    const name = segmentName({ sequence: this.sequence, firstIndex: this.previous.index + 1 });
    await assertDefined(this.#writer, "Segment.publish: sealed").sync();
    await this.#fileSystem.rename(this.path, joinPath(this.#directory, name));
    this.#name = name;
    await this.#fileSystem.syncDirectory(this.#directory);
    assert(end === this.#endOffset, "Segment.publish: written while a sync was in flight");
    this.#durableOffset = end;
  }

  /** Ends writing: the next segment is published. */
  closeWriter(): void {
    this.#writer?.close();
    this.#writer = undefined;
  }

  /** From now on the file is opened for each read. Never called while one is running. */
  closeReader(): void {
    this.#reader?.close();
    this.#reader = undefined;
  }

  /** Reads `[from, to)` of the file, fewer bytes if it is shorter. One call at a time. @throws {FatalError} */
  async read(range: { readonly from: number; readonly to: number }): Promise<FrameWindow> {
    const file = this.#reader ?? this.#fileSystem.openSync(this.path, "read");
    try {
      const bytes = new Uint8Array(range.to - range.from);
      const count = await file.read(bytes, range.from);
      const data = new ByteView(bytes.subarray(0, count));
      return { data, offset: range.from, sequence: this.sequence };
    } finally {
      if (file !== this.#reader) file.close();
    }
  }
}
