/**
 * One of the two streams to a peer (rule N1), as long as the peer is a member: dialled, greeted, kept alive,
 * dialled again after a pause that grows and is drawn, so that nobody meets in step (faults N7, N14).
 * Invariant: messages are taken only while the stream is up; what a broken stream had is dropped, never
 * sent again, since the engine does that itself.
 * Not here: what a lane's end says about the peer's process (process_evidence.ts).
 */
import { OperatingError } from "../base/errors.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import type { ByteStream, StreamEnd, StreamEvents } from "./byte_stream.ts";
import { decodeChecked, encodeChecked } from "./checked_codec.ts";
import { type Hello, Packet } from "./generated/dust.ts";
import {
  HANDSHAKE_TIMEOUT_MS,
  REDIAL_MS_MAX,
  REDIAL_MS_MIN,
  REFUSED_REDIAL_MS,
  WINDOW_BYTES,
} from "./limits.ts";
import { WireError } from "./message_codec.ts";
import { emptyPacket, OutboundQueue, type Outgoing } from "./outbound_queue.ts";
import type { StreamStatus } from "./peer_status.ts";

/** A stream that was opened, with the connection that it has for itself. */
export interface DialledStream {
  readonly stream: ByteStream;
  /** Ends the connection too. */
  disconnect(): void;
}

/** What a lane needs of the world, and tells it. None of these may throw. */
export interface LaneOptions {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly queueBytesMax: number;
  /** How long the peer may owe a sign of life. */
  readonly silenceMsMax: number;
  readonly dial: (events: StreamEvents) => DialledStream;
  /** What this node says first; made anew for each attempt. */
  readonly hello: () => Hello;
  /** Judges the peer's hello: a text why not, or undefined when the lane may be used. */
  readonly judge: (hello: Hello) => string | undefined;
  readonly onUp: () => void;
  /** The stream or an attempt at one ended. */
  readonly onDown: (end: StreamEnd, was: { readonly up: boolean }) => void;
  readonly onRoundTrip: (elapsedMs: number) => void;
  /** That many messages are lost. */
  readonly onDropped: (count: number) => void;
  readonly onBug: (error: unknown) => void;
}

type State =
  | { readonly kind: "waiting"; readonly timer: Timer }
  | { readonly kind: "dialling"; readonly dialled: DialledStream; readonly timer: Timer }
  | { readonly kind: "up"; readonly dialled: DialledStream }
  | { readonly kind: "closed" };

