/**
 * All that goes between this node and others: the peer port, the lanes to the members, calls to any address.
 * Loads gRPC: whoever may do without peers imports this file only when there are some (`await import`).
 * Invariant: the engine's messages are exchanged only with nodes of this cluster whose identity has been
 * checked, in both directions, and only after `setPeers`.
 * Not here: what the messages mean, and who is a member (the node's).
 */
import { assert } from "../base/assert.ts";
import { type NodeId, nodeId } from "../base/ids.ts";
import { isSameIdentity } from "../command/member_table.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import type { FileSystem } from "../os/file_system.ts";
import { DenoFileSystem } from "../os/deno_file_system.ts";
import type { Message, SnapshotMessage } from "../raft/message.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { ByteStream, Method, StreamEvents } from "./byte_stream.ts";
import { PeerCalls } from "./call_traffic.ts";
import type { Hello } from "./generated/dust.ts";
import { GrpcChannel, GrpcListener } from "./grpc_endpoint.ts";
import { laneOf, makeHello, refusalOf } from "./handshake.ts";
import { type Admission, InboundStream } from "./inbound_stream.ts";
import {
  GUESTS_MAX,
  HANDSHAKE_TIMEOUT_MS,
  INBOUND_STREAMS_MAX,
  LANE_CALL_BYTES_MAX,
  PING_INTERVAL_MS,
} from "./limits.ts";
import type { DialledStream } from "./outbound_lane.ts";
import type { LocalIdentity, Peer } from "./peer_identity.ts";
import type { ForwardAnswer, PeerAnswers, PeerRequest } from "./peer_calls.ts";
import { PeerLink } from "./peer_link.ts";
import type { PeerServices } from "./peer_services.ts";
import type { PeerStatus } from "./peer_status.ts";
import type { PeerTls } from "./peer_tls.ts";
import { type Probe, probeByTcp } from "./process_evidence.ts";
import { type SnapshotContent, SnapshotTraffic } from "./snapshot_traffic.ts";

/** What a network is made of. */
export interface PeerNetworkOptions {
  readonly identity: LocalIdentity;
  readonly listen: { readonly host: string; readonly port: number };
  /** undefined: in the clear, both ways. Its files are read again now and then, until `close`. */
  readonly tls: PeerTls | undefined;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  readonly services: PeerServices;
  /** How a dead process is told; by TCP unless a test has another way. */
  readonly probe?: Probe;
  /** Where the content of snapshots is read; the machine's unless a test has another. */
  readonly fileSystem?: FileSystem;
}

/** The members as this node knows them. */
export interface Membership {
  /** Without this node. */
  readonly peers: readonly Peer[];
  /**
   * The next number that a joiner gets (command/member_table.ts). Who has it or a later one may have
   * joined without this node knowing yet, and is let in by its cluster id; an earlier one that is no
   * member was removed.
   */
  readonly nextNodeId: number;
}

/** One per process. */
export class PeerNetwork {
  readonly #options: PeerNetworkOptions;
  #identity: LocalIdentity;
  #listener: GrpcListener | undefined;
  /** Members, and guests that are not known as such yet. */
  readonly #links = new Map<NodeId, PeerLink>();
  #membership: Membership | undefined;
  readonly #inbound = new Set<InboundStream>();
  readonly #calls: PeerCalls;
  readonly #snapshots: SnapshotTraffic;
  #beat: Timer | undefined;
  #beatMs = 0;
  #isClosed = false;

  constructor(options: PeerNetworkOptions) {
    this.#options = options;
    this.#identity = options.identity;
    const { services, tls, clock } = options;
    const identity = (): LocalIdentity => this.#identity;
    this.#calls = new PeerCalls({ services, tls, identity });
    this.#snapshots = new SnapshotTraffic({
      clock,
      fileSystem: options.fileSystem ?? new DenoFileSystem(),
      services,
      identity,
      peerOf: (id) => this.#links.get(id),
      dial: (address, events) => this.#dial(address, { method: "send_snapshot", events }),
      admit: (hello) => {
        const link = this.#judge(hello);
        return link instanceof PeerLink
          ? { kind: "admitted", answer: makeHello(this.#identity, { to: link }) }
          : link;
      },
      deliver: (message) => this.#links.get(message.from)?.onMessage(message),
    });
  }

  /** What this node says of itself. */
  get identity(): LocalIdentity {
    return this.#identity;
  }

