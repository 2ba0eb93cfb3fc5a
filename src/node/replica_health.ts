/**
 * What this node knows of its own state and of those of others by the verdicts in the log (rules V1, V2), and
 * what follows for everybody who asks: whether it may serve reads, and send its state to others.
 *
 * The mark is what of it is durable, in the data directory and never in the state (rule S4): a quarantine
 * outlives the process; `cleanIndex` is the entry up to which the state came from somebody else, so that
 * what this node once reported of its own at or before it says nothing of it any more.
 */
import type { LogIndex, NodeId } from "../base/ids.ts";
import type { ConfState } from "../raft/types.ts";
import { allMembers } from "../raft/configuration.ts";
import type { DigestJudgement } from "./digest_judgement.ts";

/** The durable part. Indexes are those of the log; 0 for none. */
export interface HealthMark {
  /** Up to here the state was taken over from another node. */
  readonly cleanIndex: number;
  /** The state is diverged: it differed at `index`, and the verdict at `verdictIndex` said so. */
  readonly quarantine: { readonly index: number; readonly verdictIndex: number } | undefined;
}

/** Keeps the mark. */
export interface HealthStore {
  /** As it was found at the start, or saved since. */
  readonly mark: HealthMark;
  /** Durable when it resolves. @throws {OperatingError} `disk_full`: as it was. */
  save(mark: HealthMark): Promise<void>;
}

/** Of a node that has nothing to remember. */
export const CLEAN_MARK: HealthMark = { cleanIndex: 0, quarantine: undefined };

/** See the file's header. One per node. */
export class ReplicaHealth {
  #mark: HealthMark;
  #isUndecided = false;
  #isBarred = false;
  readonly #diverged = new Set<NodeId>();

  constructor(mark: HealthMark = CLEAN_MARK) {
    this.#mark = mark;
  }

  get mark(): HealthMark {
    return this.#mark;
  }

  /** Whether this node's state is known to be wrong: it serves no reads, and does not lead for long. */
  get isQuarantined(): boolean {
    return this.#mark.quarantine !== undefined;
  }

  /** Whether states differ by the last verdict, and nobody knows which is right. */
  get isUndecided(): boolean {
    return this.#isUndecided;
  }

  /** Members whose state differed when they last reported. */
  get diverged(): ReadonlySet<NodeId> {
    return this.#diverged;
  }

  /** Rule V2: a state that may be wrong does not spread. */
  get maySendState(): boolean {
    return !this.isQuarantined && !this.#isBarred;
  }

  /** Whether what others lack is to be replayed from the log rather than copied: nobody knows whose copy is right. */
  get isLogKept(): boolean {
    return this.#isBarred;
  }

  /**
   * Nothing has been compared for a while, since nothing is committed: a member without which the voters are no
   * quorum may need a copy first. The alarm stands.
   */
  liftBar(): void {
    this.#isBarred = false;
  }

  /** Takes what is to be kept; saving it is the caller's. */
  setMark(mark: HealthMark): void {
    this.#mark = mark;
  }

  /** A verdict of the log. */
  judged(judgement: DigestJudgement, configuration: ConfState): void {
    const members = allMembers(configuration);
    for (const id of this.#diverged) if (!members.includes(id)) this.#diverged.delete(id);
    if (judgement.kind === "unknown") return;
    this.#isUndecided = judgement.kind === "undecided";
    this.#isBarred = this.#isUndecided;
    if (judgement.kind === "undecided") return;
    for (const id of judgement.healthy) this.#diverged.delete(id);
    for (const id of judgement.diverged) this.#diverged.add(id);
  }

  /** Whether a verdict with this judgement would change what is known. */
  isNews(judgement: DigestJudgement): boolean {
    if (judgement.kind === "unknown") return false;
    if (judgement.kind === "undecided" || judgement.diverged.length > 0) return true;
    return this.#isUndecided || judgement.healthy.some((id) => this.#diverged.has(id));
  }

  /** Whether this node may go out of service: never with so many that a majority of the voters were. */
  mayQuarantine(self: NodeId, configuration: ConfState): boolean {
    return this.#sharesOut(self, configuration).every((share) => share < 0.5);
  }

  /** Whether it may stay: others may have been removed until the majority is out, and nobody is left to renew it. */
  mayStayQuarantined(self: NodeId, configuration: ConfState): boolean {
    return this.#sharesOut(self, configuration).every((share) => share <= 0.5);
  }

  #sharesOut(self: NodeId, { voters, votersOutgoing }: ConfState): readonly number[] {
    const isOut = (id: NodeId): boolean => id === self || this.#diverged.has(id);
    const sets = [voters, votersOutgoing].filter((set) => set.length > 0);
    return sets.map((set) => set.filter(isOut).length / set.length);
  }

  /** The state at `index` is another node's from now on; what is kept of it is to be saved. */
  replacedAt(index: LogIndex): HealthMark {
    const cleanIndex = Math.max(this.#mark.cleanIndex, index);
    return { cleanIndex, quarantine: undefined };
  }
}
