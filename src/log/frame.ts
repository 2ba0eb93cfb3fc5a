/**
 * Frames: what is written and checked as a whole in a segment file. Format 1, little-endian:
 *
 *      0  magic u32                          24  segment sequence u32
 *      4  CRC-32C of bytes 8 to 47, u32      28  mask salt u32, 0 = body is plain
 *      8  chain before u32                   32  offset of this frame in its file, u64
 *     12  chain after u32                    40  durable offset u64: the file was durable up to
 *     16  body bytes u32                         here before this frame was written
 *     20  zero u32                           48  body, then zeros up to a multiple of 8
 *
 * Chain after = CRC-32C of bytes 16 to the end of the padded body, continued from chain before, which
 * is the chain after the frame before it, across segments. A frame starts at a multiple of 8 and its
 * header never crosses a 512-byte sector: when one would, it starts at the next sector instead.
 * Unwritten space is zero. In every sector that a frame touches, its part has at least two bits set:
 * a body for which that does not hold is stored under a mask. So a sector part that is all zero was
 * never written (torn), which no payload of zeros and no single flipped bit can look like.
 * Not here: what bodies say (record.ts), what follows from a bad frame (recovery.ts).
 */
import { assert } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import type { ByteView } from "./byte_view.ts";

/** Bytes before a frame's body. */
export const FRAME_HEADER_BYTES = 48;
/** What a disk writes whole or not at all. */
export const SECTOR_BYTES = 512;

const MAGIC = 0x314c4644;
/** Masks that are tried; every second one helps, whatever the body. */
export const SALT_MAX = 0xffff;

/** Where a frame stands in the log, and what precedes it. */
export interface FrameContext {
  /** Number of the segment, from 1. */
  readonly sequence: number;
  /** Offset of the frame in its file. */
  readonly offset: number;
  readonly durableOffset: number;
  /** Chain after the frame before it. */
  readonly chain: number;
}

/** Bytes of a file that are in memory: `data.bytes[0]` is at `offset` in the segment `sequence`. */
export interface FrameWindow {
  readonly data: ByteView;
  readonly offset: number;
  readonly sequence: number;
}

/** A frame that is whole. Its body is `[bodyAt, bodyAt + bodyBytes)` of the window, unmasked. */
export interface GoodFrame {
  readonly kind: "good";
  readonly bodyAt: number;
  readonly bodyBytes: number;
  readonly chainBefore: number;
  readonly chainAfter: number;
  readonly durableOffset: number;
  /** Offset in the file behind the frame. */
  readonly endOffset: number;
}

/**
 * What stands at a place where a frame may start. `blank`: nothing was written there. `torn`: a true
 * header, but sectors of the body were never written. `wrong`: neither, so bytes have changed.
 */
export type FrameFinding =
  | GoodFrame
  | { readonly kind: "blank" }
  | { readonly kind: "torn" }
  | { readonly kind: "wrong"; readonly reason: string };

/** The first offset at or behind `offset`, a multiple of 8, at which a frame may start. */
export function frameStart(offset: number): number {
  assert(offset % 8 === 0, "frameStart: not a multiple of 8");
  const inSector = offset % SECTOR_BYTES;
  return inSector > SECTOR_BYTES - FRAME_HEADER_BYTES ? offset + SECTOR_BYTES - inSector : offset;
}

/** Bytes of a frame, header and padding included. */
export function frameBytes(bodyBytes: number): number {
  return FRAME_HEADER_BYTES + Math.ceil(bodyBytes / 8) * 8;
}

/**
 * Completes a frame whose body stands at `bytes[at + 48, ...)`, zeros behind it: masks the body if it
 * must be, and writes the header. Returns the chain after it.
 */
export function sealFrame(
  window: FrameWindow,
  options: { readonly at: number; readonly bodyBytes: number } & FrameContext,
): number {
  const { at, bodyBytes, offset } = options;
  const { data } = window;
  assert(frameStart(offset) === offset, "sealFrame: header would cross a sector");
  assert(options.durableOffset <= offset, "sealFrame: durable past the frame");
  const end = at + frameBytes(bodyBytes);
  const salt = maskIfNearlyBlank(window, { at, end, offset, chain: options.chain });
  writeHeader(data, { ...options, salt });
  const chain = crc32c(data.bytes, options.chain, at + 16, end);
  sealHeader(data, { at, chain });
  return chain;
}

/** Writes a header but for its checksums, which `sealHeader` adds when all of the frame is known. */
export function writeHeader(
  data: ByteView,
  header: {
    readonly at: number;
    readonly bodyBytes: number;
    readonly salt: number;
  } & FrameContext,
): void {
  const { at } = header;
  data.setU32(at, MAGIC);
  data.setU32(at + 8, header.chain);
  data.setU32(at + 16, header.bodyBytes);
  data.setU32(at + 20, 0);
  data.setU32(at + 24, header.sequence);
  data.setU32(at + 28, header.salt);
  data.setU53(at + 32, header.offset);
  data.setU53(at + 40, header.durableOffset);
}

/** Completes the header at `at`; `chain` is the one after the frame. */
export function sealHeader(
  data: ByteView,
  header: { readonly at: number; readonly chain: number },
): void {
  const { at, chain } = header;
  data.setU32(at + 12, chain);
  data.setU32(at + 4, crc32c(data.bytes, 0, at + 8, at + FRAME_HEADER_BYTES));
}

/**
 * Reads the frame at `window.data.bytes[at]`. A masked body is unmasked in place, so each frame of a
 * window is read at most once. `chain`: what must precede it, or undefined to take its word.
 */
