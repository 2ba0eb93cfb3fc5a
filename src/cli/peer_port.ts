/**
 * The peer port of one process. A node on its own does without gRPC, which costs 20 MB: it only listens, and
 * whoever connects is hung up on and finds the real port a moment later. With others it is open from the
 * start. Everything that is sent while the network is not there is dropped, as on a line that is down.
 */
import type { NodeId } from "../base/ids.ts";
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import type { MemberTable } from "../command/member_table.ts";
import type { Config, PeerTlsConfig } from "../config/config.ts";
import { isLoopback } from "../config/address.ts";
import type { PeerCarrier } from "../node/peers.ts";
import type { StateExport } from "../node/ports.ts";
import type { Clock } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import type { Message, SnapshotMessage } from "../raft/message.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { PeerAnswers, PeerRequest } from "../transport/peer_calls.ts";
import type { LocalIdentity } from "../transport/peer_identity.ts";
import type { PeerNetwork } from "../transport/peer_network.ts";
import type { PeerServices } from "../transport/peer_services.ts";
import type { PeerStatus } from "../transport/peer_status.ts";

/** What the port is made of. */
export interface PeerPortOptions {
  readonly config: Config;
  readonly identity: LocalIdentity;
  readonly services: PeerServices;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
}

/** See the file's header. One per process. */
export class PeerPort implements PeerCarrier {
  readonly #options: PeerPortOptions;
  #identity: LocalIdentity;
  #network: PeerNetwork | undefined;
  #opening: Promise<PeerNetwork> | undefined;
  #knock: Deno.Listener | undefined;
  #table: MemberTable | undefined;
  #isClosed = false;

  constructor(options: PeerPortOptions) {
    this.#options = options;
    this.#identity = options.identity;
  }

  /** What this node says of itself. */
  get identity(): LocalIdentity {
    return this.#identity;
  }

  /** Opens the port for good, once. @throws {OperatingError} `conflict` when the address cannot be had. */
  open(): Promise<PeerNetwork> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  /** Opens it when somebody connects. That the address cannot be had is no reason not to serve clients. */
  openOnKnock(): void {
    const { config, logger } = this.#options;
    const { listen } = config.raft;
    const refusal = exposureOf(config);
    if (refusal !== undefined) {
      logger.warn("Nobody can join this node", { reason: refusal });
      return;
    }
    try {
      this.#knock = Deno.listen({ hostname: listen.host || "0.0.0.0", port: listen.port });
    } catch (error) {
      logger.warn("Nobody can join this node: cannot listen for others", {
        address: listen.text,
        error: error instanceof Error ? error : new Error(String(error)),
      });
      return;
    }
    runInBackground(this.#waitForKnock(this.#knock), this.#options.services.onBug);
  }

  /** This node has become a member. Once. */
  setMember(member: { readonly clusterId: Uint8Array; readonly nodeId: NodeId }): void {
    this.#identity = { ...this.#identity, ...member };
    this.#network?.setMember(member);
  }

  /** The members are these now. */
  setMembers(table: MemberTable): void {
    this.#table = table;
    const { nodeId: self } = this.#identity;
    this.#network?.setPeers({
      nextNodeId: table.nextNodeId,
      peers: table.members.filter(({ nodeId }) => nodeId !== self).map((row) => ({
        nodeId: row.nodeId as NodeId,
        incarnation: row.incarnation,
        address: row.raftAddress,
      })),
    });
  }

  send(message: Message): void {
    this.#network?.send(message);
  }

  sendSnapshot(message: SnapshotMessage, file: StateExport): void {
    const { services } = this.#options;
    if (this.#network === undefined) services.onSnapshotReport(message.to, "failed");
    else this.#network.sendSnapshot(message, file);
  }

  /** Asks another node. @throws {OperatingError} as `PeerNetwork.call`. */
  async call<Kind extends PeerRequest["kind"]>(
    address: string,
    request: Extract<PeerRequest, { readonly kind: Kind }>,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<PeerAnswers[Kind]> {
    const network = await this.open();
    // On the wire it is a whole number.
    const timeoutMs = Math.max(1, Math.ceil(options.timeoutMs));
    return await network.call<Kind>(address, request, { ...options, timeoutMs });
  }

  /** Whether there is a connection to a member's process. */
  isConnected(member: NodeId): boolean {
    return this.peers().some(({ nodeId, control }) => nodeId === member && control.isConnected);
  }

  /** Figures of each peer. */
  peers(): readonly PeerStatus[] {
    return this.#network?.peers() ?? [];
  }

  /** Ends it; a leader has handed over before. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#knock?.close();
    await this.#network?.close();
  }

  async #open(): Promise<PeerNetwork> {
    this.#knock?.close();
    this.#knock = undefined;
    const { config, services, clock, entropy, logger } = this.#options;
    const refusal = exposureOf(config);
    if (refusal !== undefined) throw new OperatingError("conflict", refusal);
    const { PeerNetwork: Network } = await import("../transport/peer_network.ts");
    const network = new Network({
      identity: this.#identity,
      listen: { host: config.raft.listen.host || "0.0.0.0", port: config.raft.listen.port },
      tls: await loadTls(config.cluster.tls),
      clock,
      entropy,
      logger: logger.forComponent("peers"),
      services,
    });
    await network.listen();
    if (this.#identity.clusterId !== network.identity.clusterId) {
      const { clusterId, nodeId } = this.#identity;
      if (clusterId !== undefined) network.setMember({ clusterId, nodeId });
    }
    this.#network = network;
    if (this.#table !== undefined) this.setMembers(this.#table);
    network.setServing(SERVING);
    return network;
  }

  async #waitForKnock(listener: Deno.Listener): Promise<void> {
    let connection: Deno.Conn;
    try {
      connection = await listener.accept();
    } catch (error) {
      // Closed, or opened for good, before anybody came.
      if (this.#isClosed || this.#knock !== listener) return;
      throw error;
    }
    connection.close();
    await this.open();
  }
}

const SERVING = { isServing: true } as const;

async function loadTls(
  settings: PeerTlsConfig | undefined,
): Promise<ConstructorParameters<typeof PeerNetwork>[0]["tls"]> {
  if (settings === undefined) return undefined;
  const { PeerTls } = await import("../transport/peer_tls.ts");
  return await PeerTls.load(settings);
}

/** Why the port must not be opened: anybody who reaches it could read and write all data. */
export function exposureOf(config: Config): string | undefined {
  const { listen } = config.raft;
  const { tls, allowsInsecurePeers } = config.cluster;
  if (allowsInsecurePeers || isLoopback(listen) || tls?.verifiesClients === true) return undefined;
  return `Cannot open the peer port on ${listen.text}: others than this machine reach it, and nothing ` +
    "shows who they are; give -node-cert, -node-key and -node-verify-client, or --insecure-peers " +
    "where the network is private";
}
