/**
 * The endpoints around the database: /status, /nodes, /leader, /readyz, /snapshot, /debug/vars,
 * /metrics, /licenses (the wire contract, sections 3.8 to 3.13 and 13).
 */
import { formatDuration } from "../base/duration.ts";
import { unreachable } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import type { Counters } from "./counters.ts";
import type { DatabasePort, FactTree, NodeFacts, Readiness } from "./database_port.ts";
import { adminErrorAnswer } from "./error_response.ts";
import type { Exchange } from "./exchange.ts";
import { goJson, goSeconds, goString, isList } from "./go_json.ts";
import { LICENSES_TEXT } from "./licenses.ts";
import { prettyJson } from "./pretty_json.ts";
import type { Responses } from "./responses.ts";
import type { WriteQueue } from "./write_queue.ts";

/** The endpoints that run no SQL. */
export class AdminEndpoints {
  readonly #database: DatabasePort;
  readonly #responses: Responses;
  readonly #counters: Counters;
  readonly #queue: WriteQueue;
  readonly #httpFacts: { readonly [key: string]: FactTree };
  readonly #commandLine: readonly string[];

  constructor(options: {
    readonly database: DatabasePort;
    readonly responses: Responses;
    readonly counters: Counters;
    readonly queue: WriteQueue;
    /** What /status shows under `http`, without the queue. */
    readonly httpFacts: { readonly [key: string]: FactTree };
    /** What /debug/vars shows under `cmdline`. */
    readonly commandLine: readonly string[];
  }) {
    this.#database = options.database;
    this.#responses = options.responses;
    this.#counters = options.counters;
    this.#queue = options.queue;
    this.#httpFacts = options.httpFacts;
    this.#commandLine = options.commandLine;
  }

  /** GET /status. */
  async status(exchange: Exchange): Promise<Response> {
    this.#counters.add("num_status");
    const sections = await this.#database.status();
    const queue = { _default: this.#queue.facts() };
    const tree = { ...sections, http: { ...this.#httpFacts, queue } };
    const { key, pretty } = exchange.options;
    if (key !== undefined) return this.#responses.json(goJson(select(tree, key.split("."))));
    const text = goJson(tree);
    return this.#responses.json(pretty ? prettyJson(text) : text);
  }

  /** GET /nodes. */
  async nodes(exchange: Exchange): Promise<Response> {
    const { timeoutMs, nonVoters, pretty, version } = exchange.options;
    let nodes: readonly NodeFacts[];
    try {
      nodes = await this.#database.nodes({ timeoutMs, nonVoters });
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      const { status, message } = adminErrorAnswer(error);
      return this.#responses.error({ status, message: `store nodes: ${message}` });
    }
    const text = version === "2"
      ? `{"nodes":[${nodes.map(nodeJson).join()}]}`
      : `{${nodes.map((node) => `${goString(node.id)}:${nodeJson(node)}`).join()}}`;
    return this.#responses.json(pretty ? prettyJson(text) : text);
  }

  /** GET /leader. */
  async leader(exchange: Exchange): Promise<Response> {
    const { timeoutMs, pretty } = exchange.options;
    const leader = await this.#database.leader({ timeoutMs });
    if (leader === undefined) {
      this.#counters.add("leader_not_found");
      return this.#responses.error({ status: 503, message: "leader not found" });
    }
    const text = nodeJson(leader);
    return this.#responses.json(pretty ? prettyJson(text) : text);
  }

  /** GET /readyz. */
  async readyz(exchange: Exchange): Promise<Response> {
    this.#counters.add("num_readyz");
    const { noLeader, sync, timeoutMs } = exchange.options;
    if (noLeader) return this.#responses.text("[+]node ok");
    const readiness = await this.#database.readiness({ sync, timeoutMs });
    const status = readiness.state === "ready" ? 200 : 503;
    return this.#responses.text(readinessText(readiness, { sync }), { status });
  }

  /** POST /snapshot. */
  async snapshot(exchange: Exchange): Promise<Response> {
    this.#counters.add("user_snapshots");
    const { trailingLogs } = exchange.options;
    const outcome = await this.#database.snapshot({ trailingLogs });
    return this.#responses.empty({ status: outcome === "taken" ? 200 : 204 });
  }

  /** /debug/vars: one line for each name (section 13.4). */
  variables(exchange: Exchange): Response {
    const variables: [string, FactTree][] = [
      ["cmdline", this.#commandLine],
      ["http", this.#counters.facts()],
    ];
    const { key } = exchange.options;
    const lines = variables
      .filter(([name]) => key === undefined || name === key)
      .map(([name, value]) => `${goString(name)}: ${goJson(value)}`);
    return this.#responses.json(`{\n${lines.join(",\n")}\n}\n`);
  }

  /** GET /metrics. */
  async metrics(): Promise<Response> {
    const text = await this.#database.metricsText();
    return this.#responses.text(text + this.#counters.metricsText(), {
      contentType: "text/plain; version=0.0.4; charset=utf-8",
    });
  }

  /** GET /licenses. */
  licenses(): Response {
    return this.#responses.text(LICENSES_TEXT);
  }
}

/** Follows `keys` into the tree: nothing there is `{}`, a value that is no object ends the way. */
function select(tree: FactTree, keys: readonly string[]): FactTree {
  let value = tree;
  for (const key of keys) {
    if (value === null || typeof value !== "object" || isList(value)) return value;
    const next: FactTree | undefined = Object.hasOwn(value, key) ? value[key] : undefined;
    if (next === undefined) return {};
    value = next;
  }
  return value;
}

/** A node with its members in the wire's order (section 13.2). */
function nodeJson(node: NodeFacts): string {
  const { contact } = node;
  const members: (readonly [name: string, json: string])[] = [];
  if (node.id !== "") members.push(["id", goString(node.id)]);
  if (contact.reachable) members.push(["api_addr", goString(contact.apiUrl)]);
  members.push(
    ["addr", goString(node.address)],
    ["version", goString(contact.reachable ? contact.version : "")],
    ["voter", String(node.voter)],
    ["reachable", String(contact.reachable)],
    ["leader", String(contact.reachable && contact.leader)],
  );
  if (contact.reachable) {
    members.push(
      ["time", goSeconds(contact.durationMs)],
      ["time_s", goString(formatDuration(contact.durationMs))],
    );
  } else {
    members.push(["error", goString(contact.error)]);
  }
  return `{${members.map(([name, json]) => `"${name}":${json}`).join()}}`;
}

/** All markers are `[+]`, also those of failures (section 13.3). */
function readinessText(readiness: Readiness, options: { readonly sync: boolean }): string {
  const upToStore = "[+]node ok\n[+]leader ok\n[+]store ok\n";
  const synced = options.sync ? "[+]sync ok\n" : "";
  switch (readiness.state) {
    case "ready":
      return `${upToStore}${synced}[+]db ok`;
    case "no_leader":
      return "[+]node ok\n[+]leader does not exist";
    case "leader_not_contactable":
      return `[+]node ok\n[+]leader not contactable: ${readiness.error}`;
    case "store_not_ready":
      return "[+]node ok\n[+]leader ok\n[+]store not ready";
    case "sync_failed":
      return `${upToStore}[+]sync ${readiness.error}`;
    case "database_failed":
      return `${upToStore}${synced}[+]db not ok: (${readiness.error})`;
    default:
      return unreachable(readiness);
  }
}
