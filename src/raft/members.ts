/**
 * The configuration in force on this node and, for a leader, its knowledge of each member.
 * Invariant: there is a `Progress` for every member of the configuration and for nobody else; loops
 * over members go in ascending order of ids, so that the same input gives the same output.
 */
import { type LogIndex, logIndex, type NodeId } from "../base/ids.ts";
import {
  allMembers,
  allVoters,
  assertConfiguration,
  EMPTY_CONFIGURATION,
  isVoter,
} from "./configuration.ts";
import { Progress, type WindowLimits } from "./progress.ts";
import { jointIndex, jointVote } from "./quorum.ts";
import type { ConfState } from "./types.ts";

/** How a configuration is taken over. */
export interface MembersChange {
  readonly configuration: ConfState;
  /** Members that begin anew although they may have been here before. */
  readonly renewed: readonly NodeId[];
  readonly lastIndex: LogIndex;
}

/** See the file's header. */
export class Members {
  readonly #window: WindowLimits;
  #configuration: ConfState = EMPTY_CONFIGURATION;
  #progress = new Map<NodeId, Progress>();
  #ids: readonly NodeId[] = [];
  #voters: readonly NodeId[] = [];

  /** Starts without members. */
  constructor(window: WindowLimits) {
    this.#window = window;
  }

  get configuration(): ConfState {
    return this.#configuration;
  }

  /** All members, ascending. */
  get ids(): readonly NodeId[] {
    return this.#ids;
  }

  /** Voters of both halves, ascending. */
  get voters(): readonly NodeId[] {
    return this.#voters;
  }

  progress(id: NodeId): Progress | undefined {
    return this.#progress.get(id);
  }

  has(id: NodeId): boolean {
    return this.#progress.has(id);
  }

  isVoter(id: NodeId): boolean {
    return isVoter(this.#configuration, id);
  }

  isLearner(id: NodeId): boolean {
    return this.#configuration.learners.includes(id);
  }

  /**
   * Takes a configuration over. Members that stay keep their progress; new ones start active, so that
   * they do not count as lost before they could answer.
   */
  switchTo(change: MembersChange): void {
    assertConfiguration(change.configuration);
    this.#configuration = change.configuration;
    this.#ids = allMembers(change.configuration);
    this.#voters = allVoters(change.configuration);
    const next = logIndex(Math.max(change.lastIndex, 1));
    const progress = new Map<NodeId, Progress>();
    for (const id of this.#ids) {
      const known = change.renewed.includes(id) ? undefined : this.#progress.get(id);
      progress.set(id, known ?? new Progress({ next, isActive: true, window: this.#window }));
    }
    this.#progress = progress;
  }

  /** A new term: nothing is known of anybody, except that this node has its own log. */
  resetProgress(options: { readonly self: NodeId; readonly lastIndex: LogIndex }): void {
    const next = logIndex(options.lastIndex + 1);
    for (const id of this.#ids) {
      const progress = new Progress({ next, isActive: false, window: this.#window });
      if (id === options.self) progress.match = options.lastIndex;
      this.#progress.set(id, progress);
    }
  }

  /** The last entry that a quorum holds; infinity without voters. */
  quorumMatch(): number {
    return jointIndex(this.#configuration, (id) => this.#progress.get(id)?.match ?? 0);
  }

  /** Whether a quorum was heard from since `markInactive`. The caller marks itself active. */
  isQuorumActive(): boolean {
    return jointVote(this.#configuration, (id) => this.#progress.get(id)?.isActive === true) ===
      "won";
  }

  /** Begins a new round of the quorum check. */
  markInactive(options: { readonly except: NodeId }): void {
    for (const [id, progress] of this.#progress) progress.isActive = id === options.except;
  }
}
