/**
 * Calls in both directions: a connection for each address that is called, apart from those of the engine's
 * messages, so that a large request never holds up a heartbeat; and bounds for what others ask of this node.
 */
import { OperatingError } from "../base/errors.ts";
import type { ByteStream, StreamEvents } from "./byte_stream.ts";
import { GrpcChannel } from "./grpc_endpoint.ts";
import { makeHello } from "./handshake.ts";
import { InboundCall } from "./inbound_call.ts";
import { CALL_BODIES_BYTES_MAX, CALL_CHANNELS_MAX, CALLS_IN_FLIGHT_MAX } from "./limits.ts";
import { OutboundCall } from "./outbound_call.ts";
import type { PeerAnswers, PeerRequest } from "./peer_calls.ts";
import type { LocalIdentity } from "./peer_identity.ts";
import type { PeerServices } from "./peer_services.ts";
import type { PeerTls } from "./peer_tls.ts";

/** All calls of a network. */
export class PeerCalls {
  readonly #options: {
    readonly services: PeerServices;
    readonly tls: PeerTls | undefined;
    readonly identity: () => LocalIdentity;
  };
  /** By address, the least recently used first. */
  readonly #channels = new Map<string, GrpcChannel>();
  #inFlight = 0;
  #bodyBytes = 0;
  #isClosed = false;

  constructor(options: {
    readonly services: PeerServices;
    readonly tls: PeerTls | undefined;
    readonly identity: () => LocalIdentity;
  }) {
    this.#options = options;
  }

  /** As `PeerNetwork.call`. */
  async call<Kind extends PeerRequest["kind"]>(
    address: string,
    request: Extract<PeerRequest, { readonly kind: Kind }>,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<PeerAnswers[Kind]> {
    if (this.#isClosed) throw new OperatingError("not_ready", "Cannot ask other nodes: closing");
    const { identity, services } = this.#options;
    const channel = this.#channelTo(address);
    const local = identity();
    const call = new OutboundCall<Kind>({
      request,
      address,
      open: (events) => channel.open("call", events, timeoutMs),
      local,
      hello: makeHello(local, {}),
      timeoutMs,
      signal,
      onBug: services.onBug,
    });
    return await call.answer;
  }

  /** Another node calls. */
  accept(stream: ByteStream): StreamEvents {
    if (this.#inFlight >= CALLS_IN_FLIGHT_MAX) {
      queueMicrotask(() => stream.close({ kind: "busy", text: "Too many calls at once" }));
      return { onBytes: () => undefined, onHalfEnd: () => undefined, onEnd: () => undefined };
    }
    this.#inFlight += 1;
    const { identity, services } = this.#options;
    return new InboundCall(stream, {
      local: identity,
      hello: () => makeHello(identity(), {}),
      services,
      reserve: (bytes) => {
        if (this.#bodyBytes > 0 && this.#bodyBytes + bytes > CALL_BODIES_BYTES_MAX) return false;
        this.#bodyBytes += bytes;
        return true;
      },
      onEnd: (bytes) => {
        this.#inFlight -= 1;
        this.#bodyBytes -= bytes;
      },
    }).events;
  }

  /** Ends all that are under way. */
  close(): void {
    this.#isClosed = true;
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
  }

  #channelTo(address: string): GrpcChannel {
    const known = this.#channels.get(address);
    const channel = known ?? new GrpcChannel(address, { tls: this.#options.tls });
    this.#channels.delete(address);
    this.#channels.set(address, channel);
    if (this.#channels.size > CALL_CHANNELS_MAX) {
      const [oldest] = this.#channels;
      if (oldest !== undefined) {
        oldest[1].close();
        this.#channels.delete(oldest[0]);
      }
    }
    return channel;
  }
}
