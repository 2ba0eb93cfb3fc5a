import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { Packet } from "./generated/dust.ts";
import type { Message as WireMessage } from "./generated/dust.ts";
import { decodeChecked, encodeChecked } from "./checked_codec.ts";
import { DETACHED_BYTES_MAX, PIECE_BYTES } from "./limits.ts";
import { WireError } from "./message_codec.ts";
import { cutPayloads, DetachedPayloads } from "./payload_pieces.ts";

function announcing(sizes: readonly number[]): WireMessage {
  const entries = sizes.map((size, place) => ({
    index: place + 1,
    term: 1,
    isConfChange: false,
    size,
    isDetached: true,
  }));
  const value = { prevIndex: 0, prevTerm: 0, commit: 0, entries };
  return { from: 1, to: 2, term: 1, kind: { $case: "append", value } };
}

Deno.test("DetachedPayloads are those that cutPayloads() cut", () => {
  const size = fc.oneof(
    fc.constantFrom(0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1),
    fc.nat(3 * PIECE_BYTES),
  );
  fc.assert(
    fc.property(fc.array(size, { minLength: 1, maxLength: 6 }), (sizes) => {
      const payloads = sizes.map((each, place) => new Uint8Array(each).fill(place + 1));
      const found = new DetachedPayloads(announcing(sizes));
      const pieces = [...cutPayloads(payloads)];
      strictEqual(found.isComplete, pieces.length === 0);
      for (const [place, piece] of pieces.entries()) {
        ok(place === pieces.length - 1 || piece.length === PIECE_BYTES);
        ok(!found.isComplete);
        found.add(piece);
      }
      ok(found.isComplete);
      ok(payloads.every((payload, place) =>
        payload.length === found.payloads[place]?.length &&
        payload.every((byte, at) => byte === found.payloads[place]?.[at])
      ));
    }),
    { numRuns: 30 },
  );
});

Deno.test("DetachedPayloads take no more than was announced, and no more than may be", () => {
  const found = new DetachedPayloads(announcing([3]));
  throws(() => found.add(new Uint8Array(4)), WireError);
  throws(() => new DetachedPayloads(announcing([DETACHED_BYTES_MAX, 1])), WireError);
});

Deno.test("decodeChecked() refuses bytes with any one bit turned over", () => {
  const packet = {
    messages: [announcing([7])],
    calls: [],
    payload: new Uint8Array(9),
    ping: 5,
    pong: 0,
    checksum: 0,
  };
  const bytes = encodeChecked(Packet, packet);
  deepStrictEqual(decodeChecked(Packet, bytes).messages.length, 1);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = bytes.slice();
    const at = Math.floor(bit / 8);
    damaged[at] = (damaged[at] ?? 0) ^ (1 << (bit % 8));
    throws(() => decodeChecked(Packet, damaged), WireError, `bit ${bit}`);
  }
  throws(() => decodeChecked(Packet, bytes.subarray(0, 3)), WireError);
  throws(() => decodeChecked(Packet, new Uint8Array(0)), WireError);
});
