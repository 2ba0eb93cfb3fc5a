/**
 * What other nodes ask of this one, and what the transport tells, brought to whoever it concerns. Before the
 * node is open only questions that need no state are answered.
 */
import { OperatingError } from "../base/errors.ts";
import { type NodeId, nodeId } from "../base/ids.ts";
import { isSameIdentity } from "../command/member_table.ts";
import { makeIncoming } from "../state_machine/state_folders.ts";
import type { Config } from "../config/config.ts";
import type { FileSystem } from "../os/file_system.ts";
import type { Message } from "../raft/message.ts";
import { NOBODY } from "../raft/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import { fingerprintRemedy, isFittingFingerprint } from "../transport/fingerprint.ts";
import type {
  ForwardAnswer,
  ForwardRequest,
  IdentifyAnswer,
  JoinAnswer,
  JoinRequest,
  PeerAnswers,
  PeerRequest,
  PledgeAnswer,
  PledgeRequest,
} from "../transport/peer_calls.ts";
import type {
  CallContext,
  PeerServices,
  SnapshotOffer,
  SnapshotSink,
  SnapshotTransferOutcome,
} from "../transport/peer_services.ts";
import type { ClusterNode } from "./cluster_node.ts";
import type { Forming } from "./forming.ts";
import type { PeerPort } from "./peer_port.ts";
import type { RecoveryRound } from "./recovery.ts";

/** How often an open question is passed on to the leader. */
const RELAY_TIMEOUT_MS = 10_000;

const NOT_RECOVERING = "This node does not recover a cluster: it has no raft/peers.json";

/** The same refusal of the same node is logged once in so long. */
const REFUSAL_LOG_MS = 60_000;

/** See the file's header. One per process. */
export class NodeServices implements PeerServices {
  readonly #config: Config;
  readonly #logger: Logger;
  readonly #fileSystem: FileSystem;
  readonly #monotonicMs: () => number;
  /** An error that is nobody's answer: the process must end. */
  readonly onBug: (error: unknown) => void;
  readonly #onRemoved: () => void;
  readonly #loggedMs = new Map<string, number>();
  #port: PeerPort | undefined;
  #cluster: ClusterNode | undefined;
  #forming: Forming | undefined;
  #recovery: RecoveryRound | undefined;

  constructor(options: {
    readonly config: Config;
    readonly logger: Logger;
    readonly fileSystem: FileSystem;
    readonly monotonicMs: () => number;
    /** Others say that this node was removed. */
    readonly onRemoved: () => void;
    readonly crash: (error: unknown) => void;
  }) {
    this.#onRemoved = options.onRemoved;
    this.#config = options.config;
    this.#logger = options.logger;
    this.#fileSystem = options.fileSystem;
    this.#monotonicMs = options.monotonicMs;
    this.onBug = options.crash;
  }

  /** By which this node asks others. */
  setPort(port: PeerPort): void {
    this.#port = port;
  }

  /** This node is about to form a cluster with others. */
  setForming(forming: Forming): void {
    this.#forming = forming;
  }

  /** This node is about to find out with others who of them goes on (rule M3). */
  setRecovery(recovery: RecoveryRound | undefined): void {
    this.#recovery = recovery;
  }

  /** The node is open. */
  attach(cluster: ClusterNode): void {
    this.#cluster = cluster;
  }

  receive(message: Message): void {
    this.#cluster?.node.loop.receive(message);
  }

  onUnreachable(member: NodeId): void {
    this.#cluster?.node.loop.reportUnreachable(member);
  }

