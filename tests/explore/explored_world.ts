/**
 * A small world in which every next step can be listed: three nodes, messages on the wire as a set (any
 * may arrive next, or never, or twice), writes that reach the disk one by one, and budgets for terms, entries,
 * crashes, doublings, reads and membership changes. Checks after each step what must hold.
 */
import { assert } from "../../src/base/assert.ts";
import { logIndex, type NodeId, nodeId } from "../../src/base/ids.ts";
import { assertRaft } from "../../src/raft/assert_raft.ts";
import { votersOnly } from "../../src/raft/configuration.ts";
import type { Message } from "../../src/raft/message.ts";
import type { RaftConfig } from "../../src/raft/config.ts";
import type { Entry, ReadState } from "../../src/raft/types.ts";
import { ExploredNode } from "./explored_node.ts";

/** How much may happen. */
export interface Scope {
  readonly terms: number;
  readonly entries: number;
  readonly crashes: number;
  readonly doublings: number;
  readonly heartbeats: number;
  readonly reads: number;
  readonly changes: number;
  /** Messages on the wire; the oldest is lost when there are more. */
  readonly wire: number;
  readonly preVote: boolean;
}

/** A step: what, and to which node or message. */
export interface Action {
  readonly kind: (typeof ACTION_KINDS)[number];
  readonly at: number;
}

/** All kinds of steps. Positions are codes: the explorer keeps paths as numbers. */
export const ACTION_KINDS = [
  "campaign",
  "propose",
  "deliver",
  "deliver_twice",
  "persist",
  "crash",
  "heartbeat",
  "read",
  "remove",
] as const;

const NODES = 3;

/** Small limits, no leases: elections may come at any time. */
function config(scope: Scope): Partial<RaftConfig> {
  return {
    preVote: scope.preVote,
    checkQuorum: false,
    heartbeatTicks: 1,
    electionTicks: 100_000,
    electionTicksMax: 100_000,
    inflightAppendsMax: 4,
  };
}

/** See the file's header. */
export class ExploredWorld {
  readonly #scope: Scope;
  readonly #nodes: readonly ExploredNode[];
  #wire: { readonly key: string; readonly message: Message }[] = [];
  #left: { entries: number; crashes: number; doublings: number; heartbeats: number };
  #reads: number;
  #changes: number;
  readonly #leaders = new Map<number, NodeId>();
  /** By index: the term of the committed entry, and the greatest term when that became known. */
  readonly #committed: { readonly term: number; readonly knownIn: number }[] = [];
  readonly #readFloors: number[] = [];
  #maxTerm = 1;
  #commitMax = 1;

