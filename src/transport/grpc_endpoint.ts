/**
 * gRPC as byte streams: the listener, and channels to others. The only file that loads grpc-js, and itself
 * loaded only once a node has peers (`import()` in peer_network.ts): it costs 20 MB and 0.1 s.
 * Each channel has a connection of its own (`use_local_subchannel_pool`, rule N1), and reconnecting is left
 * to whoever uses it: a channel that broke is thrown away.
 */
import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { OperatingError } from "../base/errors.ts";
import type { Acceptor, ByteStream, Method, StreamEnd, StreamEvents } from "./byte_stream.ts";
import { channelCredentials, serverCredentials } from "./peer_credentials.ts";
import { HEALTH_DEFINITION, HealthService } from "./health_service.ts";
import { REFLECTION_DEFINITION, reflectionHandlers } from "./reflection_service.ts";
import type { PeerTls } from "./peer_tls.ts";
import { OpenSockets, QuietEnd } from "./quiet_end.ts";
import {
  CALL_RECONNECT_MS_MAX,
  CALL_RECONNECT_MS_MIN,
  GRPC_MESSAGE_BYTES_MAX,
  GRPC_STREAMS_MAX,
  HTTP2_WINDOW_BYTES,
} from "./limits.ts";

const PATHS: Readonly<Record<Method, string>> = {
  talk: "/dust.v1.Peer/Talk",
  send_snapshot: "/dust.v1.Peer/SendSnapshot",
  call: "/dust.v1.Peer/Call",
};

type Duplex = grpc.ClientDuplexStream<Uint8Array, Uint8Array>;
type ServerDuplex = grpc.ServerDuplexStream<Uint8Array, Uint8Array>;

const OPTIONS: grpc.ChannelOptions = {
  "grpc.use_local_subchannel_pool": 1,
  "grpc.max_receive_message_length": GRPC_MESSAGE_BYTES_MAX,
  "grpc.max_send_message_length": GRPC_MESSAGE_BYTES_MAX,
  "grpc-node.flow_control_window": HTTP2_WINDOW_BYTES,
  "grpc.enable_retries": 0,
  // Only channels for calls reconnect by themselves.
  "grpc.initial_reconnect_backoff_ms": CALL_RECONNECT_MS_MIN,
  "grpc.min_reconnect_backoff_ms": CALL_RECONNECT_MS_MIN,
  "grpc.max_reconnect_backoff_ms": CALL_RECONNECT_MS_MAX,
  // Else a write counts as taken before there is a connection.
  "grpc.per_rpc_retry_buffer_size": 0,
  // A proxy of the environment is none between peers.
  "grpc.enable_http_proxy": 0,
  // Nobody else's configuration decides how peers are called.
  "grpc.service_config_disable_resolution": 1,
};

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function asBytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** A connection to another node; it is made when the first stream is opened. */
export class GrpcChannel {
  readonly #client: grpc.Client;
  readonly #sockets = new OpenSockets();

  constructor(
    address: string,
    { tls }: { readonly tls: PeerTls | undefined },
  ) {
    const onSocket = this.#sockets.add.bind(this.#sockets);
    const credentials = channelCredentials(grpc, { tls, address, onSocket });
    this.#client = new grpc.Client(address, credentials, OPTIONS);
  }

  /** Opens a stream; that it cannot be is its end. Events never come within this call. */
  open(method: Method, events: StreamEvents, deadlineMs?: number): ByteStream {
    const deadline = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
    const call = this.#client.makeBidiStreamRequest(
      PATHS[method],
      asBuffer,
      asBytes,
      new grpc.Metadata(),
      deadline,
    );
    return new ClientStream(call, events);
  }

  /** Ends the connection and all its streams. */
  close(): void {
    this.#sockets.destroy();
    this.#client.close();
  }
}

class ClientStream implements ByteStream {
  readonly #call: Duplex;
  #isOver = false;
  #isClosed = false;

