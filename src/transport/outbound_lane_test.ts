import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { FakeClock } from "../os/fake_clock.ts";
import type { Message } from "../raft/message.ts";
import type { StreamEnd, StreamEvents } from "./byte_stream.ts";
import { decodeChecked, encodeChecked } from "./checked_codec.ts";
import { Packet } from "./generated/dust.ts";
import { makeHello } from "./handshake.ts";
import {
  BULK_QUEUE_BYTES_MAX,
  CONTROL_SILENCE_MS_MAX,
  DETACH_BYTES,
  HANDSHAKE_TIMEOUT_MS,
  PING_INTERVAL_MS,
  REDIAL_MS_MAX,
  REDIAL_MS_MIN,
  WINDOW_BYTES,
} from "./limits.ts";
import { OutboundLane } from "./outbound_lane.ts";
import { emptyPacket } from "./outbound_queue.ts";
import { identityOf } from "./testing.ts";

/** One attempt to connect, seen from the other side. */
interface Attempt {
  readonly atMs: number;
  readonly events: StreamEvents;
  readonly packets: Packet[];
  /** What the connection has not taken. */
  readonly untaken: (() => void)[];
  isClosed: boolean;
}

/** A lane whose peer is the test. */
function openLane(): {
  readonly lane: OutboundLane;
  readonly clock: FakeClock;
  readonly attempts: Attempt[];
  readonly ends: StreamEnd[];
  readonly last: () => Attempt;
  readonly greet: () => void;
  readonly dropped: () => number;
} {
  const clock = new FakeClock();
  const attempts: Attempt[] = [];
  const ends: StreamEnd[] = [];
  let dropped = 0;
  const lane = new OutboundLane({
    clock,
    entropy: { bytes: (count) => new Uint8Array(count), below: (limit) => limit - 1 },
    queueBytesMax: BULK_QUEUE_BYTES_MAX,
    silenceMsMax: CONTROL_SILENCE_MS_MAX,
    dial: (events) => {
      const attempt: Attempt = {
        atMs: clock.monotonicMs(),
        events,
        packets: [],
        untaken: [],
        isClosed: false,
      };
      attempts.push(attempt);
      const stream = {
        write: (bytes: Uint8Array, onTaken: () => void): void => {
          attempt.packets.push(decodeChecked(Packet, bytes));
          attempt.untaken.push(onTaken);
        },
        finish: () => undefined,
        close: (): void => void (attempt.isClosed = true),
        pause: () => undefined,
        resume: () => undefined,
      };
      return { stream, disconnect: () => undefined };
    },
    hello: () => makeHello(identityOf(1), { lane: "control" }),
    judge: () => undefined,
    onUp: () => undefined,
    onDown: (end) => void ends.push(end),
    onRoundTrip: () => undefined,
    onDropped: (count) => void (dropped += count),
    onBug: (error) => {
      throw error;
    },
  });
  const last = (): Attempt => {
    const attempt = attempts.at(-1);
    if (attempt === undefined) throw new Error("Nothing was dialled");
    return attempt;
  };
  const greet = (): void => {
    const hello = makeHello(identityOf(2), {});
    last().events.onBytes(encodeChecked(Packet, { ...emptyPacket(), hello }));
  };
  lane.start();
  return { lane, clock, attempts, ends, last, greet, dropped: () => dropped };
}

let appendCount = 0;

function append(size: number): Message {
  const payload = new Uint8Array(size);
  const entry = { index: logIndex(1), term: term(1), kind: "normal", size, payload } as const;
  const envelope = { from: nodeId(1), to: nodeId(2), term: term(1), commit: logIndex(0) };
  return {
    kind: "append",
    ...envelope,
    // Each begins behind the one before, as the engine sends them.
    prevIndex: logIndex(++appendCount),
    prevTerm: term(0),
    entries: [entry],
  };
}

/** Lets what was planned for this turn happen. */
const turn = (): Promise<void> => Promise.resolve();

Deno.test("OutboundLane takes no message before the handshake is over", () => {
  const { lane, greet } = openLane();
  ok(!lane.send(append(1)));
  greet();
  ok(lane.send(append(1)));
  lane.close();
});

