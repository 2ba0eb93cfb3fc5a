/**
 * The node's one loop: the only caller of the Raft engine. All that happens (a proposal, a tick, a
 * durable write, an applied batch) enters here, is stepped, and what the engine then wants is carried
 * out through ports.
 *
 * A turn runs to its end without an await. Turns are microtasks, so what arrives together is proposed
 * together. While an fsync runs, proposals wait for its end: one large batch costs less than many small
 * ones, on the disk and on the way to the others.
 * A turn steps all that was received before it ticks, and ticks at most once (rule E1).
 */
import { assert } from "../base/assert.ts";
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex, type NodeId } from "../base/ids.ts";
import { APPEND_BATCH_BYTES_MAX, APPLY_BACKLOG_BYTES_MAX } from "../base/limits.ts";
import {
  changeMembers,
  decodeMemberTable,
  encodeMemberTable,
  type MemberTable,
  NO_MEMBERS,
} from "../command/member_table.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import { changeConfiguration } from "../raft/configuration_changer.ts";
import {
  allMembers,
  allVoters,
  decodeConfiguration,
  encodeConfiguration,
} from "../raft/configuration.ts";
import { type ConfChange, decodeConfChange } from "../raft/conf_change.ts";
import { isWordOf, type Message, tellsTime } from "../raft/message.ts";
import type { RefusalReason } from "../raft/proposal.ts";
import { Raft } from "../raft/raft.ts";
import type { RaftConfig } from "../raft/config.ts";
import type { SnapshotReport } from "../raft/snapshot.ts";
import type { TransferOutcome } from "../raft/transfer.ts";
import type { Ready, StorageAppend, StorageApply } from "../raft/ready.ts";
import type {
  ConfState,
  Entry,
  HardState,
  ReadContext,
  SnapshotMetadata,
  SoftState,
} from "../raft/types.ts";
import { AppendQueue } from "./append_queue.ts";
import { ApplyQueue, type Parked } from "./apply_queue.ts";
import { ChangeGate } from "./change_gate.ts";
import { EntryStamps, type TimeFacts } from "./entry_stamps.ts";
import { EntryTail } from "./entry_tail.ts";
import { LogView, payloadOf, toLogEntry } from "./log_view.ts";
import type {
  AppliedState,
  ApplyEntry,
  ApplyOutcome,
  LogPort,
  PeersPort,
  StateMachinePort,
} from "./ports.ts";
import { type Proposal, Proposals } from "./proposals.ts";
import { QuorumClock } from "./quorum_clock.ts";
import { type ReplicaListener, tellOfReplicas } from "./replica_entries.ts";

/** Rule E1. */
export const TICK_MS = 50;

/** A batch waits until it has so many bytes, while others are applied. */
const BATCH_BYTES_MIN = 8 * 1024;

/** Received messages that wait for their turn. */
const INBOX_MESSAGES_MAX = 65_536;

const TWO_TO_32 = 2 ** 32;

/** What the loop is built from. */
export interface EventLoopOptions {
  readonly config: RaftConfig;
  readonly log: LogPort;
  /** The hard state as the log recovered it. */
  readonly hardState: HardState;
  readonly stateMachine: StateMachinePort;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Undefined for a node that has none: then any message to a peer is a bug. */
  readonly peers: PeersPort | undefined;
  readonly listener: EventLoopListener;
}

/** What the loop tells the node. */
export interface EventLoopListener extends ReplicaListener {
  /** Entries up to `index` are applied and visible to new reads. */
  onApplied(index: LogIndex): void;
  /** A read may run once `index` is applied; undefined: it was given up, ask again. */
  onReadIndex(context: ReadContext, index: LogIndex | undefined): void;
  /** Too many reads wait for their confirmation already: this one was not taken. */
  onReadOverload(context: ReadContext): void;
  onRoleChanged(state: SoftState): void;
  /** A change of the configuration, or of who the members are, is applied. */
  onMembersChanged?(): void;
  /** Entries that are applied, and that a peer needs, cannot be read, and why. Comes again and again. */
  onLogDamaged?(damage: string): void;
  /** The leader must find out whether the parked entry ends, and propose a verdict. */
  onVerdictMissing(parked: Parked): void;
  /** Some 50 ms have passed: what waits longer than it may is to end. On the monotonic clock. */
  onTick(nowMs: number): void;
  onFatal(error: unknown): void;
}

