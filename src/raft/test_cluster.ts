/**
 * For tests only: engines with storage in memory, wired to each other, run until nothing happens. The
 * network is perfect unless links are cut; disks are instant. Faults in every combination are the job of
 * tests/raft_chaos_test.ts.
 */
import { assert, assertDefined } from "../base/assert.ts";
import { type LogIndex, logIndex, type NodeId, nodeId, term as toTerm } from "../base/ids.ts";
import { assertRaft } from "./assert_raft.ts";
import { type ConfChange, decodeConfChange } from "./conf_change.ts";
import { productionConfig, type RaftConfig } from "./config.ts";
import { votersOnly } from "./configuration.ts";
import { MemoryStorage } from "./memory_storage.ts";
import type { Message } from "./message.ts";
import { Raft } from "./raft.ts";
import type { TraceEvent } from "./trace.ts";
import {
  type ConfState,
  EMPTY_HARD_STATE,
  type Entry,
  type HardState,
  type ProposedEntry,
  type ReadContext,
  type ReadState,
} from "./types.ts";

/** Settings that make single rules visible: no batching, no pre-vote, no checks unless asked for. */
export const PLAIN: Partial<RaftConfig> = {
  electionTicks: 10,
  electionTicksMax: 19,
  heartbeatTicks: 1,
  checkQuorumTicks: 10,
  preVote: false,
  preVoteRetryTicks: 0,
  checkQuorum: false,
  batchAppends: false,
  commitInVotes: false,
};

/** What a single engine is made from; all but `id` may be left out. */
export interface NodeSetup {
  readonly id: number;
  readonly voters?: readonly number[];
  readonly configuration?: ConfState;
  readonly config?: Partial<RaftConfig>;
  /** Terms of the entries held, from index 1. */
  readonly log?: readonly number[];
  readonly hardState?: Partial<HardState>;
  readonly applied?: number;
  readonly random?: () => number;
}

/** One engine, its storage and what it has put out. */
export class TestNode {
  readonly id: NodeId;
  readonly raft: Raft;
  readonly storage: MemoryStorage;
  readonly trace: TraceEvent[] = [];
  readonly applied: Entry[] = [];
  readonly reads: ReadState[] = [];
  readonly readsDropped: ReadContext[] = [];

  constructor(setup: NodeSetup, storage = new MemoryStorage()) {
    this.id = nodeId(setup.id);
    this.storage = storage;
    storage.append((setup.log ?? []).map((term, i) => entry(i + 1, term)));
    this.raft = new Raft({
      config: { ...productionConfig(this.id), ...PLAIN, ...setup.config },
      storage,
      hardState: { ...EMPTY_HARD_STATE, ...setup.hardState },
      applied: logIndex(setup.applied ?? 0),
      configuration: setup.configuration ?? votersOnly(setup.voters ?? [setup.id]),
      random: setup.random ?? (() => 0),
      trace: (event) => this.trace.push(event),
    });
  }

  /** Carries out all Readys. @returns what leaves the node, in order. */
  drain(): readonly Message[] {
    const messages: Message[] = [];
    while (this.raft.hasReady()) {
      const ready = this.raft.ready();
      messages.push(...ready.messages);
      this.reads.push(...ready.readStates);
      this.readsDropped.push(...ready.readsDropped);
      if (ready.append !== undefined) {
        const { hardState, entries, snapshot } = ready.append;
        if (hardState !== undefined) this.storage.hardState = hardState;
        if (snapshot !== undefined) this.storage.installSnapshot(snapshot);
        this.storage.append(entries);
        messages.push(...this.raft.appended(ready.append));
      }
      if (ready.apply !== undefined) {
        this.#apply(ready.apply.entries);
        this.raft.applied(ready.apply);
      }
      assertRaft(this.raft);
    }
    return messages;
  }

