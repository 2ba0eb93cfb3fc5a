/**
 * The HTTP API as a function from Request to Response. The order is part of the contract (section
 * 1.2): common headers, OPTIONS, the query string, the route, permission, the method, the endpoint.
 *
 * Failures that are expected become answers here or before; anything else goes to `crash`, because
 * the runtime would turn it into a 500 and go on as if nothing had happened.
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import type { Clock } from "../os/clock.ts";
import { AdminEndpoints } from "./admin_endpoints.ts";
import { Counters } from "./counters.ts";
import { DataEndpoints } from "./data_endpoints.ts";
import { ClusterEndpoints } from "./cluster_endpoints.ts";
import type { DatabasePort, FactTree } from "./database_port.ts";
import { DelayedCalls } from "./delayed_calls.ts";
import { adminErrorAnswer } from "./error_response.ts";
import { type Endpoint, Routes, splitUrl } from "./exchange.ts";
import { BODY_IDLE_MS_MAX, REQUESTS_IN_FLIGHT_MAX } from "./limits.ts";
import { QueryStrings } from "./query_string.ts";
import { BodyReader } from "./request_body.ts";
import { JSON_TYPE, Responses } from "./responses.ts";
import { WriteQueue, type WriteQueueSettings } from "./write_queue.ts";

/** What the API needs to know and to call. */
export interface HttpApiOptions {
  readonly database: DatabasePort;
  readonly clock: Clock;
  /** The build's version, for `X-RQLITE-VERSION`. */
  readonly version: string;
  /** Where this node says that its API is, `host:port`. */
  readonly advertisedAddress: string;
  /** Where it listens, `host:port`. */
  readonly bindAddress: string;
  /** The value of `Access-Control-Allow-Origin`; undefined for none. */
  readonly allowOrigin: string | undefined;
  readonly writeQueue: WriteQueueSettings;
  /** Largest body, 1 to BODY_BYTES_MAX bytes; past it, 413. */
  readonly bodyBytesMax: number;
  /** Requests that are read or answered at once, 1 to REQUESTS_IN_FLIGHT_MAX; past it, 503. */
  readonly requestsInFlightMax: number;
  /** The program's own arguments, for /debug/vars. */
  readonly commandLine: readonly string[];
  /** Takes a failure that is a bug or the end of the node; the process should exit. Must not throw. */
  readonly crash: (error: unknown) => void;
}

/** The API of one node. */
export class HttpApi {
  readonly #clock: Clock;
  readonly #responses: Responses;
  readonly #counters = new Counters();
  readonly #queryStrings = new QueryStrings();
  readonly #routes: Routes;
  readonly #crash: (error: unknown) => void;
  readonly #inFlightMax: number;
  #inFlight = 0;

  constructor(options: HttpApiOptions) {
    const { database, clock, crash, requestsInFlightMax } = options;
    assert(
      requestsInFlightMax >= 1 && requestsInFlightMax <= REQUESTS_IN_FLIGHT_MAX,
      "HttpApi: requestsInFlightMax is out of bounds",
    );
    const counters = this.#counters;
    const responses = new Responses(options);
    const queue = new WriteQueue({
      database,
      clock,
      counters,
      crash,
      settings: options.writeQueue,
    });
    const bodies = new BodyReader({
      stalls: new DelayedCalls({ clock, delayMs: BODY_IDLE_MS_MAX }),
      bodyBytesMax: options.bodyBytesMax,
    });
    const servedBy = options.advertisedAddress;
    this.#clock = clock;
    this.#responses = responses;
    this.#crash = crash;
    this.#inFlightMax = requestsInFlightMax;
    this.#routes = routeTable({
      responses,
      data: new DataEndpoints({ database, clock, responses, bodies, counters, queue, servedBy }),
      cluster: new ClusterEndpoints({ database, responses, bodies, servedBy }),
      admin: new AdminEndpoints({
        database,
        responses,
        counters,
        queue,
        httpFacts: httpFacts(options),
        commandLine: options.commandLine,
      }),
    });
  }

  /** Answers one request. Never rejects. */
  async handle(request: Request): Promise<Response> {
    if (this.#inFlight >= this.#inFlightMax) {
      this.#counters.add("overloaded");
      const message = `Cannot take request: ${this.#inFlight} are in work`;
      return this.#responses.error({ status: 503, message });
    }
    this.#inFlight++;
    try {
      return await this.#dispatch(request);
    } catch (error) {
      return this.#fail(error);
    } finally {
      this.#inFlight--;
    }
  }

  #dispatch(request: Request): Response | Promise<Response> {
    const startedMs = this.#clock.monotonicMs();
    const { method } = request;
    if (method === "OPTIONS") return this.#responses.empty({ status: 200 });
    // The runtime glues host and path together: a slash in the host would move the path's start.
    if (request.headers.get("host")?.includes("/")) {
      throw new OperatingError("bad_request", "Cannot take request: its host holds a slash");
    }
    const { path, query } = splitUrl(request.url);
    const options = this.#queryStrings.parse(query ?? "");
    const endpoint = this.#routes.find(path);
    if (endpoint === undefined) return this.#responses.empty({ status: 404 });
    // Permission is checked here, before the method: 401, empty, with the endpoint's content type.
    if (endpoint.methods !== "any" && !endpoint.methods.includes(method)) {
      return this.#responses.empty({ status: 405, contentType: endpoint.contentType });
    }
    return endpoint.handle({ request, path, query, options, startedMs });
  }

  #fail(error: unknown): Response {
    if (error instanceof OperatingError) return this.#responses.error(adminErrorAnswer(error));
    this.#crash(error);
    return this.#responses.error({ status: 500, message: "Cannot answer: the node is stopping" });
  }
}