  constructor(call: Duplex, events: StreamEvents) {
    this.#call = call;
    call.on("data", (bytes: Uint8Array) => {
      if (!this.#isOver && !this.#isClosed) events.onBytes(bytes);
    });
    // The status says all that an error says, and comes in any case.
    call.on("error", () => undefined);
    call.on("status", (status: grpc.StatusObject) => {
      if (this.#isOver) return;
      this.#isOver = true;
      events.onEnd(this.#isClosed ? { kind: "closed", text: "Closed here" } : endOf(status));
    });
  }

  write(bytes: Uint8Array, onTaken: () => void): void {
    if (this.#isOver || this.#isClosed) return;
    this.#call.write(bytes, (error: unknown) => {
      if (!error && !this.#isOver) onTaken();
    });
  }

  finish(): void {
    if (!this.#isOver && !this.#isClosed) this.#call.end();
  }

  close(): void {
    if (this.#isOver || this.#isClosed) return;
    this.#isClosed = true;
    this.#call.cancel();
  }

  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }
}

function endOf(status: grpc.StatusObject): StreamEnd {
  const text = status.details;
  switch (status.code) {
    case grpc.status.OK:
      return { kind: "done", text };
    case grpc.status.FAILED_PRECONDITION:
    case grpc.status.UNAUTHENTICATED:
    case grpc.status.PERMISSION_DENIED:
      return { kind: "refused", text };
    case grpc.status.RESOURCE_EXHAUSTED:
      return { kind: "busy", text };
    case grpc.status.DEADLINE_EXCEEDED:
      return { kind: "broken", text: "timeout waiting for node to respond" };
    default:
      return { kind: "broken", text };
  }
}

class ServerStream implements ByteStream {
  readonly #call: ServerDuplex;
  #isOver = false;

  constructor(call: ServerDuplex) {
    this.#call = call;
  }

  /** Separate from the constructor: whoever takes the events needs the stream first. */
  attach(events: StreamEvents): void {
    const call = this.#call;
    const onEnd = (end: StreamEnd): void => {
      if (this.#isOver) return;
      this.#isOver = true;
      events.onEnd(end);
    };
    call.on("data", (bytes: Uint8Array) => {
      if (!this.#isOver) events.onBytes(bytes);
    });
    call.on("end", () => {
      if (!this.#isOver) events.onHalfEnd();
    });
    call.on("error", (error: Error) => onEnd({ kind: "broken", text: error.message }));
    call.on("cancelled", () => onEnd({ kind: "broken", text: "The other side went away" }));
    call.on("close", () => onEnd({ kind: "broken", text: "The connection ended" }));
    this.#onEnd = onEnd;
  }

  #onEnd: (end: StreamEnd) => void = () => undefined;

  write(bytes: Uint8Array, onTaken: () => void): void {
    if (this.#isOver) return;
    this.#call.write(bytes, (error: unknown) => {
      if (!error && !this.#isOver) onTaken();
    });
  }

  finish(): void {
    if (this.#isOver) return;
    this.#call.end();
    this.#onEnd({ kind: "done", text: "Done" });
  }

  close(
    { kind, text }: { readonly kind: "refused" | "busy" | "closed"; readonly text: string },
  ): void {
    if (this.#isOver) return;
    this.#onEnd({ kind: "closed", text });
    const code = kind === "refused"
      ? grpc.status.FAILED_PRECONDITION
      : kind === "busy"
      ? grpc.status.RESOURCE_EXHAUSTED
      : grpc.status.UNAVAILABLE;
    this.#call.emit("error", { code, details: text });
  }

  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }
}

/** The peer port. */
export class GrpcListener {
  readonly #server: grpc.Server;
  readonly #health = new HealthService();
  #end: QuietEnd | undefined;

  constructor(accept: Acceptor) {
    this.#server = new grpc.Server({
      ...OPTIONS,
      "grpc.max_concurrent_streams": GRPC_STREAMS_MAX,
    });
    const definition: Record<string, grpc.MethodDefinition<Uint8Array, Uint8Array>> = {};
    const handlers: Record<string, grpc.handleBidiStreamingCall<Uint8Array, Uint8Array>> = {};
    for (const method of ["talk", "send_snapshot", "call"] as const) {
      definition[method] = {
        path: PATHS[method],
        requestStream: true,
        responseStream: true,
        requestSerialize: asBuffer,
        requestDeserialize: asBytes,
        responseSerialize: asBuffer,
        responseDeserialize: asBytes,
      };
      handlers[method] = (call) => {
        const stream = new ServerStream(call);
        stream.attach(accept(method, stream));
      };
    }
    this.#server.addService(definition, handlers);
    this.#server.addService(HEALTH_DEFINITION, this.#health.handlers);
    this.#server.addService(REFLECTION_DEFINITION, reflectionHandlers());
  }

  /** What the health service says. */
  setServing(state: { readonly isServing: boolean }): void {
    this.#health.setServing(state);
  }

  /** Opens the port; 0 chooses one. @throws {OperatingError} `conflict` when it cannot be had. */
  listen(
    { host, port, tls }: {
      readonly host: string;
      readonly port: number;
      readonly tls: PeerTls | undefined;
    },
  ): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    this.#server.bindAsync(address, serverCredentials(grpc, tls), (cause, bound) => {
      if (cause === null) {
        this.#end = new QuietEnd(this.#server);
        resolve(bound);
      } else {reject(
          new OperatingError(
            "conflict",
            `Cannot listen for peers on ${address}: ${cause.message}`,
            { cause },
          ),
        );}
    });
    return promise;
  }

  /** Closes the port and all that came through it. */
  close(): void {
    if (this.#end === undefined) this.#server.forceShutdown();
    else this.#end.end();
  }
}
