/**
 * The start of a node: its data directory is opened, or born (alone, joining others, or forming a cluster with
 * them); then the node goes up on it, with its peers and its way to the clients' port.
 * Everything is built here, and nothing taken apart: that is serve.ts.
 */
import { runInBackground } from "../base/background.ts";
import { FatalError } from "../base/errors.ts";
import { type NodeId, nodeId } from "../base/ids.ts";
import { FEATURE_LEVEL } from "../command/feature_level.ts";
import type { Config } from "../config/config.ts";
import { DUST_VERSION } from "../config/version.ts";
import type { NodeIdentity } from "../node/node_report.ts";
import type { DenoClock } from "../os/deno_clock.ts";
import { DenoEntropy } from "../os/deno_entropy.ts";
import { DenoFileSystem } from "../os/deno_file_system.ts";
import { joinPath } from "../os/file_system.ts";
import { NOBODY } from "../raft/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { FactTree } from "../http/database_port.ts";
import type { LocalIdentity } from "../transport/peer_identity.ts";
import type { PeerStatus } from "../transport/peer_status.ts";
import { ClusterNode } from "./cluster_node.ts";
import { crash } from "./crash.ts";
import {
  type Birth,
  firstBirth,
  markRemoved,
  openDataDirectory,
  type OpenedData,
  setDataAside,
} from "./data_directory.ts";
import type { DatabaseService } from "./database_service.ts";
import { Forming } from "./forming.ts";
import { joinCluster } from "./joining.ts";
import { NodeServices } from "./node_services.ts";
import { PeerPort } from "./peer_port.ts";
import {
  finishRefounding,
  readPeersFile,
  RecoveryRound,
  refound,
  retirePeersFile,
} from "./recovery.ts";

/** Entries kept behind a snapshot, as a share of `--raft-snap` (rqlite's 1.25). */
const TRAILING_SHARE = 1.25;

const BOOT_NONCE_BYTES = 8;

const NOBODY_TO_EXPECT =
  "Cannot start: -bootstrap-expect needs the Raft addresses of all nodes in -join";
const NOBODY_TO_READ_FROM = "Cannot start: a node with -raft-non-voter has to -join others";

/** What a process has before it has a node. */
export interface Parts {
  readonly config: Config;
  readonly service: DatabaseService;
  readonly clock: DenoClock;
  readonly logger: Logger;
  /** Aborted when the process is told to stop. */
  readonly stop: AbortSignal;
  /** The one that was found, so that nobody searches again. */
  readonly sqliteLibrary: string;
  /** How it computes (rule Q16). */
  readonly fingerprint: string;
}

/** A node that runs. */
export interface Running {
  /** It turned out that this node was removed, before it was ready. */
  readonly isRemoved: boolean;
  readonly cluster: ClusterNode;
  readonly data: OpenedData;
}

