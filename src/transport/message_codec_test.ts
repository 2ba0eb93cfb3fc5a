import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { logIndex, nodeId, term } from "../base/ids.ts";
import type { Message } from "../raft/message.ts";
import type { ConfState, ProposedEntry } from "../raft/types.ts";
import { Message as WireMessage } from "./generated/dust.ts";
import { fromWire, isDetached, payloadBytes, toWire, WireError } from "./message_codec.ts";
import { DETACH_BYTES } from "./limits.ts";

const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const index = number.map(logIndex);
const terms = number.map(term);
const id = number.map(nodeId);
const envelope = { from: id, to: id, term: terms };
const bytes = fc.uint8Array({ maxLength: 300 });
const proposed: fc.Arbitrary<ProposedEntry> = fc.record({
  kind: fc.constantFrom("normal" as const, "conf_change" as const),
  payload: fc.option(bytes, { nil: undefined }),
  size: number,
}).map(({ kind, payload, size }) => ({ kind, size: payload?.length ?? size, payload }));
const ids = fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { maxLength: 5 })
  .map((each) => each.toSorted((a, b) => a - b).map(nodeId));
const configuration: fc.Arbitrary<ConfState> = fc.record({
  voters: ids,
  votersOutgoing: ids,
  learners: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
});
const ballot = fc.constantFrom("vote" as const, "pre_vote" as const);

/** One arbitrary per kind: a kind without one does not compile. */
const KINDS: {
  readonly [Kind in Message["kind"]]: fc.Arbitrary<Extract<Message, { readonly kind: Kind }>>;
} = {
  append: fc.record({
    kind: fc.constant("append"),
    ...envelope,
    prevIndex: fc.nat(1_000_000).map(logIndex),
    prevTerm: terms,
    entries: fc.array(fc.tuple(proposed, terms), { maxLength: 5 }),
    commit: index,
  }).map((message) => ({
    ...message,
    entries: message.entries.map(([entry, term], place) => ({
      index: logIndex(message.prevIndex + 1 + place),
      term,
      ...entry,
    })),
  })),
  append_response: fc.record({
    kind: fc.constant("append_response"),
    ...envelope,
    index,
    rejection: fc.option(fc.record({ hintIndex: index, hintTerm: terms }), { nil: undefined }),
  }),
  vote_request: fc.record({
    kind: fc.constant("vote_request"),
    ...envelope,
    ballot,
    lastIndex: index,
    lastTerm: terms,
    isTransfer: fc.boolean(),
    commit: index,
    commitTerm: terms,
  }),
  vote_response: fc.record({
    kind: fc.constant("vote_response"),
    ...envelope,
    ballot,
    isGranted: fc.boolean(),
    commit: index,
    commitTerm: terms,
    wallMs: fc.integer({ min: 1, max: 2 ** 48 }),
  }, {
    requiredKeys: ["kind", "from", "to", "term", "ballot", "isGranted", "commit", "commitTerm"],
  }),
  heartbeat: fc.record({
    kind: fc.constant("heartbeat"),
    ...envelope,
    commit: index,
    readRound: number,
  }),
  heartbeat_response: fc.record({
    kind: fc.constant("heartbeat_response"),
    ...envelope,
    readRound: number,
    wallMs: fc.integer({ min: 1, max: 2 ** 48 }),
  }, { requiredKeys: ["kind", "from", "to", "term", "readRound"] }),
  snapshot: fc.record({
    kind: fc.constant("snapshot"),
    ...envelope,
    snapshot: fc.record({
      index: fc.integer({ min: 1, max: 1_000_000 }).map(logIndex),
      term: terms,
      configuration,
    }),
  }),
  snapshot_request: fc.record({
    kind: fc.constant("snapshot_request"),
    ...envelope,
    indexMin: index,
  }),
  propose: fc.record({
    kind: fc.constant("propose"),
    ...envelope,
    entries: fc.array(proposed, { maxLength: 5 }),
  }),
  read_index: fc.record({ kind: fc.constant("read_index"), ...envelope, requestId: number }),
  read_index_response: fc.record({
    kind: fc.constant("read_index_response"),
    ...envelope,
    requestId: number,
    index,
  }),
  timeout_now: fc.record({ kind: fc.constant("timeout_now"), ...envelope }),
  transfer_leader: fc.record({
    kind: fc.constant("transfer_leader"),
    ...envelope,
    transferee: id,
  }),
};

for (const [kind, arbitrary] of Object.entries(KINDS)) {
  Deno.test(`toWire() and fromWire() keep every ${kind}`, () => {
    fc.assert(fc.property(arbitrary as fc.Arbitrary<Message>, (message) => {
      const encoded = WireMessage.encode(toWire(message)).finish();
      // The generator's objects have no prototype.
      deepStrictEqual(fromWire(WireMessage.decode(encoded)), structuredClone(message));
    }));
  });
}

function append(sizes: readonly number[]): Message {
  return {
    kind: "append",
    from: nodeId(1),
    to: nodeId(2),
    term: term(3),
    prevIndex: logIndex(10),
    prevTerm: term(3),
    commit: logIndex(9),
    entries: sizes.map((size, place) => ({
      index: logIndex(11 + place),
      term: term(3),
      kind: "normal",
      size,
      payload: new Uint8Array(size).fill(place),
    })),
  };
}

Deno.test("toWire() shares payloads up to DETACH_BYTES, and only announces more", () => {
  const small = append([DETACH_BYTES - 5, 5]);
  const large = append([DETACH_BYTES - 5, 6]);
  strictEqual(payloadBytes(small), DETACH_BYTES);
  ok(!isDetached(small));
  ok(isDetached(large));
  const wire = toWire(small);
  ok(wire.kind?.$case === "append");
  ok(small.kind === "append");
  strictEqual(wire.kind.value.entries[0]?.payload, small.entries[0]?.payload);
  const encoded = WireMessage.encode(toWire(large)).finish();
  ok(encoded.length < 100);
  const payloads = large.kind === "append" ? large.entries.map(({ payload }) => payload) : [];
  const found = payloads.filter((payload) => payload !== undefined);
  deepStrictEqual(fromWire(WireMessage.decode(encoded), found), large);
});

Deno.test("fromWire() refuses what cannot be a message", () => {
  const wire = toWire(append([3, 4]));
  ok(wire.kind?.$case === "append");
  const { value } = wire.kind;
  const [first, second] = value.entries;
  ok(first !== undefined && second !== undefined);
  const withEntries = (entries: typeof value.entries): WireMessage => ({
    ...wire,
    kind: { $case: "append", value: { ...value, entries } },
  });
  throws(() => fromWire(withEntries([first, first])), WireError);
  throws(() => fromWire(withEntries([{ ...first, size: 4 }])), WireError);
  throws(() => fromWire({ ...wire, kind: undefined }), WireError);
  const configuration = { ...NOBODY_CONFIGURED, voters: [2, 1] };
  const snapshot = (index: number): WireMessage => ({
    ...wire,
    kind: { $case: "snapshot", value: { index, term: 1, configuration } },
  });
  throws(() => fromWire(snapshot(1)), WireError);
  throws(() => fromWire(snapshot(0)), WireError);
});

const NOBODY_CONFIGURED = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};
