/**
 * The node's peers port: messages go to the network, and with a snapshot message goes a file. A snapshot to
 * be sent is one copy of the state, made when the engine first asks, shared by all who need it, and deleted
 * some time after the last of them has it (rules N3, S2). What arrived whole is staged and activated here.
 * Invariant: while a copy is held, the log keeps what follows it, up to HELD_LOG_BYTES_MAX; the next copy for
 * whom the log has overtaken meanwhile, more, and writes are slowed for it.
 */
import { assert } from "../base/assert.ts";
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex, type NodeId, type Term } from "../base/ids.ts";
import type { Clock } from "../os/clock.ts";
import { decodeConfiguration } from "../raft/configuration.ts";
import type { Message, SnapshotMessage } from "../raft/message.ts";
import type { SnapshotMetadata } from "../raft/types.ts";
import {
  EXPORT_IDLE_MS_MAX,
  EXPORT_RETRY_MS,
  HELD_LOG_BYTES_AFTER_MISS_MAX,
  HELD_LOG_BYTES_MAX,
  RECEIVED_SNAPSHOTS_MAX,
  SLOW_WRITES_LOG_BYTES,
} from "./limits.ts";
import { ReplicaHealth } from "./replica_health.ts";
import type { LogMarker, LogPort, PeersPort, StateExport, StateMachinePort } from "./ports.ts";

/** What carries messages and files; the transport behind an adapter. */
export interface PeerCarrier {
  /** Bounded and without promise of delivery. */
  send(message: Message): void;
  /** The message with the content of a file, which stays until `endSnapshot` is called for it. */
  sendSnapshot(message: SnapshotMessage, file: StateExport): void;
}

/** A state that this node is to send: at or past `indexMin`. */
export interface StateWish {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: Term;
  readonly indexMin: LogIndex;
}

interface Held {
  readonly file: StateExport;
  readonly metadata: SnapshotMetadata;
  /** Members to whom it is on its way. */
  readonly receivers: Set<NodeId>;
  usedMs: number;
}

/** See the file's header. One per node. */
export class Peers implements PeersPort {
  readonly #carrier: PeerCarrier;
  readonly #stateMachine: StateMachinePort;
  readonly #log: LogPort;
  readonly #clock: Clock;
  readonly #health: ReplicaHealth;
  readonly #onFatal: (error: unknown) => void;
  readonly #onSnapshotLost: (to: NodeId) => void;
  #held: Held | undefined;
  #isPreparing = false;
  #notBeforeMs = 0;
  /** A copy was of no use, since the log had gone on without what follows it. */
  #hasMissed = false;
  /** Files that arrived whole and are not staged, by index. */
  readonly #received = new Map<LogIndex, string>();

  constructor(options: {
    readonly carrier: PeerCarrier;
    readonly stateMachine: StateMachinePort;
    readonly log: LogPort;
    readonly clock: Clock;
    /** Whether the state may be sent at all (rule V2); it may where nobody watches that. */
    readonly health?: ReplicaHealth | undefined;
    /** The engine is to decide anew about a snapshot that it wanted to send. */
    readonly onSnapshotLost: (to: NodeId) => void;
    readonly onFatal: (error: unknown) => void;
  }) {
    this.#carrier = options.carrier;
    this.#stateMachine = options.stateMachine;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#health = options.health ?? new ReplicaHealth();
    this.#onSnapshotLost = options.onSnapshotLost;
    this.#onFatal = options.onFatal;
  }

