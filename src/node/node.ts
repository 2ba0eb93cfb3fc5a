/**
 * One member of the cluster: the loop, the log's upkeep, and what requests may ask of them. Writes go
 * through the log; reads ask here what they must wait for, and then run on a reader thread.
 */
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import type { LogIndex, NodeId } from "../base/ids.ts";
import { encodeCommand } from "../command/command_encoder.ts";
import { FEATURE_LEVEL_FIRST } from "../command/feature_level.ts";
import type { QueryRequest, ResultFormat } from "../command/request.ts";
import type { Clock } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import type { RaftConfig } from "../raft/config.ts";
import type { ConfChange } from "../raft/conf_change.ts";
import { isVoter } from "../raft/configuration.ts";
import { type HardState, NOBODY } from "../raft/types.ts";
import type { Parked } from "./apply_queue.ts";
import { Compaction, type CompactionPolicy } from "./compaction.ts";
import { EventLoop } from "./event_loop.ts";
import type { LogPort, PeersPort, StateMachinePort } from "./ports.ts";
import type { WriteOutcome } from "./proposals.ts";
import { ReadConfirmations } from "./read_confirmations.ts";
import type { ReplicaListener } from "./replica_entries.ts";
import type { ReplicaHealth } from "./replica_health.ts";
import { StuckEntry } from "./stuck_entry.ts";
import { AppliedWaits } from "./waits.ts";

/** How long a write may wait for its result before the client is told that its outcome is unknown. */
const WRITE_WAIT_MS_MAX = 60_000;

/** How long a strong read may wait for its barrier. */
const BARRIER_WAIT_MS_MAX = 30_000;

/** How long a change of the members may wait to be applied. */
const MEMBER_CHANGE_WAIT_MS_MAX = 10_000;

/** The shortest election timeout (rule E1): for so long nobody else leads unless it was told to. */
const ELECTION_TIMEOUT_MS = 800;

const NO_PAYLOAD = new Uint8Array(0);

/** What a node is built from. */
export interface NodeOptions {
  readonly config: RaftConfig;
  readonly log: LogPort;
  readonly hardState: HardState;
  readonly stateMachine: StateMachinePort;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Undefined for a node on its own. */
  readonly peers: PeersPort | undefined;
  readonly policy: CompactionPolicy;
  /** Whether this node's state is right (rule V2); it is where nobody watches that. */
  readonly health?: ReplicaHealth | undefined;
  /** How long a write may wait for its turn in the log before it is refused. */
  readonly applyTimeoutMs: number;
  /** The node cannot go on: log, close what can be closed, exit. */
  readonly onFatal: (error: unknown) => void;
}

/** Whoever wants to know what happens here; called within a turn of the loop, so it must not wait. */
export interface NodeObserver extends ReplicaListener {
  onTick?(nowMs: number): void;
  /** Another leader, or none, or another part in the term. */
  onRoleChanged?(): void;
  onMembersChanged?(): void;
  /** Entries that are applied, and that a peer needs, cannot be read, and why. Comes again and again. */
  onLogDamaged?(damage: string): void;
}

/** See the file's header. */
export class Node {
  readonly #options: NodeOptions;
  readonly #loop: EventLoop;
  readonly #compaction: Compaction;
  readonly #stuckEntry: StuckEntry;
  readonly #waits = new AppliedWaits();
  readonly #confirmations: ReadConfirmations;
  /** The barrier that is queued and not yet in the log. */
  #barrier: Promise<LogIndex> | undefined;
  #trying: LogIndex | undefined;
  #ready = false;
  #onReady: (() => void)[] = [];
  readonly #leaderWaiters = new Set<() => void>();
  readonly #observers: NodeObserver[] = [];
  #updateTimeMs: number | undefined;
  #strongReadTerm = 0;
  #wasLeader = false;
  /** When this node last led; -Infinity for never. */
  #ledUntilMs = -Infinity;
  #isStopping = false;

