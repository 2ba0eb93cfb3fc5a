/**
 * The listening socket in front of an `HttpApi`; the only file of this room that knows the runtime.
 * Starts before the node is open, so that scripts which poll /status find it (the wire contract,
 * section 1.1). What the runtime's parser refuses (faults X10) never gets here.
 */
import { OperatingError } from "../base/errors.ts";
import type { HttpApi } from "./http_api.ts";

/** A running server. */
export interface HttpServer {
  /** Where it listens; the port is the real one also when 0 was asked for. */
  readonly hostname: string;
  readonly port: number;
  /** Refuses new connections, and resolves when the requests in flight are answered. */
  shutdown(): Promise<void>;
}

/**
 * Listens and serves.
 * @throws {Deno.errors.AddrInUse} and other errors of the system, when it cannot listen.
 */
export function startHttpServer(options: {
  readonly api: HttpApi;
  readonly hostname: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly crash: (error: unknown) => void;
}): HttpServer {
  const { api, hostname, port, crash } = options;
  const server = Deno.serve({
    hostname,
    port,
    onListen: () => {},
    // The API answers its own failures. What arrives here is a streamed answer that broke off, of which
    // the client learns by the missing end, or a bug in the API or the runtime.
    onError: (error) => {
      if (!(error instanceof OperatingError)) crash(error);
      return new Response(null, { status: 500 });
    },
  }, (request) => api.handle(request));
  return {
    hostname: server.addr.hostname,
    port: server.addr.port,
    shutdown: () => server.shutdown(),
  };
}
