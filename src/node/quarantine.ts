/**
 * A node whose state is known to be wrong (rule V2). It is the state that is out of service, not the log: the
 * node keeps voting and acknowledging. It serves no reads, sends no state, leaves leading to others and hands
 * over when it leads all the same. It asks the leader for a copy of its state and goes on with that, from
 * its own log: the copy is of an entry that this log holds, so nothing of what was counted is taken away.
 *
 * Order of a renewal: the new state is whole and durable, then the log's marker names it (rule S2), then the
 * threads open it, then the mark goes. A crash before the marker leaves the quarantine as it was; one after it
 * leaves a node that is in quarantine with a right state, and renews it once more.
 * Apply rests meanwhile, so that the copy is ahead of it; without a leader it goes on, since this node may be
 * the only one that can be elected, and what is committed must be applied for that (rule D2).
 */
import { assert } from "../base/assert.ts";
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex, type NodeId } from "../base/ids.ts";
import type { Clock } from "../os/clock.ts";
import { NOBODY } from "../raft/types.ts";
import { QUARANTINE_LEADERLESS_MS, QUARANTINE_STEP_MS } from "./limits.ts";
import type { Node, NodeObserver } from "./node.ts";
import type { Peers } from "./peers.ts";
import type { HardState, LogMarker, LogPort, StateMachinePort } from "./ports.ts";
import type { HealthMark, HealthStore, ReplicaHealth } from "./replica_health.ts";

/** What the quarantine needs. */
export interface QuarantineOptions {
  readonly node: Node;
  readonly health: ReplicaHealth;
  readonly store: HealthStore;
  readonly log: LogPort;
  readonly stateMachine: Pick<StateMachinePort, "applied">;
  readonly peers: Pick<Peers, "receivedState" | "stageReceived" | "activate">;
  readonly clock: Clock;
  /** Asks the leader for its state at or past `indexMin`. @throws {OperatingError} when that cannot be. */
  readonly askForState: (leader: NodeId, indexMin: LogIndex) => Promise<void>;
  readonly onChanged: (change: QuarantineChange) => void;
  readonly onFatal: (error: unknown) => void;
}

/** What the operator is to know. */
export type QuarantineChange =
  | { readonly kind: "entered"; readonly index: LogIndex }
  /** The state is that of another node as of `index`. */
  | { readonly kind: "left"; readonly index: LogIndex }
  /** The state is as it was, and serves again: others were removed until nobody was left to renew it. */
  | { readonly kind: "given_up"; readonly index: LogIndex };

/** How far the renewal is. */
export type QuarantineStep =
  | "none"
  | "handing_over"
  | "waiting_for_leader"
  | "fetching"
  | "switching";

/** See the file's header. One per node; idle in one that is well. */
export class Quarantine implements NodeObserver {
  readonly #options: QuarantineOptions;
  #isSaved = true;
  #isSaving = false;
  #isWorking = false;
  #nextMs = -Infinity;
  #leaderSeenMs = -Infinity;
  #step: QuarantineStep = "none";
  #lastError: string | undefined;

  /** To be made before the node starts: nothing more is applied to a state in quarantine. */
  constructor(options: QuarantineOptions) {
    this.#options = options;
    const { health, node } = options;
    if (!health.isQuarantined) return;
    node.loop.applyQueue.hold();
    node.loop.raft.setReluctant({ isReluctant: true });
    this.#leaderSeenMs = options.clock.monotonicMs();
    this.#step = "waiting_for_leader";
  }

  /** What is being done about it. */
  get step(): QuarantineStep {
    return this.#step;
  }

  /** Why the last try to renew the state came to nothing; undefined when none has. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** This node's state is wrong. */
  begin(found: { readonly index: LogIndex; readonly verdictIndex: LogIndex }): void {
    const { health, node, onChanged, clock } = this.#options;
    assert(!health.isQuarantined, "Quarantine.begin: twice");
    this.#leaderSeenMs = clock.monotonicMs();
    this.#step = "waiting_for_leader";
    this.#lastError = undefined;
    this.#setMark({ ...health.mark, quarantine: found });
    node.loop.raft.setReluctant({ isReluctant: true });
    node.healthChanged();
    onChanged({ kind: "entered", index: found.index });
  }

