/**
 * An open node with all that makes it part of a cluster: its peers, its membership, its watch on the leader,
 * its way to the leader for requests. Composition only.
 */
import { OperatingError } from "../base/errors.ts";
import { nodeId } from "../base/ids.ts";
import { decodeGenesis } from "../command/genesis.ts";
import type { MemberRow } from "../command/member_table.ts";
import type { Answer } from "../command/request.ts";
import type { Config } from "../config/config.ts";
import { DUST_VERSION } from "../config/version.ts";
import { ClusterView } from "../node/cluster_view.ts";
import type { Database } from "../node/database.ts";
import { type ForwardedWork, Forwarding, type LeaderCalls } from "../node/forwarding.ts";
import { LeaderWatch } from "../node/leader_watch.ts";
import { LogScrubber } from "../node/log_scrubber.ts";
import { Membership } from "../node/membership.ts";
import { Node } from "../node/node.ts";
import { Peers } from "../node/peers.ts";
import { StateScrubber } from "../node/state_scrubber.ts";
import { TimeAlarm } from "../node/time_alarm.ts";
import { ReplicaHealth } from "../node/replica_health.ts";
import type { Clock } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import { productionConfig } from "../raft/config.ts";
import type { OpenedData } from "./data_directory.ts";
import { joinRequest } from "./joining.ts";
import type { PeerPort } from "./peer_port.ts";
import { Replicas } from "./replicas.ts";
import type { Logger } from "../telemetry/logger.ts";

const IDENTIFY = { kind: "identify" } as const;

/** How long a member's question to the leader about itself may take. */
const ANNOUNCE_TIMEOUT_MS = 5_000;

/** What a cluster node is made of. */
export interface ClusterNodeOptions {
  readonly config: Config;
  readonly data: OpenedData;
  readonly port: PeerPort;
  readonly database: Database;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly trailingEntries: number;
  /** This node was a member and is none any more. */
  readonly onRemoved: () => void;
  /** The time of the database is so many milliseconds ahead of the voters' clocks. */
  readonly onTimeAhead: (aheadMs: number) => void;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

/** See the file's header. */
export class ClusterNode {
  readonly node: Node;
  readonly peers: Peers;
  readonly membership: Membership;
  readonly leaderWatch: LeaderWatch;
  readonly forwarding: Forwarding;
  readonly view: ClusterView;
  readonly replicas: Replicas;
  readonly scrubber: LogScrubber;
  readonly stateScrubber: StateScrubber;
  readonly database: Database;
  readonly port: PeerPort;
  /** How the cluster began, for those who join. */
  readonly genesis: Uint8Array;
  /** Its first members. */
  readonly founders: readonly MemberRow[];

  constructor(options: ClusterNodeOptions) {
    const { config, data, port, clock, entropy, onFatal } = options;
    this.port = port;
    this.database = options.database;
    this.genesis = data.stateMachine.genesis;
    this.founders = decodeGenesis(this.genesis)?.members.members ?? [];
    const health = new ReplicaHealth(data.health.mark);
    this.peers = new Peers({
      health,
      carrier: port,
      stateMachine: data.stateMachine,
      log: data.log,
      clock,
      onSnapshotLost: (to) => {
        this.node.loop.reportSnapshot({ peer: to, outcome: "failed" });
      },
      onFatal,
    });
    this.node = makeNode(options, { peers: this.peers, health });
    this.membership = new Membership({
      node: this.node,
      self: wishOf(port, config),
      clock,
      isAlive: (member) => port.isConnected(member),
      levelOf: (member) => port.peers().find(({ nodeId: id }) => id === member)?.featureLevel,
      reapAfterMs: config.cluster.reapAfterMs,
      announce: async (leader) => {
        const timeoutMs = ANNOUNCE_TIMEOUT_MS;
        await port.call<"join">(leader.raftAddress, joinRequest(port, config), { timeoutMs });
      },
      onRemoved: options.onRemoved,
      onFatal,
    });
    this.leaderWatch = new LeaderWatch({ node: this.node, clock, entropy });
    this.forwarding = new Forwarding({
      node: this.node,
      clock,
      calls: leaderCalls(port),
      bootNonce: port.identity.bootNonce,
      onBug: onFatal,
    });
    this.view = new ClusterView({
      node: this.node,
      membership: this.membership,
      clock,
      version: DUST_VERSION,
      ask: async (row, { timeoutMs }) => {
        const said = await port.call<"identify">(row.raftAddress, IDENTIFY, { timeoutMs });
        const { apiUrl, version } = said.identity;
        return { apiUrl, version, leader: said.leader?.nodeId === row.nodeId };
      },
      order: async (leader, order, { timeoutMs }) => {
        const request = { ...order, credentials: undefined };
        await port.call(leader.raftAddress, request, { timeoutMs });
      },
    });
    this.replicas = makeReplicas(options, { node: this.node, peers: this.peers, health });
    this.scrubber = makeScrubber(options, this.node);
    this.stateScrubber = makeStateScrubber(options, this);
    const alarm = new TimeAlarm({ node: this.node, warn: options.onTimeAhead });
    const { membership, leaderWatch, peers, scrubber } = this;
    for (const observer of [membership, leaderWatch, peers, alarm, scrubber]) {
      this.node.observe(observer);
    }
    this.node.observe({ onMembersChanged: () => port.setMembers(this.node.loop.members) });
    port.setMembers(this.node.loop.members);
  }