  onSnapshotReport(peer: NodeId, outcome: SnapshotTransferOutcome): void {
    this.#cluster?.peers.endSnapshot(peer);
    this.#cluster?.node.loop.reportSnapshot({
      peer,
      outcome: outcome === "finished" ? "installed" : "failed",
    });
  }

  onLeaderGone(member: NodeId, bootNonce: string): void {
    this.#cluster?.leaderWatch.onGone(member, bootNonce);
  }

  onLeaderBack(member: NodeId, bootNonce: string): void {
    this.#cluster?.leaderWatch.onBack(member, bootNonce);
  }

  onDuplicate(member: NodeId): void {
    this.#logger.error(
      "Two processes have one identity: a data directory was copied, stop one of them",
      {
        member,
      },
    );
  }

  onRefused(member: NodeId, reason: string): void {
    // Numbers are never given twice: whoever says so has applied the removal.
    const own = this.#port?.identity.nodeId;
    if (own !== undefined && reason.startsWith(`Node ${own} was removed from the cluster`)) {
      this.#onRemoved();
    }
    const key = `${member} ${reason}`;
    const nowMs = this.#monotonicMs();
    if (nowMs - (this.#loggedMs.get(key) ?? -Infinity) < REFUSAL_LOG_MS) return;
    if (this.#loggedMs.size > 100) this.#loggedMs.clear();
    this.#loggedMs.set(key, nowMs);
    this.#logger.warn("No connection with a node", { member, reason });
  }

  async receiveSnapshot(offer: SnapshotOffer): Promise<SnapshotSink | undefined> {
    const cluster = this.#cluster;
    if (cluster === undefined) return undefined;
    const { index } = offer.message.snapshot;
    if (index <= cluster.node.appliedIndex) return undefined;
    const { openSnapshotFile } = await import("../transport/snapshot_file.ts");
    return await openSnapshotFile({
      fileSystem: this.#fileSystem,
      directory: makeIncoming(this.#config.dataDirectory),
      offer,
      onComplete: (path) => cluster.peers.onReceived(index, path),
    });
  }

  async answer<Kind extends PeerRequest["kind"]>(
    request: Extract<PeerRequest, { readonly kind: Kind }>,
    context: CallContext,
  ): Promise<PeerAnswers[Kind]>;
  async answer(
    request: PeerRequest,
    context: CallContext,
  ): Promise<PeerAnswers[PeerRequest["kind"]]> {
    switch (request.kind) {
      case "identify":
        return this.#identify();
      case "join":
        return await this.#join(request, context);
      case "remove":
        await this.#require().membership.remove(request.name);
        return { kind: "done" };
      case "transfer_leader":
        await this.#require().membership.transfer(request.to);
        return { kind: "done" };
      case "set_time":
        await this.#require().node.setTime();
        return { kind: "done" };
      case "snapshot_now":
        await this.#require().node.snapshot(undefined);
        return { kind: "done" };
      case "report_digest":
        this.#require().replicas.hear(context.caller.nodeId, request);
        return { kind: "done" };
      case "send_state":
        await this.#require().replicas.sendState(context.caller.nodeId, request.indexMin);
        return { kind: "done" };
      case "forward":
        return await this.#forward(request, context);
      case "pledge":
        return { kind: "pledge", outcome: await this.#pledge(request) };
      case "form":
        if (this.#recovery === undefined) throw new OperatingError("not_ready", NOT_RECOVERING);
        this.#recovery.hear(request.genesis);
        return { kind: "done" };
      case "abort_pledge":
        await this.#forming?.abort(request.clusterId);
        return { kind: "done" };
    }
  }

  async #pledge(request: PledgeRequest): Promise<PledgeAnswer["outcome"]> {
    const { clusterId } = this.#requirePort().identity;
    if (clusterId !== undefined) return { kind: "member", clusterId };
    if (this.#forming === undefined) {
      throw new OperatingError("not_ready", "Cannot pledge: this node forms no cluster");
    }
    return await this.#forming.pledge(request);
  }

  #identify(): IdentifyAnswer {
    const port = this.#requirePort();
    const row = this.#cluster?.membership.leader;
    const leader = row === undefined
      ? undefined
      : { nodeId: nodeId(row.nodeId), raftAddress: row.raftAddress, apiUrl: row.apiUrl };
    return {
      kind: "identify",
      identity: port.identity,
      leader,
      hasData: port.identity.clusterId !== undefined,
    };
  }

  /** Taken in by the leader; passed on to it once, since it may change meanwhile. */
  async #join(request: JoinRequest, { caller }: CallContext): Promise<JoinAnswer> {
    const { node, membership, genesis, founders } = this.#require();
    const port = this.#requirePort();
    const founder = founders.find((row) => isSameIdentity(row.incarnation, request.incarnation));
    if (founder !== undefined && caller.nodeId === NOBODY) {
      // It has pledged itself and was told nothing yet; before a quorum of such knows, nobody leads.
      const { clusterId } = port.identity;
      if (clusterId === undefined) throw new OperatingError("not_ready", "store not open");
      return { kind: "join", clusterId, nodeId: nodeId(founder.nodeId), genesis };
    }
    if (!node.isLeader) {
      const { leader } = membership;
      if (leader === undefined || node.leaderId === NOBODY) {
        throw new OperatingError("not_leader", "leader not found");
      }
      const timeoutMs = RELAY_TIMEOUT_MS;
      return await port.call<"join">(leader.raftAddress, request, { timeoutMs });
    }
    const { clusterId, sqliteFingerprint: ours, allowsOtherSqlite } = port.identity;
    if (clusterId === undefined) throw new OperatingError("not_ready", "store not open");
    const { sqliteFingerprint: theirs } = request;
    if (!isFittingFingerprint(theirs, { ours, allowsOtherSqlite })) {
      throw new OperatingError(
        "conflict",
        `Cannot join: ${request.name} computes with ${theirs}, this cluster with ${ours}; ` +
          fingerprintRemedy(theirs, ours),
      );
    }
    const { name, incarnation, raftAddress, apiUrl, isReadOnly } = request;
    const wish = { name, incarnation, raftAddress, apiUrl, isReadOnly };
    // Passed on by a member, it is somebody else's.
    if (isSameIdentity(caller.incarnation, incarnation)) {
      membership.assertNotRemoved(caller.nodeId, incarnation);
    }
    const id = await membership.join(wish, request.featureLevel);
    return { kind: "join", clusterId, nodeId: id, genesis };
  }

  async #forward(request: ForwardRequest, { signal }: CallContext): Promise<ForwardAnswer> {
    const { database } = this.#require();
    const { work, body } = request;
    const answer = await database.carryOut(work, body as Uint8Array<ArrayBuffer>, signal);
    return { kind: "forward", answer };
  }

  #require(): ClusterNode {
    if (this.#cluster === undefined) throw new OperatingError("not_ready", "store not open");
    return this.#cluster;
  }

  #requirePort(): PeerPort {
    if (this.#port === undefined) throw new OperatingError("not_ready", "store not open");
    return this.#port;
  }
}
