/**
 * One Raft node's rules as a stepped value: the face to its driver. No I/O, no clock, no chance of its
 * own: the same calls in the same order give the same outputs. Single-threaded; no call throws for what
 * peers send, except FatalError when this node turns out to have lost what it promised, and
 * AssertionError for bugs. After either the object must not be used again.
 *
 * ready.ts says what the driver does, and in which order; this file only leads to the rules.
 */
import { assert, assertDefined } from "../base/assert.ts";
import type { LogIndex, NodeId, Term } from "../base/ids.ts";
import type { ConfChange } from "./conf_change.ts";
import { assertConfig, type RaftConfig } from "./config.ts";
import { campaign } from "./election.ts";
import { forgetLeader } from "./forget_leader.ts";
import type { LogStorage } from "./log_storage.ts";
import { applyConfChange, switchConfiguration } from "./membership.ts";
import type { Message } from "./message.ts";
import { propose, proposeConfChange, type ProposeOutcome } from "./proposal.ts";
import { RaftLog } from "./raft_log.ts";
import { readIndex, type ReadOutcome } from "./read_index.ts";
import type { AppendAcknowledgement, Ready, StorageAppend, StorageApply } from "./ready.ts";
import { ReadyMaker } from "./ready_maker.ts";
import { entriesFetched } from "./replication.ts";
import { becomeFollower } from "./roles.ts";
import { reportSnapshot, requestSnapshot, type SnapshotReport } from "./snapshot.ts";
import { RaftState } from "./state.ts";
import { type RaftStatus, statusOf } from "./status.ts";
import { step, type StepOutcome, stepUnchecked } from "./step.ts";
import { handleAppendAcknowledgement, handleApplied } from "./storage_answers.ts";
import { tick } from "./tick.ts";
import type { TraceSink } from "./trace.ts";
import { transferLeadership, type TransferOutcome } from "./transfer.ts";
import {
  type ConfState,
  type HardState,
  NOBODY,
  type ProposedEntry,
  type ReadContext,
  type Role,
} from "./types.ts";
import { reportUnreachable } from "./unreachable.ts";

/** What a node starts from. */
export interface RaftOptions {
  readonly config: RaftConfig;
  readonly storage: LogStorage;
  /** As stored; `EMPTY_HARD_STATE` for a node that has never run. */
  readonly hardState: HardState;
  /** The last entry whose effects are in the state. */
  readonly applied: LogIndex;
  /** The configuration in force at `applied`. Changes behind it are applied again as entries are. */
  readonly configuration: ConfState;
  /** Numbers in [0, 1), like `Math.random`; the only source of chance. */
  readonly random: () => number;
  readonly trace: TraceSink | undefined;
}

/** See the file's header. */
export class Raft {
  readonly #state: RaftState;
  readonly #maker: ReadyMaker;
  #outstanding: Ready | undefined;

