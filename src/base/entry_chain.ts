/**
 * The entry chain (rule S3): a 64-bit value over (cluster id, all terms, indexes and payloads up to an
 * entry). Log and state keep it; equal chains at an index mean one history. It finds divergence, it is
 * no defence against someone who wants a collision.
 * Value at 0 = start(cluster id); value at i = mix(value at i-1; index, term, length, payload words).
 * Every step is a permutation of the 64-bit state for a given word pair, so that histories which
 * differ in one place stay different. Frozen: the values are on disks.
 */
import { assert } from "./assert.ts";

/** A value of the chain: two unsigned 32-bit halves, since bigints are too slow for each entry. */
export interface EntryChain {
  readonly high: number;
  readonly low: number;
}

/** What the chain covers of an entry. */
export interface ChainedEntry {
  /** Safe integers. */
  readonly index: number;
  readonly term: number;
  readonly payload: Uint8Array;
}

const TWO_32 = 0x1_0000_0000;
const TEXT_PATTERN = /^[0-9a-f]{16}$/;

/** The chain before the first entry of a cluster. */
export function startEntryChain(clusterId: Uint8Array): EntryChain {
  return nextEntryChain({ high: 0x44757374, low: 0x4c6f6731 }, {
    index: 0,
    term: 0,
    payload: clusterId,
  });
}

/** The two halves of a value in work. Nobody else runs between `begin` and `end`, or they are put back. */
let high = 0;
let low = 0;

/** The chain at `entry`, given the one at the entry before it. */
export function nextEntryChain(previous: EntryChain, entry: ChainedEntry): EntryChain {
  const { payload } = entry;
  begin(previous, entry);
  mixWords(payload, { from: 0, to: payload.length });
  return end(payload);
}

/** As `nextEntryChain`, with a `pause` behind each piece of `pieceBytes`, a multiple of 8. */
export async function nextEntryChainInPieces(
  previous: EntryChain,
  entry: ChainedEntry,
  options: { readonly pieceBytes: number; readonly pause: () => Promise<void> },
): Promise<EntryChain> {
  const { payload } = entry;
  const { pieceBytes, pause } = options;
  assert(pieceBytes > 0 && pieceBytes % 8 === 0, "nextEntryChainInPieces: piece size");
  begin(previous, entry);
  for (let from = 0; from < payload.length; from += pieceBytes) {
    mixWords(payload, { from, to: Math.min(from + pieceBytes, payload.length) });
    const [highKept, lowKept] = [high, low];
    await pause();
    [high, low] = [highKept, lowKept];
  }
  return end(payload);
}

function begin(previous: EntryChain, { index, term, payload }: ChainedEntry): void {
  let a = Math.imul(previous.high ^ index, 0x9e3779b1);
  let b = Math.imul(previous.low ^ term, 0x85ebca77);
  a = ((a << 15 | a >>> 17) + b) | 0;
  b = (b << 13 | b >>> 19) ^ a;
  // A round of their own for the high halves and the length: payload bytes must not cancel them.
  a = Math.imul(a ^ (index / TWO_32) << 16 ^ (term / TWO_32), 0x9e3779b1);
  b = Math.imul(b ^ payload.length, 0x85ebca77);
  high = ((a << 15 | a >>> 17) + b) | 0;
  low = (b << 13 | b >>> 19) ^ high;
}

/** Takes in the whole words of `payload[from, to)`. */
function mixWords(
  payload: Uint8Array,
  { from, to }: { readonly from: number; readonly to: number },
): void {
  let a = high;
  let b = low;
  for (let at = from; at + 8 <= to; at += 8) {
    a ^= (payload[at] as number) | (payload[at + 1] as number) << 8 |
      (payload[at + 2] as number) << 16 | (payload[at + 3] as number) << 24;
    b ^= (payload[at + 4] as number) | (payload[at + 5] as number) << 8 |
      (payload[at + 6] as number) << 16 | (payload[at + 7] as number) << 24;
    a = Math.imul(a, 0x9e3779b1);
    b = Math.imul(b, 0x85ebca77);
    a = ((a << 15 | a >>> 17) + b) | 0;
    b = (b << 13 | b >>> 19) ^ a;
  }
  high = a;
  low = b;
}

/** The last 0 to 7 bytes, as if zeros followed; the length tells them from real zeros. */
function end(payload: Uint8Array): EntryChain {
  let at = payload.length - payload.length % 8;
  for (let shift = 0; at < payload.length; at += 1, shift += 8) {
    if (shift < 32) high ^= (payload[at] as number) << shift;
    else low ^= (payload[at] as number) << (shift - 32);
  }
  return finish(high, low);
}

/** Spreads each bit over both halves: three more rounds and a multiply-shift on each side. */
function finish(highWord: number, lowWord: number): EntryChain {
  let a = highWord;
  let b = lowWord;
  for (let round = 0; round < 3; round++) {
    a = Math.imul(a ^ a >>> 16, 0xc2b2ae3d);
    b = Math.imul(b ^ b >>> 15, 0x27d4eb2f);
    a = ((a << 15 | a >>> 17) + b) | 0;
    b = (b << 13 | b >>> 19) ^ a;
  }
  return { high: (a ^ a >>> 16) >>> 0, low: (b ^ b >>> 15) >>> 0 };
}

/** Whether two values are the same. */
export function isSameEntryChain(left: EntryChain, right: EntryChain): boolean {
  return left.high === right.high && left.low === right.low;
}

/** The value as 16 lower-case hex digits. */
export function entryChainText(chain: EntryChain): string {
  return chain.high.toString(16).padStart(8, "0") + chain.low.toString(16).padStart(8, "0");
}

/** The value that `entryChainText` wrote. @throws {AssertionError} for other text: check foreign input first. */
export function parseEntryChain(text: string): EntryChain {
  assert(TEXT_PATTERN.test(text), "parseEntryChain: not 16 lower-case hex digits");
  return { high: parseInt(text.slice(0, 8), 16), low: parseInt(text.slice(8), 16) };
}
