/**
 * Sees everything and knows what Raft and Dust promise. Looks at a node after every event there, at every
 * message before it leaves, at every write to a log: one leader in a term (Raft figure 3), log matching,
 * leader completeness, commit by quorum and never back, promises durable before they are made, votes
 * given once, state never ahead of the durable log (rule D1). The first violation ends a run.
 * Not here: what is committed and what clients saw (history.ts).
 */
import { type LogIndex, logIndex, type NodeId } from "../../src/base/ids.ts";
import type { HardState, LogEntry, LogPort } from "../../src/node/ports.ts";
import { assertRaft } from "../../src/raft/assert_raft.ts";
import { configurationText, isJoint } from "../../src/raft/configuration.ts";
import type { Message } from "../../src/raft/message.ts";
import type { Raft } from "../../src/raft/raft.ts";
import type { ConfState } from "../../src/raft/types.ts";
import type { DurableFacts } from "./durable_facts.ts";
import { History, isQuorum } from "./history.ts";
import { decodeModelCommand } from "./model_state.ts";

/** One process as the judge sees it. What it remembers of it is in here too. */
export interface Witness {
  readonly id: NodeId;
  /** Which start of the machine this process is. */
  readonly boot: number;
  readonly raft: Raft;
  readonly facts: DurableFacts;
  readonly isReady: boolean;
  readonly appliedIndex: LogIndex;
  /** What was seen at the last look. */
  readonly seen: {
    commit: number;
    term: number;
    isLeader: boolean;
    configuration: ConfState | undefined;
  };
}

interface Leader {
  readonly id: NodeId;
  readonly boot: number;
}

/** See the file's header. */
export class Judge {
  /** The first violation. */
  violation: string | undefined;
  readonly history = new History((reason) => this.fail(reason));
  /** By id, also of machines that are gone. */
  readonly facts = new Map<NodeId, DurableFacts>();
  readonly #leaders = new Map<number, Leader>();
  readonly #votes = new Map<NodeId, Map<number, NodeId>>();
  /** By term: what the entry at each index is, and its predecessor's term. */
  readonly #entries = new Map<number, Map<number, number>>();
  #maxTerm = 0;
  elections = 0;
  /** Elections under a joint configuration, and under one that is not the newest applied anywhere. */
  jointElections = 0;
  outdatedElections = 0;

  /** Keeps the first violation. */
  fail(reason: string): void {
    this.violation ??= reason;
  }

  get maxTerm(): number {
    return this.#maxTerm;
  }