  /** Never a majority in quarantine: with nobody left who could be right, what this node holds is what there is. */
  #giveUp(): void {
    const { health, node } = this.#options;
    this.#end({ cleanIndex: health.mark.cleanIndex, quarantine: undefined });
    this.#options.onChanged({ kind: "given_up", index: node.appliedIndex });
  }

  /** The state is another node's now, by whatever way it came: what was wrong with the old one is over. */
  onStateReplaced(index: LogIndex): void {
    const { health, onChanged } = this.#options;
    const mark = health.replacedAt(index);
    if (!health.isQuarantined) return this.#setMark(mark);
    this.#end(mark);
    onChanged({ kind: "left", index });
  }

  #end(mark: HealthMark): void {
    const { node } = this.#options;
    this.#setMark(mark);
    this.#step = "none";
    this.#lastError = undefined;
    node.loop.raft.setReluctant({ isReluctant: false });
    node.loop.applyQueue.release();
    node.healthChanged();
  }

  onTick(nowMs: number): void {
    const { health, node } = this.#options;
    // A disk that was full has room again, perhaps.
    if (!this.#isSaved && nowMs >= this.#nextMs) this.#save();
    if (!health.isQuarantined) return;
    if (!health.mayStayQuarantined(node.id, node.loop.configuration)) return this.#giveUp();
    this.#restOrGoOn(nowMs);
    if (nowMs < this.#nextMs || this.#isWorking) return;
    this.#nextMs = nowMs + QUARANTINE_STEP_MS;
    if (node.isLeader) this.#handOver();
    else if (node.leaderId === NOBODY) this.#step = "waiting_for_leader";
    else {
      this.#isWorking = true;
      const renewed = this.#renew(node.leaderId).finally(() => {
        this.#isWorking = false;
      });
      runInBackground(renewed, this.#options.onFatal);
    }
  }

  /**
   * A leader goes on: what its clients wait for is answered before it has handed over. A node that may not
   * campaign knows its leader for ever, also one that is gone: what counts is when it was heard.
   */
  #restOrGoOn(nowMs: number): void {
    const { node } = this.#options;
    const { applyQueue, leaderContactMs } = node.loop;
    if (node.isLeader) return applyQueue.release();
    this.#leaderSeenMs = Math.max(this.#leaderSeenMs, leaderContactMs ?? -Infinity);
    const isAlone = nowMs - this.#leaderSeenMs > QUARANTINE_LEADERLESS_MS;
    if (isAlone && !this.#isWorking) applyQueue.release();
    else if (!isAlone && node.leaderId !== NOBODY) applyQueue.hold();
  }

  /** To the healthy voter that has most of the log, among those heard from. */
  #handOver(): void {
    const { node, health } = this.#options;
    const { loop } = node;
    this.#step = "handing_over";
    if (loop.raft.state.transferee !== NOBODY) return;
    const able = loop.raft.status().members.filter(({ id, isActive, isLearner }) =>
      id !== node.id && isActive && !isLearner && !health.diverged.has(id)
    );
    const [best] = able.sort((left, right) => right.match - left.match);
    if (best !== undefined) loop.transferLeadership(best.id);
  }

  async #renew(leader: NodeId): Promise<void> {
    const { peers, stateMachine, askForState } = this.#options;
    const { applied } = stateMachine;
    try {
      const received = peers.receivedState(applied.index);
      if (received === undefined) {
        this.#step = "fetching";
        // Behind the verdict: until then the leader's own state might have been the wrong one.
        const verdictIndex = this.#options.health.mark.quarantine?.verdictIndex ?? 0;
        return await askForState(leader, logIndex(Math.max(applied.index, verdictIndex) + 1));
      }
      // What is not in the log yet will be in a moment.
      if (this.#holds(received)) await this.#switchTo(received);
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      this.#lastError = error.message;
    }
  }

  /** Whether this node's own log goes on from `index`. */
  #holds(index: LogIndex): boolean {
    const { log, node } = this.#options;
    return index <= log.lastIndex && index >= log.firstIndex && index <= node.loop.hardState.commit;
  }

  async #switchTo(index: LogIndex): Promise<void> {
    const { peers, log } = this.#options;
    this.#step = "switching";
    const marker = await peers.stageReceived(index);
    if (marker === undefined || !this.#options.health.isQuarantined) return;
    const chain = await log.entryChain(index);
    if (log.term(index) !== marker.term || chain !== marker.entryChain) {
      const state = `the copy of entry ${index} is of another history than this node's log`;
      throw new OperatingError("conflict", `Cannot renew the state: ${state}`);
    }
    const { loop } = this.#options.node;
    // As of what is before it in the queue: what comes meanwhile may commit entries not yet written.
    const { hardState } = loop;
    await loop.appendQueue.runExclusive(() => this.#switch(marker, hardState));
  }

  async #switch(marker: LogMarker, hardState: HardState): Promise<void> {
    const { peers, log, node, stateMachine } = this.#options;
    const { applyQueue } = node.loop;
    await applyQueue.drain();
    // While it was staged the engine may have installed a newer one, or apply have gone on without a leader.
    if (marker.index <= stateMachine.applied.index || marker.index <= log.marker.index) {
      return applyQueue.resumeAt(applyQueue.appliedIndex);
    }
    await log.saveMarker({ marker, hardState });
    await peers.activate(marker);
    this.onStateReplaced(marker.index);
    applyQueue.skipTo(marker.index);
  }

  #setMark(mark: HealthMark): void {
    this.#options.health.setMark(mark);
    this.#isSaved = false;
    this.#save();
  }

  #save(): void {
    if (this.#isSaving) return;
    this.#isSaving = true;
    const saved = this.#saveNewest().finally(() => {
      this.#isSaving = false;
    });
    runInBackground(saved, this.#options.onFatal);
  }

  /** One after the other; a full disk is tried again, and what the mark says holds meanwhile. */
  async #saveNewest(): Promise<void> {
    const { health, store } = this.#options;
    while (!this.#isSaved) {
      const { mark } = health;
      try {
        await store.save(mark);
      } catch (error) {
        if (!(error instanceof OperatingError && error.code === "disk_full")) throw error;
        return;
      }
      this.#isSaved = mark === health.mark;
    }
  }
}