  /** @throws {FatalError} when log, vote record and state do not fit together. */
  constructor(options: RaftOptions) {
    const { config, storage, hardState, applied, configuration, trace } = options;
    assertConfig(config);
    const log = new RaftLog({
      storage,
      trace,
      applied,
      commit: hardState.commit,
      applySizeBytesMax: config.applySizeBytesMax,
      mayApplyUnstable: config.storageWrites === "synchronous",
    });
    const { random } = options;
    this.#state = new RaftState({ config, log, hardState, configuration, random, trace });
    switchConfiguration(this.#state, { configuration, renewed: [] });
    becomeFollower(this.#state, { term: hardState.term, leader: NOBODY });
    this.#maker = new ReadyMaker(this.#state);
    trace?.({
      kind: "started",
      configuration,
      term: hardState.term,
      commit: log.commit,
      applied: log.applied,
      last: log.last(),
    });
  }

  get id(): NodeId {
    return this.#state.id;
  }

  get role(): Role {
    return this.#state.role;
  }

  /** The known leader of the present term, or 0. */
  get leader(): NodeId {
    return this.#state.leader;
  }

  get term(): Term {
    return this.#state.term;
  }

  /** What a durable log must hold in the end; a Ready tells when it changed. */
  get hardState(): HardState {
    return this.#state.hardState;
  }

  /** The configuration in force here. */
  get configuration(): ConfState {
    return this.#state.members.configuration;
  }

  /** A copy of all that matters to operators. */
  status(): RaftStatus {
    return statusOf(this.#state);
  }

  /** The inside, for `assertRaft` and tests: to be looked at, not changed. */
  get state(): RaftState {
    return this.#state;
  }

  /** One tick has passed. At most one in a turn of the driver, after all received messages (rule E1). */
  tick(): void {
    tick(this.#state);
  }

  /** Starts an election now, if this node may. */
  campaign(): void {
    campaign(this.#state, "election");
  }

  /** Whether this node should leave it to others to lead, as long as one of them can (rule V2). */
  setReluctant(options: { readonly isReluctant: boolean }): void {
    this.#state.isReluctant = options.isReluctant;
  }

  /** Proposes entries as one batch: all or none. The index is that of the first. */
  propose(entries: readonly ProposedEntry[]): ProposeOutcome {
    assert(entries.length > 0, "Raft.propose: no entries");
    return propose(this.#state, entries);
  }

  /** Proposes a configuration change. Only one can be on its way. */
  proposeConfChange(change: ConfChange): ProposeOutcome {
    return proposeConfChange(this.#state, change);
  }

  /**
   * A committed change is being applied: call it in log order, before `applied` for its entry.
   * @returns the configuration behind that entry, to be stored with the state.
   */
  applyConfChange(change: ConfChange): ConfState {
    return applyConfChange(this.#state, change);
  }

  /** A message has arrived, or a response to itself may now be delivered. */
  step(message: Message): StepOutcome {
    assert(message.to === this.#state.id, "Raft.step: a message for somebody else");
    return step(this.#state, message);
  }

  /** Asks for an index at which a read is linearizable. The answer comes in a Ready. */
  readIndex(context: ReadContext): ReadOutcome {
    return readIndex(this.#state, context);
  }

  /** Hands leadership over to `to`, a voter. Proposals are refused until that is done or given up. */
  transferLeadership(to: NodeId): TransferOutcome {
    return transferLeadership(this.#state, to);
  }

  /**
   * Forgets who leads, on evidence that the leader is dead (rule E2): term and vote stay. A message from
   * the leader of this term restores it. @returns whether there was a leader to forget.
   */
  forgetLeader(): boolean {
    return forgetLeader(this.#state);
  }

  /** A message to `peer` was lost for certain: what was sent optimistically is sent again. */
  reportUnreachable(peer: NodeId): void {
    reportUnreachable(this.#state, peer);
  }

  /** What became of a snapshot sent to `peer`. Without a report the peer is sent nothing more. */
  reportSnapshot(report: { readonly peer: NodeId; readonly outcome: SnapshotReport }): void {
    reportSnapshot(this.#state, report);
  }

  /** Asks the leader for a snapshot, to rebuild this follower. Forgotten when the term changes. */
  requestSnapshot(): boolean {
    return requestSnapshot(this.#state);
  }

  /** Storage has fetched entries that were `unavailable`. */
  entriesFetched(): void {
    entriesFetched(this.#state);
  }

  /** Whether there is anything for the driver to do. */
  hasReady(): boolean {
    return this.#maker.hasWork;
  }

  /** Takes what there is to do; may be empty. In synchronous mode `advance` must come in between. */
  ready(): Ready {
    assert(this.#outstanding === undefined, "Raft.ready: the last Ready was not advanced");
    const ready = this.#maker.take();
    if (this.#state.config.storageWrites === "synchronous") this.#outstanding = ready;
    return ready;
  }

  /** Synchronous mode: the last Ready has been carried out. */
  advance(): void {
    const { append, apply } = assertDefined(this.#outstanding, "Raft.advance: no Ready was taken");
    this.#outstanding = undefined;
    if (append !== undefined) this.#stepOwn(append);
    if (append?.acknowledgement !== undefined) this.acknowledgeAppend(append.acknowledgement);
    if (apply !== undefined) this.applied(apply);
  }

  /**
   * Asynchronous mode: `append` and all before it are durable. @returns the messages that may leave now.
   */
  appended(append: StorageAppend): readonly Message[] {
    this.#stepOwn(append);
    if (append.acknowledgement !== undefined) this.acknowledgeAppend(append.acknowledgement);
    return append.responses.filter((message) => message.to !== this.#state.id);
  }

  /** The part of `appended` that concerns the log; for drivers that deliver responses themselves. */
  acknowledgeAppend(acknowledgement: AppendAcknowledgement): void {
    handleAppendAcknowledgement(this.#state, acknowledgement);
  }

  /** Asynchronous mode: the entries are applied. */
  applied(apply: StorageApply): void {
    handleApplied(this.#state, apply.entries);
  }

  #stepOwn(append: StorageAppend): void {
    for (const message of append.responses) {
      if (message.to === this.#state.id) stepUnchecked(this.#state, message);
    }
  }
}
