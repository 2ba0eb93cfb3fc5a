/**
 * Ends a gRPC server without a GOAWAY, which gRPC would send: in Deno 2.9.6 one may end the whole process,
 * on either side of a connection over which there have been calls (denoland/deno#36788). Without one it
 * looks like a process that ended, which peers can deal with.
 */
import type * as Grpc from "@grpc/grpc-js";
import type { Server as NetServer, Socket } from "node:net";

/** A server's connections; gRPC tells nobody of them. */
export class QuietEnd {
  readonly #server: Grpc.Server;
  readonly #sockets = new Set<Socket>();

  /** `server` is bound, and nobody has connected yet. */
  constructor(server: Grpc.Server) {
    this.#server = server;
    const { http2Servers } = server as unknown as {
      readonly http2Servers: ReadonlyMap<NetServer, unknown>;
    };
    for (const listener of http2Servers.keys()) {
      listener.on("connection", (socket: Socket) => {
        this.#sockets.add(socket);
        socket.once("close", () => this.#sockets.delete(socket));
      });
    }
  }

  /** Drops all connections, then the server. */
  end(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    this.#server.forceShutdown();
  }
}
