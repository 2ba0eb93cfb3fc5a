import { deepStrictEqual, notStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import {
  type EntryChain,
  entryChainText,
  isSameEntryChain,
  nextEntryChain,
  nextEntryChainInPieces,
  parseEntryChain,
  startEntryChain,
} from "./entry_chain.ts";

const CLUSTER = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const START = startEntryChain(CLUSTER);

function text(bytes: readonly number[], index = 1, term = 1, from: EntryChain = START): string {
  return entryChainText(nextEntryChain(from, { index, term, payload: Uint8Array.from(bytes) }));
}

Deno.test("nextEntryChain() never changes: its values are on disks", () => {
  strictEqual(entryChainText(START), "c51ac21ebec31a51");
  strictEqual(text([]), "73c0caf4e3c40c20");
  strictEqual(
    text([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 2 ** 40 + 3, 2 ** 33 + 7),
    "6d620eb0f7f13636",
  );
});

Deno.test("nextEntryChain() covers cluster, index, term, bytes and length", () => {
  const other = startEntryChain(CLUSTER.with(15, 0));
  const values = [
    text([1]),
    text([2]),
    text([0, 1]),
    text([1, 0]),
    text([]),
    text([0]),
    text([0, 0]),
    text([0, 0, 0, 0, 0, 0, 0, 0]),
    text([0, 0, 0, 0, 0, 0, 0, 0, 0]),
    text([1], 2),
    text([1], 1, 2),
    text([1], 2 ** 32 + 1),
    text([1], 1, 2 ** 32 + 1),
    text([1], 1, 1, other),
    text([0, 0, 0, 0, 8, 0, 0, 0]),
    text([0, 0, 0, 0, 9, 0, 0, 0, 0]),
  ];
  strictEqual(new Set(values).size, values.length);
});

Deno.test("nextEntryChain() gives another value for every flipped bit of a payload", () => {
  const payload = Uint8Array.from({ length: 43 }, (_, i) => (i * 37) & 0xff);
  const whole = text([...payload]);
  const seen = new Set([whole]);
  for (let bit = 0; bit < payload.length * 8; bit++) {
    const byte = bit >> 3;
    seen.add(text([...payload.with(byte, (payload[byte] as number) ^ (1 << (bit & 7)))]));
  }
  strictEqual(seen.size, payload.length * 8 + 1);
});

Deno.test("nextEntryChain() keeps two histories apart once they differed", () => {
  let left = nextEntryChain(START, { index: 1, term: 1, payload: Uint8Array.of(1) });
  let right = nextEntryChain(START, { index: 1, term: 1, payload: Uint8Array.of(2) });
  for (let index = 2; index < 2000; index++) {
    left = nextEntryChain(left, { index, term: 1, payload: Uint8Array.of(index & 0xff) });
    right = nextEntryChain(right, { index, term: 1, payload: Uint8Array.of(index & 0xff) });
    notStrictEqual(entryChainText(left), entryChainText(right));
  }
});

Deno.test("nextEntryChain() flips about half of the bits, of each half, for one bit of input", () => {
  let highFlips = 0;
  let lowFlips = 0;
  const base = new Uint8Array(24);
  const plain = nextEntryChain(START, { index: 1, term: 1, payload: base });
  for (let bit = 0; bit < 192; bit++) {
    const payload = base.with(bit >> 3, 1 << (bit & 7));
    const flipped = nextEntryChain(START, { index: 1, term: 1, payload });
    highFlips += bitCount(plain.high ^ flipped.high) / 192;
    lowFlips += bitCount(plain.low ^ flipped.low) / 192;
  }
  ok(highFlips > 15 && highFlips < 17, `high: ${highFlips}`);
  ok(lowFlips > 15 && lowFlips < 17, `low: ${lowFlips}`);
});

Deno.test("parseEntryChain() reads what entryChainText() wrote, and nothing else", () => {
  const chain = { high: 0x0000000f, low: 0xffffffff };
  strictEqual(entryChainText(chain), "0000000fffffffff");
  deepStrictEqual(parseEntryChain("0000000fffffffff"), chain);
  ok(isSameEntryChain(chain, parseEntryChain("0000000fffffffff")));
  ok(!isSameEntryChain(chain, { high: 0xf, low: 0 }));
  throws(() => parseEntryChain("0000000FFFFFFFFF"), { name: "AssertionError" });
  throws(() => parseEntryChain("00"), { name: "AssertionError" });
});

function bitCount(word: number): number {
  let count = 0;
  for (let rest = word >>> 0; rest !== 0; rest >>>= 1) count += rest & 1;
  return count;
}

Deno.test("nextEntryChainInPieces() is nextEntryChain(), also when others reckon in between", async () => {
  for (const length of [0, 1, 8, 63, 64, 65, 200]) {
    const payload = Uint8Array.from({ length }, (_, at) => at * 37 + length);
    const entry = { index: 2 ** 33 + length, term: 7, payload };
    let pauses = 0;
    const pause = (): Promise<void> => {
      nextEntryChain(START, { index: ++pauses, term: 1, payload });
      return Promise.resolve();
    };
    const inPieces = await nextEntryChainInPieces(START, entry, { pieceBytes: 64, pause });
    deepStrictEqual(inPieces, nextEntryChain(START, entry));
    strictEqual(pauses, Math.ceil(length / 64));
  }
});
