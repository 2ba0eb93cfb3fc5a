/**
 * A `-wal` file as bytes, of a database that nobody has open: how far its frames are whole, and whether more of the
 * same run lie behind that place. SQLite reads up to the first frame that is not whole and says nothing of the rest, so
 * a byte that changed in the midst of it goes unnoticed.
 *
 *     header, 32 bytes   magic | format | page size | checkpoint | salt 1 | salt 2 | checksum, two u32
 *     frame, 24 bytes    page | pages behind a commit, else 0 | salt 1 | salt 2 | checksum, two u32; then the page
 *
 * All big-endian; the checksum goes over header and frames from the beginning, in words of the order that the magic
 * says (sqlite.org/fileformat2.html, section 4).
 */

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC = 0x377f0682;
const BIG_ENDIAN_MAGIC = 0x377f0683;

/** Reads `into` from `position` on; returns the bytes read, fewer only at the end. */
export type ReadAt = (into: Uint8Array, position: number) => number;

/** What the file holds. */
export interface WalFacts {
  /** Frames that SQLite would read. */
  readonly wholeFrames: number;
  /** Where they end; the file may be longer, with what earlier runs have left. */
  readonly endOffset: number;
  /** Frames behind `endOffset` that carry this run's salts: none unless one before them was lost or changed. */
  readonly strandedFrames: number;
}

/** Reads the whole file; 0 frames when its header is not one. */
export function readWalFile(readAt: ReadAt): WalFacts {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  const isWhole = readAt(header, 0) === HEADER_BYTES;
  const magic = view.getUint32(0);
  if (!isWhole || (magic !== MAGIC && magic !== BIG_ENDIAN_MAGIC)) {
    return { wholeFrames: 0, endOffset: 0, strandedFrames: 0 };
  }
  const sum = new WalChecksum(magic === MAGIC);
  sum.add(view, { from: 0, to: 24 });
  if (!sum.isAt(view, 24)) return { wholeFrames: 0, endOffset: 0, strandedFrames: 0 };
  const frame = new DataView(new ArrayBuffer(FRAME_HEADER_BYTES + view.getUint32(8)));
  const bytes = new Uint8Array(frame.buffer);
  let wholeFrames = 0;
  let strandedFrames = 0;
  let endOffset = HEADER_BYTES;
  for (let at = HEADER_BYTES; readAt(bytes, at) === bytes.length; at += bytes.length) {
    const isOfRun = frame.getUint32(8) === view.getUint32(16) &&
      frame.getUint32(12) === view.getUint32(20);
    if (at === endOffset && isOfRun) {
      sum.add(frame, { from: 0, to: 8 });
      sum.add(frame, { from: FRAME_HEADER_BYTES, to: bytes.length });
      if (sum.isAt(frame, 16)) {
        wholeFrames += 1;
        endOffset += bytes.length;
        continue;
      }
    }
    if (isOfRun) strandedFrames += 1;
  }
  return { wholeFrames, endOffset, strandedFrames };
}

class WalChecksum {
  readonly #isLittleEndian: boolean;
  #first = 0;
  #second = 0;

  constructor(isLittleEndian: boolean) {
    this.#isLittleEndian = isLittleEndian;
  }

  add(view: DataView, range: { readonly from: number; readonly to: number }): void {
    let [first, second] = [this.#first, this.#second];
    for (let at = range.from; at < range.to; at += 8) {
      first = (first + view.getUint32(at, this.#isLittleEndian) + second) >>> 0;
      second = (second + view.getUint32(at + 4, this.#isLittleEndian) + first) >>> 0;
    }
    this.#first = first;
    this.#second = second;
  }

  isAt(view: DataView, at: number): boolean {
    return view.getUint32(at) === this.#first && view.getUint32(at + 4) === this.#second;
  }
}
