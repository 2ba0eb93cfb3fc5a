/**
 * The world of one interaction file: nodes, messages in flight, and the one buffer that everything is
 * printed to, engine traces included, in the order in which it happens (the files' README, sections 2, 3).
 */
import { logIndex, type NodeId, nodeId, term } from "../../src/base/ids.ts";
import type { RaftConfig } from "../../src/raft/config.ts";
import { EMPTY_CONFIGURATION } from "../../src/raft/configuration.ts";
import { MemoryStorage } from "../../src/raft/memory_storage.ts";
import type { Message } from "../../src/raft/message.ts";
import { Raft } from "../../src/raft/raft.ts";
import type { AppendAcknowledgement, StorageAppend, StorageApply } from "../../src/raft/ready.ts";
import { traceLine } from "../../src/raft/trace_text.ts";
import {
  type ConfState,
  EMPTY_HARD_STATE,
  type HardState,
  type SnapshotMetadata,
} from "../../src/raft/types.ts";
import { ScriptError } from "./script.ts";
import { messageSheet, type Sheet } from "./text.ts";

export const LEVELS = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"] as const;
export type Level = typeof LEVELS[number];

/** What travels: messages between nodes, and storage's answers to its own node. */
export type Flight =
  | { readonly kind: "message"; readonly message: Message }
  | { readonly kind: "append_answer"; readonly to: NodeId; readonly answer: AppendAcknowledgement }
  | { readonly kind: "apply_answer"; readonly to: NodeId; readonly answer: StorageApply };

/** One node with its storage and its local queues. */
export interface ScriptNode {
  readonly id: NodeId;
  readonly raft: Raft;
  readonly config: RaftConfig;
  readonly storage: MemoryStorage;
  readonly appendWork: StorageAppend[];
  readonly applyWork: StorageApply[];
  /** The states of a toy state machine, the newest last. */
  readonly history: SnapshotMetadata[];
  /** The hard state last handed out. */
  hardState: HardState;
}

/** How a node is made. */
export interface NodeOptions {
  readonly config: Omit<RaftConfig, "id">;
  /** The configuration and index of a bootstrap snapshot; undefined for a blank node. */
  readonly bootstrap:
    | { readonly configuration: ConfState; readonly index: number }
    | undefined;
}

/** See the file's header. */
export class Environment {
  readonly nodes: ScriptNode[] = [];
  flights: Flight[] = [];
  level: Level = "DEBUG";
  /** The source of election timeouts, in [0, 1). */
  readonly #random: () => number;
  #buffer = "";

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Prints, unless silenced. */
  write(text: string): void {
    if (this.level !== "NONE") this.#buffer += text;
  }

  /** Prints what `task` prints two columns further right, with a line end behind every line. */
  indented(task: () => void): void {
    const before = this.#buffer;
    this.#buffer = "";
    try {
      task();
    } finally {
      const lines = this.#buffer.split("\n");
      if (lines.at(-1) === "") lines.pop();
      this.#buffer = before + lines.map((line) => `  ${line}\n`).join("");
    }
  }

  /** Takes what was printed since the last call. */
  takeOutput(): string {
    const output = this.#buffer;
    this.#buffer = "";
    return output;
  }

  /** @throws {ScriptError} when there is no such node. */
  node(id: number): ScriptNode {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new ScriptError(`no node ${id}`);
    return node;
  }

  /** Adds a node with the next id. */
  addNode(options: NodeOptions): void {
    const id = nodeId(this.nodes.length + 1);
    const storage = new MemoryStorage();
    const history = [bootstrapSnapshot(options)];
    const snapshot = history[0] as SnapshotMetadata;
    if (options.bootstrap !== undefined) storage.installSnapshot(snapshot);
    const config = { ...options.config, id };
    const raft = new Raft({
      config,
      storage,
      hardState: EMPTY_HARD_STATE,
      applied: snapshot.index,
      configuration: snapshot.configuration,
      random: this.#random,
      trace: (event) => {
        const { level, text } = traceLine(id, event);
        if (LEVELS.indexOf(this.level) <= LEVELS.indexOf(level)) this.write(`${level} ${text}\n`);
      },
    });
    this.nodes.push({
      id,
      raft,
      config,
      storage,
      appendWork: [],
      applyWork: [],
      history,
      hardState: raft.hardState,
    });
  }

  /** Records a new state of a node's state machine, which it then offers as its snapshot. */
  pushHistory(node: ScriptNode, snapshot: SnapshotMetadata): void {
    node.history.push(snapshot);
    node.storage.latestSnapshot = snapshot;
  }
}

function bootstrapSnapshot(options: NodeOptions): SnapshotMetadata {
  const { bootstrap } = options;
  if (bootstrap === undefined) {
    return { index: logIndex(0), term: term(0), configuration: EMPTY_CONFIGURATION };
  }
  return {
    index: logIndex(bootstrap.index),
    term: term(1),
    configuration: bootstrap.configuration,
  };
}

/** To whom something travels. */
export function recipient(flight: Flight): NodeId {
  return flight.kind === "message" ? flight.message.to : flight.to;
}

/** Whether it never leaves its node. */
export function isLocal(flight: Flight): boolean {
  return flight.kind !== "message" || flight.message.from === flight.message.to;
}

/** How something in flight is printed. */
export function flightSheet(flight: Flight): Sheet {
  switch (flight.kind) {
    case "message":
      return messageSheet(flight.message);
    case "append_answer":
      return appendAnswerSheet(flight.to, flight.answer);
    case "apply_answer":
      return {
        from: "ApplyThread",
        to: flight.to.toString(16),
        type: "MsgStorageApplyResp",
        term: 0,
        entries: flight.answer.entries,
      };
  }
}

function appendAnswerSheet(to: NodeId, answer: AppendAcknowledgement): Sheet {
  return {
    from: "AppendThread",
    to: to.toString(16),
    type: "MsgStorageAppendResp",
    term: answer.term,
    logTerm: answer.lastTerm,
    index: answer.lastIndex,
    snapshot: answer.snapshot,
  };
}

/** What follows when an append is durable, in order. */
export function appendAnswers(node: ScriptNode, append: StorageAppend): readonly Flight[] {
  const flights: Flight[] = append.responses.map((message) => ({ kind: "message", message }));
  if (append.acknowledgement !== undefined) {
    flights.push({ kind: "append_answer", to: node.id, answer: append.acknowledgement });
  }
  return flights;
}

/** How a storage append is printed, with or without its responses. */
export function appendSheet(
  node: ScriptNode,
  append: StorageAppend,
  responses: readonly Flight[],
): Sheet {
  const { hardState, entries, snapshot } = append;
  return {
    from: node.id.toString(16),
    to: "AppendThread",
    type: "MsgStorageAppend",
    term: hardState?.term ?? 0,
    commit: hardState?.commit ?? 0,
    vote: hardState?.vote ?? 0,
    entries,
    snapshot,
    responses: responses.map(flightSheet),
  };
}

/** How a storage apply is printed, with or without its response. */
export function applySheet(
  node: ScriptNode,
  apply: StorageApply,
  responses: readonly Flight[],
): Sheet {
  return {
    from: node.id.toString(16),
    to: "ApplyThread",
    type: "MsgStorageApply",
    term: 0,
    entries: apply.entries,
    responses: responses.map(flightSheet),
  };
}
