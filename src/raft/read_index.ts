/**
 * Linearizable reads without log entries (Raft thesis 6.4), for this node and for followers that ask.
 *
 * A leader answers with its commit index once (1) an entry of its own term is committed, for before that
 * it may not know of everything acknowledged; a single voter is no exception, since its commit index need
 * not have been durable; and (2) a quorum has answered heartbeats sent after the read came in. There are
 * no lease reads (rule E3).
 */
import { assert } from "../base/assert.ts";
import type { LogIndex } from "../base/ids.ts";
import type { ReadIndexRequest, ReadIndexResponse } from "./message.ts";
import type { ReadRequest } from "./read_queue.ts";
import { broadcastHeartbeat } from "./replication.ts";
import type { RaftState } from "./state.ts";
import { NO_TERM, NOBODY, type ReadContext } from "./types.ts";

/**
 * `taken`: the context comes back in a Ready, as a read state or as dropped. A follower's may also be lost on
 * its way; after an election timeout without an answer it is forgotten, and nobody is told.
 */
export type ReadOutcome = "taken" | "no_leader" | "overloaded";

/** A read of this node's own. */
export function readIndex(state: RaftState, context: ReadContext): ReadOutcome {
  if (state.leader === NOBODY) return "no_leader";
  if (state.reads.isFull) return "overloaded";
  if (state.role === "leader") {
    startRead(state, { kind: "local", context });
    return "taken";
  }
  state.send({
    kind: "read_index",
    from: state.id,
    to: state.leader,
    term: NO_TERM,
    requestId: state.reads.addForwarded(context),
  });
  return "taken";
}

/** A follower asks. Whoever does not lead stays silent: the asker retries. */
export function handleReadIndexRequest(state: RaftState, message: ReadIndexRequest): void {
  if (state.role !== "leader" || state.reads.isFull) return;
  startRead(state, { kind: "remote", from: message.from, requestId: message.requestId });
}

/** The leader answers this follower. */
export function handleReadIndexResponse(state: RaftState, message: ReadIndexResponse): void {
  if (state.role !== "follower" || message.from !== state.leader) return;
  state.reads.finishForwarded(message);
}

function startRead(state: RaftState, request: ReadRequest): void {
  if (!hasCommittedInOwnTerm(state)) {
    state.reads.addEarly(request);
    return;
  }
  const opensRound = state.reads.add({ request, index: state.log.commit });
  if (opensRound) broadcastHeartbeat(state);
  finishConfirmedReads(state);
}

/** Whether the leader knows the commit index of all terms before its own. */
export function hasCommittedInOwnTerm(state: RaftState): boolean {
  return state.log.termOrZero(state.log.commit) === state.term;
}

/** The leader has committed: reads that came too early begin now. */
export function startEarlyReads(state: RaftState): void {
  if (!hasCommittedInOwnTerm(state)) return;
  for (const request of state.reads.takeEarly()) startRead(state, request);
}

/** Answers what a quorum has confirmed: after heartbeat answers, and when the configuration changed. */
export function finishConfirmedReads(state: RaftState): void {
  if (state.role !== "leader") return;
  const confirmed = state.reads.takeConfirmed(state.members.configuration, state.id);
  for (const { request, index } of confirmed) answerRead(state, { request, index });
}

function answerRead(
  state: RaftState,
  read: { readonly request: ReadRequest; readonly index: LogIndex },
): void {
  const { request, index } = read;
  assert(index <= state.log.commit, "answerRead: past the commit index");
  if (request.kind === "local") {
    state.reads.finishLocal({ context: request.context, index });
    return;
  }
  state.send({
    kind: "read_index_response",
    from: state.id,
    to: request.from,
    term: state.term,
    requestId: request.requestId,
    index,
  });
}
