/**
 * One request on its way through this room, and the table that finds its endpoint: paths are matched
 * as they were sent, literally or by prefix, with no cleaning (the wire contract, section 1.4).
 */
import type { RequestOptions } from "./query_string.ts";

/** A request whose query string was good, at its endpoint. */
export interface Exchange {
  readonly request: Request;
  /** As it was sent, without the query string. */
  readonly path: string;
  /** What followed the question mark; undefined without one. */
  readonly query: string | undefined;
  readonly options: RequestOptions;
  /** When its headers had arrived, on the monotonic clock. Milliseconds. */
  readonly startedMs: number;
}

/** What answers the requests to one path. */
export interface Endpoint {
  /** Methods it takes, or `any`; all others are answered with 405. */
  readonly methods: readonly string[] | "any";
  /** The content type that even an empty 401 or 405 carries; undefined for none. */
  readonly contentType?: string;
  /** @throws {OperatingError} answered as adminErrorAnswer says. */
  readonly handle: (exchange: Exchange) => Response | Promise<Response>;
}

/** The table of routes. */
export class Routes {
  readonly #exact = new Map<string, Endpoint>();
  readonly #prefixes: { readonly prefix: string; readonly endpoint: Endpoint }[] = [];

  /** Adds a path that must match whole. */
  exact(path: string, endpoint: Endpoint): this {
    this.#exact.set(path, endpoint);
    return this;
  }

  /** Adds a path whose every continuation matches too; what was added earlier wins. */
  prefix(prefix: string, endpoint: Endpoint): this {
    if (!this.#exact.has(prefix)) this.#exact.set(prefix, endpoint);
    this.#prefixes.push({ prefix, endpoint });
    return this;
  }

  /** The endpoint for a path, or undefined. */
  find(path: string): Endpoint | undefined {
    return this.#exact.get(path) ??
      this.#prefixes.find((each) => path.startsWith(each.prefix))?.endpoint;
  }
}

/** Path and query string of a request's URL, by hand: `new URL()` costs a sixth of a short request. */
export function splitUrl(
  url: string,
): { readonly path: string; readonly query: string | undefined } {
  const authority = url.indexOf("://") + 3;
  const slash = url.indexOf("/", authority);
  const mark = url.indexOf("?", authority);
  if (mark === -1) return { path: slash === -1 ? "" : url.slice(slash), query: undefined };
  return {
    path: slash === -1 || slash > mark ? "" : url.slice(slash, mark),
    query: url.slice(mark + 1),
  };
}
