/**
 * What makes a node compare its state with those of others and renew a wrong one (rules V1, V2): composition,
 * and what the operator reads of it in the log and in /status.
 */
import { FatalError, OperatingError } from "../base/errors.ts";
import { logIndex, type NodeId } from "../base/ids.ts";
import type { MemberRow } from "../command/member_table.ts";
import type { FactTree } from "../http/database_port.ts";
import type { HealthFile } from "../node/health_file.ts";
import { COMPARE_INTERVAL_MS, COMPARE_WAIT_MS, REPLICA_CALL_MS_MAX } from "../node/limits.ts";
import type { Node } from "../node/node.ts";
import { replicaMetricsText } from "../node/node_metrics.ts";
import type { Peers } from "../node/peers.ts";
import type { LogPort, StateDigest, StateMachinePort } from "../node/ports.ts";
import { Quarantine, type QuarantineChange } from "../node/quarantine.ts";
import type { ReplicaHealth } from "../node/replica_health.ts";
import { type ReplicaAlarm, ReplicaWatch } from "../node/replica_watch.ts";
import type { Clock } from "../os/clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { ReportDigestRequest } from "../transport/peer_calls.ts";
import type { PeerPort } from "./peer_port.ts";

const TIMES = { intervalMs: COMPARE_INTERVAL_MS, waitMs: COMPARE_WAIT_MS };
const REPORT_TIMEOUT = { timeoutMs: REPLICA_CALL_MS_MAX };

const UNDECIDED_STOP =
  "Cannot go on: replicas differ, nobody knows which of them is right, and --on-divergence=stop was given; " +
  "start the nodes with --on-divergence=serve to read what each of them holds";

const QUARANTINED =
  "This node's state differs from the others': it serves no reads until it is renewed";

const GIVEN_UP =
  "This node serves reads again though its state differed: no majority is left that could be right";

/** What it is made of. */
export interface ReplicasOptions {
  readonly node: Node;
  readonly peers: Peers;
  readonly port: PeerPort;
  readonly log: LogPort;
  readonly stateMachine: StateMachinePort;
  readonly health: ReplicaHealth;
  readonly store: HealthFile;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What a node does that differs from others when nobody knows who is right. */
  readonly onDivergence: "serve" | "stop";
  readonly onFatal: (error: unknown) => void;
}

/** See the file's header. One per node; made before it starts. */
export class Replicas {
  readonly watch: ReplicaWatch;
  readonly quarantine: Quarantine;
  readonly #options: ReplicasOptions;

  constructor(options: ReplicasOptions) {
    this.#options = options;
    const { node, stateMachine, health, clock, onFatal } = options;
    this.quarantine = new Quarantine({
      ...options,
      askForState: (leader, indexMin) => this.#call(leader, { kind: "send_state", indexMin }),
      onChanged: (change) => this.#tellChange(change),
    });
    this.watch = new ReplicaWatch({
      node,
      stateMachine,
      health,
      clock,
      times: TIMES,
      isAlive: (member) => options.port.isConnected(member),
      report: (leader, digest) => this.#call(leader, { kind: "report_digest", ...digest }),
      onAlarm: (alarm) => this.#tellAlarm(alarm),
      onDiverged: (found) => this.quarantine.begin(found),
      onUndecided: () => {
        if (options.onDivergence === "stop") onFatal(new FatalError(65, UNDECIDED_STOP));
      },
      onFatal,
    });
    node.observe(this.watch);
    node.observe(this.quarantine);
    if (health.isQuarantined) {
      this.#tellChange({ kind: "entered", index: logIndex(this.#markIndex) });
    }
  }

  /** A member's report. @throws {OperatingError} `not_leader`. */
  hear(from: NodeId, { index, resultChain, content }: ReportDigestRequest): void {
    if (!this.#options.node.isLeader) throw new OperatingError("not_leader", "leader not found");
    this.watch.hear(from, { index: logIndex(index), resultChain, content } satisfies StateDigest);
  }

  /** A member wants this leader's state. @throws {OperatingError} `not_leader`, `not_ready`, `conflict`. */
  async sendState(to: NodeId, indexMin: number): Promise<void> {
    const { node, peers } = this.#options;
    if (!node.isLeader) throw new OperatingError("not_leader", "leader not found");
    // Nobody writes: without another entry the copy would be no further than the member is.
    if (node.appliedIndex < indexMin) await node.barrier();
    const { term } = node.loop.raft;
    const isSent = peers.maybeSendState({ from: node.id, to, term, indexMin: logIndex(indexMin) });
    if (!isSent) throw new OperatingError("not_ready", "The copy of the state is being made");
  }

  /** For /status. */
  facts(): FactTree {
    const { health } = this.#options;
    const { last, alarmCount } = this.watch;
    const isQuarantined = health.isQuarantined;
    return {
      alarms: alarmCount,
      compared_at: last === undefined ? "" : new Date(last.wallMs).toISOString(),
      compared_index: last?.index ?? 0,
      compared_members: last?.reportCount ?? 0,
      diverged: this.#namesOf([...health.diverged]),
      state: isQuarantined ? "quarantined" : health.isUndecided ? "undecided" : "ok",
      ...(isQuarantined
        ? { renewal: this.quarantine.step, renewal_error: this.quarantine.lastError ?? "" }
        : {}),
    };
  }

  /** For /metrics. */
  metricsText(): string {
    const { health } = this.#options;
    return replicaMetricsText({
      alarmCount: this.watch.alarmCount,
      comparedIndex: this.watch.last?.index ?? 0,
      divergedCount: health.diverged.size,
      isQuarantined: health.isQuarantined,
      isUndecided: health.isUndecided,
    });
  }

  get #markIndex(): number {
    return this.#options.health.mark.quarantine?.index ?? 0;
  }

  async #call(
    leader: NodeId,
    request: Parameters<PeerPort["call"]>[1],
  ): Promise<void> {
    const row = this.#row(leader);
    if (row === undefined) throw new OperatingError("not_leader", "leader not found");
    await this.#options.port.call(row.raftAddress, request, REPORT_TIMEOUT);
  }

  #row(id: NodeId): MemberRow | undefined {
    return this.#options.node.loop.members.members.find(({ nodeId }) => nodeId === id);
  }

  #namesOf(ids: readonly NodeId[]): readonly string[] {
    return ids.map((id) => this.#row(id)?.name ?? String(id)).sort();
  }

  #tellChange(change: QuarantineChange): void {
    const { logger } = this.#options;
    const facts = { index: String(change.index) };
    if (change.kind === "left") logger.warn("The state of this node was renewed", facts);
    else if (change.kind === "given_up") logger.error(GIVEN_UP, facts);
    else logger.error(QUARANTINED, facts);
  }

  #tellAlarm(alarm: ReplicaAlarm): void {
    const { logger } = this.#options;
    const index = String(alarm.index);
    switch (alarm.kind) {
      case "differs":
        return logger.error("Replicas differ", { index, digests: textOf(alarm.digests) });
      case "results":
        return logger.error("Replicas came to one content by different results", {
          index,
          chains: textOf(alarm.chains),
        });
      case "diverged":
        return logger.error("Replicas differ from the majority", {
          index,
          members: this.#namesOf(alarm.members).join(" "),
        });
      case "undecided":
        return logger.error("Replicas differ, and nobody knows which of them is right", { index });
    }
  }
}

function textOf(digests: Extract<ReplicaAlarm, { kind: "differs" }>["digests"]): string {
  return digests.map(({ nodeId, digest }) => `${nodeId}:${digest}`).join(" ");
}
