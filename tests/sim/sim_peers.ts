/**
 * The node's peers port in the simulation: messages go to the network, a snapshot to be sent is the state
 * of a moment in memory, one that was received becomes a generation of the model.
 */
import { type LogIndex, logIndex, type NodeId } from "../../src/base/ids.ts";
import type { StateWish } from "../../src/node/peers.ts";
import type { LogMarker, PeersPort } from "../../src/node/ports.ts";
import { decodeConfiguration, encodeConfiguration } from "../../src/raft/configuration.ts";
import type { Message } from "../../src/raft/message.ts";
import type { SnapshotMetadata } from "../../src/raft/types.ts";
import { assert } from "../../src/base/assert.ts";
import { OperatingError } from "../../src/base/errors.ts";
import type { ModelState } from "./model_state.ts";
import type { Parcel } from "./sim_network.ts";
import type { SimStateMachine } from "./state_host.ts";

/** What the port needs of its process. */
export interface PeersHost {
  readonly id: NodeId;
  readonly stateMachine: SimStateMachine;
  /** How long making a snapshot takes. */
  snapshotMs(): number;
  later(delayMs: number, work: () => void): void;
  send(parcel: Parcel): void;
  onInstalled(state: ModelState): void;
  /** Whether the state may be sent at all (rule V2). */
  maySend(): boolean;
  /** Whether nothing of the log may go. */
  keepsLog(): boolean;
}

interface Prepared {
  readonly metadata: SnapshotMetadata;
  readonly content: Uint8Array;
}

/** See the file's header. */
export class SimPeers implements PeersPort {
  readonly #host: PeersHost;
  #prepared: Prepared | undefined;
  #isPreparing = false;
  /** Received and not yet staged, by index. */
  readonly #received = new Map<LogIndex, Uint8Array>();

  constructor(host: PeersHost) {
    this.#host = host;
  }

  send(message: Message): void {
    let content: Uint8Array | undefined;
    if (message.kind === "snapshot") {
      assert(
        this.#prepared?.metadata.index === message.snapshot.index,
        "SimPeers.send: a snapshot that is not there",
      );
      content = this.#prepared.content;
    }
    this.#host.send({ message, content });
  }

  get heldIndex(): LogIndex | undefined {
    return this.#host.keepsLog() ? logIndex(0) : undefined;
  }

  snapshotToSend(indexMin: LogIndex): SnapshotMetadata | undefined {
    if (!this.#host.maySend()) return undefined;
    if (this.#prepared !== undefined && this.#prepared.metadata.index >= indexMin) {
      return this.#prepared.metadata;
    }
    this.#prepare();
    return undefined;
  }

  /** As production's (node/peers.ts). */
  maybeSendState(
    { from, to, term, indexMin }: StateWish,
  ): boolean {
    if (!this.#host.maySend()) throw new OperatingError("conflict", "may be wrong itself");
    const snapshot = this.snapshotToSend(indexMin);
    if (snapshot === undefined) return false;
    this.send({ kind: "snapshot", from, to, term, snapshot });
    return true;
  }

  receivedState(index: LogIndex): LogIndex | undefined {
    return [...this.#received.keys()].filter((each) => each > index).sort((a, b) => b - a)[0];
  }

  async stageReceived(index: LogIndex): Promise<LogMarker | undefined> {
    const content = this.#received.get(index);
    if (content === undefined) return undefined;
    this.#received.delete(index);
    return await this.#host.stateMachine.stageContent(content);
  }

  #prepare(): void {
    if (this.#isPreparing) return;
    this.#isPreparing = true;
    this.#host.later(this.#host.snapshotMs(), () => {
      this.#isPreparing = false;
      const { state } = this.#host.stateMachine;
      const configuration = decodeConfiguration(state.configuration);
      assert(configuration !== undefined, "SimPeers: a state without configuration");
      const { index, term } = state;
      if (index === 0) return;
      this.#prepared = {
        metadata: { index, term, configuration },
        content: this.#host.stateMachine.content(),
      };
    });
  }

  /** A snapshot's content has arrived whole; its message follows. */
  receive(snapshot: SnapshotMetadata, content: Uint8Array): void {
    this.#received.set(snapshot.index, content);
  }

  async stage(snapshot: SnapshotMetadata): Promise<LogMarker> {
    const content = this.#received.get(snapshot.index);
    assert(content !== undefined, "SimPeers.stage: no content");
    const staged = await this.#host.stateMachine.stageContent(content);
    for (const index of [...this.#received.keys()]) {
      if (index <= snapshot.index) this.#received.delete(index);
    }
    assert(staged.index === snapshot.index, "SimPeers.stage: another index");
    return { ...staged, configuration: encodeConfiguration(snapshot.configuration) };
  }

  activate(marker: LogMarker): Promise<void> {
    this.#host.onInstalled(this.#host.stateMachine.switchTo(marker.generation));
    return Promise.resolve();
  }
}