  constructor(scope: Scope) {
    this.#scope = scope;
    const { entries, crashes, doublings, heartbeats } = scope;
    this.#left = { entries, crashes, doublings, heartbeats };
    this.#reads = scope.reads;
    this.#changes = scope.changes;
    const configuration = votersOnly(Array.from({ length: NODES }, (_, i) => i + 1));
    const surroundings = {
      config: config(scope),
      send: (message: Message): void => this.#send(message),
      applied: (_node: ExploredNode, entry: Entry): void => this.#applied(entry),
      answered: (read: ReadState): void => this.#answered(read),
    };
    this.#nodes = configuration.voters.map((id) =>
      new ExploredNode(id, configuration, surroundings)
    );
  }

  /** What may happen next. */
  actions(): Action[] {
    const actions: Action[] = [];
    const { crashes, doublings, entries, heartbeats } = this.#left;
    for (const [at, node] of this.#nodes.entries()) {
      const isLeader = node.raft.role === "leader";
      if (node.isWriting) actions.push({ kind: "persist", at });
      if (!isLeader && node.raft.term < this.#scope.terms) actions.push({ kind: "campaign", at });
      if (crashes > 0) actions.push({ kind: "crash", at });
      if (!isLeader) continue;
      if (entries > 0) actions.push({ kind: "propose", at });
      if (heartbeats > 0) actions.push({ kind: "heartbeat", at });
      if (this.#reads > 0) actions.push({ kind: "read", at });
      if (this.#changes > 0) actions.push({ kind: "remove", at });
    }
    for (let at = 0; at < this.#wire.length; at++) {
      actions.push({ kind: "deliver", at });
      if (doublings > 0) actions.push({ kind: "deliver_twice", at });
    }
    return actions;
  }

  /** Takes a step. @throws {AssertionError} when something does not hold behind it. */
  act(action: Action): void {
    const { kind, at } = action;
    if (kind === "deliver" || kind === "deliver_twice") return this.#deliver(action);
    const node = this.#nodes[at] as ExploredNode;
    switch (kind) {
      case "campaign":
        node.touch((raft) => raft.campaign());
        break;
      case "propose": {
        this.#left.entries -= 1;
        node.touch((raft) => raft.propose([{ kind: "normal", size: 1, payload: PAYLOAD }]));
        break;
      }
      case "persist":
        node.persist();
        break;
      case "crash":
        this.#left.crashes -= 1;
        node.crash();
        break;
      case "heartbeat":
        this.#left.heartbeats -= 1;
        node.touch((raft) => raft.tick());
        break;
      case "read": {
        this.#reads -= 1;
        const context = this.#readFloors.push(this.#commitMax) - 1;
        node.touch((raft) => raft.readIndex(context));
        break;
      }
      case "remove":
        this.#changes -= 1;
        node.touch((raft) =>
          raft.proposeConfChange({
            form: "joint",
            transition: "auto",
            context: NO_BYTES,
            changes: [{ type: "remove", nodeId: nodeId(NODES) }],
          })
        );
        break;
    }
    this.#inspect(node);
  }

  #deliver({ kind, at }: Action): void {
    const parcel = this.#wire[at];
    assert(parcel !== undefined, "ExploredWorld.deliver: nothing there");
    if (kind === "deliver") this.#wire.splice(at, 1);
    else this.#left.doublings -= 1;
    const node = this.#nodes[parcel.message.to - 1] as ExploredNode;
    node.touch((raft) => raft.step(parcel.message));
    this.#inspect(node);
  }

  #send(message: Message): void {
    const key = messageKey(message);
    if (this.#wire.some((parcel) => parcel.key === key)) return;
    this.#wire.push({ key, message });
    if (this.#wire.length > this.#scope.wire) this.#wire.shift();
  }

  #inspect(node: ExploredNode): void {
    const { raft } = node;
    assertRaft(raft);
    const { log, term } = raft.state;
    this.#maxTerm = Math.max(this.#maxTerm, term);
    for (let index = log.commit; index >= log.firstIndex; index = logIndex(index - 1)) {
      if (!this.#commit(index, log.termOrZero(index))) break;
    }
    if (raft.role !== "leader") return;
    const known = this.#leaders.get(term);
    assert(known === undefined || known === node.id, "two leaders in one term");
    if (known !== undefined) return;
    this.#leaders.set(term, node.id);
    this.#committed.forEach(({ term: own, knownIn }, index) => {
      if (knownIn >= term || index < log.firstIndex) return;
      assert(log.termOrZero(logIndex(index)) === own, "a leader lacks a committed entry");
    });
  }

  /** @returns whether that is news. */
  #commit(index: number, term: number): boolean {
    const known = this.#committed[index];
    if (known !== undefined) {
      assert(known.term === term, "two entries committed at one index");
      return false;
    }
    this.#committed[index] = { term, knownIn: this.#maxTerm };
    this.#commitMax = Math.max(this.#commitMax, index);
    const holders = this.#nodes.filter((node) => node.durableTerm(index) === term).length;
    assert(holders * 2 > NODES || this.#changesDone, "committed, but not durable on a quorum");
    return true;
  }

  get #changesDone(): boolean {
    return this.#changes < this.#scope.changes;
  }

  #applied(entry: Entry): void {
    const known = this.#committed[entry.index];
    assert(known === undefined || known.term === entry.term, "another entry is applied");
  }

  #answered({ context, index }: ReadState): void {
    assert(index >= (this.#readFloors[context] ?? Infinity), "a stale read");
  }

  /** Equal keys, equal futures: nodes, wire and what is left of the budgets. */
  get key(): string {
    const { entries, crashes, doublings, heartbeats } = this.#left;
    const nodes = this.#nodes.map((node) => node.key).join("|");
    const wire = this.#wire.map(({ key }) => key).sort().join("|");
    const floors = this.#readFloors.join();
    return `${entries},${crashes},${doublings},${heartbeats},${this.#reads},${this.#changes},` +
      `${floors},${this.#commitMax}#${nodes}#${wire}`;
  }
}

const PAYLOAD = new Uint8Array(1);
const NO_BYTES = new Uint8Array(0);

/** Equal keys, equal messages. */
function messageKey(message: Message): string {
  const head = `${
    message.kind[0]
  }${message.kind.length}${message.from}${message.to}.${message.term}`;
  switch (message.kind) {
    case "append": {
      const { prevIndex, prevTerm, entries, commit } = message;
      return `${head}.${prevIndex}.${prevTerm}.${entries.map((entry) => entry.term)}.${commit}`;
    }
    case "append_response": {
      const { index, rejection } = message;
      return `${head}.${index}.${rejection?.hintIndex}.${rejection?.hintTerm}`;
    }
    case "vote_request":
      return `${head}.${message.ballot}.${message.lastIndex}.${message.lastTerm}.${message.commit}`;
    case "vote_response":
      return `${head}.${message.ballot}.${message.isGranted}.${message.commit}`;
    case "heartbeat":
      return `${head}.${message.commit}.${message.readRound}`;
    case "heartbeat_response":
      return `${head}.${message.readRound}`;
    default:
      return head;
  }
}
