/**
 * A cluster in which everything goes wrong that the driver's contract allows: messages are lost, doubled
 * and overtaken, storage lags behind, nodes crash between any two steps and lose what was not synced,
 * states in memory are lost, logs are compacted. One seed fixes a run. The judge watches.
 */
import { assert } from "../../src/base/assert.ts";
import { logIndex, type NodeId, nodeId, term } from "../../src/base/ids.ts";
import { assertRaft } from "../../src/raft/assert_raft.ts";
import { decodeConfChange } from "../../src/raft/conf_change.ts";
import { productionConfig, type RaftConfig } from "../../src/raft/config.ts";
import { ascending, EMPTY_CONFIGURATION } from "../../src/raft/configuration.ts";
import type { Message } from "../../src/raft/message.ts";
import { Raft } from "../../src/raft/raft.ts";
import type { StorageAppend, StorageApply } from "../../src/raft/ready.ts";
import { type ConfState, EMPTY_HARD_STATE } from "../../src/raft/types.ts";
import { Judge } from "./judge.ts";
import { BLANK_STATE, Disk, type MachineState } from "./machine.ts";
import type { SeededRandom } from "./random.ts";

/** Messages in flight; more are lost, as in a full queue. */
const WIRE_MAX = 400;

/** One process and its disk. */
export interface ChaosNode {
  readonly id: NodeId;
  readonly disk: Disk;
  raft: Raft;
  appends: StorageAppend[];
  /** Written and synced, not yet acknowledged to the engine. */
  durable: StorageAppend[];
  applies: StorageApply[];
}

/** See the file's header. */
export class World {
  readonly random: SeededRandom;
  readonly judge = new Judge();
  readonly nodes: ChaosNode[] = [];
  readonly #config: Partial<RaftConfig>;
  /** The content of every snapshot ever made, by index: histories do not differ. */
  readonly #snapshots = new Map<number, MachineState>();
  wire: Message[] = [];
  /** Pairs `from>to` that lose everything. */
  readonly cut = new Set<string>();
  #nextValue = 1;

  constructor(options: {
    readonly random: SeededRandom;
    readonly voters: number;
    readonly spares: number;
    readonly config: Partial<RaftConfig>;
  }) {
    this.random = options.random;
    this.#config = options.config;
    const ids = Array.from({ length: options.voters }, (_, i) => nodeId(i + 1));
    const genesis: MachineState = {
      index: logIndex(1),
      term: 1,
      history: ["genesis"],
      configuration: { ...EMPTY_CONFIGURATION, voters: ascending(ids) },
    };
    this.#snapshots.set(1, genesis);
    for (let i = 0; i < options.voters + options.spares; i++) {
      const isVoter = i < options.voters;
      const hardState = { ...EMPTY_HARD_STATE, term: term(1), commit: logIndex(1) };
      const disk = isVoter ? new Disk(genesis, hardState) : new Disk(BLANK_STATE, EMPTY_HARD_STATE);
      const id = nodeId(i + 1);
      this.nodes.push({
        id,
        disk,
        raft: this.#start(id, disk),
        appends: [],
        durable: [],
        applies: [],
      });
    }
  }

  #start(id: NodeId, disk: Disk): Raft {
    return new Raft({
      config: { ...productionConfig(id), ...this.#config },
      storage: disk.storage,
      hardState: disk.hardState,
      applied: disk.state.index,
      configuration: disk.state.configuration,
      random: () => this.random.next(),
      trace: undefined,
    });
  }

  /** A value that was never proposed before. */
  nextValue(): Uint8Array {
    return new TextEncoder().encode(`v${this.#nextValue++}`);
  }

  /** The member with the greatest term that leads, if any. */
  leader(): ChaosNode | undefined {
    return this.nodes.filter((node) => node.raft.role === "leader")
      .sort((left, right) => right.raft.term - left.raft.term)[0];
  }

  /** Does something to an engine, then looks at it. */
  touch(node: ChaosNode, task: (raft: Raft) => void): void {
    task(node.raft);
    assertRaft(node.raft);
    this.judge.inspect(node.raft);
  }

  /** Takes one Ready, if there is one. */
  takeReady(node: ChaosNode): void {
    if (!node.raft.hasReady()) return;
    this.touch(node, (raft) => {
      const ready = raft.ready();
      this.send(ready.messages);
      if (ready.append !== undefined) node.appends.push(ready.append);
      if (ready.apply !== undefined) node.applies.push(ready.apply);
      for (const read of ready.readStates) this.judge.answered(read);
    });
  }

  /** Writes the oldest append. Its acknowledgement comes later. */
  write(node: ChaosNode): void {
    const append = node.appends.shift();
    if (append === undefined) return;
    let content: MachineState | undefined;
    if (append.snapshot !== undefined) {
      // The driver lets apply come to rest before it swaps the state (rule S2).
      while (node.applies.length > 0) this.apply(node);
      content = this.#snapshots.get(append.snapshot.index);
    }
    node.disk.write(append, content);
    node.durable.push(append);
  }

  /** Tells the engine of the oldest durable append. */
  acknowledge(node: ChaosNode): void {
    const append = node.durable.shift();
    if (append === undefined) return;
    this.touch(node, (raft) => this.send(raft.appended(append)));
  }

  /** Applies the oldest batch and acknowledges it. */
  apply(node: ChaosNode): void {
    const apply = node.applies.shift();
    if (apply === undefined) return;
    this.touch(node, (raft) => {
      for (const entry of apply.entries) {
        const configuration = entry.kind === "conf_change"
          ? raft.applyConfChange(this.#decode(entry.payload))
          : node.disk.state.configuration;
        this.judge.applied(entry);
        // A snapshot may have overtaken it.
        if (entry.index > node.disk.state.index) node.disk.apply(entry, configuration);
      }
      raft.applied(apply);
    });
  }

  #decode(payload: Uint8Array | undefined): NonNullable<ReturnType<typeof decodeConfChange>> {
    const change = payload === undefined ? undefined : decodeConfChange(payload);
    assert(change !== undefined, "World: no change");
    return change;
  }

  /** The process dies and starts again from its disk. */
  restart(node: ChaosNode): void {
    node.disk.crash({ unsynced: this.random.chance(0.5), memory: this.random.chance(0.3) });
    node.appends = [];
    node.durable = [];
    node.applies = [];
    node.raft = this.#start(node.id, node.disk);
    this.touch(node, () => undefined);
  }

  /** Makes a snapshot of the state and shortens the log. */
  compact(node: ChaosNode): void {
    const { state } = node.disk;
    if (state.index === 0) return;
    this.#snapshots.set(state.index, state);
    node.disk.compact(this.random.below(4));
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (this.wire.length < WIRE_MAX) this.wire.push(message);
    }
  }

  /** Delivers the message at `place` of the wire, once or twice, or loses it. */
  deliver(place: number): void {
    const message = this.wire[place];
    if (message === undefined) return;
    const isDoubled = this.random.chance(0.05);
    if (!isDoubled) this.wire.splice(place, 1);
    if (this.cut.has(`${message.from}>${message.to}`) || this.random.chance(0.05)) return;
    const node = this.nodes[message.to - 1];
    assert(node !== undefined, "World.deliver: nobody there");
    this.touch(node, (raft) => raft.step(message));
  }

  /** The configuration of the most advanced state. */
  newestConfiguration(): ConfState {
    const states = this.nodes.map((node) => node.disk.state);
    return states.reduce((best, state) => state.index > best.index ? state : best).configuration;
  }
}