/** One start; see the file's header. */
export class NodeStart {
  readonly #parts: Parts;
  readonly #entropy = new DenoEntropy();
  readonly #fileSystem = new DenoFileSystem();
  readonly #services: NodeServices;
  readonly #removal = Promise.withResolvers<void>();
  #port: PeerPort | undefined;
  #wasRemoved = false;
  /** Where the cluster is that others began anew, if this node has lost its own by that. */
  #winner: string | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { config, logger, clock } = parts;
    this.#services = new NodeServices({
      config,
      logger,
      fileSystem: this.#fileSystem,
      monotonicMs: () => clock.monotonicMs(),
      onRemoved: () => this.#removal.resolve(),
      crash,
    });
  }

  /** @returns the node, ready unless it was told to stop; undefined when that came before it was open. */
  async run(): Promise<Running | undefined> {
    const { stop } = this.#parts;
    await this.#maybeRecover();
    const data = await Promise.race([this.#open(), untilStopped(stop)]);
    return data === undefined ? undefined : await this.#goUp(data);
  }

  #open(): Promise<OpenedData> {
    const { config, clock, logger, sqliteLibrary } = this.#parts;
    return openDataDirectory({
      ...config.storage,
      sqliteLibrary,
      path: config.dataDirectory,
      fileSystem: this.#fileSystem,
      clock,
      entropy: this.#entropy,
      logger,
      birth: (incarnation) => this.#birth(incarnation),
      mayBeginAnew: config.cluster.join.length > 0,
      onFatal: crash,
    });
  }

  /** Rule M3: with an operator's list, this node begins a new cluster or is to join the one that does. */
  async #maybeRecover(): Promise<void> {
    const { config, clock, logger, stop, sqliteLibrary } = this.#parts;
    const fileSystem = this.#fileSystem;
    const path = config.dataDirectory;
    await finishRefounding({ path, fileSystem, clock });
    const peers = await readPeersFile(fileSystem, path);
    if (peers === undefined) return;
    if (!(await fileSystem.exists(joinPath(path, "log")))) {
      throw new FatalError(
        1,
        `Cannot recover ${path}: it holds no data; remove raft/peers.json, and -join`,
      );
    }
    const data = await this.#open();
    const { log } = data;
    const { nodeId: name, raftAddress, apiUrl } = nodeIdentity(config);
    const own = { name, term: log.term(log.lastIndex) ?? 0, index: log.lastIndex };
    const round = new RecoveryRound({ own, peers });
    this.#services.setRecovery(round);
    const { clusterId, incarnation, nodeId: id } = log.identity;
    const port = this.#makePort({ clusterId, nodeId: nodeId(id), incarnation });
    await port.open();
    const winner = await round.settle(port, { clock, stop });
    await port.close();
    this.#port = undefined;
    this.#services.setRecovery(undefined);
    if (winner.isSelf) {
      const tools = { fileSystem, clock, entropy: this.#entropy, logger, stop };
      await refound({ ...tools, path, name, raftAddress, apiUrl, sqliteLibrary }, data);
      return;
    }
    this.#winner = winner.address;
    await data.stateMachine.close();
    await data.log.close();
    data.lock.release();
    // In this order: a crash in between leaves a node that says it has to -join, never one that begins alone.
    await markRemoved(fileSystem, path);
    await retirePeersFile(fileSystem, path);
    await setDataAside({ fileSystem, path, clock, logger });
  }

  /** An empty directory: which cluster it is to be of. @throws {FatalError} */
  async #birth(incarnation: Uint8Array): Promise<Birth> {
    const { config, clock, logger, stop } = this.#parts;
    const { bootstrapExpect, isReadOnly } = config.cluster;
    const join = this.#winner === undefined ? config.cluster.join : [this.#winner];
    if (join.length === 0) {
      if (bootstrapExpect > 1) throw new FatalError(1, NOBODY_TO_EXPECT);
      if (isReadOnly) throw new FatalError(1, NOBODY_TO_READ_FROM);
      const { nodeId: name, raftAddress, apiUrl } = nodeIdentity(config);
      const { foreignKeys } = config.storage;
      const member = { name, raftAddress, apiUrl };
      return firstBirth({ entropy: this.#entropy, foreignKeys, member }, incarnation);
    }
    const port = this.#makePort({ clusterId: undefined, nodeId: NOBODY, incarnation });
    const tools = { config, port, clock, logger, stop, join };
    const isForming = bootstrapExpect > 1 && this.#winner === undefined;
    const birth = isForming ? await this.#form(tools) : await joinCluster(tools);
    port.setMember(birth);
    return birth;
  }

  async #form(tools: Parameters<typeof joinCluster>[0]): Promise<Birth> {
    const machine = { entropy: this.#entropy, fileSystem: this.#fileSystem };
    const forming = new Forming({ ...tools, ...machine });
    this.#services.setForming(forming);
    return await forming.form();
  }

  async #goUp(data: OpenedData): Promise<Running> {
    const { config, service, clock, logger, stop } = this.#parts;
    const { clusterId, incarnation, nodeId: id } = data.log.identity;
    const port = this.#port ?? this.#makePort({ clusterId, nodeId: nodeId(id), incarnation });
    const cluster = new ClusterNode({
      config,
      data,
      port,
      database: service.database,
      clock,
      entropy: this.#entropy,
      trailingEntries: trailingEntries(config),
      onRemoved: () => this.#removal.resolve(),
      onTimeAhead: (aheadMs) =>
        logger.warn("The time of the database is ahead of the clocks; POST /time takes it back", {
          aheadMs: `${aheadMs}`,
        }),
      logger,
      onFatal: crash,
    });
    const removed = this.#removal.promise.then(() => this.#onRemoved());
    runInBackground(removed, crash);
    this.#services.attach(cluster);
    const { node, forwarding, view } = cluster;
    await service.attach({ node, stateMachine: data.stateMachine, forwarding, cluster: view });
    service.setPeers(() => port.peers().map(peerFacts));
    service.setReplicas(cluster.replicas);
    service.setScrubbers({ log: cluster.scrubber, state: cluster.stateScrubber });
    if (cluster.hasPeers || config.cluster.join.length > 0) await port.open();
    else port.openOnKnock();
    node.start();
    cluster.scrubber.start();
    cluster.stateScrubber.start();
    await Promise.race([node.untilReady(), untilStopped(stop), removed]);
    return { isRemoved: this.#wasRemoved && !node.isReady, cluster, data };
  }

  /** Fault M2: nothing of a member that was removed goes on, but its data stays for who looks. */
  async #onRemoved(): Promise<void> {
    const { config, logger } = this.#parts;
    this.#wasRemoved = true;
    await markRemoved(this.#fileSystem, config.dataDirectory);
    logger.warn("This node was removed from the cluster", { node: config.nodeId });
    if (config.raft.stopsWhenRemoved) Deno.kill(Deno.pid, "SIGTERM");
  }

  #makePort(member: {
    readonly clusterId: Uint8Array | undefined;
    readonly nodeId: NodeId;
    readonly incarnation: Uint8Array;
  }): PeerPort {
    const { config, clock, logger, fingerprint } = this.#parts;
    const { nodeId: name, raftAddress, apiUrl } = nodeIdentity(config);
    const identity: LocalIdentity = {
      bootNonce: this.#entropy.bytes(BOOT_NONCE_BYTES),
      name,
      raftAddress,
      apiUrl,
      sqliteFingerprint: fingerprint,
      allowsOtherSqlite: config.cluster.allowsUnpinnedSqlite,
      featureLevel: FEATURE_LEVEL,
      version: DUST_VERSION,
      ...member,
    };
    const services = this.#services;
    const port = new PeerPort({
      config,
      identity,
      services,
      clock,
      entropy: this.#entropy,
      logger,
    });
    services.setPort(port);
    this.#port = port;
    return port;
  }
}