function httpFacts(options: HttpApiOptions): { readonly [key: string]: FactTree } {
  return {
    ...(options.allowOrigin === undefined ? {} : { allow_origin: options.allowOrigin }),
    auth: "disabled",
    bind_addr: options.bindAddress,
    tls: { enabled: "false" },
  };
}

/** The wire contract, sections 1.4 and 3. */
function routeTable(rooms: {
  readonly responses: Responses;
  readonly data: DataEndpoints;
  readonly admin: AdminEndpoints;
  readonly cluster: ClusterEndpoints;
}): Routes {
  const { responses, data, admin, cluster } = rooms;
  const get = ["GET"];
  const post = ["POST"];
  const getAndPost = ["GET", "POST"];
  const contentType = JSON_TYPE;
  /** Paths of the contract that this build does not serve. */
  const missing = (methods: Endpoint["methods"], what: string): Endpoint => ({
    methods,
    handle: () => responses.error({ status: 501, message: `${what} is not available yet` }),
  });
  const toConsole: Endpoint = {
    methods: "any",
    handle: ({ request }) =>
      responses.redirect({
        status: 302,
        location: "/console/",
        ...(request.method === "GET" ? { html: '<a href="/console/">Found</a>.\n\n' } : {}),
      }),
  };
  return new Routes()
    .prefix("/db/execute", { methods: post, contentType, handle: (each) => data.execute(each) })
    .prefix("/db/query", { methods: getAndPost, contentType, handle: (each) => data.query(each) })
    .prefix("/db/request", { methods: post, contentType, handle: (each) => data.request(each) })
    .prefix("/db/backup", missing(get, "Backup"))
    .prefix("/db/load", missing(post, "Loading a database"))
    .prefix("/db/sql", {
      ...missing(getAndPost, "Showing rewritten SQL, which Dust has no need of,"),
      contentType,
    })
    .exact("", toConsole)
    .exact("/", toConsole)
    .exact("/console", {
      methods: "any",
      handle: () => responses.redirect({ status: 301, location: "/console/" }),
    })
    .prefix("/console", missing(["GET", "HEAD"], "The web console"))
    .exact("/boot", missing(post, "Booting from a database"))
    .exact("/snapshot", { methods: post, handle: (each) => admin.snapshot(each) })
    .exact("/reap", missing(post, "Reaping snapshots, of which Dust keeps one,"))
    .exact("/leader", {
      methods: getAndPost,
      contentType,
      handle: (each) => each.request.method === "GET" ? admin.leader(each) : cluster.stepDown(each),
    })
    .exact("/licenses", { methods: get, handle: () => admin.licenses() })
    .exact("/metrics", { methods: get, handle: () => admin.metrics() })
    .exact("/debug/vars", { methods: "any", handle: (each) => admin.variables(each) })
    .prefix("/remove", { methods: ["DELETE"], handle: (each) => cluster.remove(each) })
    .exact("/time", { methods: post, handle: (each) => cluster.setTime(each) })
    .prefix("/status", { methods: get, contentType, handle: (each) => admin.status(each) })
    .prefix("/nodes", { methods: get, contentType, handle: (each) => admin.nodes(each) })
    .prefix("/readyz", { methods: get, handle: (each) => admin.readyz(each) })
    .prefix("/debug/pprof", missing("any", "The profiler"));
}