  constructor(options: NodeOptions) {
    this.#options = options;
    const { log, stateMachine, clock, policy, onFatal } = options;
    this.#loop = new EventLoop({
      ...options,
      listener: {
        onApplied: (index) => this.#onApplied(index),
        onReadIndex: (context, index) => this.#confirmations.settle(context, index),
        onReadOverload: (context) => this.#confirmations.refuse(context, tooManyReads()),
        onRoleChanged: () => this.#onRoleChanged(),
        onMembersChanged: () => this.#onMembersChanged(),
        onReplicaCommand: (index, command) => {
          for (const observer of this.#observers) observer.onReplicaCommand?.(index, command);
        },
        onStateReplaced: (index) => {
          for (const observer of this.#observers) observer.onStateReplaced?.(index);
        },
        onLogDamaged: (damage) => {
          for (const observer of this.#observers) observer.onLogDamaged?.(damage);
        },
        onVerdictMissing: (parked) => this.#onVerdictMissing(parked),
        onTick: (nowMs) => this.#onTick(nowMs),
        onFatal,
      },
    });
    this.#confirmations = new ReadConfirmations({
      clock,
      ask: (context) => this.#loop.readIndex(context),
      untilApplied: async (index, deadlineMs) => {
        if (index > this.appliedIndex) await this.#waits.until(index, deadlineMs);
      },
    });
    this.#stuckEntry = new StuckEntry({ loop: this.#loop, clock });
    this.#compaction = new Compaction({
      log,
      stateMachine,
      clock,
      policy,
      saveMarker: (marker) => this.#saveMarker(marker),
      heldIndex: () => options.peers?.heldIndex,
      isTrusted: () => !this.isQuarantined,
      onFatal,
    });
  }

  /** The loop, for status pages. */
  get loop(): EventLoop {
    return this.#loop;
  }

  get compaction(): Compaction {
    return this.#compaction;
  }

  /** When the last entry was applied, milliseconds since 1970; undefined before the first. */
  get updateTimeMs(): number | undefined {
    return this.#updateTimeMs;
  }

  /** The last term in which a strong read went through the log; 0 for none. */
  get strongReadTerm(): number {
    return this.#strongReadTerm;
  }

  /** Joins in: ticks, elections, apply, compaction. */
  start(): void {
    this.#loop.start();
    this.#compaction.start();
  }

  /** Tells `observer` from now on what happens here. */
  observe(observer: NodeObserver): void {
    this.#observers.push(observer);
  }

  /** Whether a leader is known and an entry of its own term is applied here (rule E4). */
  get isReady(): boolean {
    return this.#ready;
  }

  /** Whether this node's state is known to be wrong: it is read by nobody (rule V2). */
  get isQuarantined(): boolean {
    return this.#options.health?.isQuarantined === true;
  }

  /** The node's health has changed, and what it is ready for. */
  healthChanged(): void {
    this.#checkReady();
  }

  /** This member's number. */
  get id(): NodeId {
    return this.#loop.raft.id;
  }

  /** The known leader of the present term, or 0. */
  get leaderId(): NodeId {
    return this.#loop.role.leader;
  }

  /** Milliseconds since the leader was heard from, or was this node: 0 for the leader, undefined for never. */
  get leaderContactAgeMs(): number | undefined {
    if (this.isLeader) return 0;
    const contactMs = Math.max(this.#loop.leaderContactMs ?? -Infinity, this.#ledUntilMs);
    return contactMs === -Infinity ? undefined : this.#options.clock.monotonicMs() - contactMs;
  }

  /** Whether this member has a vote, as of what is applied here. */
  get isVoter(): boolean {
    return isVoter(this.#loop.configuration, this.id);
  }

  /**
   * Resolves once a leader is known, at the latest after `timeoutMs`. A leader that is this node counts
   * only when it is ready, and not while it hands over (rule E5).
   */
  async untilLeader(timeoutMs: number): Promise<NodeId> {
    const isKnown = (): boolean => {
      if (!this.isLeader) return this.leaderId !== NOBODY;
      return this.#ready && this.#loop.raft.state.transferee === NOBODY;
    };
    if (isKnown() || this.#isStopping) return this.leaderId;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.startTimer(timeoutMs, resolve);
    const waiter = (): void => {
      if (isKnown() || this.#isStopping) resolve();
    };
    this.#leaderWaiters.add(waiter);
    await promise;
    timer.cancel();
    this.#leaderWaiters.delete(waiter);
    return isKnown() ? this.leaderId : NOBODY;
  }

  /** Calls back, once, when somebody other than `leader` leads. @returns what ends the wait. */
  onceOtherLeader(leader: NodeId, callback: () => void): () => void {
    const waiter = (): void => {
      if (this.leaderId === leader || this.leaderId === NOBODY) return;
      this.#leaderWaiters.delete(waiter);
      callback();
    };
    this.#leaderWaiters.add(waiter);
    return () => void this.#leaderWaiters.delete(waiter);
  }

  /**
   * Changes the members: proposed here, resolved once it is applied here.
   * @throws {OperatingError} `not_leader`, `overloaded` while another change is under way, `conflict`
   * when it is not possible, `outcome_unknown`.
   */
  async changeMembers(change: ConfChange): Promise<LogIndex> {
    if (!this.isLeader) throw notLeader();
    const deadlines = this.#deadlines(MEMBER_CHANGE_WAIT_MS_MAX);
    const { index } = await new Promise<WriteOutcome>((resolve, reject) => {
      this.#loop.proposeChange(change, {
        payload: NO_PAYLOAD,
        format: 0,
        ...deadlines,
        resolve,
        reject,
      });
    });
    return index;
  }

  /** Resolves once the node is ready. */
  untilReady(): Promise<void> {
    if (this.#ready) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onReady.push(resolve);
    });
  }

  /** Where the log stands, for status pages. */
  logFacts(): {
    readonly firstLogIndex: LogIndex;
    readonly lastLogIndex: LogIndex;
    readonly lastLogTerm: number;
    readonly logBytes: number;
    readonly snapshotIndex: LogIndex;
    readonly snapshotTerm: number;
    readonly snapshotGeneration: number;
  } {
    const { log } = this.#options;
    return {
      firstLogIndex: log.firstIndex,
      lastLogIndex: log.lastIndex,
      lastLogTerm: log.term(log.lastIndex) ?? 0,
      logBytes: log.sizeBytes,
      snapshotIndex: log.marker.index,
      snapshotTerm: log.marker.term,
      snapshotGeneration: log.marker.generation,
    };
  }

  get isLeader(): boolean {
    return this.#loop.role.role === "leader";
  }

  /** What level `auto` means here. */
  get automaticLevel(): "weak" | "none" {
    return this.#loop.configuration.voters.includes(this.#loop.raft.id) ? "weak" : "none";
  }

  /** @throws {OperatingError} when a write would be refused anyway; call it before spending work on one. */
  assertWritable(): void {
    if (!this.isLeader) throw notLeader();
    const { appendQueue, applyQueue } = this.#loop;
    // Before nothing is left: an entry in the log that finds no room holds up all behind it, a DELETE too.
    const hasRoom = this.#options.stateMachine.hasRoom !== false;
    if (appendQueue.isDiskFull || applyQueue.isDiskFull || !hasRoom) {
      throw new OperatingError("disk_full", "Cannot accept write: the disk is full");
    }
  }

  /** Proposes an encoded command. @throws {OperatingError} refused, or `outcome_unknown`. */
  write(payload: Uint8Array, format: ResultFormat): Promise<WriteOutcome> {
    // It is about to hand over: whoever leads next knows what comes of it.
    if (this.isQuarantined) return Promise.reject(notLeader());
    return this.#propose({ payload, format });
  }

  /** Takes the state's time to that of the voters' clocks, back too (rule T1). @throws as `write`. */
  async setTime(): Promise<void> {
    this.assertWritable();
    await this.write(encodeCommand({ kind: "set_time", nowMs: 0 }), 0);
  }

  /** What comes with a feature level may be written from then on (rule F1). @throws as `write`. */
  async raiseLevel(level: number): Promise<void> {
    this.assertWritable();
    await this.write(encodeCommand({ kind: "raise_level", level }), 0);
  }

  /** One entry without SQL, shared by all strong reads that wait for its turn (rule A5). */
  async barrier(): Promise<LogIndex> {
    const barrier = this.#barrier ?? this.#proposeBarrier();
    this.#barrier = barrier;
    try {
      return await barrier;
    } catch (error) {
      throw this.#barrierFailure(error);
    } finally {
      // One that was refused before it was queued never says that it was proposed.
      if (this.#barrier === barrier) this.#barrier = undefined;
    }
  }

  /** Resolves when a read begun now may run here: linearizable, by ReadIndex (Raft thesis 6.4). */
  confirmRead(timeoutMs: number): Promise<void> {
    if (this.leaderId === NOBODY) throw notLeader();
    return this.#confirmations.confirm(timeoutMs);
  }

  /**
   * Resolves once this node has applied `index`, of whatever leader.
   * @throws {OperatingError} `index_not_reached` when that takes longer than `timeoutMs`.
   */
  async untilApplied(index: LogIndex, timeoutMs: number): Promise<void> {
    if (index <= this.appliedIndex) return;
    try {
      await this.#waits.until(index, this.#options.clock.monotonicMs() + timeoutMs);
    } catch (error) {
      if (!(error instanceof OperatingError) || error.code !== "timeout") throw error;
      const state = `this node has applied ${this.appliedIndex}`;
      throw new OperatingError("index_not_reached", `Cannot read at index ${index}: ${state}`);
    }
  }

  /** The cluster's feature level, as of what is applied (rule F1). */
  get featureLevel(): number {
    return this.#options.stateMachine.applied.featureLevel ?? FEATURE_LEVEL_FIRST;
  }

  /** The last entry whose effects are here. */
  get appliedIndex(): LogIndex {
    return this.#loop.applyQueue.appliedIndex;
  }

  /**
   * Whether a weak read may run at once (rule E4).
   * @throws {OperatingError} `not_leader`.
   */
  mayReadWeakly(): boolean {
    if (!this.isLeader) throw notLeader();
    return this.#ready && this.isFollowed;
  }

  /** Whether a quorum has followed this leader within an election timeout: asked again after a weak read. */
  get isFollowed(): boolean {
    const confirmedMs = this.#loop.quorum.confirmedMs(this.#loop.configuration, this.id);
    if (confirmedMs === Infinity) return this.isLeader;
    return this.isLeader && this.#options.clock.monotonicMs() - confirmedMs < ELECTION_TIMEOUT_MS;
  }

  /**
   * Level none: @throws {OperatingError} `stale_read` when the leader was silent for too long; strictly,
   * also when this node has known of entries for so long that it has not applied.
   */
  assertFresh(request: Pick<QueryRequest, "freshnessMs" | "freshnessStrict">): void {
    const { freshnessMs, freshnessStrict } = request;
    if (freshnessMs === 0 || this.isLeader) return;
    const ageMs = this.leaderContactAgeMs ?? Infinity;
    const { applyQueue, hardState } = this.#loop;
    const isBehind = freshnessStrict && applyQueue.appliedIndex < hardState.commit &&
      this.#options.clock.wallMs() - (this.#updateTimeMs ?? 0) > freshnessMs;
    if (ageMs > freshnessMs || isBehind) throw new OperatingError("stale_read", "stale read");
  }

  /** Takes a snapshot now. @returns false when there was nothing new. */
  snapshot(trailingEntries: number | undefined): Promise<boolean> {
    return this.#compaction.snapshot({
      trailingEntries: trailingEntries ?? this.#options.policy.trailingEntries,
    });
  }

  /** Ends in order: no new work, then the log, then what waits learns its fate. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const waiter of this.#leaderWaiters) waiter();
    this.#loop.appendQueue.stop();
    await this.#compaction.stop();
    await this.#loop.stop();
    const stopped = new OperatingError("not_ready", "raft is already shutdown");
    this.#loop.proposals.abandon({ refused: stopped, unknown: stopped.message });
    this.#waits.abandon(stopped);
    this.#confirmations.stop(stopped);
  }

  /** @returns false when a snapshot from the leader was installed meanwhile: its marker is ahead. */
  async #saveMarker(marker: LogPort["marker"]): Promise<boolean> {
    const { log } = this.#options;
    // As of what is before it in the queue: what comes meanwhile may commit entries not yet written.
    const { appendQueue, hardState } = this.#loop;
    let isSaved = false;
    await appendQueue.runExclusive(async () => {
      const { index, generation } = log.marker;
      const isOvertaken = marker.index <= index && marker.generation !== generation;
      if (isOvertaken) return;
      await log.saveMarker({ marker, hardState });
      isSaved = true;
    });
    return isSaved;
  }

  async #proposeBarrier(): Promise<LogIndex> {
    if (!this.isLeader) throw notLeader();
    const payload = encodeCommand({ kind: "barrier" });
    const deadlines = this.#deadlines(BARRIER_WAIT_MS_MAX);
    const { index } = await new Promise<WriteOutcome>((resolve, reject) => {
      this.#loop.propose({
        payload,
        format: 0,
        ...deadlines,
        resolve,
        reject,
        onProposed: () => {
          this.#barrier = undefined;
        },
      });
    });
    this.#strongReadTerm = this.#loop.raft.term;
    return index;
  }

  /** What becomes of a barrier changes nothing, so a read that loses one may just be asked again. */
  #barrierFailure(error: unknown): unknown {
    if (!(error instanceof OperatingError && error.code === "outcome_unknown")) return error;
    const cause = { cause: error };
    if (this.#isStopping) return new OperatingError("not_ready", "raft is already shutdown", cause);
    if (!this.isLeader) return new OperatingError("not_leader", "leader not found", cause);
    const message = "Cannot confirm read: the log does not get to it in time";
    return new OperatingError("overloaded", message, cause);
  }

  #propose(proposal: {
    readonly payload: Uint8Array;
    readonly format?: ResultFormat;
    readonly isUrgent?: boolean;
  }): Promise<WriteOutcome> {
    const deadlines = this.#deadlines(WRITE_WAIT_MS_MAX);
    return new Promise((resolve, reject) => {
      this.#loop.propose({ format: 0, ...proposal, ...deadlines, resolve, reject });
    });
  }

  /** Counted from now; the queue's own never falls behind the whole wait. */
  #deadlines(
    waitMsMax: number,
  ): { readonly queueDeadlineMs: number; readonly deadlineMs: number } {
    const nowMs = this.#options.clock.monotonicMs();
    const { applyTimeoutMs } = this.#options;
    return {
      queueDeadlineMs: nowMs + applyTimeoutMs,
      deadlineMs: nowMs + Math.max(waitMsMax, applyTimeoutMs),
    };
  }

  #onApplied(index: LogIndex): void {
    this.#updateTimeMs = this.#options.clock.wallMs();
    this.#waits.advance(index);
    if (!this.#ready) this.#checkReady();
  }

  #checkReady(): void {
    const { appliedIndex } = this.#loop.applyQueue;
    this.#ready = this.leaderId !== NOBODY && this.#loop.isOfOwnTerm(appliedIndex) &&
      !this.isQuarantined;
    if (!this.#ready) return;
    for (const resolve of this.#onReady.splice(0)) resolve();
    for (const waiter of this.#leaderWaiters) waiter();
  }

  #onRoleChanged(): void {
    if (this.#wasLeader && !this.isLeader) this.#ledUntilMs = this.#options.clock.monotonicMs();
    this.#wasLeader = this.isLeader;
    this.#checkReady();
    for (const waiter of this.#leaderWaiters) waiter();
    for (const observer of this.#observers) observer.onRoleChanged?.();
  }

  #onMembersChanged(): void {
    for (const observer of this.#observers) observer.onMembersChanged?.();
  }

  #onTick(nowMs: number): void {
    this.#waits.expire(nowMs);
    this.#confirmations.tick(nowMs);
    // A hand-over that was given up is told by nothing else.
    for (const waiter of this.#leaderWaiters) waiter();
    for (const observer of this.#observers) observer.onTick?.(nowMs);
  }

  /** Rule A4: only a leader that has committed in its term knows that the log holds no verdict yet. */
  #onVerdictMissing(parked: Parked): void {
    const isStuck = this.#options.stateMachine.isStuckAt?.(parked.index) === true;
    if (isStuck && !this.#stuckEntry.mayJudge(parked.index)) return;
    if (!this.isLeader || !this.#loop.isOfOwnTerm(this.#loop.hardState.commit)) return;
    if (this.#trying === parked.index) return;
    this.#trying = parked.index;
    runInBackground(this.#proposeVerdict(parked), this.#options.onFatal);
  }

  async #proposeVerdict(parked: Parked): Promise<void> {
    const { ended, reason } = await this.#options.stateMachine.tryParked(parked.index);
    // The log had a verdict after all, and another entry is parked.
    if (this.#trying !== parked.index) return;
    const payload = encodeCommand({
      kind: "verdict",
      index: parked.index,
      verdict: ended ? "run" : "void",
      reason: ended ? "" : reason,
    });
    try {
      await this.#propose({ payload, isUrgent: true });
    } catch (error) {
      // Another leader decides, or the next missing verdict tries again.
      if (!(error instanceof OperatingError)) throw error;
    } finally {
      // While this verdict was on its way the next entry may have been parked.
      if (this.#trying === parked.index) this.#trying = undefined;
    }
  }
}

function tooManyReads(): OperatingError {
  return new OperatingError("overloaded", "Cannot confirm read: too many reads wait for it");
}

function notLeader(): OperatingError {
  return new OperatingError("not_leader", "leader not found");
}