  send(message: Message): void {
    if (message.kind !== "snapshot") {
      this.#carrier.send(message);
      return;
    }
    const held = this.#held;
    if (held === undefined || held.metadata.index !== message.snapshot.index) {
      // The copy has gone since the engine decided. Not within this turn: it is still at work.
      queueMicrotask(() => this.#onSnapshotLost(message.to));
      return;
    }
    held.receivers.add(message.to);
    this.#carrier.sendSnapshot(message, held.file);
  }

  /** What `sendSnapshot` began for `to` has ended, in whatever way. */
  endSnapshot(to: NodeId): void {
    if (this.#held === undefined) return;
    this.#held.receivers.delete(to);
    this.#held.usedMs = this.#clock.monotonicMs();
  }

  snapshotToSend(indexMin: LogIndex): SnapshotMetadata | undefined {
    if (!this.#health.maySendState) return undefined;
    const held = this.#held;
    if (held !== undefined && this.#canFollow(held, indexMin)) {
      held.usedMs = this.#clock.monotonicMs();
      return held.metadata;
    }
    if (held !== undefined && this.#log.firstIndex > held.metadata.index + 1) {
      this.#hasMissed = true;
    }
    // A copy of now would be of no use.
    if (this.#stateMachine.applied.index < indexMin) return undefined;
    if (!this.#isPreparing && this.#clock.monotonicMs() >= this.#notBeforeMs) {
      this.#isPreparing = true;
      const prepared = this.#prepare().finally(() => {
        this.#isPreparing = false;
      });
      runInBackground(prepared, this.#onFatal);
    }
    return undefined;
  }

  /** Entries behind this index are wanted by who is getting a copy; undefined when nobody is. */
  get heldIndex(): LogIndex | undefined {
    if (this.#health.isLogKept && this.#log.sizeBytes <= HELD_LOG_BYTES_MAX) return logIndex(0);
    const sizeBytesMax = this.#hasMissed ? HELD_LOG_BYTES_AFTER_MISS_MAX : HELD_LOG_BYTES_MAX;
    if (this.#held === undefined || this.#log.sizeBytes > sizeBytesMax) return undefined;
    return this.#held.metadata.index;
  }

  /** Whether somebody could not catch up otherwise. */
  get slowsWrites(): boolean {
    const { sizeBytes } = this.#log;
    return this.#hasMissed && this.#held !== undefined && sizeBytes > SLOW_WRITES_LOG_BYTES &&
      sizeBytes <= HELD_LOG_BYTES_AFTER_MISS_MAX;
  }

  /** Lets go what nobody has needed for a while, and what came too late to be installed. */
  onTick(nowMs: number): void {
    for (const [index, unused] of this.#received) {
      if (index <= this.#stateMachine.applied.index) this.#forget(index, unused);
    }
    const held = this.#held;
    if (held === undefined || held.receivers.size > 0) return;
    if (nowMs - held.usedMs < EXPORT_IDLE_MS_MAX) return;
    this.#drop(held);
    this.#hasMissed = false;
  }

  /**
   * A snapshot's content is here, whole and durable, at `path`; its message follows. An older one may still
   * wait to be staged, for apply to come to rest.
   */
  onReceived(index: LogIndex, path: string): void {
    const same = this.#received.get(index);
    if (same !== undefined && same !== path) this.#forget(index, same);
    this.#received.set(index, path);
    for (const [older, unused] of this.#received) {
      if (this.#received.size <= RECEIVED_SNAPSHOTS_MAX) return;
      this.#forget(older, unused);
    }
  }

  /**
   * Sends this node's state at or past `indexMin` to a member whose own is wrong (rule V2), beside the engine, which
   * ignores what is in its log already. @returns false while the copy is being made: ask again.
   * @throws {OperatingError} `conflict` when this state is not to be sent.
   */
  maybeSendState(
    { from, to, term, indexMin }: StateWish,
  ): boolean {
    if (!this.#health.maySendState) {
      throw new OperatingError("conflict", "Cannot send this state: it may be wrong itself");
    }
    const snapshot = this.snapshotToSend(indexMin);
    const held = this.#held;
    if (snapshot === undefined || held === undefined) return false;
    // Another transfer would end the one that is under way.
    if (held.receivers.has(to)) return true;
    held.receivers.add(to);
    this.#carrier.sendSnapshot({ kind: "snapshot", from, to, term, snapshot }, held.file);
    return true;
  }

  /** The newest state past `index` that arrived whole and is not staged. */
  receivedState(index: LogIndex): LogIndex | undefined {
    const newer = [...this.#received.keys()].filter((each) => each > index);
    return newer.sort((left, right) => right - left)[0];
  }

  /** Stages what `receivedState` named; undefined when it is gone by now. */
  async stageReceived(index: LogIndex): Promise<LogMarker | undefined> {
    return this.#received.has(index) ? await this.#stage(index) : undefined;
  }

  async stage(snapshot: SnapshotMetadata): Promise<LogMarker> {
    const staged = await this.#stage(snapshot.index);
    assert(staged.term === snapshot.term, "Peers.stage: the content is of another term");
    return staged;
  }

  async #stage(wanted: LogIndex): Promise<LogMarker> {
    const path = this.#received.get(wanted);
    assert(path !== undefined, "Peers.stage: no content");
    assert(this.#stateMachine.stageFile !== undefined, "Peers.stage: not possible");
    this.#received.delete(wanted);
    const staged = await this.#stateMachine.stageFile(path);
    assert(staged.index === wanted, "Peers.stage: the content is of another entry");
    const { index, term, entryChain, configuration, generation } = staged;
    return { index, term, entryChain, configuration, generation };
  }

  async activate(marker: LogMarker): Promise<void> {
    const { activateGeneration } = this.#stateMachine;
    assert(activateGeneration !== undefined, "Peers.activate: not possible");
    await activateGeneration.call(this.#stateMachine, marker.generation);
    await this.#stateMachine.releaseGenerations(marker.generation);
  }

  /** The log must go on where the copy ends, or whoever gets it is no further. */
  #canFollow({ metadata }: Held, indexMin: LogIndex): boolean {
    return metadata.index >= indexMin && this.#log.firstIndex <= metadata.index + 1;
  }

  async #prepare(): Promise<void> {
    const { exportState } = this.#stateMachine;
    assert(exportState !== undefined, "Peers: this state cannot be sent");
    if (this.#held !== undefined) {
      if (this.#held.receivers.size > 0) return;
      this.#drop(this.#held);
    }
    try {
      const file = await exportState.call(this.#stateMachine);
      const configuration = decodeConfiguration(file.configuration);
      assert(configuration !== undefined, "Peers: a state without configuration");
      const { index, term } = file;
      this.#held = {
        file,
        metadata: { index: logIndex(index), term, configuration },
        receivers: new Set(),
        usedMs: this.#clock.monotonicMs(),
      };
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      // No room for a copy now.
      this.#notBeforeMs = this.#clock.monotonicMs() + EXPORT_RETRY_MS;
    }
  }

  #drop(held: Held): void {
    this.#held = undefined;
    this.#remove(held.file.path);
  }

  #forget(index: LogIndex, path: string): void {
    this.#received.delete(index);
    this.#remove(path);
  }

  #remove(path: string): void {
    const removed = this.#stateMachine.dropExport?.(path);
    if (removed !== undefined) runInBackground(removed, this.#onFatal);
  }
}
