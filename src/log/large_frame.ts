/**
 * Writes a frame that is too large to be built and written at once: in pieces, with the caller's thread
 * free for others while each is written, and without a second copy of the whole.
 * Invariant: the bytes are those that `FrameWriter` would have written; the header comes last, so that an
 * unfinished frame is none. Only for files that nobody reads yet: a pending segment.
 */
import { assert, assertDefined } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import { LARGE_PIECE_BYTES } from "../base/limits.ts";
import type { File } from "../os/file_system.ts";
import { ByteView } from "./byte_view.ts";
import {
  applyMask,
  firstMaskWord,
  FRAME_HEADER_BYTES,
  frameBytes,
  type FrameContext,
  hasNearlyBlankSector,
  noMask,
  SALT_MAX,
  sealHeader,
  SECTOR_BYTES,
  writeHeader,
} from "./frame.ts";
import type { PlannedFrame } from "./frame_writer.ts";
import { encodeFixedPart, type EntryRecord, recordBytes } from "./record.ts";

/** Whether a frame is to be written in pieces: its one record is an entry of so many bytes. */
export function isLargeFrame(frame: PlannedFrame, largeBytes: number): boolean {
  const [record] = frame.records;
  return record?.kind === "entry" && record.payload.length >= largeBytes;
}

/** Writes a planned frame of one entry. @returns the chain after it. @throws {OperatingError} `disk_full`. */
export async function writeLargeFrame(
  file: File,
  frame: PlannedFrame,
  context: Omit<FrameContext, "offset">,
): Promise<number> {
  const record = assertDefined(frame.records[0], "writeLargeFrame: no record");
  assert(frame.records.length === 1 && record.kind === "entry", "writeLargeFrame: not one entry");
  const writer = new LargeFrame({ file, frame, record, context: { ...context, ...frame } });
  for (let salt = 0; salt <= SALT_MAX; salt++) {
    const chain = await writer.write(salt);
    if (chain !== undefined) return chain;
  }
  throw noMask();
}

class LargeFrame {
  readonly #file: File;
  readonly #record: EntryRecord;
  readonly #context: FrameContext & { readonly bodyBytes: number };
  readonly #size: number;
  readonly #piece = new ByteView(new Uint8Array(LARGE_PIECE_BYTES));
  readonly #header = new ByteView(new Uint8Array(FRAME_HEADER_BYTES));
  /** Bytes of the frame before the entry's payload. */
  readonly #headSize: number;

  constructor(options: {
    readonly file: File;
    readonly frame: PlannedFrame;
    readonly record: EntryRecord;
    readonly context: FrameContext & { readonly bodyBytes: number };
  }) {
    const { file, frame, record, context } = options;
    this.#file = file;
    this.#record = record;
    this.#context = context;
    this.#size = frameBytes(frame.bodyBytes);
    this.#headSize = FRAME_HEADER_BYTES + recordBytes(record) - record.payload.length;
  }

  /** @returns the chain after the frame; undefined when this mask leaves a sector nearly blank. */
  async write(salt: number): Promise<number | undefined> {
    const context = this.#context;
    const { bytes } = this.#piece;
    writeHeader(this.#header, { ...context, at: 0, salt });
    let chain = crc32c(this.#header.bytes, context.chain, 16, FRAME_HEADER_BYTES);
    let word = firstMaskWord(salt, context.chain);
    for (let from = 0; from < this.#size;) {
      const offset = context.offset + from;
      // Pieces end where sectors do, so that each part of a sector is looked at as a whole.
      const size = Math.min(LARGE_PIECE_BYTES - offset % SECTOR_BYTES, this.#size - from);
      this.#fill(from, size);
      const bodyAt = from === 0 ? FRAME_HEADER_BYTES : 0;
      if (salt !== 0) word = applyMask(this.#piece, { from: bodyAt, to: size, word });
      const headerAt = from === 0 ? 0 : undefined;
      if (hasNearlyBlankSector(this.#piece, { at: 0, end: size, offset, headerAt })) {
        return undefined;
      }
      chain = crc32c(bytes, chain, bodyAt, size);
      await this.#file.write(bytes.subarray(bodyAt, size), offset + bodyAt);
      from += size;
    }
    sealHeader(this.#header, { at: 0, chain });
    await this.#file.write(this.#header.bytes, context.offset);
    return chain;
  }

  /** Bytes `[from, from + size)` of the frame without mask; what is the header's is left as it is. */
  #fill(from: number, size: number): void {
    const { bytes } = this.#piece;
    const { payload } = this.#record;
    let at = 0;
    if (from === 0) {
      at = encodeFixedPart(this.#piece, FRAME_HEADER_BYTES, this.#record);
      assert(at === this.#headSize, "LargeFrame: size of the head");
    }
    const payloadFrom = from + at - this.#headSize;
    const part = payload.subarray(payloadFrom, payloadFrom + size - at);
    bytes.set(part, at);
    bytes.fill(0, at + part.length, size);
  }
}