  #apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.applied.push(entry);
      let configuration = this.raft.configuration;
      if (entry.kind === "conf_change") {
        const payload = assertDefined(entry.payload, "TestNode: a change without bytes");
        const change = assertDefined(decodeConfChange(payload), "TestNode: no change");
        configuration = this.raft.applyConfChange(change);
      }
      this.storage.latestSnapshot = { index: entry.index, term: entry.term, configuration };
    }
  }

  /** Steps one message and carries out what follows. */
  step(message: Message): readonly Message[] {
    this.raft.step(message);
    assertRaft(this.raft);
    return this.drain();
  }

  /** Ticks `count` times. */
  tick(count: number): void {
    for (let i = 0; i < count; i++) {
      this.raft.tick();
      assertRaft(this.raft);
    }
  }

  /** Facts of one kind, in order. */
  traced<K extends TraceEvent["kind"]>(kind: K): readonly (TraceEvent & { readonly kind: K })[] {
    return this.trace.filter((event): event is TraceEvent & { readonly kind: K } =>
      event.kind === kind
    );
  }
}

/** Several engines and the messages between them. */
export class TestCluster {
  readonly nodes = new Map<number, TestNode>();
  /** In flight, oldest first. */
  wire: Message[] = [];
  readonly #cut = new Set<string>();

  /** All nodes get the same configuration of `voters`. */
  constructor(options: {
    readonly voters: readonly number[];
    readonly config?: Partial<RaftConfig>;
    readonly setups?: readonly NodeSetup[];
  }) {
    const { voters, config = {} } = options;
    const setups = options.setups ?? voters.map((id) => ({ id }));
    for (const setup of setups) this.add({ voters, config, ...setup });
  }

  /** Adds a node. */
  add(setup: NodeSetup): TestNode {
    const node = new TestNode(setup);
    this.nodes.set(setup.id, node);
    return node;
  }

  node(id: number): TestNode {
    return assertDefined(this.nodes.get(id), "TestCluster: no such node");
  }

  raft(id: number): Raft {
    return this.node(id).raft;
  }

  /** Loses everything from now on between a node and all others, both ways. */
  isolate(id: number): void {
    for (const other of this.nodes.keys()) {
      this.cutLink({ from: id, to: other });
      this.cutLink({ from: other, to: id });
    }
  }

  cutLink(link: { readonly from: number; readonly to: number }): void {
    this.#cut.add(`${link.from}>${link.to}`);
  }

  /** Repairs all links. */
  heal(): void {
    this.#cut.clear();
  }

  /** Collects what nodes have to send, without delivering it. */
  collect(): void {
    for (const node of this.nodes.values()) this.wire.push(...node.drain());
  }

  /** Delivers and carries out until nothing happens. `isLost` may drop messages. */
  settle(isLost: (message: Message) => boolean = () => false): void {
    for (let round = 0; round < 10_000; round++) {
      this.collect();
      const message = this.wire.shift();
      if (message === undefined) return;
      const node = this.nodes.get(message.to);
      if (isLost(message) || node === undefined) continue;
      if (this.#cut.has(`${message.from}>${message.to}`)) continue;
      this.wire.push(...node.step(message));
    }
    throw new Error("TestCluster.settle: never quiet");
  }

  /** Elects `id` and lets everybody know. */
  elect(id: number): void {
    this.raft(id).campaign();
    this.settle();
    assert(this.raft(id).role === "leader", "TestCluster.elect: not elected");
  }

  /** A heartbeat round of the leader `id`. */
  heartbeat(id: number): void {
    const node = this.node(id);
    node.tick(node.raft.state.config.heartbeatTicks);
    this.settle();
  }
}

/** An entry of the given place, its payload naming it. */
export function entry(index: number, term: number): Entry {
  const payload = new TextEncoder().encode(`${term}/${index}`);
  return {
    index: logIndex(index),
    term: toTerm(term),
    kind: "normal",
    size: payload.length,
    payload,
  };
}

/** A normal proposal of `size` bytes. */
export function normal(size: number): ProposedEntry {
  return { kind: "normal", size, payload: new Uint8Array(size) };
}

const TYPES = { v: "add_voter", l: "add_learner", r: "remove", u: "update" } as const;

/** A change from tokens such as `v4 r1`. */
export function change(
  tokens: string,
  transition: ConfChange["transition"] = "auto",
): ConfChange {
  const changes = tokens.split(" ").filter((token) => token !== "").map((token) => {
    const type = Object.entries(TYPES).find(([letter]) => token.startsWith(letter));
    return {
      type: assertDefined(type, "change: unknown token")[1],
      nodeId: nodeId(Number(token.slice(1))),
    };
  });
  return { form: "joint", transition, changes, context: new Uint8Array(0) };
}

/** The index as the engine's type. */
export function at(index: number): LogIndex {
  return logIndex(index);
}
