/**
 * One node of an exploration: the real engine, what its disk holds, and what is on its way there. A crash
 * loses exactly what is on its way. Applying is immediate and durable, behind the log (rule D1).
 */
import { assert } from "../../src/base/assert.ts";
import { logIndex, type NodeId, type Term, term } from "../../src/base/ids.ts";
import { decodeConfChange } from "../../src/raft/conf_change.ts";
import { productionConfig, type RaftConfig } from "../../src/raft/config.ts";
import { MemoryStorage } from "../../src/raft/memory_storage.ts";
import type { Message } from "../../src/raft/message.ts";
import { Raft } from "../../src/raft/raft.ts";
import type { Ready, StorageAppend } from "../../src/raft/ready.ts";
import type { ConfState, Entry, HardState, ReadState } from "../../src/raft/types.ts";
import { configurationText } from "../../src/raft/configuration.ts";

/** What the node's surroundings do with what comes out of it. */
export interface NodeSurroundings {
  readonly config: Partial<RaftConfig>;
  send(message: Message): void;
  applied(node: ExploredNode, entry: Entry): void;
  answered(read: ReadState): void;
}

/** See the file's header. */
export class ExploredNode {
  readonly id: NodeId;
  readonly #surroundings: NodeSurroundings;
  readonly #storage = new MemoryStorage();
  #hardState: HardState;
  #unsynced: HardState | undefined;
  #configuration: ConfState;
  #appliedIndex = logIndex(1);
  /** Oldest first. */
  #appends: StorageAppend[] = [];
  raft: Raft;

  /** All nodes begin with the same first entry, term 1, nobody leading. */
  constructor(id: NodeId, configuration: ConfState, surroundings: NodeSurroundings) {
    this.id = id;
    this.#surroundings = surroundings;
    this.#configuration = configuration;
    this.#hardState = { term: term(1), vote: 0 as NodeId, commit: logIndex(1) };
    this.#storage.installSnapshot({ index: logIndex(1), term: term(1), configuration });
    this.raft = this.#start();
  }

  #start(): Raft {
    return new Raft({
      config: { ...productionConfig(this.id), ...this.#surroundings.config },
      storage: this.#storage,
      hardState: this.#hardState,
      applied: this.#appliedIndex,
      configuration: this.#configuration,
      random: () => 0.5,
      trace: undefined,
    });
  }

  /** Whether something is on its way to the disk. */
  get isWriting(): boolean {
    return this.#appends.length > 0;
  }

  /** Does something to the engine, and carries out at once what needs no disk. */
  touch(task: (raft: Raft) => void): void {
    task(this.raft);
    while (this.raft.hasReady()) this.#handle(this.raft.ready());
  }

  #handle(ready: Ready): void {
    for (const message of ready.messages) this.#surroundings.send(message);
    for (const read of ready.readStates) this.#surroundings.answered(read);
    if (ready.append !== undefined) this.#appends.push(ready.append);
    if (ready.apply === undefined) return;
    for (const entry of ready.apply.entries) {
      if (entry.kind === "conf_change") {
        const change = entry.payload === undefined ? undefined : decodeConfChange(entry.payload);
        assert(change !== undefined, "ExploredNode: no change");
        this.#configuration = this.raft.applyConfChange(change);
      }
      this.#appliedIndex = entry.index;
      this.#surroundings.applied(this, entry);
    }
    this.raft.applied(ready.apply);
  }

  /** The oldest write reaches the disk, and the engine is told. */
  persist(): void {
    const append = this.#appends.shift();
    assert(append !== undefined, "ExploredNode.persist: nothing to write");
    assert(append.snapshot === undefined, "ExploredNode.persist: a snapshot");
    this.#storage.append(append.entries);
    if (append.hardState !== undefined) this.#unsynced = append.hardState;
    if (append.mustSync) {
      this.#hardState = this.#unsynced ?? this.#hardState;
      this.#unsynced = undefined;
    }
    this.touch((raft) => {
      for (const message of raft.appended(append)) this.#surroundings.send(message);
    });
  }

  /** The process ends and starts again from the disk. */
  crash(): void {
    this.#appends = [];
    this.#unsynced = undefined;
    this.raft = this.#start();
    this.touch(() => undefined);
  }

  /** The term of the durable entry at `index`. */
  durableTerm(index: number): Term | undefined {
    return this.#storage.term(logIndex(index));
  }

  /** Everything that decides what the node does next, but for clocks, which do not run here. */
  get key(): string {
    const { state } = this.raft;
    const { log, members } = state;
    let text = `${state.term},${state.vote},${state.role[0]}${state.leader},${log.commit},` +
      `${log.applied},${log.stableIndex},${state.pendingConfIndex},${this.#hardState.commit};`;
    for (let index = log.firstIndex; index <= log.lastIndex; index = logIndex(index + 1)) {
      text += log.termOrZero(index);
    }
    for (const { entries, hardState, responses } of this.#appends) {
      text += `w${entries[0]?.index ?? 0}:${entries.length}:${hardState?.term ?? 0}.${
        hardState?.vote ?? 0
      }.${hardState?.commit ?? 0}:${responses.length}`;
    }
    for (const [voter, isGranted] of state.votes) text += `v${voter}${isGranted ? 1 : 0}`;
    if (state.role === "leader") {
      for (const id of members.ids) {
        const progress = members.progress(id);
        if (progress === undefined) continue;
        text += `p${progress.match},${progress.next},${progress.state[0]}${
          progress.isPaused ? 1 : 0
        }${progress.inflights.count}`;
      }
      text += `r${state.reads.pendingRound}`;
    }
    return members.configuration === this.#configuration && members.ids.length === 3
      ? text
      : text + configurationText(members.configuration);
  }
}
