import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { ByteView } from "./byte_view.ts";
import {
  FRAME_HEADER_BYTES,
  frameBytes,
  frameStart,
  isProvenDurable,
  readFrame,
  sealFrame,
} from "./frame.ts";

const GIB = 1024 ** 3;
const CHAIN = 0xfedcba98;

/** A window with one sealed frame at `offset`, and `after` zero bytes behind it. */
function windowWith(
  body: Uint8Array,
  options: { readonly offset?: number; readonly durableOffset?: number; readonly after?: number } =
    {},
): { window: { data: ByteView; offset: number; sequence: number }; chain: number } {
  const { offset = 0, durableOffset = 0, after = 0 } = options;
  const data = new ByteView(new Uint8Array(frameBytes(body.length) + after));
  data.bytes.set(body, FRAME_HEADER_BYTES);
  const window = { data, offset, sequence: 7 };
  const context = { sequence: 7, offset, durableOffset, chain: CHAIN };
  const chain = sealFrame(window, { ...context, at: 0, bodyBytes: body.length });
  return { window, chain };
}

function bodyOf(window: { data: ByteView; offset: number; sequence: number }): Uint8Array {
  const frame = readFrame(window, { at: 0, chain: CHAIN });
  ok(frame.kind === "good", frame.kind);
  return window.data.bytes.slice(frame.bodyAt, frame.bodyAt + frame.bodyBytes);
}

Deno.test("readFrame() returns what sealFrame() wrote, past 2 and 4 GiB too", () => {
  for (const offset of [0, 64, 2 * GIB + 64, 4 * GIB, 4 * GIB + 456, 9 * GIB + 8]) {
    const body = Uint8Array.from({ length: 1000 }, (_, at) => at & 0xff);
    const { window, chain } = windowWith(body, { offset, durableOffset: offset });
    const frame = readFrame(window, { at: 0, chain: CHAIN });
    ok(frame.kind === "good");
    deepStrictEqual(
      [frame.chainBefore, frame.chainAfter, frame.durableOffset, frame.endOffset],
      [CHAIN, chain, offset, offset + 1048],
    );
    deepStrictEqual(bodyOf(window), body);
  }
});

Deno.test("readFrame() refuses a frame that was written for another place", () => {
  const body = new Uint8Array(40).fill(5);
  const { window } = windowWith(body, { offset: 4 * GIB + 64 });
  for (const other of [{ offset: 64 }, { offset: 8 * GIB + 64 }, { sequence: 8 }]) {
    strictEqual(readFrame({ ...window, ...other }, { at: 0, chain: CHAIN }).kind, "wrong");
  }
  strictEqual(readFrame(window, { at: 0, chain: CHAIN ^ 1 }).kind, "wrong");
  strictEqual(readFrame(window, { at: 0, chain: undefined }).kind, "good");
});

Deno.test("frameStart() keeps headers within a sector", () => {
  deepStrictEqual([0, 8, 464, 472, 504, 512, 4 * GIB + 480].map(frameStart), [
    0,
    8,
    464,
    512,
    512,
    512,
    4 * GIB + 512,
  ]);
  throws(() => frameStart(4), { name: "AssertionError" });
  throws(() => windowWith(new Uint8Array(8), { offset: 472 }), { name: "AssertionError" });
});

Deno.test("readFrame() tells blank, torn and wrong", () => {
  const body = Uint8Array.from({ length: 2000 }, (_, at) => (at * 7 + 1) & 0xff);
  const { window } = windowWith(body, { after: 512 });
  const { bytes } = window.data;
  const whole = bytes.slice();
  const kindAfter = (change: () => void): string => {
    bytes.set(whole);
    change();
    return readFrame(window, { at: 0, chain: CHAIN }).kind;
  };
  strictEqual(kindAfter(() => bytes.fill(0)), "blank");
  strictEqual(kindAfter(() => bytes.fill(0, 512, 1024)), "torn");
  strictEqual(kindAfter(() => bytes.fill(0, 1536, 2048)), "torn");
  strictEqual(kindAfter(() => bytes.fill(0, 513, 1024)), "wrong");
  strictEqual(kindAfter(() => bytes[700] = (bytes[700] ?? 0) ^ 1), "wrong");
  strictEqual(kindAfter(() => bytes.fill(0, 0, 20)), "wrong");
  strictEqual(kindAfter(() => bytes[16] = (bytes[16] ?? 0) ^ 128), "wrong");
  strictEqual(kindAfter(() => {}), "good");
  strictEqual(readFrame(window, { at: bytes.length - 40, chain: CHAIN }).kind, "blank");
});

Deno.test("readFrame() refuses a true header whose body passes the end of the file", () => {
  const { window } = windowWith(new Uint8Array(2000).fill(3));
  const data = new ByteView(window.data.bytes.subarray(0, 1024));
  strictEqual(readFrame({ ...window, data }, { at: 0, chain: CHAIN }).kind, "wrong");
});

Deno.test("sealFrame() leaves no sector without bits, whatever the body, and readFrame() restores it", () => {
  const bodies = [
    new Uint8Array(5000),
    new Uint8Array(5000).fill(1, 600, 601),
    new Uint8Array(5000).fill(9, 0, 700),
    Uint8Array.from({ length: 5000 }, (_, at) => (at % 512 === 3 ? 1 : 0)),
    new Uint8Array(1),
    new Uint8Array(465),
  ];
  for (const body of bodies) {
    for (const offset of [0, 8, 256, 464]) {
      const { window } = windowWith(body, { offset });
      const { bytes } = window.data;
      for (let from = 512 - offset; from < bytes.length; from += 512) {
        const part = bytes.subarray(from, Math.min(bytes.length, from + 512));
        ok(bitCount(part) >= 2, `offset ${offset}: part at ${from} of ${bytes.length}`);
      }
      deepStrictEqual(bodyOf(window), body);
    }
  }
});

Deno.test("isProvenDurable() believes headers behind a place, and only true ones", () => {
  const { window } = windowWith(new Uint8Array(40).fill(3), {
    offset: 4 * GIB,
    durableOffset: 4 * GIB - 64,
  });
  const before = new ByteView(new Uint8Array(512 + window.data.bytes.length));
  before.bytes.set(window.data.bytes, 512);
  const wide = { data: before, offset: 4 * GIB - 512, sequence: 7 };
  ok(isProvenDurable(wide, 4 * GIB - 512));
  ok(isProvenDurable(wide, 4 * GIB - 72));
  ok(!isProvenDurable(wide, 4 * GIB - 64));
  ok(!isProvenDurable({ ...wide, sequence: 8 }, 4 * GIB - 512));
  before.bytes[520] = (before.bytes[520] ?? 0) ^ 1;
  ok(!isProvenDurable(wide, 4 * GIB - 512));
  const first = windowWith(new Uint8Array(8).fill(1), { offset: 512, durableOffset: 0 });
  ok(isProvenDurable(first.window, 512));
});

function bitCount(bytes: Uint8Array): number {
  let bits = 0;
  for (const byte of bytes) for (let rest = byte; rest !== 0; rest >>= 1) bits += rest & 1;
  return bits;
}