  /** The node has become a member. Once; before `setPeers`. */
  setMember(member: { readonly clusterId: Uint8Array; readonly nodeId: NodeId }): void {
    assert(this.#identity.clusterId === undefined, "PeerNetwork.setMember: it is one already");
    this.#identity = { ...this.#identity, ...member };
  }

  /** Opens the peer port. Calls are answered from here on. @throws {OperatingError} `conflict` */
  async listen(): Promise<{ readonly port: number }> {
    assert(this.#listener === undefined, "PeerNetwork.listen: called twice");
    const { clock, listen, tls, logger, services } = this.#options;
    const listener = new GrpcListener((method, stream) => this.#accept(method, stream));
    this.#listener = listener;
    const port = await listener.listen({ ...listen, tls });
    this.#beatMs = clock.monotonicMs();
    this.#planBeat();
    tls?.startReloading({ clock, logger, onBug: services.onBug });
    return { port };
  }

  /**
   * The members changed, or their addresses did. Who is new is dialled, who left is dropped. From the first
   * call on, messages are taken. Repeating it changes nothing.
   */
  setPeers(membership: Membership): void {
    assert(this.#identity.clusterId !== undefined, "PeerNetwork.setPeers: of no cluster yet");
    if (this.#isClosed) return;
    this.#membership = membership;
    const members = new Map(membership.peers.map((peer) => [peer.nodeId, peer]));
    for (const [id, link] of this.#links) {
      const member = members.get(id);
      const isSame = member !== undefined && isSameIdentity(member.incarnation, link.incarnation);
      const isGuest = member === undefined && id >= membership.nextNodeId;
      if (isSame || isGuest) continue;
      link.close({ kind: "refused", text: this.#removedText(id) });
      this.#snapshots.giveUp(id, "No member any more");
      this.#links.delete(id);
    }
    for (const peer of membership.peers) {
      assert(peer.nodeId !== this.#identity.nodeId, "PeerNetwork.setPeers: its own peer");
      const link = this.#links.get(peer.nodeId);
      if (link === undefined) this.#addLink(peer);
      else link.setMemberAddress(peer.address);
    }
  }

  /**
   * Queues a message for `message.to`; payloads are shared, not copied. What cannot be sent now is
   * dropped, and `onUnreachable` tells.
   */
  send(message: Message): void {
    assert(message.kind !== "snapshot", "PeerNetwork.send: a snapshot goes by sendSnapshot");
    const { services } = this.#options;
    const link = this.#links.get(message.to);
    if (link !== undefined) link.send(message);
    else queueMicrotask(() => services.onUnreachable(message.to));
  }

  /**
   * Sends a snapshot with its content, which stays as it is until `onSnapshotReport` tells what became of it.
   * Another one to the same member takes its place, and is the only one that is reported.
   */
  sendSnapshot(message: SnapshotMessage, content: SnapshotContent): void {
    this.#snapshots.send(message, content);
  }

  /** What the port's health service says (grpc.health.v1). Not serving until told. */
  setServing(state: { readonly isServing: boolean }): void {
    this.#listener?.setServing(state);
  }

  /**
   * Asks the node at `address` (`host:port`), member or not. The answer's results, where they are a stream,
   * are read to their end or cancelled.
   * @throws {OperatingError} `not_ready`: nothing reached it. `outcome_unknown`: something may have.
   * `canceled` by `signal`. `conflict`: it belongs to another cluster. Else what it answered.
   */
  call<Kind extends PeerRequest["kind"]>(
    address: string,
    request: Extract<PeerRequest, { readonly kind: Kind }>,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<PeerAnswers[Kind]>;
  call(
    address: string,
    request: PeerRequest,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<PeerAnswers[PeerRequest["kind"]]> {
    return this.#askByLane(address, request, options) ??
      this.#calls.call(address, request, options);
  }

  /** Small writes are many, and go where the engine's messages go: a stream for each costs more than they do. */
  #askByLane(
    address: string,
    request: PeerRequest,
    options: { readonly timeoutMs: number },
  ): Promise<ForwardAnswer> | undefined {
    const isSmall = request.kind === "forward" && request.work.kind === "executes" &&
      request.body.length <= LANE_CALL_BYTES_MAX;
    if (!isSmall || this.#isClosed) return undefined;
    return this.#links.values().find((link) => link.address === address)?.ask(request, options);
  }

  /** Figures of each peer, by number. */
  peers(): readonly PeerStatus[] {
    return [...this.#links.values()].map((link) => link.status)
      .sort((left, right) => left.nodeId - right.nodeId);
  }

  /** Ends everything. A leader steps down before. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#beat?.cancel();
    this.#options.tls?.close();
    for (const link of this.#links.values()) link.close({ kind: "closed", text: "Closing" });
    this.#links.clear();
    for (const stream of [...this.#inbound]) stream.close("closed", "Closing");
    this.#calls.close();
    const ended = this.#snapshots.close();
    this.#listener?.close();
    return ended;
  }

  #addLink(peer: Peer): PeerLink {
    const { clock, entropy, services, probe } = this.#options;
    const link = new PeerLink(peer, {
      clock,
      entropy,
      services,
      identity: () => this.#identity,
      dial: (address, events) => this.#dial(address, { method: "talk", events }),
      probe: probe ?? probeByTcp,
    });
    this.#links.set(peer.nodeId, link);
    link.start();
    return link;
  }

  /** A stream with a connection of its own. */
  #dial(
    address: string,
    { method, events }: { readonly method: Method; readonly events: StreamEvents },
  ): DialledStream {
    const channel = new GrpcChannel(address, { tls: this.#options.tls });
    return { stream: channel.open(method, events), disconnect: () => channel.close() };
  }

  #accept(method: Method, stream: ByteStream): StreamEvents {
    if (method === "call" && !this.#isClosed) return this.#calls.accept(stream);
    if (method === "send_snapshot" && !this.#isClosed) return this.#snapshots.accept(stream);
    const isFull = this.#inbound.size >= INBOUND_STREAMS_MAX;
    if (this.#isClosed || isFull || method !== "talk") {
      const text = isFull ? "Too many streams" : "Not served";
      queueMicrotask(() => stream.close({ kind: "busy", text }));
      return { onBytes: () => undefined, onHalfEnd: () => undefined, onEnd: () => undefined };
    }
    const inbound = new InboundStream(stream, {
      clock: this.#options.clock,
      admit: (hello, from) => this.#admit(hello, from),
      onMessage: (message) => this.#links.get(message.from)?.onMessage(message),
      onCall: (call, from) => this.#links.get(from.nodeId)?.onCall(call, from),
      onReceived: (bytes, { from }) => {
        if (from !== undefined) this.#links.get(from.nodeId)?.onReceived(bytes);
      },
      onEnd: (end, ended) => {
        this.#inbound.delete(ended);
        if (ended.from !== undefined) {
          this.#links.get(ended.from.nodeId)?.onInboundEnd(ended, end);
        }
      },
      onBug: this.#options.services.onBug,
    });
    this.#inbound.add(inbound);
    return inbound.events;
  }

  #admit(hello: Hello, stream: InboundStream): Admission {
    if (laneOf(hello) === undefined) {
      return { kind: "refused", text: "A stream of an unknown kind" };
    }
    const link = this.#judge(hello);
    if (!(link instanceof PeerLink)) return link;
    if (link.admit(hello, stream) === "busy") {
      return { kind: "busy", text: "Another process with this identity is connected" };
    }
    return { kind: "admitted", answer: makeHello(this.#identity, { to: link }) };
  }

  /** The member, or guest, that a hello is from; or why it is not let in. */
  #judge(hello: Hello): PeerLink | Exclude<Admission, { readonly kind: "admitted" }> {
    const membership = this.#membership;
    if (membership === undefined) return { kind: "busy", text: "Not a member yet" };
    const id = nodeId(hello.nodeId);
    const known = this.#links.get(id);
    const refusal = refusalOf(hello, { local: this.#identity, expected: known });
    if (refusal !== undefined) {
      this.#options.services.onRefused(id, refusal);
      return { kind: "refused", text: refusal };
    }
    if (known === undefined && id < membership.nextNodeId) {
      return { kind: "refused", text: this.#removedText(id) };
    }
    return known ?? this.#addGuest(hello) ??
      { kind: "busy", text: "Too many nodes that are not known here" };
  }

  /** A node of this cluster that joined after what is known here: it may lead it by now. */
  #addGuest(hello: Hello): PeerLink | undefined {
    const members = this.#membership?.peers.length ?? 0;
    if (this.#links.size >= members + GUESTS_MAX) return undefined;
    const incarnation = hello.incarnation.slice();
    return this.#addLink({
      nodeId: nodeId(hello.nodeId),
      incarnation,
      address: hello.raftAddress,
    });
  }

  #removedText(id: NodeId): string {
    return `Node ${id} was removed from the cluster: ${this.#identity.name} knows no such member; ` +
      `empty its data directory and let it join anew`;
  }

  /** Once a second: signs of life. A beat that comes late tells of this node, not of the others. */
  #planBeat(): void {
    const { clock } = this.#options;
    this.#beat = clock.startTimer(PING_INTERVAL_MS, () => {
      const nowMs = clock.monotonicMs();
      const isLate = nowMs - this.#beatMs > 2 * PING_INTERVAL_MS;
      this.#beatMs = nowMs;
      for (const link of this.#links.values()) {
        if (isLate) link.forgive();
        else link.beat();
      }
      for (const stream of [...this.#inbound]) {
        // A stream that never says who it is has a handshake's time.
        if (stream.from === undefined && !isLate && stream.silentMs > HANDSHAKE_TIMEOUT_MS) {
          stream.close("closed", "No handshake");
        }
      }
      this.#planBeat();
    });
  }
}
