/**
 * Reads the log at a start and judges what it finds. A frame says up to where its file was durable
 * before it was written, so only the last group of frames, written behind the last sync, is open to
 * doubt. At the place where whole frames end:
 *
 *     found there               earlier segment       last segment
 *     nothing, zeros follow     end, if the next      end
 *     nothing, more follows     segment continues     torn: keep a copy, clear
 *     a header, unwritten       the chain; else       torn: keep a copy, clear
 *       sectors in its body     missing or damaged    torn: keep a copy, clear
 *     anything else             damaged               damaged: refuse
 *     and frames behind that    -                     missing: refuse
 *       prove it was durable
 *
 * Refusals are LogDamageError and change nothing on disk. A gap in the sequence, a file with another
 * head, size or name than it was published with, a sealed last segment: refused as well.
 * Running it again, after a crash in the middle, gives the same log.
 */
import { assertDefined } from "../base/assert.ts";
import { FatalError } from "../base/errors.ts";
import { isSameEntryChain } from "../base/entry_chain.ts";
import { type File, type FileSystem, joinPath } from "../os/file_system.ts";
import { ByteView } from "./byte_view.ts";
import { LogDamageError, type LogDamageKind } from "./damage.ts";
import {
  type FrameFinding,
  frameStart,
  type FrameWindow,
  type GoodFrame,
  isProvenDurable,
  readFrame,
} from "./frame.ts";
import { SEGMENT_SIZE_BYTES_MAX } from "./limits.ts";
import { LogContents } from "./log_contents.ts";
import { decodeRecords, type HeadRecord, type LogIdentity, type LogRecord } from "./record.ts";
import { parseSegmentName, Segment } from "./segment.ts";
import { TEMPORARY_SUFFIX } from "./segment_preparer.ts";
import { makeTailDurable, repairTornTail } from "./tail_repair.ts";

/** What recovery did beside reading. For the operator. */
export type LogFinding =
  /** A crash left unfinished work, which is removed. */
  | { readonly kind: "leftover_removed"; readonly file: string }
  /** The last, never synced frames were torn by a crash; `[offset, offset + bytes)` was cleared. */
  | {
    readonly kind: "torn_tail_cleared";
    readonly file: string;
    readonly offset: number;
    readonly bytes: number;
    /** False when there was no room for the `.broken` copy. */
    readonly hasCopy: boolean;
  };

/** The log as it was found. All of it is durable. */
export interface RecoveredLog {
  readonly identity: LogIdentity;
  readonly contents: LogContents;
  /** Oldest first, at least one. The last one is open for writing. */
  readonly segments: readonly Segment[];
  readonly findings: readonly LogFinding[];
}

interface SegmentFile {
  readonly name: string;
  readonly sequence: number;
  readonly firstIndex: number;
}

/** Where reading a segment stopped. */
interface Stop {
  readonly file: string;
  readonly offset: number;
  readonly finding: Exclude<FrameFinding, GoodFrame>;
  /** Up to here the file was durable before the last whole frame was written; 0 when it was all durable. */
  readonly durableOffset: number;
  readonly isSealed: boolean;
}

/**
 * Reads the log in `directory`.
 * @throws {LogDamageError} when it cannot be trusted; nothing was changed but leftovers removed.
 * @throws {FatalError} (1) when there is none, (74) when the disk refuses.
 */
export async function recoverLog(options: {
  readonly fileSystem: FileSystem;
  readonly directory: string;
}): Promise<RecoveredLog> {
  const recovery = new Recovery(options.fileSystem, options.directory);
  return await recovery.run();
}

/** Names of the segments in a directory, by sequence. Other files are not looked at. */
export async function listSegments(
  fileSystem: FileSystem,
  directory: string,
): Promise<readonly SegmentFile[]> {
  const files: SegmentFile[] = [];
  for (const name of await fileSystem.listFiles(directory)) {
    const parsed = parseSegmentName(name);
    if (parsed !== undefined) files.push({ name, ...parsed });
  }
  return files.sort((left, right) => left.sequence - right.sequence);
}

/** Removes what a crash left under temporary names. Not durable before the directory is synced. */
export async function removeLeftovers(
  fileSystem: FileSystem,
  directory: string,
): Promise<readonly LogFinding[]> {
  const findings: LogFinding[] = [];
  for (const name of await fileSystem.listFiles(directory)) {
    if (!name.endsWith(TEMPORARY_SUFFIX)) continue;
    await fileSystem.remove(joinPath(directory, name));
    findings.push({ kind: "leftover_removed", file: name });
  }
  return findings;
}

class Recovery {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #findings: LogFinding[] = [];
  readonly #segments: Segment[] = [];
  #identity: LogIdentity | undefined;
  /** What the records read so far amount to. */
  #contents: LogContents | undefined;
  /** Chain of checksums behind the frames read so far; undefined before the first. */
  #chain: number | undefined;