function peerFacts(peer: PeerStatus): FactTree {
  return {
    address: peer.address,
    bulk_connected: peer.bulk.isConnected,
    control_connected: peer.control.isConnected,
    dropped_messages: peer.droppedMessages,
    last_error: peer.lastError ?? "",
    node_id: peer.nodeId,
    queued_bytes: peer.control.queuedBytes + peer.bulk.queuedBytes,
    received_bytes: peer.receivedBytes,
    received_messages: { ...peer.receivedMessages },
    round_trip_ms: peer.roundTripMs ?? null,
    sent_bytes: peer.sentBytes,
    sent_messages: { ...peer.sentMessages },
    version: peer.version ?? "",
  };
}

/** Who a node is, as its configuration says. */
export function nodeIdentity(config: Config): NodeIdentity {
  return {
    nodeId: config.nodeId,
    raftAddress: config.raft.advertised.text,
    apiUrl: `http://${config.http.advertised.text}`,
    version: DUST_VERSION,
    dataDirectory: config.dataDirectory,
    snapshotEntries: config.raft.snapshotEntries,
    snapshotIntervalMs: config.raft.snapshotIntervalMs,
    trailingEntries: trailingEntries(config),
  };
}

/** Resolves once the process is told to stop. */
export function untilStopped(stop: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve(undefined);
    else stop.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}

function trailingEntries(config: Config): number {
  return Math.floor(config.raft.snapshotEntries * TRAILING_SHARE);
}