export function readFrame(
  window: FrameWindow,
  options: { readonly at: number; readonly chain: number | undefined },
): FrameFinding {
  const { at } = options;
  const { data } = window;
  if (at + FRAME_HEADER_BYTES > data.bytes.length) return { kind: "blank" };
  if (data.isZero(at, at + FRAME_HEADER_BYTES)) return { kind: "blank" };
  if (!isFrameHeader(window, at)) return { kind: "wrong", reason: "no frame begins here" };
  const chainBefore = data.u32(at + 8);
  const chainAfter = data.u32(at + 12);
  const bodyBytes = data.u32(at + 16);
  const salt = data.u32(at + 28);
  const durableOffset = data.u53(at + 40);
  const end = at + frameBytes(bodyBytes);
  if (options.chain !== undefined && chainBefore !== options.chain) {
    return { kind: "wrong", reason: "the frame does not continue the one before it" };
  }
  if (end > data.bytes.length) return { kind: "wrong", reason: "the file ends inside the frame" };
  if (crc32c(data.bytes, chainBefore, at + 16, end) !== chainAfter) {
    if (hasBlankSector(data, { at, end, offset: window.offset + at })) {
      return { kind: "torn" };
    }
    return { kind: "wrong", reason: "the frame's checksum does not match" };
  }
  const bodyAt = at + FRAME_HEADER_BYTES;
  if (salt !== 0) {
    applyMask(data, { from: bodyAt, to: end, word: firstMaskWord(salt, chainBefore) });
  }
  const endOffset = window.offset + end;
  return { kind: "good", bodyAt, bodyBytes, chainBefore, chainAfter, durableOffset, endOffset };
}

/** Whether a header of this segment, written for this very place, stands at `window.data.bytes[at]`. */
export function isFrameHeader(window: FrameWindow, at: number): boolean {
  const { data } = window;
  return at + FRAME_HEADER_BYTES <= data.bytes.length && data.u32(at) === MAGIC &&
    crc32c(data.bytes, 0, at + 8, at + FRAME_HEADER_BYTES) === data.u32(at + 4) &&
    data.u32(at + 24) === window.sequence &&
    data.u53(at + 32) === window.offset + at;
}

/**
 * Whether a frame at or behind `offset` proves that the file was durable past it. Frames that state 0
 * were written before their file got its name, hence are durable themselves.
 */
export function isProvenDurable(window: FrameWindow, offset: number): boolean {
  const { data } = window;
  for (let at = offset - window.offset; at + FRAME_HEADER_BYTES <= data.bytes.length; at += 8) {
    if (data.u32(at) !== MAGIC || !isFrameHeader(window, at)) continue;
    const durableOffset = data.u53(at + 40);
    if (durableOffset === 0 || durableOffset > offset) return true;
  }
  return false;
}

/** Calls `visit` with each part `[from, to)` of `bytes[at, end)` that lies in one sector, until it returns true. */
function anySectorPart(
  range: { readonly at: number; readonly end: number; readonly offset: number },
  visit: (from: number, to: number) => boolean,
): boolean {
  let from = range.at;
  let to = Math.min(range.end, from + SECTOR_BYTES - range.offset % SECTOR_BYTES);
  while (from < range.end) {
    if (visit(from, to)) return true;
    from = to;
    to = Math.min(range.end, from + SECTOR_BYTES);
  }
  return false;
}

function hasBlankSector(
  data: ByteView,
  range: { readonly at: number; readonly end: number; readonly offset: number },
): boolean {
  return anySectorPart(range, (from, to) => data.isZero(from, to));
}

/** Returns the salt of the mask, 0 when none is needed: the usual case, one look at each sector. */
function maskIfNearlyBlank(
  window: FrameWindow,
  range: {
    readonly at: number;
    readonly end: number;
    readonly offset: number;
    readonly chain: number;
  },
): number {
  const { data } = window;
  // The header is full of bits, though not written yet.
  const parts = { ...range, headerAt: range.at };
  if (!hasNearlyBlankSector(data, parts)) return 0;
  const body = { from: range.at + FRAME_HEADER_BYTES, to: range.end };
  for (let salt = 1; salt <= SALT_MAX; salt++) {
    const word = firstMaskWord(salt, range.chain);
    applyMask(data, { ...body, word });
    if (!hasNearlyBlankSector(data, parts)) return salt;
    applyMask(data, { ...body, word });
  }
  throw noMask();
}

/** Whether a part of `bytes[at, end)` in one sector has less than two bits set, but for one that begins with a header. */
export function hasNearlyBlankSector(
  data: ByteView,
  range: {
    readonly at: number;
    readonly end: number;
    readonly offset: number;
    readonly headerAt: number | undefined;
  },
): boolean {
  return anySectorPart(range, (from, to) => {
    let bits = 0;
    if (from === range.headerAt) return false;
    for (let at = from; at < to; at += 4) {
      const word = data.u32(at);
      if (word === 0) continue;
      if ((word & (word - 1)) !== 0) return false;
      bits += 1;
      if (bits > 1) return false;
    }
    return true;
  });
}

/** The error of a body that no salt up to SALT_MAX helps, which cannot be. */
export function noMask(): RangeError {
  return new RangeError("No mask for a frame's body");
}

/** What the mask of a salt begins with. `chain` is the one before the frame. */
export function firstMaskWord(salt: number, chain: number): number {
  return (Math.imul(salt, 0x9e3779b1) ^ chain) | 1;
}

/**
 * Exclusive-ors the words of `[from, to)` with the sequence that follows `word`; twice is none.
 * @returns the last word, from which the sequence goes on.
 */
export function applyMask(
  data: ByteView,
  range: { readonly from: number; readonly to: number; readonly word: number },
): number {
  let { word } = range;
  for (let at = range.from; at < range.to; at += 4) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    data.setU32(at, data.u32(at) ^ word);
  }
  return word;
}
