/**
 * HTTP to a node for the shell: credentials, time limit, redirects, and other nodes when the first
 * cannot be reached. One request at a time.
 * Invariant: a request is sent to another node only when the connection failed, so that a write is
 * never made twice; what may have happened is said when an answer is missing.
 */
import type { ShellOptions } from "./shell_options.ts";

/** A request relative to the prefix. */
export interface ShellRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** Without a leading slash: `db/request?level=weak`. */
  readonly path: string;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly contentType?: string;
  /** This node and no other, such as `http://127.0.0.1:4001`. */
  readonly origin?: string;
  /** No time limit: boot and restore take as long as they take. */
  readonly unlimited?: boolean;
}

/** An answer, read completely. */
export interface ShellAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly text: string;
}

/** A request that got no usable answer; the message is for the user. */
export class ShellRequestError extends Error {
  override readonly name = "ShellRequestError";
}

/** Redirects that one request may follow. */
const REDIRECTS_MAX = 21;

/** The node that the shell talks to. */
export class ShellClient {
  readonly #options: ShellOptions;
  readonly #http: Deno.HttpClient;
  #originAt = 0;
  #running: AbortController | undefined;

  /** @param http with certificates, if any, and without connections that are kept. Owned by the caller. */
  constructor(options: ShellOptions, http: Deno.HttpClient) {
    this.#options = options;
    this.#http = http;
  }

  /** `host:port` of the node that answered last, or will be asked first. */
  get address(): string {
    return new URL(this.#origin()).host;
  }

  /** @throws {ShellRequestError} when no node can be reached, or the answer does not come. */
  async send(request: ShellRequest): Promise<ShellAnswer> {
    const attempts = request.origin === undefined ? this.#options.origins.length : 1;
    let failure = "";
    for (let attempt = 0; attempt < attempts; attempt++) {
      try {
        return await this.#sendTo(request.origin ?? this.#origin(), request);
      } catch (error) {
        if (!isConnectFailure(error)) throw this.#translate(error, request);
        failure = messageOf(error);
        if (request.origin === undefined) this.#originAt = (this.#originAt + 1) % attempts;
      }
    }
    const tried = request.origin ?? this.#options.origins.join(", ");
    throw new ShellRequestError(`Cannot reach ${tried}: ${failure}`);
  }

  /** Ends the request that runs. @returns whether one did. */
  cancel(): boolean {
    this.#running?.abort(new ShellRequestError("Canceled"));
    return this.#running !== undefined;
  }

  #origin(): string {
    return this.#options.origins[this.#originAt] ?? "";
  }

  async #sendTo(origin: string, request: ShellRequest): Promise<ShellAnswer> {
    const controller = new AbortController();
    const { timeoutMs } = this.#options;
    const limit = request.unlimited || timeoutMs === 0 ? [] : [AbortSignal.timeout(timeoutMs)];
    this.#running = controller;
    try {
      const signal = AbortSignal.any([controller.signal, ...limit]);
      const response = await this.#follow(
        origin + this.#options.prefix + request.path,
        request,
        signal,
      );
      const bytes = new Uint8Array(await response.arrayBuffer());
      const text = new TextDecoder().decode(bytes);
      return { status: response.status, headers: response.headers, bytes, text };
    } finally {
      this.#running = undefined;
    }
  }

  async #follow(url: string, request: ShellRequest, signal: AbortSignal): Promise<Response> {
    let target = url;
    for (let count = 0; count <= REDIRECTS_MAX; count++) {
      const response = await fetch(target, {
        method: request.method,
        headers: this.#headers(request),
        body: request.body ?? null,
        redirect: "manual",
        signal,
        client: this.#http,
      });
      const location = response.headers.get("location");
      if (response.status !== 301 || location === null) return response;
      await response.body?.cancel();
      target = new URL(location, target).href;
    }
    throw new ShellRequestError(`More than ${REDIRECTS_MAX} redirects`);
  }

  #headers(request: ShellRequest): Record<string, string> {
    const { credentials } = this.#options;
    const isJson = typeof request.body === "string";
    const type = request.contentType ?? (isJson ? "application/json" : undefined);
    return {
      ...(type === undefined ? {} : { "content-type": type }),
      ...(credentials === undefined ? {} : { authorization: `Basic ${base64(credentials)}` }),
    };
  }

  #translate(error: unknown, request: ShellRequest): unknown {
    if (!(error instanceof Error)) return error;
    const mayHaveHappened = request.method === "GET" ? "" : "; a write may still happen";
    if (error.name === "TimeoutError") {
      const seconds = this.#options.timeoutMs / 1000;
      return new ShellRequestError(`No answer within ${seconds} s${mayHaveHappened}`);
    }
    if (error.message === "Canceled") return new ShellRequestError(`Canceled${mayHaveHappened}`);
    if (error instanceof ShellRequestError || !(error instanceof TypeError)) return error;
    return new ShellRequestError(`No answer: ${messageOf(error)}${mayHaveHappened}`);
  }
}

/** The runtime tells failed connections from later failures by its text only. */
function isConnectFailure(error: unknown): boolean {
  return error instanceof TypeError && error.cause instanceof Error &&
    error.cause.message.includes("client error (Connect)");
}

/** The innermost cause says what happened. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error ?? "");
  return error.cause instanceof Error
    ? messageOf(error.cause)
    : error.message.split(": ").at(-1) ?? "";
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
