/**
 * The database as the HTTP room wants it: requests go to the node's `Database`, questions about the
 * node to its `NodeReport`, and facts of the process are added here.
 */
import { FEATURE_LEVEL } from "../command/feature_level.ts";
import { DUST_VERSION } from "../config/version.ts";
import type { Answer, ExecuteRequest, QueryRequest, ReadLevel } from "../command/request.ts";
import type { DatabasePort, FactTree, NodeFacts, Readiness } from "../http/database_port.ts";
import { OperatingError } from "../base/errors.ts";
import { NOBODY } from "../raft/types.ts";
import { Database, type OpenedNode } from "../node/database.ts";
import { type NodeIdentity, NodeReport } from "../node/node_report.ts";
import { nodeMetricsText } from "../node/node_metrics.ts";
import type { Clock } from "../os/clock.ts";

/** What a part of the node says of itself. */
export interface PartReport {
  facts(): FactTree;
  metricsText(): string;
}

/** One per process; serves from the first moment, the node is attached when it is open. */
export class DatabaseService implements DatabasePort {
  readonly database = new Database();
  readonly #identity: NodeIdentity;
  readonly #report: NodeReport;
  readonly #clock: Clock;
  readonly #startedMs: number;
  #peers: (() => FactTree) | undefined;
  #replicas: PartReport | undefined;
  #scrubbers: { readonly log: PartReport; readonly state: PartReport } | undefined;