  constructor(fileSystem: FileSystem, directory: string) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
  }

  async run(): Promise<RecoveredLog> {
    this.#findings.push(...await removeLeftovers(this.#fileSystem, this.#directory));
    const files = await listSegments(this.#fileSystem, this.#directory);
    this.#assertGapless(files);
    // Names may be in the directory but not durable, if only the process had died.
    await this.#fileSystem.syncDirectory(this.#directory);
    await this.#readAll(files);
    return {
      identity: assertDefined(this.#identity, "Recovery: no identity"),
      contents: assertDefined(this.#contents, "Recovery: no contents"),
      segments: this.#segments,
      findings: this.#findings,
    };
  }

  #assertGapless(files: readonly SegmentFile[]): void {
    if (files.length === 0) {
      throw new FatalError(1, `Cannot open log ${this.#directory}: it has none`);
    }
    for (const [at, file] of files.entries()) {
      const before = files[at - 1];
      if (before === undefined || file.sequence === before.sequence + 1) continue;
      if (file.sequence === before.sequence) {
        throw this.#damage("foreign", file.name, 0, `it has the number of ${before.name}`);
      }
      throw this.#damage("missing", file.name, 0, `the segment before it is gone`);
    }
  }

  /** Reads all segments in order, the next one from disk while the present one is checked. */
  async #readAll(files: readonly SegmentFile[]): Promise<void> {
    let stop: Stop | undefined;
    let loading: Promise<FrameWindow> | undefined;
    try {
      for (const [at, file] of files.entries()) {
        const window: FrameWindow = await (loading ?? this.#load(file));
        const next = files[at + 1];
        loading = next === undefined ? undefined : this.#load(next);
        const start = this.#readHead(window, file, stop);
        stop = this.#readFrames(window, { file: file.name, offset: start.endOffset });
        if (next === undefined) await this.#finish(window, stop, { ...start, file });
        else this.#segments.push(this.#segment(file, start.head, stop.offset, undefined));
      }
    } finally {
      // An error above leaves the other read running; its own failure would tell nothing new.
      if (loading !== undefined) await Promise.allSettled([loading]);
    }
  }

  async #load(file: SegmentFile): Promise<FrameWindow> {
    const handle = this.#fileSystem.openSync(joinPath(this.#directory, file.name), "read");
    try {
      const size = handle.sizeSync();
      if (size > SEGMENT_SIZE_BYTES_MAX) {
        throw this.#damage("damaged", file.name, SEGMENT_SIZE_BYTES_MAX, "the file is too large");
      }
      const bytes = new Uint8Array(size);
      const count = await handle.read(bytes, 0);
      return { data: new ByteView(bytes.subarray(0, count)), offset: 0, sequence: file.sequence };
    } finally {
      handle.close();
    }
  }

  /** Checks a segment's first frame against its name and all that came before. */
  #readHead(
    window: FrameWindow,
    file: SegmentFile,
    stop: Stop | undefined,
  ): { readonly head: HeadRecord; readonly endOffset: number } {
    const frame = readFrame(window, { at: 0, chain: undefined });
    if (frame.kind !== "good") {
      const kind = frame.kind === "wrong" && window.data.bytes.length > 0 ? "damaged" : "missing";
      throw this.#damage(kind, file.name, 0, "the segment has no valid head");
    }
    const records = this.#records(window, frame, { file: file.name, offset: 0 });
    const foreign = this.#problemWithOwner(records, file);
    if (foreign !== undefined) throw this.#damage("foreign", file.name, 0, foreign);
    if (stop !== undefined && frame.chainBefore !== this.#chain) {
      const reason = stop.finding.kind === "wrong" ? stop.finding.reason : "records are missing";
      const kind = stop.finding.kind === "wrong" ? "damaged" : "missing";
      const offset = frameStart(stop.offset);
      throw this.#damage(kind, stop.file, offset, `${reason}, and ${file.name} follows`);
    }
    const problem = this.#problemWithHead(records);
    if (problem !== undefined) throw this.#damage("damaged", file.name, 0, problem);
    this.#chain = frame.chainAfter;
    const [head] = records;
    if (head?.kind !== "head") throw this.#damage("damaged", file.name, 0, "no head record");
    return { head, endOffset: frame.endOffset };
  }

  /** Whose segment is it? The first one's word is taken. */
  #problemWithOwner(records: readonly LogRecord[], file: SegmentFile): string | undefined {
    const [head] = records;
    if (head?.kind !== "head") return "the first frame is not a head";
    if (head.previous.index + 1 !== file.firstIndex) return "the file's name is not its own";
    this.#identity ??= head.identity;
    return isSameIdentity(this.#identity, head.identity) ? undefined : "it is from another log";
  }

  /** Takes over the first segment's head; compares the others with what is known by then. */
  #problemWithHead(records: readonly LogRecord[]): string | undefined {
    const [head, state, marker] = records;
    if (head?.kind !== "head" || state?.kind !== "hard_state" || marker?.kind !== "marker") {
      return "the head is not complete";
    }
    if (this.#contents === undefined) {
      const { previous: base } = head;
      this.#contents = new LogContents({ base, hardState: state.hardState, marker });
      return undefined;
    }
    const { last, hardState, marker: known } = this.#contents;
    const isSame = head.previous.index === last.index && head.previous.term === last.term &&
      isSameEntryChain(head.previous.chain, last.chain) &&
      state.hardState.term === hardState.term && state.hardState.vote === hardState.vote &&
      state.hardState.commit === hardState.commit &&
      marker.point.index === known.point.index && marker.generation === known.generation;
    return isSame ? undefined : "its head does not agree with the segments before it";
  }

  /** Applies whole frames from `offset` on, as far as they go. */
  #readFrames(window: FrameWindow, from: { readonly file: string; readonly offset: number }): Stop {
    const contents = assertDefined(this.#contents, "Recovery: no head was read");
    const { file } = from;
    let offset = from.offset;
    let durableOffset = 0;
    for (;;) {
      const at = frameStart(offset);
      const frame = readFrame(window, { at, chain: this.#chain });
      if (frame.kind !== "good") {
        return { file, offset, finding: frame, durableOffset, isSealed: false };
      }
      if (frame.durableOffset > at) {
        throw this.#damage(
          "damaged",
          file,
          at,
          "the frame claims to have been durable before it was",
        );
      }
      for (const record of this.#records(window, frame, { file, offset: at })) {
        if (record.kind === "sealed") {
          return { file, offset, finding: { kind: "blank" }, durableOffset, isSealed: true };
        }
        const problem = contents.problemWith(record);
        if (problem !== undefined) throw this.#damage("damaged", file, at, problem);
        contents.apply(record, { sequence: window.sequence, offset: at });
      }
      this.#chain = frame.chainAfter;
      offset = frame.endOffset;
      durableOffset = frame.durableOffset;
    }
  }

  #records(
    window: FrameWindow,
    frame: GoodFrame,
    place: { readonly file: string; readonly offset: number },
  ): readonly LogRecord[] {
    const range = { from: frame.bodyAt, to: frame.bodyAt + frame.bodyBytes };
    return decodeRecords(window.data, range, this.#place(place.file, place.offset));
  }

  /** Judges the end of the last segment, clears a torn tail, and opens it for writing. */
  async #finish(
    window: FrameWindow,
    stop: Stop,
    last: { readonly file: SegmentFile; readonly head: HeadRecord },
  ): Promise<void> {
    const { name } = last.file;
    const size = window.data.bytes.length;
    if (size < last.head.sizeBytes) {
      throw this.#damage("missing", name, size, `the file had ${last.head.sizeBytes} bytes`);
    }
    if (size > last.head.sizeBytes) {
      throw this.#damage("damaged", name, last.head.sizeBytes, "the file has grown");
    }
    if (stop.isSealed) {
      throw this.#damage("missing", name, stop.offset, "the segment that followed it is gone");
    }
    const { finding, offset } = stop;
    if (finding.kind === "wrong") {
      throw this.#damage("damaged", name, frameStart(offset), finding.reason);
    }
    const usedEnd = window.data.usedEnd(offset, size);
    if (usedEnd > offset) {
      if (isProvenDurable(window, offset)) {
        throw this.#damage("missing", name, frameStart(offset), "durable records are missing");
      }
      await this.#repair(name, { from: offset, to: usedEnd });
    }
    const writer = this.#fileSystem.openSync(joinPath(this.#directory, name), "write");
    const range = { from: stop.durableOffset === 0 ? offset : stop.durableOffset, to: offset };
    await makeTailDurable(writer, range);
    this.#segments.push(this.#segment(last.file, last.head, offset, writer));
  }

  async #repair(
    file: string,
    range: { readonly from: number; readonly to: number },
  ): Promise<void> {
    const { hasCopy } = await repairTornTail({
      fileSystem: this.#fileSystem,
      directory: this.#directory,
      name: file,
      ...range,
    });
    const bytes = range.to - range.from;
    this.#findings.push({ kind: "torn_tail_cleared", file, offset: range.from, bytes, hasCopy });
  }

  #segment(
    file: SegmentFile,
    head: HeadRecord,
    endOffset: number,
    writer: File | undefined,
  ): Segment {
    return new Segment({
      fileSystem: this.#fileSystem,
      directory: this.#directory,
      name: file.name,
      sequence: file.sequence,
      previous: head.previous,
      sizeBytes: head.sizeBytes,
      endOffset,
      durableOffset: endOffset,
      chain: assertDefined(this.#chain, "Recovery: no chain"),
      writer,
    });
  }

  #place(file: string, offset: number): { readonly file: string; readonly offset: number } {
    return { file: joinPath(this.#directory, file), offset };
  }

  #damage(kind: LogDamageKind, file: string, offset: number, reason: string): LogDamageError {
    return new LogDamageError(kind, this.#place(file, offset), reason);
  }
}

function isSameIdentity(left: LogIdentity, right: LogIdentity): boolean {
  return left.nodeId === right.nodeId && isSameBytes(left.clusterId, right.clusterId) &&
    isSameBytes(left.incarnation, right.incarnation);
}

function isSameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}
