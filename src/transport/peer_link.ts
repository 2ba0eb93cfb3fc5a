/**
 * Everything between this node and one other: the two lanes to it, the streams from it, which process of it
 * was last seen alive, and whether there is evidence that it ended (rule E2).
 * Invariant: at most one process of the peer is listened to at a time, so two with one identity are never
 * counted twice (faults M5).
 */
import type { NodeId } from "../base/ids.ts";
import { isSameIdentity } from "../command/member_table.ts";
import type { Clock } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import type { Message } from "../raft/message.ts";
import type { StreamEnd, StreamEvents } from "./byte_stream.ts";
import type { Hello, SmallCall } from "./generated/dust.ts";
import { identityOf, type LaneName, makeHello, refusalOf } from "./handshake.ts";
import type { InboundStream } from "./inbound_stream.ts";
import { LaneCalls } from "./lane_calls.ts";
import {
  BULK_QUEUE_BYTES_MAX,
  BULK_SILENCE_MS_MAX,
  CHALLENGE_TIMEOUT_MS,
  CONTROL_QUEUE_BYTES_MAX,
  CONTROL_SILENCE_MS_MAX,
  DUPLICATE_AGAIN_MS,
} from "./limits.ts";
import { type DialledStream, OutboundLane } from "./outbound_lane.ts";
import type { Outgoing } from "./outbound_queue.ts";
import type { ForwardAnswer, ForwardRequest } from "./peer_calls.ts";
import type { LocalIdentity, Peer, RemoteIdentity } from "./peer_identity.ts";
import type { PeerServices } from "./peer_services.ts";
import type { PeerStatus } from "./peer_status.ts";
import { type Probe, ProcessEvidence } from "./process_evidence.ts";

/** What a link needs of the world. */
export interface PeerLinkOptions {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly services: PeerServices;
  readonly identity: () => LocalIdentity;
  readonly dial: (address: string, events: StreamEvents) => DialledStream;
  readonly probe: Probe;
}

/** One peer. */
export class PeerLink {
  readonly nodeId: NodeId;
  readonly incarnation: Uint8Array;
  readonly #options: PeerLinkOptions;
  readonly #lanes: Readonly<Record<LaneName, OutboundLane>>;
  readonly #inbound = new Set<InboundStream>();
  /** Those that have been asked whether they are alive, and have not answered. */
  readonly #challenged = new WeakSet<InboundStream>();
  #duplicateToldMs = -Infinity;
  readonly #evidence: ProcessEvidence;
  /** What the membership says; `#address` is where the peer said that it is now. */
  #memberAddress: string;
  #address: string;
  /** The process last seen alive, in hex. */
  #bootNonce: string | undefined;
  /** The process that was reported gone. */
  #goneNonce: string | undefined;
  #isUnreachablePlanned = false;
  #isClosed = false;
  #roundTripMs: number | undefined;
  #version: string | undefined;
  #featureLevel: number | undefined;
  readonly #calls: LaneCalls;
  #receivedPackets = 0;
  #receivedBytes = 0;
  #dropped = 0;
  #lastError: string | undefined;
  readonly #sent: Partial<Record<Outgoing["kind"], number>> = {};
  readonly #received: Partial<Record<Outgoing["kind"], number>> = {};

