/**
 * Ends gRPC connections without a GOAWAY, which gRPC would send from either side: in Deno 2.9.6 one may end
 * the whole process of whoever sends or receives it, once there have been calls over the connection
 * (denoland/deno#36788). Without one it looks like a process that ended, which peers can deal with.
 */
import type * as Grpc from "@grpc/grpc-js";
import type { Server as NetServer, Socket } from "node:net";

/** Connections that are open, by the sockets that gRPC writes to. */
export class OpenSockets {
  readonly #sockets = new Set<Socket>();

  /** One more; it is forgotten when it closes. */
  add(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
  }

  /** Drops all of them. gRPC is told to end only after this. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }
}

/** The end of a server. */
export class QuietEnd {
  readonly #server: Grpc.Server;
  readonly #sockets = new OpenSockets();

  /** `server` is bound, and nobody has connected yet. */
  constructor(server: Grpc.Server) {
    this.#server = server;
    // gRPC tells nobody of its connections.
    const { http2Servers } = server as unknown as {
      readonly http2Servers: ReadonlyMap<NetServer, unknown>;
    };
    for (const listener of http2Servers.keys()) {
      listener.on("connection", (socket: Socket) => this.#sockets.add(socket));
      // With TLS, it is the upper socket that gRPC writes to.
      listener.on("secureConnection", (socket: Socket) => this.#sockets.add(socket));
    }
  }

  /** Drops all connections, then the server. */
  end(): void {
    this.#sockets.destroy();
    this.#server.forceShutdown();
  }
}