/** One lane. */
export class OutboundLane {
  readonly #options: LaneOptions;
  readonly #queue: OutboundQueue;
  #state: State = { kind: "closed" };
  /** Counts attempts: events of an earlier one are nobody's. */
  #attempt = 0;
  #redialMs = REDIAL_MS_MIN;
  #connects = 0;
  #sentPackets = 0;
  #sentBytes = 0;
  /** Bytes that the connection has not taken yet. */
  #inFlightBytes = 0;
  #isFlushPlanned = false;
  #ping: { readonly number: number; readonly sentMs: number } | undefined;
  #pingNumber = 0;
  /** When the peer last showed that it takes or says something. */
  #aliveMs = 0;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#queue = new OutboundQueue(options.queueBytesMax);
  }

  get status(): StreamStatus {
    return {
      isConnected: this.isUp,
      queuedMessages: this.#queue.messages,
      queuedBytes: this.#queue.bytes,
      connects: this.#connects,
      sentPackets: this.#sentPackets,
      sentBytes: this.#sentBytes,
    };
  }

  get isUp(): boolean {
    return this.#state.kind === "up";
  }

  /** Begins to dial. Once. */
  start(): void {
    this.#dial();
  }

  /** Dials now if the lane is waiting to: there is reason to believe that the peer is there. */
  hurry(): void {
    if (this.#state.kind !== "waiting") return;
    this.#state.timer.cancel();
    this.#redialMs = REDIAL_MS_MIN;
    this.#dial();
  }

  /** Gives the present connection up and dials anew, such as to another address. */
  redial(text: string): void {
    if (this.#state.kind === "closed") return;
    if (this.#state.kind === "waiting") this.hurry();
    else this.#fail({ kind: "closed", text });
  }

  /** Takes a message for sending; false when there is no stream or no room, then it is dropped. */
  send(message: Outgoing): boolean {
    if (!this.isUp || !this.#queue.push(message)) return false;
    if (!this.#isFlushPlanned) {
      this.#isFlushPlanned = true;
      // What one turn of the loop has to say is one packet.
      queueMicrotask(() => {
        this.#isFlushPlanned = false;
        this.#flush();
      });
    }
    return true;
  }

  /** Called once a second (PING_INTERVAL_MS): asks for a sign of life, and gives up when none came for too long. */
  beat(): void {
    if (this.#state.kind !== "up") return;
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#ping === undefined) {
      this.#pingNumber += 1;
      this.#ping = { number: this.#pingNumber, sentMs: nowMs };
      this.#write({ ...emptyPacket(), ping: this.#pingNumber });
    }
    if (nowMs - this.#aliveMs > this.#options.silenceMsMax) {
      this.#fail({
        kind: "closed",
        text: `No sign of life for ${Math.round(nowMs - this.#aliveMs)} ms`,
      });
    }
  }

  /** This node stood still for a while: that the peer was silent then means nothing. */
  forgive(): void {
    this.#aliveMs = this.#options.clock.monotonicMs();
  }

  /** Ends the stream; nothing is dialled any more. */
  close(): void {
    const state = this.#state;
    this.#attempt += 1;
    this.#state = { kind: "closed" };
    if (state.kind === "waiting" || state.kind === "dialling") state.timer.cancel();
    if (state.kind === "dialling" || state.kind === "up") {
      state.dialled.stream.close({ kind: "closed", text: "Closed" });
      state.dialled.disconnect();
    }
    this.#dropAll();
  }

  #dial(): void {
    const { clock, dial, hello } = this.#options;
    this.#attempt += 1;
    const attempt = this.#attempt;
    const ifCurrent = (action: () => void): void => {
      if (attempt === this.#attempt) this.#guard(action);
    };
    const dialled = dial({
      onBytes: (bytes) => ifCurrent(() => this.#receive(bytes)),
      onHalfEnd: () => undefined,
      onEnd: (end) => ifCurrent(() => this.#fail(end)),
    });
    const timer = clock.startTimer(
      HANDSHAKE_TIMEOUT_MS,
      () => ifCurrent(() => this.#fail({ kind: "closed", text: "No answer to the handshake" })),
    );
    this.#state = { kind: "dialling", dialled, timer };
    this.#inFlightBytes = 0;
    this.#ping = undefined;
    dialled.stream.write(
      encodeChecked(Packet, { ...emptyPacket(), hello: hello() }),
      () => undefined,
    );
  }

  #receive(bytes: Uint8Array): void {
    const packet = decodeChecked(Packet, bytes);
    if (this.#state.kind === "dialling") {
      this.#greet(packet);
      return;
    }
    const nowMs = this.#options.clock.monotonicMs();
    this.#aliveMs = nowMs;
    if (packet.ping !== 0) this.#write({ ...emptyPacket(), pong: packet.ping });
    if (this.#ping !== undefined && packet.pong === this.#ping.number) {
      this.#options.onRoundTrip(nowMs - this.#ping.sentMs);
      this.#ping = undefined;
    }
  }

  #greet({ hello }: Packet): void {
    const state = this.#state;
    if (state.kind !== "dialling") return;
    if (hello === undefined) throw new WireError("A stream that begins without a hello");
    const refusal = this.#options.judge(hello);
    if (refusal !== undefined) {
      this.#fail({ kind: "refused", text: refusal });
      return;
    }
    state.timer.cancel();
    this.#state = { kind: "up", dialled: state.dialled };
    this.#redialMs = REDIAL_MS_MIN;
    this.#connects += 1;
    this.forgive();
    this.#options.onUp();
  }

  #flush(): void {
    while (this.isUp && this.#inFlightBytes < WINDOW_BYTES) {
      const packet = this.#queue.next();
      if (packet === undefined) return;
      this.#write(packet);
    }
  }

  #write(packet: Packet): void {
    const state = this.#state;
    if (state.kind !== "up") return;
    const bytes = encodeChecked(Packet, packet);
    const attempt = this.#attempt;
    this.#inFlightBytes += bytes.length;
    this.#sentPackets += 1;
    this.#sentBytes += bytes.length;
    state.dialled.stream.write(bytes, () => {
      if (attempt !== this.#attempt) return;
      this.#inFlightBytes -= bytes.length;
      // Bulk that moves is alive, even though its pongs wait behind it.
      if (bytes.length >= WINDOW_BYTES / 8) this.forgive();
      this.#guard(() => this.#flush());
    });
  }

  #fail(end: StreamEnd): void {
    const state = this.#state;
    if (state.kind !== "dialling" && state.kind !== "up") return;
    this.#attempt += 1;
    if (state.kind === "dialling") state.timer.cancel();
    state.dialled.stream.close({ kind: "closed", text: end.text });
    state.dialled.disconnect();
    const { clock, entropy } = this.#options;
    const baseMs = end.kind === "refused" ? REFUSED_REDIAL_MS : this.#redialMs;
    const delayMs = baseMs / 2 + entropy.below(Math.ceil(baseMs / 2) + 1);
    this.#redialMs = Math.min(REDIAL_MS_MAX, this.#redialMs * 2);
    this.#state = {
      kind: "waiting",
      timer: clock.startTimer(delayMs, () => this.#guard(() => this.#dial())),
    };
    this.#dropAll();
    this.#options.onDown(end, { up: state.kind === "up" });
  }

  #dropAll(): void {
    const count = this.#queue.clear();
    if (count > 0) this.#options.onDropped(count);
  }

  /** What the peer sent ends its stream at worst; everything else that fails is a bug. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof WireError || error instanceof OperatingError) {
        this.#fail({ kind: "broken", text: error.message });
      } else {
        this.#options.onBug(error);
      }
    }
  }
}