  constructor(peer: Peer, options: PeerLinkOptions) {
    this.nodeId = peer.nodeId;
    this.incarnation = peer.incarnation;
    this.#memberAddress = peer.address;
    this.#address = peer.address;
    this.#options = options;
    const { clock, probe, services } = options;
    this.#evidence = new ProcessEvidence({ clock, probe, onBug: services.onBug });
    this.#calls = new LaneCalls({
      clock,
      services,
      send: (call) => this.#send({ kind: "call", call }),
    });
    this.#lanes = {
      control: this.#makeLane("control", CONTROL_QUEUE_BYTES_MAX, CONTROL_SILENCE_MS_MAX),
      bulk: this.#makeLane("bulk", BULK_QUEUE_BYTES_MAX, BULK_SILENCE_MS_MAX),
    };
  }

  /** Where it is dialled. */
  get address(): string {
    return this.#address;
  }

  get status(): PeerStatus {
    return {
      nodeId: this.nodeId,
      address: this.#address,
      control: this.#lanes.control.status,
      bulk: this.#lanes.bulk.status,
      roundTripMs: this.#roundTripMs,
      version: this.#version,
      featureLevel: this.#featureLevel,
      sentMessages: { ...this.#sent },
      receivedMessages: { ...this.#received },
      sentBytes: this.#lanes.control.status.sentBytes + this.#lanes.bulk.status.sentBytes,
      receivedPackets: this.#receivedPackets,
      receivedBytes: this.#receivedBytes,
      droppedMessages: this.#dropped,
      lastError: this.#lastError,
    };
  }

  /** Begins to dial. Once. */
  start(): void {
    this.#lanes.control.start();
    this.#lanes.bulk.start();
  }

  /** The membership gives an address. What the peer itself has said since stands until it gives another. */
  setMemberAddress(address: string): void {
    if (address === this.#memberAddress) return;
    this.#memberAddress = address;
    this.#moveTo(address);
  }

  /** Sends, or drops and reports. */
  send(message: Message): void {
    if (!this.#send(message)) this.#onDropped(1);
  }

  /** Asks the peer by its lanes; undefined when they are not up, or it is too much for them. */
  ask(
    request: ForwardRequest,
    options: { readonly timeoutMs: number },
  ): Promise<ForwardAnswer> | undefined {
    const isAnswerable = this.#inbound.size >= Object.keys(this.#lanes).length;
    return isAnswerable ? this.#calls.ask(request, options) : undefined;
  }

  #send(message: Outgoing): boolean {
    const lane = isBulk(message) ? this.#lanes.bulk : this.#lanes.control;
    const isTaken = lane.send(message);
    if (isTaken) this.#sent[message.kind] = (this.#sent[message.kind] ?? 0) + 1;
    return isTaken;
  }

  /** Called once a second. */
  beat(): void {
    for (const lane of Object.values(this.#lanes)) lane.beat();
    for (const stream of [...this.#inbound]) {
      if (stream.silentMs > BULK_SILENCE_MS_MAX) stream.close("closed", "No sign of life");
    }
  }

  /** This node stood still for a while. */
  forgive(): void {
    for (const lane of Object.values(this.#lanes)) lane.forgive();
    for (const stream of this.#inbound) stream.forgive();
  }

  /**
   * Takes a stream from the peer, whose hello has been judged; or says that another process with its identity
   * is in the way, which is asked whether it is alive.
   */
  admit(hello: Hello, stream: InboundStream): "admitted" | "busy" {
    const from = identityOf(hello);
    if (this.#isRivalled(from)) return "busy";
    this.#inbound.add(stream);
    this.#onAlive(from);
    for (const lane of Object.values(this.#lanes)) lane.hurry();
    return "admitted";
  }

  /** A message of the peer. */
  onMessage(message: Message): void {
    this.#received[message.kind] = (this.#received[message.kind] ?? 0) + 1;
    this.#options.services.receive(message);
  }

  /** A question of the peer, or its answer to one. */
  onCall(call: SmallCall, from: RemoteIdentity): void {
    this.#received.call = (this.#received.call ?? 0) + 1;
    this.#calls.take(call, from);
  }

  onReceived(bytes: number): void {
    this.#receivedPackets += 1;
    this.#receivedBytes += bytes;
  }

  /** A stream from the peer ended. */
  onInboundEnd(stream: InboundStream, end: StreamEnd): void {
    this.#challenged.delete(stream);
    if (!this.#inbound.delete(stream)) return;
    this.#calls.fail(end.text);
    if (end.kind !== "closed") this.#maybeProbe();
  }

  /** The peer is none any more, or this node ends. */
  close(reason: { readonly kind: "refused" | "closed"; readonly text: string }): void {
    this.#isClosed = true;
    this.#evidence.cancel();
    this.#calls.fail(reason.text);
    for (const lane of Object.values(this.#lanes)) lane.close();
    for (const stream of [...this.#inbound]) stream.close(reason.kind, reason.text);
  }

  #makeLane(lane: LaneName, queueBytesMax: number, silenceMsMax: number): OutboundLane {
    const { clock, entropy, identity, dial, services } = this.#options;
    return new OutboundLane({
      clock,
      entropy,
      queueBytesMax,
      silenceMsMax,
      dial: (events) => dial(this.#address, events),
      hello: () => makeHello(identity(), { to: this, lane }),
      judge: (hello) => this.#judge(hello),
      onUp: () => {
        this.#lastError = undefined;
      },
      onDown: (end, was) => this.#onDown(end, was),
      onRoundTrip: (elapsedMs) => {
        if (lane === "control") this.#roundTripMs = elapsedMs;
      },
      onDropped: (count) => this.#onDropped(count),
      onBug: services.onBug,
    });
  }

  #judge(hello: Hello): string | undefined {
    const refusal = refusalOf(hello, { local: this.#options.identity(), expected: this });
    if (refusal !== undefined) return refusal;
    const from = identityOf(hello);
    if (this.#isRivalled(from)) return "Another process with its identity has streams to this node";
    this.#onAlive(from);
    return undefined;
  }

  #onDown(end: StreamEnd, { up }: { readonly up: boolean }): void {
    if (this.#isClosed) return;
    this.#lastError = end.text;
    if (end.kind === "refused") this.#options.services.onRefused(this.nodeId, end.text);
    if (!up) return;
    this.#calls.fail(end.text);
    this.#planUnreachable();
    if (end.kind !== "closed") this.#maybeProbe();
  }

  /** A process of the peer has shown itself on a new stream. */
  #onAlive(from: RemoteIdentity): void {
    const nonce = from.bootNonce.toHex();
    const { services } = this.#options;
    this.#evidence.cancel();
    this.#version = from.version;
    this.#featureLevel = from.featureLevel;
    const before = this.#bootNonce;
    this.#bootNonce = nonce;
    if (before !== undefined && before !== nonce && this.#goneNonce !== before) {
      services.onLeaderGone(this.nodeId, before);
    }
    if (this.#goneNonce !== undefined) services.onLeaderBack(this.nodeId, nonce);
    this.#goneNonce = undefined;
    if (from.raftAddress !== "" && from.raftAddress !== this.#address) {
      this.#moveTo(from.raftAddress);
    }
  }

  #moveTo(address: string): void {
    this.#address = address;
    for (const lane of Object.values(this.#lanes)) {
      // Not within an event of the lane itself.
      queueMicrotask(() => lane.redial(`The peer is at ${address} now`));
    }
  }

  /** Whether streams of another process with the peer's identity are open; asks it whether it is alive. */
  #isRivalled(from: RemoteIdentity): boolean {
    const rivals = [...this.#inbound].filter((stream) =>
      stream.from !== undefined && !isSameIdentity(stream.from.bootNonce, from.bootNonce)
    );
    for (const rival of rivals) {
      // Asked already, by an earlier attempt of the newcomer.
      if (this.#challenged.has(rival)) continue;
      this.#challenged.add(rival);
      const timer = this.#options.clock.startTimer(
        CHALLENGE_TIMEOUT_MS,
        () => rival.close("closed", "Another process has this identity, and this one said nothing"),
      );
      rival.challenge(() => {
        timer.cancel();
        this.#challenged.delete(rival);
        this.#onDuplicate();
      });
    }
    return rivals.length > 0;
  }

  #onDuplicate(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#duplicateToldMs + DUPLICATE_AGAIN_MS) return;
    this.#duplicateToldMs = nowMs;
    this.#options.services.onDuplicate(this.nodeId);
  }

  /** The last stream of the process that was there has ended by itself: has the process? */
  #maybeProbe(): void {
    const nonce = this.#bootNonce;
    const isDown = this.#inbound.size === 0 && !this.#lanes.control.isUp && !this.#lanes.bulk.isUp;
    if (this.#isClosed || nonce === undefined || this.#goneNonce === nonce || !isDown) return;
    this.#evidence.begin(this.#address, () => {
      const isStillDown = this.#inbound.size === 0 && this.#bootNonce === nonce;
      if (!isStillDown || this.#isClosed) return;
      this.#goneNonce = nonce;
      this.#options.services.onLeaderGone(this.nodeId, nonce);
    });
  }

  #onDropped(count: number): void {
    this.#dropped += count;
    this.#planUnreachable();
  }

  /** Never within a call of the engine's, and once for all that is lost in a turn. */
  #planUnreachable(): void {
    if (this.#isUnreachablePlanned) return;
    this.#isUnreachablePlanned = true;
    queueMicrotask(() => {
      this.#isUnreachablePlanned = false;
      if (!this.#isClosed) this.#options.services.onUnreachable(this.nodeId);
    });
  }
}

/** What carries payloads keeps its order; everything else must never wait behind it (rule N1). */
function isBulk({ kind }: Outgoing): boolean {
  return kind === "append" || kind === "propose" || kind === "call";
}
