/**
 * The listening socket in front of an `HttpApi`; the only file of this room that knows the runtime.
 * Starts before the node is open, so that scripts which poll /status find it (the wire contract,
 * section 1.1). What the runtime's parser refuses (faults X10) never gets here.
 */
import { runInBackground } from "../base/background.ts";
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

/** How long to wait until a port is opened again that could not be. */
const LISTEN_RETRY_MS = 100;

/** What the system says when a process, or the machine, has no file descriptors left (EMFILE, ENFILE). */
const OUT_OF_FILES = /\(os error 2[34]\)/;

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
  return new RestartingServer(options);
}

/**
 * The runtime stops accepting for good when the process runs out of file descriptors (faults P11). Then
 * all connections are let go, which frees theirs, and a new listener takes the place of the old.
 */
class RestartingServer implements HttpServer {
  readonly hostname: string;
  readonly port: number;
  readonly #options: Parameters<typeof startHttpServer>[0];
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;
  #connections = new AbortController();
  #isStopping = false;

  constructor(options: Parameters<typeof startHttpServer>[0]) {
    this.#options = options;
    const { addr } = this.#listen(options.port);
    this.hostname = addr.hostname;
    this.port = addr.port;
  }

  async shutdown(): Promise<void> {
    this.#isStopping = true;
    await this.#server?.shutdown();
  }

  #listen(port: number): Deno.HttpServer<Deno.NetAddr> {
    const { api, hostname, crash } = this.#options;
    this.#connections = new AbortController();
    const server = Deno.serve({
      hostname,
      port,
      signal: this.#connections.signal,
      onListen: () => {},
      // The API answers its own failures. What arrives here is a streamed answer that broke off, of
      // which the client learns by the missing end, or a bug in the API or the runtime.
      onError: (error) => {
        if (!(error instanceof OperatingError)) crash(error);
        return new Response(null, { status: 500 });
      },
    }, (request) => api.handle(request));
    this.#server = server;
    runInBackground(server.finished, (error) => this.#onEnd(error));
    return server;
  }

  #onEnd(error: unknown): void {
    if (!isOutOfFiles(error)) return this.#options.crash(error);
    this.#server = undefined;
    this.#connections.abort();
    this.#listenAgain();
  }

  #listenAgain(): void {
    if (this.#isStopping) return;
    try {
      this.#listen(this.port);
    } catch (error) {
      // The old listener, or the files of the connections, are not closed yet.
      if (!(error instanceof Deno.errors.AddrInUse) && !isOutOfFiles(error)) {
        return this.#options.crash(error);
      }
      setTimeout(() => this.#listenAgain(), LISTEN_RETRY_MS);
    }
  }
}

function isOutOfFiles(error: unknown): boolean {
  return error instanceof Error && OUT_OF_FILES.test(error.message);
}
