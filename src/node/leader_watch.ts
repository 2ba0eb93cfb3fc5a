/**
 * What this follower does about evidence that the leader's process has ended (rule E2): it forgets the
 * leader and asks for votes, after a pause by its rank among the other voters, again and again while the
 * evidence stands. Who gathers the evidence is the transport. Nothing of safety rests on it: the check of
 * logs and the one vote per term hold, and evidence that turns out to be false is not believed again for a
 * while. A learner, which no election timeout wakes, also forgets a leader that is silent.
 */
import type { NodeId } from "../base/ids.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import { allVoters } from "../raft/configuration.ts";
import { NOBODY } from "../raft/types.ts";
import {
  EVIDENCE_RANK_MS,
  EVIDENCE_RETRY_MS,
  EVIDENCE_RETRY_SPREAD_MS,
  EVIDENCE_SPREAD_MS,
  FALSE_EVIDENCE_MS,
  LEADER_SILENCE_MS_MAX,
} from "./limits.ts";
import type { Node, NodeObserver } from "./node.ts";

/** See the file's header. One per node. */
export class LeaderWatch implements NodeObserver {
  readonly #node: Node;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  /** The processes that are gone, by member: their boot nonce. */
  readonly #gone = new Map<NodeId, string>();
  /** Processes that were said to be gone and were not: until when that is not believed again. */
  readonly #doubtedUntilMs = new Map<string, number>();
  /** Whom the running election is about. */
  #suspect: NodeId = NOBODY;
  #timer: Timer | undefined;
  #termSeen = 0;
  /** Looks at one election without an end; each one that is given up makes the next one's time longer. */
  #looks = 0;
  #looksMax = 0;
  /** Whom this node followed at the last tick, and since when. */
  #followed: NodeId = NOBODY;
  #followedSinceMs = 0;

  constructor(options: { readonly node: Node; readonly clock: Clock; readonly entropy: Entropy }) {
    this.#node = options.node;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
  }

  /** A member's process has ended, as its connections show. */
  onGone(member: NodeId, bootNonce: string): void {
    const doubtedUntilMs = this.#doubtedUntilMs.get(`${member} ${bootNonce}`) ?? 0;
    if (this.#clock.monotonicMs() < doubtedUntilMs) return;
    this.#gone.set(member, bootNonce);
    // What was known of others before is no evidence against processes that they have now.
    if (member === this.#node.leaderId) this.#maybeForget();
  }

  /** A member's process is there; `bootNonce` is the one that it has. */
  onBack(member: NodeId, bootNonce: string): void {
    const gone = this.#gone.get(member);
    this.#gone.delete(member);
    if (this.#suspect === member) this.#endSuspicion();
    if (gone !== bootNonce) return;
    const nowMs = this.#clock.monotonicMs();
    for (const [key, untilMs] of this.#doubtedUntilMs) {
      if (untilMs <= nowMs) this.#doubtedUntilMs.delete(key);
    }
    this.#doubtedUntilMs.set(`${member} ${bootNonce}`, nowMs + FALSE_EVIDENCE_MS);
  }

  onRoleChanged(): void {
    if (this.#node.leaderId !== NOBODY) this.#endSuspicion();
  }

  /** Who asks a learner for what only a leader has is told that there is none, instead of waiting for one. */
  onTick(nowMs: number): void {
    const { leaderId, loop, isVoter } = this.#node;
    if (leaderId !== this.#followed) {
      this.#followed = leaderId;
      this.#followedSinceMs = nowMs;
    }
    if (leaderId === NOBODY || isVoter) return;
    const heardMs = Math.max(loop.leaderContactMs ?? 0, this.#followedSinceMs);
    if (nowMs - heardMs > LEADER_SILENCE_MS_MAX) loop.forgetLeader();
  }

  /** No more elections from here. */
  stop(): void {
    this.#endSuspicion();
    this.#gone.clear();
  }

  #maybeForget(): void {
    const { leaderId, loop } = this.#node;
    if (!loop.forgetLeader()) return;
    this.#suspect = leaderId;
    this.#termSeen = loop.raft.term;
    this.#looks = 0;
    this.#looksMax = 0;
    const others = allVoters(loop.configuration).filter((id) => id !== leaderId);
    const rank = Math.max(0, others.indexOf(this.#node.id));
    this.#campaignIn(rank * EVIDENCE_RANK_MS + this.#entropy.below(EVIDENCE_SPREAD_MS));
  }

  #campaignIn(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.startTimer(delayMs, () => {
      const { loop, leaderId } = this.#node;
      if (leaderId !== NOBODY || !this.#gone.has(this.#suspect)) return this.#endSuspicion();
      if (!this.#isUndecided(loop.raft)) loop.campaign();
      this.#campaignIn(EVIDENCE_RETRY_MS + this.#entropy.below(EVIDENCE_RETRY_SPREAD_MS));
    });
  }

  /**
   * Whether an election is under way that gets its time. Of three voters one is dead: where the other two
   * stood at the same moment, each has its own vote and none has lost, so nothing but time ends it.
   */
  #isUndecided({ term, role }: { readonly term: number; readonly role: string }): boolean {
    if (term !== this.#termSeen) {
      this.#termSeen = term;
      this.#looks = 0;
      return true;
    }
    if (role !== "candidate") return false;
    this.#looks += 1;
    if (this.#looks <= this.#looksMax) return true;
    this.#looks = 0;
    this.#looksMax += 1;
    return false;
  }

  #endSuspicion(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#suspect = NOBODY;
  }
}
