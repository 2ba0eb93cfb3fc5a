import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { logIndex, nodeId, term } from "../base/ids.ts";
import type { Message } from "../raft/message.ts";
import { BULK_QUEUE_BYTES_MAX, DETACH_BYTES, PACKET_BYTES, QUEUE_MESSAGES_MAX } from "./limits.ts";
import { OutboundQueue } from "./outbound_queue.ts";
import { fromWire } from "./message_codec.ts";

const TO = { from: nodeId(1), to: nodeId(2), term: term(1) };

function heartbeat(commit: number): Message {
  return { kind: "heartbeat", ...TO, commit: logIndex(commit), readRound: 0 };
}

let appendCount = 0;

/** Each begins behind the one before, as the engine sends them. */
function append(size: number, prevIndex = ++appendCount): Message {
  return {
    kind: "append",
    ...TO,
    prevIndex: logIndex(prevIndex),
    prevTerm: term(0),
    commit: logIndex(0),
    entries: [{
      index: logIndex(prevIndex + 1),
      term: term(1),
      kind: "normal",
      size,
      payload: new Uint8Array(size),
    }],
  };
}

Deno.test("OutboundQueue puts all that waits into one packet, in order", () => {
  const queue = new OutboundQueue(BULK_QUEUE_BYTES_MAX);
  const messages = [heartbeat(1), append(10), heartbeat(2)];
  for (const message of messages) ok(queue.push(message));
  strictEqual(queue.messages, 3);
  deepStrictEqual(queue.next()?.messages.map((each) => fromWire(each)), messages);
  strictEqual(queue.next(), undefined);
  strictEqual(queue.bytes, 0);
});

Deno.test("OutboundQueue ends a packet at its size, but sends a single one that is larger", () => {
  const queue = new OutboundQueue(BULK_QUEUE_BYTES_MAX);
  const size = DETACH_BYTES - 1000;
  const fitting = Math.floor(PACKET_BYTES / size);
  for (let count = 0; count < fitting + 1; count++) ok(queue.push(append(size)));
  strictEqual(queue.next()?.messages.length, fitting);
  strictEqual(queue.next()?.messages.length, 1);
});

Deno.test("OutboundQueue sends the payloads of a large append behind it, before the next", () => {
  const queue = new OutboundQueue(BULK_QUEUE_BYTES_MAX);
  const size = 2 * DETACH_BYTES + 7;
  for (const message of [heartbeat(1), append(size), heartbeat(2)]) ok(queue.push(message));
  const [first, ...rest] = [queue.next(), queue.next(), queue.next(), queue.next(), queue.next()];
  strictEqual(first?.messages.length, 2);
  deepStrictEqual(rest.map((each) => each?.payload.length), [DETACH_BYTES, DETACH_BYTES, 7, 0]);
  strictEqual(rest[3]?.messages.length, 1);
  strictEqual(queue.next(), undefined);
});

Deno.test("OutboundQueue refuses what passes its bytes or its count, and has room again behind it", () => {
  const queue = new OutboundQueue(1000);
  ok(queue.push(append(5000)), "The first one always");
  ok(!queue.push(heartbeat(1)));
  queue.next();
  ok(queue.push(append(500)));
  ok(!queue.push(append(500)));
  strictEqual(queue.messages, 1);
  const many = new OutboundQueue(BULK_QUEUE_BYTES_MAX);
  for (let count = 0; count < QUEUE_MESSAGES_MAX; count++) ok(many.push(heartbeat(1)));
  ok(!many.push(heartbeat(1)));
  strictEqual(many.clear(), QUEUE_MESSAGES_MAX);
  strictEqual(many.bytes, 0);
  ok(many.push(heartbeat(1)));
});

Deno.test("OutboundQueue.clear() counts the message that was begun", () => {
  const queue = new OutboundQueue(BULK_QUEUE_BYTES_MAX);
  ok(queue.push(append(DETACH_BYTES + 1)));
  queue.next();
  strictEqual(queue.clear(), 1);
  strictEqual(queue.next(), undefined);
});

Deno.test("OutboundQueue forgets appends that a later one replaces, and only those", () => {
  const queue = new OutboundQueue(BULK_QUEUE_BYTES_MAX);
  const [first, second, again] = [append(10, 5), append(20, 7), append(30, 7)];
  const alive = heartbeat(1);
  for (const message of [first, second, alive, append(40, 9), again]) ok(queue.push(message));
  strictEqual(queue.messages, 3);
  const further = append(50, 8);
  ok(queue.push(further));
  const packet = queue.next()?.messages.map((each) => fromWire(each));
  deepStrictEqual(packet, [first, alive, again, further]);
  strictEqual(queue.bytes, 0);
  // What was handed out is not taken back.
  ok(queue.push(first));
  deepStrictEqual(queue.next()?.messages.map((each) => fromWire(each)), [first]);
});

Deno.test("OutboundQueue holds a range once, however often it is sent again to a peer that is slow", () => {
  const queue = new OutboundQueue(BULK_QUEUE_BYTES_MAX);
  const size = 1024 * 1024;
  for (let round = 0; round < 1000; round++) {
    for (let prevIndex = 0; prevIndex < 4; prevIndex++) ok(queue.push(append(size, prevIndex)));
  }
  strictEqual(queue.messages, 4);
  ok(queue.bytes < 5 * size);
});
