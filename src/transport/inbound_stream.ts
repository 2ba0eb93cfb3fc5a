/**
 * A stream of messages that another node opened: its hello is judged, then everything it says is handed on.
 * Invariant: no message is received before the hello was answered, and none that names another sender or
 * receiver than the hello did.
 */
import { OperatingError } from "../base/errors.ts";
import type { Clock } from "../os/clock.ts";
import type { Message } from "../raft/message.ts";
import type { ByteStream, StreamEnd, StreamEvents } from "./byte_stream.ts";
import { decodeChecked, encodeChecked } from "./checked_codec.ts";
import {
  type Hello,
  type Message as WireMessage,
  Packet,
  type SmallCall,
} from "./generated/dust.ts";
import { identityOf } from "./handshake.ts";
import { fromWire, WireError } from "./message_codec.ts";
import { emptyPacket } from "./outbound_queue.ts";
import { DetachedPayloads, hasDetached } from "./payload_pieces.ts";
import type { RemoteIdentity } from "./peer_identity.ts";

/** What a stream needs of the world, and tells it. None of these may throw. */
export interface InboundOptions {
  readonly clock: Clock;
  /** Lets the stream in with the hello to answer with, or says why not. */
  readonly admit: (hello: Hello, stream: InboundStream) => Admission;
  readonly onMessage: (message: Message, stream: InboundStream) => void;
  readonly onCall: (call: SmallCall, from: RemoteIdentity) => void;
  readonly onReceived: (bytes: number, stream: InboundStream) => void;
  /** Ended, after everything that came. */
  readonly onEnd: (end: StreamEnd, stream: InboundStream) => void;
  readonly onBug: (error: unknown) => void;
}

/** `refused` is for good, `busy` may pass. */
export type Admission =
  | { readonly kind: "admitted"; readonly answer: Hello }
  | { readonly kind: "refused" | "busy"; readonly text: string };

/** One stream from a peer. */
export class InboundStream {
  readonly #options: InboundOptions;
  readonly #stream: ByteStream;
  #from: RemoteIdentity | undefined;
  #self = 0;
  #detached: DetachedPayloads | undefined;
  #heardMs: number;
  #isOver = false;
  #challenge: { readonly number: number; readonly onAnswer: () => void } | undefined;
  #challenges = 0;

  constructor(stream: ByteStream, options: InboundOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#heardMs = options.clock.monotonicMs();
  }

  /** Who sends; undefined until its hello was taken. */
  get from(): RemoteIdentity | undefined {
    return this.#from;
  }

  /** How long nothing came. */
  get silentMs(): number {
    return this.#options.clock.monotonicMs() - this.#heardMs;
  }

  /** This node stood still for a while: that nothing came then means nothing. */
  forgive(): void {
    this.#heardMs = this.#options.clock.monotonicMs();
  }

  /** What to do with what arrives. */
  get events(): StreamEvents {
    return {
      onBytes: (bytes) => this.#guard(() => this.#receive(bytes)),
      onHalfEnd: () => this.#stream.finish(),
      onEnd: (end) => this.#end(end),
    };
  }

  /** Asks the other process whether it is alive. */
  challenge(onAnswer: () => void): void {
    this.#challenges += 1;
    this.#challenge = { number: this.#challenges, onAnswer };
    this.#write({ ...emptyPacket(), ping: this.#challenges });
  }

  /** Ends the stream; the other side learns why. */
  close(kind: "refused" | "busy" | "closed", text: string): void {
    this.#stream.close({ kind, text });
    this.#end({ kind: "closed", text });
  }

  #receive(bytes: Uint8Array): void {
    if (this.#isOver) return;
    const packet = decodeChecked(Packet, bytes);
    this.forgive();
    if (this.#from === undefined) {
      this.#greet(packet.hello);
      return;
    }
    this.#options.onReceived(bytes.length, this);
    if (packet.ping !== 0) this.#write({ ...emptyPacket(), pong: packet.ping });
    if (this.#challenge !== undefined && packet.pong === this.#challenge.number) {
      const { onAnswer } = this.#challenge;
      this.#challenge = undefined;
      onAnswer();
    }
    if (packet.payload.length > 0) this.#addPayload(packet.payload);
    for (const message of packet.messages) this.#take(message);
    for (const call of packet.calls) this.#options.onCall(call, this.#from);
  }

  #greet(hello: Hello | undefined): void {
    if (hello === undefined) throw new WireError("A stream that begins without a hello");
    const admission = this.#options.admit(hello, this);
    if (admission.kind !== "admitted") {
      this.close(admission.kind, admission.text);
      return;
    }
    this.#from = identityOf(hello);
    this.#self = admission.answer.nodeId;
    this.#write({ ...emptyPacket(), hello: admission.answer });
  }

  #take(wire: WireMessage): void {
    if (this.#detached !== undefined) throw new WireError("A message within another's payloads");
    if (hasDetached(wire)) {
      this.#detached = new DetachedPayloads(wire);
      return;
    }
    this.#deliver(fromWire(wire));
  }

  #addPayload(piece: Uint8Array): void {
    const detached = this.#detached;
    if (detached === undefined) throw new WireError("Payload that nothing announced");
    detached.add(piece);
    if (!detached.isComplete) return;
    this.#detached = undefined;
    this.#deliver(fromWire(detached.message, detached.payloads));
  }

  #deliver(message: Message): void {
    if (message.from !== this.#from?.nodeId || message.to !== this.#self) {
      throw new WireError(`A message from ${message.from} to ${message.to} on another's stream`);
    }
    this.#options.onMessage(message, this);
  }

  #write(packet: Packet): void {
    this.#stream.write(encodeChecked(Packet, packet), () => undefined);
  }

  #end(end: StreamEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.onEnd(end, this);
  }

  /** What the peer sent ends its stream at worst; everything else that fails is a bug. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof WireError || error instanceof OperatingError) {
        this.close("closed", error.message);
      } else {
        this.#options.onBug(error);
      }
    }
  }
}