  /** Something happened at a node. */
  inspect(node: Witness): void {
    try {
      assertRaft(node.raft);
    } catch (error) {
      this.fail(`node ${node.id}: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    const { raft, seen } = node;
    if (raft.term < seen.term) this.fail(`node ${node.id}: its term goes back`);
    this.#maxTerm = Math.max(this.#maxTerm, raft.term);
    this.#inspectCommit(node);
    if (raft.role === "leader") this.#inspectLeader(node);
    seen.term = raft.term;
    seen.isLeader = raft.role === "leader";
    seen.configuration = raft.configuration;
  }

  #inspectCommit(node: Witness): void {
    const { log } = node.raft.state;
    const { seen } = node;
    if (log.commit === seen.commit) return;
    if (log.commit < seen.commit) this.fail(`node ${node.id}: its commit index goes back`);
    seen.commit = log.commit;
    let isNew = false;
    for (let index = log.commit; index >= log.firstIndex; index = logIndex(index - 1)) {
      const term = log.termOrZero(index);
      if (!this.history.commit({ index, term }, this.#maxTerm)) break;
      isNew = true;
    }
    if (isNew && node.raft.role === "leader") this.#inspectQuorum(node);
  }

  /** What a leader commits is on the disks of a quorum, of its configuration before or behind the event. */
  #inspectQuorum(node: Witness): void {
    const { log } = node.raft.state;
    const entry = { index: log.commit, term: log.termOrZero(log.commit) };
    const { seen, raft } = node;
    if (seen.isLeader && seen.term === raft.term && entry.term !== raft.term) {
      this.fail(`node ${node.id} commits ${entry.index} of an earlier term by counting (5.4.2)`);
    }
    const has = (id: NodeId): boolean => this.facts.get(id)?.holds(entry) === true;
    const { configuration } = node.raft;
    if (isQuorum(configuration, has)) return;
    if (node.seen.configuration !== undefined && isQuorum(node.seen.configuration, has)) return;
    this.fail(`node ${node.id} commits ${entry.index}, which is not durable on a quorum`);
  }

  #inspectLeader(node: Witness): void {
    const { raft, id, boot } = node;
    const known = this.#leaders.get(raft.term);
    if (known === undefined) {
      this.#leaders.set(raft.term, { id, boot });
      this.elections += 1;
      this.#countElection(raft.configuration);
      this.#inspectNewLeader(node);
    } else if (known.id !== id || known.boot !== boot) {
      this.fail(`two leaders in term ${raft.term}: nodes ${known.id} and ${id}`);
    }
    const isNewest = raft.term === this.#maxTerm;
    if (isNewest && node.isReady && node.appliedIndex < this.history.ackedIndexMax) {
      this.fail(`node ${id} calls itself ready and lacks acknowledged writes (rule E4)`);
    }
  }

  #countElection(configuration: ConfState): void {
    const { newestConfiguration } = this.history;
    if (isJoint(configuration)) this.jointElections += 1;
    if (newestConfiguration === undefined) return;
    const isNewest = configurationText(configuration) === configurationText(newestConfiguration);
    if (!isNewest) this.outdatedElections += 1;
  }

  /** Leader completeness (Raft section 5.4.3). */
  #inspectNewLeader(node: Witness): void {
    const { raft, id } = node;
    const { log } = raft.state;
    for (let index = log.firstIndex; index <= this.history.commitMax; index = next(index)) {
      const committed = this.history.committed(index);
      if (committed === undefined || committed.knownIn >= raft.term) continue;
      if (log.termOrZero(index) === committed.term) continue;
      this.fail(`node ${id} leads term ${raft.term} without the committed entry ${index}`);
      return;
    }
  }

  /** A message is about to leave. */
  sent(node: Witness, message: Message): void {
    if (message.kind === "vote_response" && message.isGranted && message.ballot === "vote") {
      this.#promised(node, { term: message.term, to: message.to });
    } else if (message.kind === "vote_request" && message.ballot === "vote") {
      this.#promised(node, { term: message.term, to: node.id });
    } else if (message.kind === "append_response" && message.rejection === undefined) {
      this.#acknowledged(node, message);
    }
  }

  #promised(node: Witness, vote: { readonly term: number; readonly to: NodeId }): void {
    this.#voted(node.id, vote);
    const { durableHardState } = node.facts;
    const isDurable = durableHardState.term > vote.term ||
      (durableHardState.term === vote.term && durableHardState.vote === vote.to);
    if (!isDurable) this.fail(`node ${node.id} gives a vote that is not durable`);
  }

  #acknowledged(node: Witness, message: { readonly index: number; readonly term: number }): void {
    const { facts } = node;
    const { term } = facts.durableHardState;
    if (term < message.term) {
      this.fail(`node ${node.id} acknowledges in term ${message.term} before that is durable`);
    }
    // What a later leader has replaced, durably, cannot be committed by the one who is told.
    if (term > message.term || message.index <= Math.max(facts.durableUpTo, facts.base)) return;
    this.fail(`node ${node.id} acknowledges ${message.index} before it is durable`);
  }

  #voted(voter: NodeId, vote: { readonly term: number; readonly to: NodeId }): void {
    let votes = this.#votes.get(voter);
    if (votes === undefined) {
      votes = new Map();
      this.#votes.set(voter, votes);
    }
    const known = votes.get(vote.term);
    if (known !== undefined && known !== vote.to) {
      this.fail(`node ${voter} votes twice in term ${vote.term}: for ${known} and ${vote.to}`);
    }
    votes.set(vote.term, vote.to);
  }

  /** Entries were written behind what `facts` says: the same index and term is the same log (figure 3). */
  wrote(entries: readonly LogEntry[], facts: DurableFacts): void {
    let before = facts.terms[(entries[0]?.index ?? 0) - 1] ?? 0;
    for (const { index, term, kind, payload } of entries) {
      const id = decodeModelCommand({ kind, payload })?.id ?? -payload.length;
      const label = before * 2 ** 24 + id * 2 + (kind === "normal" ? 0 : 1);
      let known = this.#entries.get(term);
      if (known === undefined) {
        known = new Map();
        this.#entries.set(term, known);
      }
      const other = known.get(index);
      if (other === undefined) known.set(index, label);
      else if (other !== label) this.fail(`two entries at ${index} in term ${term}`);
      before = term;
    }
  }

  /** Entries go to the state machine (rule D1). */
  applies(index: number, facts: DurableFacts, node: NodeId): void {
    if (index <= facts.durableUpTo) return;
    this.fail(`node ${node} applies ${index}, its log is durable up to ${facts.durableUpTo}`);
  }

  /** What a start found, against what was durable before. */
  recovered(
    node: NodeId,
    facts: DurableFacts,
    found: { readonly log: LogPort; readonly hardState: HardState },
  ): void {
    const { log, hardState } = found;
    const { durableHardState } = facts;
    if (hardState.term < durableHardState.term || hardState.commit < durableHardState.commit) {
      this.fail(`node ${node} starts with an older vote record`);
    }
    const isSameTerm = hardState.term === durableHardState.term;
    if (isSameTerm && durableHardState.vote !== 0 && hardState.vote !== durableHardState.vote) {
      this.fail(`node ${node} starts with another vote`);
    }
    if (facts.pendingReset !== undefined && log.marker.index === facts.pendingReset.index) return;
    if (log.lastIndex < facts.durableUpTo) {
      this.fail(
        `node ${node} starts without durable entries ${log.lastIndex + 1} to ${facts.durableUpTo}`,
      );
    }
    for (let index = log.firstIndex; index <= facts.durableUpTo; index = next(index)) {
      if (index <= facts.base || log.term(index) === facts.terms[index]) continue;
      this.fail(`node ${node} starts with another entry at ${index}`);
      return;
    }
  }
}

function next(index: number): LogIndex {
  return logIndex(index + 1);
}
