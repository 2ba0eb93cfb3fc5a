/**
 * All that one engine knows, and the few primitives that every rule uses: sending, drawing a timeout,
 * starting a term afresh. The rules themselves are functions over this state, one file for each kind of
 * message or concern; step.ts is where they meet, raft.ts is the face to the driver.
 *
 * Two queues leave the engine. `messages` may go at once. `waiting` rests on what this node holds (a vote,
 * a log) and goes only when everything the node decided so far is durable: append and vote answers,
 * refusals and those to itself included, and vote requests. A leader counts its own log in no other way.
 */
import { assert } from "../base/assert.ts";
import type { LogIndex, NodeId, Term } from "../base/ids.ts";
import type { RaftConfig } from "./config.ts";
import { Members } from "./members.ts";
import type { AppendResponse, Message, VoteRequest, VoteResponse } from "./message.ts";
import type { RaftLog } from "./raft_log.ts";
import { ReadQueue } from "./read_queue.ts";
import type { TraceSink } from "./trace.ts";
import { type ConfState, type HardState, NO_INDEX, NOBODY, type Role } from "./types.ts";

/** What waits for durability. */
export type WaitingMessage = AppendResponse | VoteResponse | VoteRequest;

/** What may leave at once: everything else, and questions that bind nobody. */
export type ImmediateMessage = Exclude<Message, AppendResponse | VoteResponse>;

/** See the file's header. Mutated by the rules only. */
export class RaftState {
  readonly config: RaftConfig;
  readonly id: NodeId;
  readonly log: RaftLog;
  readonly trace: TraceSink | undefined;
  readonly members: Members;
  readonly reads: ReadQueue;
  readonly #random: () => number;

  term: Term;
  /** Whom this node voted for in `term`. */
  vote: NodeId;
  role: Role = "follower";
  /** The leader of `term` as far as known; this node's own id while it leads. */
  leader: NodeId = NOBODY;
  /** Answers in the present (pre-)election. */
  votes = new Map<NodeId, boolean>();

  /** Ticks since the last sign of the leader; for a leader, since it last looked at its transfer. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  quorumElapsed = 0;
  /** The drawn timeout, in ticks. */
  electionTimeout = 0;

  /** To whom this leader is handing over, or nobody. */
  transferee: NodeId = NOBODY;
  /** No new configuration change before this index is applied; a leader's upper bound for the last one. */
  pendingConfIndex: LogIndex = NO_INDEX;
  /** Payload bytes this leader took in and has not seen applied. */
  uncommittedBytes = 0;
  /** The configuration that belongs to the applied state; a pending snapshot's is ahead of it. */
  appliedConfiguration: ConfState;
  /** Whether this node would rather not lead: it waits longer than others before it campaigns (rule V2). */
  isReluctant = false;
  /** Whether this follower asked for a snapshot that has not come yet. */
  wantsSnapshot = false;
  /** With batched appends: some `Progress.appendDue` is set. */
  areAppendsDue = false;

  messages: Message[] = [];
  waiting: WaitingMessage[] = [];

  constructor(options: {
    readonly config: RaftConfig;
    readonly log: RaftLog;
    readonly hardState: HardState;
    readonly configuration: ConfState;
    readonly random: () => number;
    readonly trace: TraceSink | undefined;
  }) {
    this.config = options.config;
    this.id = options.config.id;
    this.log = options.log;
    this.trace = options.trace;
    this.#random = options.random;
    this.members = new Members(options.config);
    this.reads = new ReadQueue(options.random());
    this.term = options.hardState.term;
    this.vote = options.hardState.vote;
    this.appliedConfiguration = options.configuration;
  }

  /** What must be durable now. */
  get hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.commit };
  }

  /** Queues a message that promises nothing. */
  send(message: ImmediateMessage): void {
    assert(message.to !== this.id, "RaftState.send: a message to itself must wait");
    assert(message.to !== NOBODY, "RaftState.send: a message to nobody");
    this.messages.push(message);
  }

  /** Queues a message that must wait for durability. */
  sendWhenDurable(message: WaitingMessage): void {
    assert(message.to !== NOBODY, "RaftState.sendWhenDurable: a message to nobody");
    this.waiting.push(message);
  }

  /** Answers an append or a snapshot: the log matches the leader's up to `index`. */
  acceptAppend(options: { readonly to: NodeId; readonly index: LogIndex }): void {
    const { to, index } = options;
    this.sendWhenDurable({
      kind: "append_response",
      from: this.id,
      to,
      term: this.term,
      index,
      rejection: undefined,
    });
  }

  /** Another leader, or none: reads passed on to the previous one are given up. */
  setLeader(leader: NodeId): void {
    if (leader === this.leader) return;
    this.leader = leader;
    this.reads.dropForwarded();
  }

  /** Begins `term`, or the same one in another role. The vote stays while the term does. */
  reset(term: Term): void {
    assert(term >= this.term, "RaftState.reset: the term moves back");
    if (term !== this.term) {
      this.term = term;
      this.vote = NOBODY;
    }
    this.setLeader(NOBODY);
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.quorumElapsed = 0;
    this.electionTimeout = this.#drawElectionTimeout();
    this.transferee = NOBODY;
    this.votes.clear();
    this.members.resetProgress({ self: this.id, lastIndex: this.log.lastIndex });
    this.pendingConfIndex = NO_INDEX;
    this.uncommittedBytes = 0;
    this.wantsSnapshot = false;
    this.areAppendsDue = false;
    this.reads.reset();
  }

  /** In `[electionTicks, electionTicksMax]`, so that ties are rare (Raft section 5.2). */
  #drawElectionTimeout(): number {
    const { electionTicks, electionTicksMax } = this.config;
    const random = this.#random();
    assert(random >= 0 && random < 1, "RaftState: random must be in [0, 1)");
    return electionTicks + Math.floor(random * (electionTicksMax - electionTicks + 1));
  }
}
