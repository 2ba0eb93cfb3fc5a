/**
 * What waits to be sent on one stream: messages in order, bounded by count and bytes, handed out as packets
 * that hold as many as are there. The payloads of a large append follow it piece by piece, each a packet.
 * Invariant: `bytes` and `messages` count what `next` has not begun to hand out; a message that was begun
 * is finished before the next one.
 *
 * Appends that wait ascend: where the engine goes back and sends from an earlier entry, it sends all behind it
 * anew, and what waited of that goes. A slow peer would get everything many times, and fall behind for ever.
 */
import type { LogIndex } from "../base/ids.ts";
import type { Message } from "../raft/message.ts";
import type { Message as WireMessage, Packet, SmallCall } from "./generated/dust.ts";
import { MESSAGE_OVERHEAD_BYTES, PACKET_BYTES, QUEUE_MESSAGES_MAX } from "./limits.ts";
import { isDetached, payloadBytes, toWire } from "./message_codec.ts";
import { cutPayloads } from "./payload_pieces.ts";

const NO_BYTES = new Uint8Array(0);

/** A packet that says nothing yet. */
export function emptyPacket(): Packet {
  const nothing = { hello: undefined, messages: [], payload: NO_BYTES, calls: [] };
  return { ...nothing, ping: 0, pong: 0, checksum: 0 };
}

/** A call between the engine's messages (lane_calls.ts). */
export interface CallMessage {
  readonly kind: "call";
  readonly call: SmallCall;
}

/** All that waits in a queue. */
export type Outgoing = Message | CallMessage;

/** One stream's queue. */
export class OutboundQueue {
  readonly #bytesMax: number;
  #waiting: Outgoing[] = [];
  #bytes = 0;
  /** Of the last append that was taken, whether or not it still waits; -1 for none. */
  #lastPrevIndex = -1;
  #pieces: Iterator<Uint8Array> | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Messages that wait. */
  get messages(): number {
    return this.#waiting.length;
  }

  /** What they take, payloads included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a message, or refuses it when there is no room; the first always finds some. */
  push(message: Outgoing): boolean {
    if (message.kind === "append") this.#replaceFrom(message.prevIndex);
    const size = sizeOf(message);
    const isFull = this.messages >= QUEUE_MESSAGES_MAX ||
      (this.#bytes > 0 && this.#bytes + size > this.#bytesMax);
    if (isFull) return false;
    this.#waiting.push(message);
    this.#bytes += size;
    if (message.kind === "append") this.#lastPrevIndex = message.prevIndex;
    return true;
  }

  /** Forgets appends that begin where the next one does, or later. */
  #replaceFrom(prevIndex: LogIndex): void {
    if (prevIndex > this.#lastPrevIndex) return;
    this.#lastPrevIndex = -1;
    const kept: Outgoing[] = [];
    for (const message of this.#waiting) {
      if (message.kind !== "append") kept.push(message);
      else if (message.prevIndex < prevIndex) {
        kept.push(message);
        this.#lastPrevIndex = message.prevIndex;
      } else this.#bytes -= sizeOf(message);
    }
    this.#waiting = kept;
  }

  /** What to send next, or undefined when nothing waits. */
  next(): Packet | undefined {
    const piece = this.#pieces?.next();
    if (piece !== undefined && !piece.done) return { ...emptyPacket(), payload: piece.value };
    this.#pieces = undefined;
    const messages: WireMessage[] = [];
    const calls: SmallCall[] = [];
    let bytes = 0;
    for (;;) {
      const message = this.#waiting[0];
      if (message === undefined) break;
      const size = sizeOf(message);
      const isLarge = message.kind !== "call" && isDetached(message);
      if (bytes > 0 && !isLarge && bytes + size > PACKET_BYTES) break;
      this.#waiting.shift();
      this.#bytes -= size;
      bytes += size;
      if (message.kind === "call") {
        calls.push(message.call);
        continue;
      }
      messages.push(toWire(message));
      if (isLarge) {
        this.#pieces = cutPayloads(payloadsOf(message));
        break;
      }
    }
    return bytes === 0 ? undefined : { ...emptyPacket(), messages, calls };
  }

  /** Forgets everything. @returns how many messages that were, one that was begun included. */
  clear(): number {
    const count = this.messages + (this.#pieces === undefined ? 0 : 1);
    this.#waiting = [];
    this.#bytes = 0;
    this.#lastPrevIndex = -1;
    this.#pieces = undefined;
    return count;
  }
}

function sizeOf(message: Outgoing): number {
  if (message.kind === "call") {
    const { body, head } = message.call;
    return MESSAGE_OVERHEAD_BYTES + body.length + (head?.document.length ?? 0);
  }
  const entries = message.kind === "append" || message.kind === "propose"
    ? message.entries.length
    : 0;
  return payloadBytes(message) + (1 + entries) * MESSAGE_OVERHEAD_BYTES;
}

function payloadsOf(message: Message): Uint8Array[] {
  if (message.kind !== "append" && message.kind !== "propose") return [];
  return message.entries.map(({ payload }) => payload).filter((payload) => payload !== undefined);
}