Deno.test("OutboundLane dials again after pauses that double up to REDIAL_MS_MAX", () => {
  const { lane, clock, attempts, last } = openLane();
  const pausesMs: number[] = [];
  for (let count = 0; count < 7; count++) {
    const failedMs = clock.monotonicMs();
    last().events.onEnd({ kind: "broken", text: "Refused" });
    const before = attempts.length;
    while (attempts.length === before) clock.advance(1);
    pausesMs.push(clock.monotonicMs() - failedMs);
  }
  const expected = [1, 2, 4, 8, 16, 32, 64].map((each) =>
    Math.min(REDIAL_MS_MIN * each, REDIAL_MS_MAX)
  );
  deepStrictEqual(pausesMs, expected);
  lane.close();
  strictEqual(clock.timerCount, 0);
});

Deno.test("OutboundLane gives up a handshake that is not answered", () => {
  const { lane, clock, ends } = openLane();
  clock.advance(HANDSHAKE_TIMEOUT_MS - 1);
  strictEqual(ends.length, 0);
  clock.advance(1);
  deepStrictEqual(ends, [{ kind: "closed", text: "No answer to the handshake" }]);
  lane.close();
});

Deno.test("OutboundLane finds a half-open connection by its silence, and keeps one that answers", () => {
  const { lane, clock, ends, last, greet } = openLane();
  greet();
  const beats = Math.ceil(CONTROL_SILENCE_MS_MAX / PING_INTERVAL_MS) + 1;
  for (let count = 0; count < 10 * beats; count++) {
    clock.advance(PING_INTERVAL_MS);
    lane.beat();
    const ping = last().packets.at(-1)?.ping ?? 0;
    ok(ping > 0, "it asks");
    last().events.onBytes(encodeChecked(Packet, { ...emptyPacket(), pong: ping }));
  }
  ok(lane.isUp);
  for (let count = 0; count < beats; count++) {
    clock.advance(PING_INTERVAL_MS);
    lane.beat();
  }
  match(ends[0]?.text ?? "", /No sign of life for \d+ ms/);
  ok(!lane.isUp);
  lane.close();
});

Deno.test("OutboundLane.forgive(): silence while this node stood still is not the peer's", () => {
  const { lane, clock, ends, greet } = openLane();
  greet();
  clock.advance(60_000);
  lane.forgive();
  lane.beat();
  deepStrictEqual(ends, []);
  ok(lane.isUp);
  lane.close();
});

Deno.test("OutboundLane has no more than a window under way with a connection that takes nothing", async () => {
  const { lane, last, greet } = openLane();
  greet();
  const size = DETACH_BYTES - 1000;
  const count = 4 * Math.ceil(WINDOW_BYTES / size);
  for (let sent = 0; sent < count; sent++) ok(lane.send(append(size)));
  await turn();
  const messages = (): number =>
    last().packets.reduce((sum, packet) => sum + packet.messages.length, 0);
  ok(messages() * size <= 2 * WINDOW_BYTES, `${messages()} of ${count} were written`);
  ok(messages() < count);
  // The hello is one of those; the connection takes all.
  for (;;) {
    const onTaken = last().untaken.shift();
    if (onTaken === undefined) break;
    onTaken();
  }
  strictEqual(messages(), count);
  lane.close();
});

Deno.test("OutboundLane drops what a broken stream had, and says how much", async () => {
  const { lane, clock, last, greet, dropped } = openLane();
  greet();
  for (let sent = 0; sent < 3; sent++) ok(lane.send(append(1)));
  last().events.onEnd({ kind: "broken", text: "Reset" });
  strictEqual(dropped(), 3);
  await turn();
  clock.advance(REDIAL_MS_MAX);
  greet();
  await turn();
  strictEqual(last().packets.filter((packet) => packet.messages.length > 0).length, 0);
  lane.close();
});

Deno.test("OutboundLane ends a stream that brings damaged bytes", () => {
  const { lane, ends, last, greet } = openLane();
  greet();
  last().events.onBytes(new Uint8Array([1, 2, 3]));
  strictEqual(ends[0]?.kind, "broken");
  ok(last().isClosed);
  lane.close();
});
