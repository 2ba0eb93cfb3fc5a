/**
 * Turns records into frames, ready to be written at one place of a segment in a single call.
 * Invariant: the bytes depend only on records and place; gaps and padding are zero although the
 * buffer is used again and again. Not here: choosing the place (segmented_log.ts).
 */
import { assert } from "../base/assert.ts";
import { ByteView } from "./byte_view.ts";
import {
  FRAME_HEADER_BYTES,
  frameBytes,
  type FrameContext,
  frameStart,
  sealFrame,
} from "./frame.ts";
import { FRAME_BODY_BYTES_MAX } from "./limits.ts";
import { encodeRecord, type LogRecord, recordBytes } from "./record.ts";

/** The buffer kept between calls; larger batches get one of their own. */
const SCRATCH_BYTES = 1024 * 1024;

/** One frame to be: its records and its place. */
export interface PlannedFrame {
  readonly records: readonly LogRecord[];
  readonly bodyBytes: number;
  /** Offset in the file. */
  readonly offset: number;
}

/** Frames in order, from `startOffset` (where a gap may come first) to `endOffset` of a file. */
export interface FramePlan {
  readonly frames: readonly PlannedFrame[];
  readonly startOffset: number;
  readonly endOffset: number;
}

/**
 * Divides records into frames that start at `startOffset` or just behind. Each group begins a frame of
 * its own; a frame's body passes FRAME_BODY_BYTES_MAX only for a single record.
 */
export function planFrames(
  groups: readonly (readonly LogRecord[])[],
  startOffset: number,
): FramePlan {
  const frames: PlannedFrame[] = [];
  let endOffset = startOffset;
  const addFrame = (records: readonly LogRecord[], bodyBytes: number): void => {
    if (records.length === 0) return;
    const offset = frameStart(endOffset);
    frames.push({ records, bodyBytes, offset });
    endOffset = offset + frameBytes(bodyBytes);
  };
  for (const group of groups) {
    let from = 0;
    let bodyBytes = 0;
    for (const [at, record] of group.entries()) {
      const size = recordBytes(record);
      if (bodyBytes > 0 && bodyBytes + size > FRAME_BODY_BYTES_MAX) {
        addFrame(group.slice(from, at), bodyBytes);
        from = at;
        bodyBytes = 0;
      }
      bodyBytes += size;
    }
    addFrame(from === 0 ? group : group.slice(from), bodyBytes);
  }
  return { frames, startOffset, endOffset };
}

/** Encodes planned frames. Holds the buffer that is used again. */
export class FrameWriter {
  readonly #scratch = new ByteView(new Uint8Array(SCRATCH_BYTES));

  /**
   * The bytes of `[plan.startOffset, plan.endOffset)`, valid until the next call, and the chain behind them.
   */
  encode(
    plan: FramePlan,
    context: Omit<FrameContext, "offset">,
  ): { readonly bytes: Uint8Array; readonly chain: number } {
    const size = plan.endOffset - plan.startOffset;
    const data = size <= SCRATCH_BYTES ? this.#scratch : new ByteView(new Uint8Array(size));
    const window = { data, offset: plan.startOffset, sequence: context.sequence };
    let chain = context.chain;
    let end = 0;
    for (const frame of plan.frames) {
      const at = frame.offset - plan.startOffset;
      data.bytes.fill(0, end, at);
      let bodyEnd = at + FRAME_HEADER_BYTES;
      for (const record of frame.records) bodyEnd = encodeRecord(data, bodyEnd, record);
      assert(bodyEnd === at + FRAME_HEADER_BYTES + frame.bodyBytes, "FrameWriter: body size");
      end = at + frameBytes(frame.bodyBytes);
      data.bytes.fill(0, bodyEnd, end);
      const { offset, bodyBytes } = frame;
      chain = sealFrame(window, { ...context, chain, offset, at, bodyBytes });
    }
    assert(end === size, "FrameWriter: plan size");
    return { bytes: data.bytes.subarray(0, size), chain };
  }
}