  /** Whether others belong to the cluster, so that they must reach this node from the start. */
  get hasPeers(): boolean {
    return this.node.loop.members.members.some((row) => nodeId(row.nodeId) !== this.node.id);
  }
}

function makeNode(
  options: ClusterNodeOptions,
  parts: { readonly peers: Peers; readonly health: ReplicaHealth },
): Node {
  const { config, data, clock, entropy, onFatal } = options;
  return new Node({
    config: productionConfig(nodeId(data.log.identity.nodeId)),
    log: data.log,
    hardState: data.log.hardState,
    stateMachine: data.stateMachine,
    clock,
    entropy,
    ...parts,
    policy: {
      entriesMin: config.raft.snapshotEntries,
      entriesSuffice: config.raft.areSnapshotEntriesGiven,
      bytesMin: config.raft.snapshotWalBytes,
      intervalMs: config.raft.snapshotIntervalMs,
      trailingEntries: options.trailingEntries,
    },
    applyTimeoutMs: config.raft.applyTimeoutMs,
    onFatal,
  });
}

function makeScrubber(
  { data, clock, logger, onFatal }: ClusterNodeOptions,
  node: Node,
): LogScrubber {
  return new LogScrubber({
    log: data.log,
    appliedIndex: () => node.appliedIndex,
    heal: () => node.compaction.dropApplied(),
    clock,
    onFound: (damage) => logger.error("The log is damaged: what is applied of it goes", { damage }),
    onHealed: () => logger.warn("The damaged part of the log is gone"),
    onFatal,
  });
}

function makeStateScrubber(
  { data, clock, logger, onFatal }: ClusterNodeOptions,
  cluster: Pick<ClusterNode, "node" | "hasPeers">,
): StateScrubber {
  const { stateMachine } = data;
  const { node } = cluster;
  return new StateScrubber({
    scan: () => stateMachine.scan(),
    renewCopy: async () => {
      if (await node.snapshot(undefined)) return;
      // A copy holds more than the one before it; where nobody writes, this is what there is more.
      await node.barrier();
      await node.snapshot(undefined);
    },
    giveUpState: (damage) => stateMachine.giveUpState(damage),
    hasPeers: () => cluster.hasPeers,
    clock,
    onFound: (damage) => logger.error("The state's file is damaged", { damage }),
    onHealed: () => logger.warn("The state's file is sound again"),
    onFatal,
  });
}

function makeReplicas(
  options: ClusterNodeOptions,
  parts: { readonly node: Node; readonly peers: Peers; readonly health: ReplicaHealth },
): Replicas {
  const { config, data, port, clock, logger, onFatal } = options;
  return new Replicas({
    ...parts,
    port,
    log: data.log,
    stateMachine: data.stateMachine,
    store: data.health,
    clock,
    logger: logger.forComponent("replicas"),
    onDivergence: config.cluster.onDivergence,
    onFatal,
  });
}

function wishOf(port: PeerPort, config: Config): Omit<MemberRow, "nodeId"> {
  const { name, incarnation, raftAddress, apiUrl } = port.identity;
  return { name, incarnation, raftAddress, apiUrl, isReadOnly: config.cluster.isReadOnly };
}

/** What did not reach the leader may go to the next one: nothing happened. */
function leaderCalls(port: PeerPort): LeaderCalls {
  return {
    forward: async (
      leader: MemberRow,
      { work, body }: { readonly work: ForwardedWork; readonly body: Uint8Array },
      { timeoutMs, signal },
    ): Promise<Answer> => {
      const request = {
        kind: "forward",
        work,
        body,
        credentials: undefined,
        hops: 0,
      } as const;
      const options = { timeoutMs, ...(signal === undefined ? {} : { signal }) };
      try {
        const { answer } = await port.call<"forward">(leader.raftAddress, request, options);
        return answer;
      } catch (error) {
        if (!(error instanceof OperatingError) || error.code !== "not_ready") throw error;
        throw new OperatingError("not_leader", "leader not found", { cause: error });
      }
    },
  };
}