  constructor(options: { readonly identity: NodeIdentity; readonly clock: Clock }) {
    this.#identity = options.identity;
    this.#clock = options.clock;
    this.#startedMs = options.clock.wallMs();
    this.#report = new NodeReport({
      identity: options.identity,
      opened: () => this.database.opened,
      hasQueried: () => this.database.hasQueried,
      clock: options.clock,
    });
  }

  /** What `/status` shows of the connections to other nodes. */
  setPeers(peers: () => FactTree): void {
    this.#peers = peers;
  }

  /** What `/status` and `/metrics` show of the comparison with other nodes' states. */
  setReplicas(replicas: PartReport): void {
    this.#replicas = replicas;
  }

  /** What they show of the log and of the state's file, which are read again. */
  setScrubbers(scrubbers: { readonly log: PartReport; readonly state: PartReport }): void {
    this.#scrubbers = scrubbers;
  }

  /** From now on requests are served. To be called before the node starts, while its writer is idle. */
  async attach(opened: OpenedNode): Promise<void> {
    await this.#report.stats(opened);
    this.database.attach(opened);
  }

  execute(request: ExecuteRequest): Promise<Answer> {
    return this.database.execute(request);
  }

  query(request: QueryRequest): Promise<Answer> {
    return this.database.query(request);
  }

  request(request: QueryRequest): Promise<Answer> {
    return this.database.request(request);
  }

  cancel(id: number): void {
    this.database.cancel(id);
  }

  hasLeader(): Promise<boolean> {
    const leaderId = this.database.opened?.node.leaderId ?? NOBODY;
    return Promise.resolve(leaderId !== NOBODY);
  }

  async status(): Promise<{ readonly [section: string]: FactTree }> {
    const store = await this.#report.store() as { readonly [key: string]: FactTree };
    const { raftAddress, apiUrl } = this.#identity;
    const { opened } = this.database;
    const api = apiUrl.replace(/^https?:\/\//, "");
    return {
      build: {
        build_time: "",
        commit: "",
        compiler_command: "deno",
        compiler_toolchain: Deno.version.deno,
        feature_level: FEATURE_LEVEL,
        version: DUST_VERSION,
      },
      cluster: {
        addr: raftAddress,
        api_addr: api,
        ...(opened === undefined ? {} : { feature_level: opened.node.featureLevel }),
        https: String(apiUrl.startsWith("https:")),
        ...(this.#peers === undefined ? {} : { peers: this.#peers() }),
        ...(this.#replicas === undefined ? {} : { replicas: this.#replicas.facts() }),
      },
      extensions: { dir: "", names: [] },
      mux: { addr: raftAddress, handlers: "0", timeout: "30s", tls: "disabled" },
      network: { interfaces: networkInterfaces() },
      node: this.#nodeFacts(),
      os: osFacts(),
      runtime: runtimeFacts(),
      store: { ...store, ...this.#scrubFacts() },
    };
  }

  nodes(
    options: { readonly timeoutMs: number; readonly nonVoters: boolean },
  ): Promise<readonly NodeFacts[]> {
    return this.#report.nodes(options);
  }

  leader(options: { readonly timeoutMs: number }): Promise<NodeFacts | undefined> {
    return this.#report.leader(options);
  }

  elsewhere(level: ReadLevel | undefined): string | undefined {
    const { node, cluster } = this.database.require();
    const ownLevel = level === "auto" ? node.automaticLevel : level;
    if (node.isLeader || ownLevel === "none") return undefined;
    if (cluster?.leader === undefined) throw new OperatingError("not_leader", "leader not found");
    return cluster.leader.apiUrl;
  }

  async remove(name: string, options: { readonly timeoutMs: number }): Promise<void> {
    const { cluster } = this.database.require();
    await cluster?.remove(name, options);
  }

  async stepDown(
    to: string | undefined,
    options: { readonly timeoutMs: number },
  ): Promise<void> {
    const { cluster } = this.database.require();
    await cluster?.transfer(to, options);
  }

  async setTime(options: { readonly timeoutMs: number }): Promise<void> {
    const { cluster, node } = this.database.require();
    await (cluster === undefined ? node.setTime() : cluster.setTime(options));
  }

  readiness(options: { readonly sync: boolean; readonly timeoutMs: number }): Promise<Readiness> {
    return this.#report.readiness(options);
  }

  async snapshot(
    options: { readonly trailingLogs: number },
  ): Promise<"taken" | "nothing_new"> {
    const { node } = this.database.require();
    const trailing = options.trailingLogs > 0 ? options.trailingLogs : undefined;
    return await node.snapshot(trailing) ? "taken" : "nothing_new";
  }

  async metricsText(): Promise<string> {
    return await nodeMetricsText(this.database.opened, this.#report) +
      (this.#replicas?.metricsText() ?? "") +
      (this.#scrubbers?.log.metricsText() ?? "") +
      (this.#scrubbers?.state.metricsText() ?? "") +
      processMetricsText(this.#startedMs);
  }

  #scrubFacts(): { readonly [key: string]: FactTree } {
    const scrubbers = this.#scrubbers;
    if (scrubbers === undefined) return {};
    return { scrub: scrubbers.log.facts(), state_scan: scrubbers.state.facts() };
  }

  #nodeFacts(): { readonly [key: string]: FactTree } {
    const nowMs = this.#clock.wallMs();
    return {
      current_time: new Date(nowMs).toISOString(),
      start_time: new Date(this.#startedMs).toISOString(),
      uptime: `${(nowMs - this.#startedMs) / 1000}s`,
    };
  }
}

function osFacts(): { readonly [key: string]: FactTree } {
  return {
    executable: Deno.execPath(),
    hostname: Deno.hostname(),
    page_size: 4096,
    pid: Deno.pid,
    ppid: Deno.ppid,
  };
}

function runtimeFacts(): { readonly [key: string]: FactTree } {
  return {
    GOARCH: Deno.build.arch,
    GOMAXPROCS: navigator.hardwareConcurrency,
    GOOS: Deno.build.os,
    kubernetes_hint: false,
    num_cpu: navigator.hardwareConcurrency,
    num_goroutine: 0,
    version: `deno${Deno.version.deno}`,
  };
}

function networkInterfaces(): { readonly [name: string]: FactTree } {
  const interfaces: Record<string, { hardware_address: string; addresses: { address: string }[] }> =
    {};
  for (const { name, mac, cidr } of Deno.networkInterfaces()) {
    interfaces[name] ??= { hardware_address: mac, addresses: [] };
    interfaces[name].addresses.push({ address: cidr });
  }
  return interfaces;
}

function processMetricsText(startedMs: number): string {
  const { rss, heapUsed } = Deno.memoryUsage();
  return [
    "# TYPE process_resident_memory_bytes gauge",
    `process_resident_memory_bytes ${rss}`,
    "# TYPE dust_heap_used_bytes gauge",
    `dust_heap_used_bytes ${heapUsed}`,
    "# TYPE process_start_time_seconds gauge",
    `process_start_time_seconds ${startedMs / 1000}`,
    "",
  ].join("\n");
}