/** See the file's header. */
export class EventLoop {
  readonly #raft: Raft;
  readonly #changeGate: ChangeGate;
  readonly #log: LogPort;
  readonly #stateMachine: StateMachinePort;
  readonly #view: LogView;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #peers: PeersPort | undefined;
  readonly #listener: EventLoopListener;
  readonly appendQueue: AppendQueue;
  readonly applyQueue: ApplyQueue;
  readonly proposals = new Proposals();
  readonly quorum = new QuorumClock();
  readonly #stamps: EntryStamps;
  #configuration: ConfState;
  /** Undefined where the state keeps none. */
  #members: MemberTable | undefined;
  #hardState: HardState;
  #softState: SoftState = { leader: 0 as SoftState["leader"], role: "follower" };
  #leaderContactMs: number | undefined;
  #inbox: Message[] = [];
  #turnScheduled = false;
  #tickDue = false;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: EventLoopOptions) {
    const { log, stateMachine, clock } = options;
    this.#log = log;
    this.#stateMachine = stateMachine;
    this.#clock = clock;
    this.#entropy = options.entropy;
    this.#stamps = new EntryStamps(options);
    this.#listener = options.listener;
    this.#peers = options.peers;
    // The state may be ahead of the commit index that was logged (rule D2).
    const commit = logIndex(Math.max(options.hardState.commit, stateMachine.applied.index));
    this.#hardState = { ...options.hardState, commit };
    const configuration = decodeConfiguration(stateMachine.applied.configuration);
    assert(configuration !== undefined, "EventLoop: the state holds no configuration");
    this.#configuration = configuration;
    this.#members = membersOf(stateMachine.applied);
    const tail = new EntryTail({
      from: logIndex(log.lastIndex + 1),
      sizeBytesMax: APPLY_BACKLOG_BYTES_MAX,
    });
    this.#view = new LogView({
      ...{ log, tail, peers: options.peers },
      appliedIndex: () => this.applyQueue.appliedIndex,
      onDamage: (damage) => this.#listener.onLogDamaged?.(damage),
    });
    const onFatal = (error: unknown): void => this.#fail(error);
    const isIdle = (): boolean => this.#isIdle();
    this.appendQueue = new AppendQueue({ log, tail, clock, isIdle, onFatal });
    this.applyQueue = new ApplyQueue({ stateMachine, log, clock, listener: this.#applyListener() });
    this.#raft = new Raft({
      config: options.config,
      storage: this.#view,
      configuration,
      hardState: options.hardState,
      applied: stateMachine.applied.index,
      random: () => this.#entropy.below(TWO_TO_32) / TWO_TO_32,
      trace: undefined,
    });
    this.#changeGate = new ChangeGate(this.#raft);
  }

  /** The engine's state, for status pages and assertions. Do not step it. */
  get raft(): Raft {
    return this.#raft;
  }

  get configuration(): ConfState {
    return this.#configuration;
  }

  /** The members, as of what is applied. */
  get members(): MemberTable {
    return this.#members ?? NO_MEMBERS;
  }

  /** The hard state as it was last handed to the log. */
  get hardState(): HardState {
    return this.#hardState;
  }

  get role(): SoftState {
    return this.#softState;
  }

  /** Begins to tick. A node that is its own quorum does not wait for a timeout to lead. */
  start(): void {
    this.#armTick();
    this.applyQueue.advanceCommitted(this.#hardState.commit);
    this.#campaignIfAlone();
    this.#scheduleTurn();
  }

  /** Queues a write. @throws {OperatingError} `overloaded`: refused. */
  propose(proposal: Proposal): void {
    this.proposals.add(proposal);
    this.#scheduleTurn();
  }

  /**
   * A message from a peer. A snapshot's content has arrived whole before it.
   * Messages beyond the inbox's bound are dropped: the engine asks again for whatever it misses.
   */
  receive(message: Message): void {
    if (this.#stopped || this.#inbox.length >= INBOX_MESSAGES_MAX) return;
    if (isWordOf(this.#softState.leader, message)) {
      this.#leaderContactMs = this.#clock.monotonicMs();
    }
    const isAnswer = message.kind === "heartbeat_response" && message.term === this.#raft.term;
    if (isAnswer) this.quorum.answered(message.from);
    if (tellsTime(message) && message.wallMs !== undefined) {
      this.#stamps.heard(message.from, message.wallMs);
    }
    this.#inbox.push(message);
    this.#scheduleTurn();
  }

  /** Asks for a read index; the listener gets it under `context`, or learns at once that it was refused. */
  readIndex(context: ReadContext): void {
    const outcome = this.#raft.readIndex(context);
    if (outcome === "overloaded") this.#listener.onReadOverload(context);
    else if (outcome === "no_leader") this.#listener.onReadIndex(context, undefined);
    this.#scheduleTurn();
  }

  /** Proposes a change of the members; `proposal` waits for it, and its payload is not looked at. */
  proposeChange(change: ConfChange, proposal: Proposal): void {
    this.#changeGate.add(change, proposal);
    this.#scheduleTurn();
  }

  /** Hands leadership over to a voter; see the engine. */
  transferLeadership(to: NodeId): TransferOutcome {
    const outcome = this.#raft.transferLeadership(to);
    this.#scheduleTurn();
    return outcome;
  }

  /** There is evidence that the leader's process has ended (rule E2). @returns whether one was known. */
  forgetLeader(): boolean {
    const isForgotten = this.#raft.forgetLeader();
    this.#scheduleTurn();
    return isForgotten;
  }

  /** Stands for election now, if this node may; asks first whether it would win. */
  campaign(): void {
    if (this.#raft.state.isReluctant) return;
    this.#raft.campaign();
    this.#scheduleTurn();
  }

  /** Something for `peer` was lost for certain. */
  reportUnreachable(peer: NodeId): void {
    if (this.#stopped) return;
    this.#raft.reportUnreachable(peer);
    this.quorum.lost(peer);
    this.#scheduleTurn();
  }

  /** What became of a snapshot that was sent. */
  reportSnapshot(report: { readonly peer: NodeId; readonly outcome: SnapshotReport }): void {
    if (this.#stopped) return;
    this.#raft.reportSnapshot(report);
    this.#scheduleTurn();
  }

  /** When the leader was last heard from, on the monotonic clock; undefined before the first time. */
  get leaderContactMs(): number | undefined {
    return this.#leaderContactMs;
  }

  /** Whether the entry at `index` is of the present term. */
  isOfOwnTerm(index: LogIndex): boolean {
    return this.#log.term(index) === this.#raft.term;
  }

  /** Ends ticks and apply; what was written stays written. Nothing is answered any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.applyQueue.stop();
    await this.appendQueue.untilIdle();
  }

  #armTick(): void {
    this.#timer = this.#clock.startTimer(TICK_MS, () => {
      this.#tickDue = true;
      this.#armTick();
      this.#scheduleTurn();
    });
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled || this.#stopped) return;
    this.#turnScheduled = true;
    queueMicrotask(() => {
      this.#turnScheduled = false;
      if (this.#stopped) return;
      try {
        this.#turn();
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  #turn(): void {
    const inbox = this.#inbox;
    this.#inbox = [];
    for (const message of inbox) this.#raft.step(message);
    const isTick = this.#tickDue;
    if (isTick) this.#tick();
    this.#changeGate.proposeWaiting(this.proposals);
    if (isTick || this.#peers?.slowsWrites !== true) this.#proposeQueued({ isTick });
    while (this.#raft.hasReady()) this.#handle(this.#raft.ready());
    this.#fetchWanted();
  }

  #tick(): void {
    this.#tickDue = false;
    this.#raft.tick();
    const nowMs = this.#clock.monotonicMs();
    this.proposals.expire(nowMs);
    this.#changeGate.expire(nowMs);
    if (this.appendQueue.isDiskFull || this.applyQueue.isDiskFull) {
      this.proposals.refuseQueued(
        new OperatingError("disk_full", "Cannot accept write: the disk is full"),
      );
    }
    this.applyQueue.lookAgain();
    this.#listener.onTick(nowMs);
  }

  #proposeQueued({ isTick }: { readonly isTick: boolean }): void {
    if (!this.proposals.hasQueued || this.#isBetterLater({ isTick })) return;
    if (this.#changeGate.isClosed && !this.proposals.hasUrgent) return;
    const batch = this.proposals.takeQueued(APPEND_BATCH_BYTES_MAX);
    this.#stamps.stamp(batch, this.#timeFacts());
    const outcome = this.#raft.propose(
      batch.map(({ payload, isUrgent }) => {
        // Size 0 is what the engine takes past its bound on what is proposed and not applied.
        const size = isUrgent === true ? 0 : payload.length;
        return { kind: "normal", size, payload };
      }),
    );
    assert(outcome.kind !== "forwarded", "EventLoop: the engine forwards, which is off");
    if (outcome.kind === "refused") {
      this.proposals.refuse(batch, refusal(outcome.reason));
      return;
    }
    batch.forEach((proposal, place) => {
      this.proposals.place(logIndex(outcome.index + place), proposal);
    });
  }

  /**
   * Whether to let more proposals gather. Each batch costs two thread switches and an fsync, whatever
   * its size, so on a node that is its own quorum a small one waits for those whose answers are on their
   * way, for a tick at most; a large one is synced meanwhile. What is waited for ends in a turn.
   */
  #isBetterLater({ isTick }: { readonly isTick: boolean }): boolean {
    if (this.appendQueue.isBusy) return true;
    if (isTick || !this.#isAlone()) return false;
    return this.applyQueue.isBusy && this.proposals.queuedBytes < BATCH_BYTES_MIN;
  }

  /** Whether nobody but one write needs this thread: no peer, no read, no other write. */
  #isIdle(): boolean {
    return this.proposals.count <= 1 && this.#isAlone() && this.#stateMachine.isReading !== true;
  }

  /** How far the state's time is ahead of the voters' clocks, as far as this leader knows; milliseconds. */
  get timeAheadMs(): number {
    return this.#stamps.aheadMs(this.#timeFacts());
  }

  #timeFacts(): TimeFacts {
    const others = allVoters(this.#configuration).filter((id) => id !== this.#raft.id);
    const { index: appliedIndex, timeMs: stateMs = 0 } = this.#stateMachine.applied;
    return { others, stateMs, appliedIndex, lastIndex: this.#raft.state.log.lastIndex };
  }

  #handle(ready: Ready): void {
    this.#send(ready.messages);
    if (ready.softState !== undefined) this.#onSoftState(ready.softState);
    if (ready.append !== undefined) this.#append(ready.append);
    if (ready.apply !== undefined) this.applyQueue.add(ready.apply);
    for (const { context, index } of ready.readStates) this.#listener.onReadIndex(context, index);
    for (const context of ready.readsDropped) this.#listener.onReadIndex(context, undefined);
  }

  #append(append: StorageAppend): void {
    const hardState = append.hardState ?? this.#hardState;
    this.#hardState = hardState;
    const { entries, snapshot } = append;
    if (snapshot !== undefined) this.#install(snapshot, hardState);
    this.appendQueue.add({
      entries: entries.map(toLogEntry),
      hardState,
      // The marker of a snapshot is synced by itself.
      mustSync: snapshot === undefined ? append.mustSync : entries.length > 0,
      onDurable: () => this.#acknowledge(append, hardState),
    });
  }

  /**
   * Only now does the log hold what is committed: before, it may still have entries of an older leader
   * at the same place, among them another verdict.
   */
  #acknowledge(append: StorageAppend, { commit }: HardState): void {
    this.#send(this.#raft.appended(append));
    this.applyQueue.advanceCommitted(commit);
    this.#scheduleTurn();
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      assert(this.#peers !== undefined, "EventLoop: a message to a peer, but there are none");
      if (message.kind === "heartbeat") this.quorum.sent(message.to, this.#clock.monotonicMs());
      this.#peers.send(this.#withClock(message));
    }
  }

  /** Who leads, or is about to, wants to know what time it is here (rule T1). */
  #withClock(message: Message): Message {
    return tellsTime(message) ? { ...message, wallMs: this.#clock.wallMs() } : message;
  }

  /** Rule S2: apply stands still, the new generation is complete, the marker is the switch. */
  #install(snapshot: SnapshotMetadata, { term, vote }: HardState): void {
    const peers = this.#peers;
    assert(peers !== undefined, "EventLoop: a snapshot, but there are no peers");
    // Entries that come with it follow it: they are not there yet, and may be committed.
    const hardState = { term, vote, commit: snapshot.index };
    const installed = this.appendQueue.runExclusive(async () => {
      await this.applyQueue.drain();
      const marker = await peers.stage(snapshot);
      await this.#log.saveMarker({ marker, hardState });
      await peers.activate(marker);
      this.#configuration = snapshot.configuration;
      this.#members = membersOf(this.#stateMachine.applied);
      this.#listener.onMembersChanged?.();
      this.#view.skipTo(marker.index);
      this.#listener.onStateReplaced?.(marker.index);
      this.applyQueue.resumeAt(marker.index);
      this.#listener.onApplied(marker.index);
    });
    runInBackground(installed, (error) => this.#fail(error));
  }

  #onSoftState(state: SoftState): void {
    const wasLeader = this.#softState.role === "leader";
    this.#softState = state;
    if (!wasLeader) this.quorum.reset();
    if (!wasLeader && state.role === "leader") this.#stamps.lead(this.#raft.state.log.lastIndex);
    if (state.role === "follower") this.#stamps.reset();
    if (wasLeader && state.role !== "leader") {
      this.#changeGate.abandon();
      this.proposals.abandon({
        refused: new OperatingError("not_leader", "leader not found"),
        unknown: "leadership lost while committing log",
      });
    }
    this.#listener.onRoleChanged(state);
  }

  #applyListener(): ConstructorParameters<typeof ApplyQueue>[0]["listener"] {
    return {
      prepareEntry: (entry) => this.#prepareEntry(entry),
      onApplied: (entries, outcome) => this.#onApplied(entries, outcome),
      onItemApplied: (item) => this.#onItemApplied(item),
      onVerdictMissing: (parked) => this.#listener.onVerdictMissing(parked),
      onFatal: (error) => this.#fail(error),
    };
  }

  #prepareEntry(entry: Entry): ApplyEntry {
    const { format } = this.proposals.at(entry.index) ?? { format: undefined };
    if (entry.kind === "normal") return { ...toLogEntry(entry), format, configuration: undefined };
    const change = readChange(payloadOf(entry));
    const outcome = changeConfiguration(this.#configuration, change);
    const behind = outcome.kind === "changed" ? outcome.configuration : this.#configuration;
    const members = this.#membersBehind(change, behind);
    return {
      ...toLogEntry(entry),
      format,
      configuration: encodeConfiguration(behind),
      members: members && encodeMemberTable(members),
    };
  }

  /** Rows that the change brings, without those of who is no member behind it (rule M1). */
  #membersBehind(change: ConfChange, behind: ConfState): MemberTable | undefined {
    if (this.#members === undefined) return undefined;
    const put = change.context.length === 0 ? NO_MEMBERS : decodeMemberTable(change.context);
    assert(put !== undefined, "EventLoop: a change whose members nobody can read");
    return changeMembers(this.#members, { put: put.members, memberIds: allMembers(behind) });
  }

  #onApplied(entries: readonly ApplyEntry[], outcome: ApplyOutcome): void {
    for (const [place, entry] of entries.entries()) {
      if (entry.index > outcome.appliedIndex) break;
      if (entry.kind === "conf_change") this.#changeConfiguration(entry);
      tellOfReplicas(this.#listener, entry);
      const result = outcome.results[place];
      if (result !== undefined) this.proposals.settle(entry.index, result);
    }
    this.#listener.onApplied(outcome.appliedIndex);
    if (this.proposals.hasQueued) this.#scheduleTurn();
  }

  /** At once, not with its item: the next batch may hold a change that builds on it. */
  #changeConfiguration(entry: ApplyEntry): void {
    const change = readChange(entry.payload);
    this.#configuration = this.#raft.applyConfChange(change);
    this.#members = this.#membersBehind(change, this.#configuration);
    if (change.context.length > 0) this.#changeGate.onMembersPut();
    this.#listener.onMembersChanged?.();
  }

  #onItemApplied(item: StorageApply): void {
    this.#raft.applied(item);
    this.#view.dropBefore(logIndex(this.applyQueue.appliedIndex + 1));
    this.#campaignIfAlone();
    this.#scheduleTurn();
  }

  #fetchWanted(): void {
    const fetched = this.#view.fetchNext()?.then((isToBeTold) => {
      if (isToBeTold) this.#raft.entriesFetched();
      this.#scheduleTurn();
    });
    if (fetched !== undefined) runInBackground(fetched, (error) => this.#fail(error));
  }

  /** Not before everything known to be committed is applied (rule D2). */
  #campaignIfAlone(): void {
    if (!this.#isAlone() || this.#softState.role === "leader") return;
    if (this.applyQueue.appliedIndex < this.#hardState.commit) return;
    this.#raft.campaign();
  }

  #isAlone(): boolean {
    const { voters, votersOutgoing, learners } = this.#configuration;
    return voters.length === 1 && votersOutgoing.length === 0 && learners.length === 0 &&
      voters[0] === this.#raft.id;
  }

  #fail(error: unknown): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.applyQueue.stop();
    this.#listener.onFatal(error);
  }
}

function membersOf({ members }: AppliedState): MemberTable | undefined {
  if (members === undefined) return undefined;
  const table = decodeMemberTable(members);
  assert(table !== undefined, "EventLoop: the state's members cannot be read");
  return table;
}

function readChange(payload: Uint8Array): ConfChange {
  const change = decodeConfChange(payload);
  assert(change !== undefined, "EventLoop: a configuration change that nobody can read");
  return change;
}

function refusal(reason: RefusalReason): OperatingError {
  return reason === "uncommitted_limit"
    ? new OperatingError("overloaded", "Cannot accept write: too much is waiting to be committed")
    : new OperatingError("not_leader", "leader not found");
}
