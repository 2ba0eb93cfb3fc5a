/**
 * Networks for tests: real gRPC on loopback, services that write down what they are told, and waits with a
 * deadline for what another node makes happen. Every network that was made is closed at the test's end.
 */
import { type NodeId, nodeId } from "../base/ids.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { DenoEntropy } from "../os/deno_entropy.ts";
import type { Message } from "../raft/message.ts";
import { Logger } from "../telemetry/logger.ts";
import type { LocalIdentity, Peer } from "./peer_identity.ts";
import { PeerNetwork, type PeerNetworkOptions } from "./peer_network.ts";
import type { PeerServices } from "./peer_services.ts";

const WAIT_MS_MAX = 10_000;

/** What a node's services were told, as text, with the messages apart. */
export interface Told {
  readonly messages: Message[];
  readonly events: string[];
}

/** A network with what it was told and where it listens. */
export interface TestNode {
  readonly network: PeerNetwork;
  readonly told: Told;
  readonly peer: Peer;
}

/** 16 equal bytes. */
export function idOf(byte: number): Uint8Array {
  return new Uint8Array(16).fill(byte);
}

/** Who node `id` of cluster 1 is; its incarnation is its number. */
export function identityOf(id: number, changes: Partial<LocalIdentity> = {}): LocalIdentity {
  return {
    clusterId: idOf(1),
    nodeId: nodeId(id),
    incarnation: idOf(id),
    bootNonce: crypto.getRandomValues(new Uint8Array(8)),
    name: `n${id}`,
    raftAddress: "",
    apiUrl: `http://n${id}`,
    sqliteFingerprint: "sqlite",
    allowsOtherSqlite: false,
    featureLevel: 1,
    version: "test",
    ...changes,
  };
}

/** Services that write down what they are told; `changes` do something. */
export function recordingServices(told: Told, changes: Partial<PeerServices> = {}): PeerServices {
  const note = (text: string): void => void told.events.push(text);
  return {
    receive: (message) => void told.messages.push(message),
    onUnreachable: (id: NodeId) => note(`unreachable ${id}`),
    onSnapshotReport: (id, outcome) => note(`snapshot ${id} ${outcome}`),
    onLeaderGone: (id, nonce) => note(`gone ${id} ${nonce}`),
    onLeaderBack: (id, nonce) => note(`back ${id} ${nonce}`),
    onDuplicate: (id) => note(`duplicate ${id}`),
    onRefused: (id, reason) => note(`refused ${id}: ${reason}`),
    receiveSnapshot: () => Promise.resolve(undefined),
    answer: () => Promise.reject(new Error("Nobody answers")),
    onBug: (error) => note(`bug ${error}`),
    ...changes,
  };
}

/** Makes networks and closes them: `await using`. */
export class TestNetworks {
  readonly #nodes: PeerNetwork[] = [];

  /** A network that listens on a port of its own. */
  async open(
    identity: LocalIdentity,
    changes: Partial<PeerNetworkOptions> & { readonly answers?: Partial<PeerServices> } = {},
  ): Promise<TestNode> {
    const told: Told = { messages: [], events: [] };
    const { answers, ...options } = changes;
    const network = new PeerNetwork({
      identity,
      listen: { host: "127.0.0.1", port: 0 },
      tls: undefined,
      clock: new DenoClock(),
      entropy: new DenoEntropy(),
      logger: new Logger({
        level: "ERROR",
        format: "text",
        component: "transport",
        sink: () => undefined,
        wallClockMs: () => 0,
      }),
      services: recordingServices(told, answers),
      ...options,
    });
    this.#nodes.push(network);
    const { port } = await network.listen();
    const peer = {
      nodeId: identity.nodeId,
      incarnation: identity.incarnation,
      address: `127.0.0.1:${port}`,
    };
    return { network, told, peer };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((network) => network.close()));
  }
}

/** Lets nodes know each other as the members of one cluster. */
export function introduce(...nodes: readonly TestNode[]): void {
  for (const node of nodes) {
    const peers = nodes.filter((each) => each !== node).map((each) => each.peer);
    node.network.setPeers({ peers, nextNodeId: 100 });
  }
}

/** Waits until `condition` holds. @throws {Error} when it does not in time. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const clock = new DenoClock();
  const startMs = clock.monotonicMs();
  while (!condition()) {
    if (clock.monotonicMs() - startMs > WAIT_MS_MAX) throw new Error(`Not in time: ${what}`);
    await clock.sleep(2);
  }
}

/** Waits until both lanes of `node` to all its peers are up. */
export function untilConnected(node: TestNode): Promise<void> {
  return until(
    () =>
      node.network.peers().every(({ control, bulk }) => control.isConnected && bulk.isConnected),
    "lanes are up",
  );
}
