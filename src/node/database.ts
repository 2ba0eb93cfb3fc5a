/**
 * The database as clients see it: requests in, answers out. Chooses where each request runs (log,
 * reader thread, both) by the read levels of the wire contract, section 7. Exists before the node is
 * open, so that the HTTP port can answer from the first moment on.
 * Not here: what /status, /nodes and /readyz say (node_report.ts).
 */
import { assert, unreachable } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex } from "../base/ids.ts";
import { LARGE_BODY_CHARACTERS } from "../base/limits.ts";
import { checkCommand } from "../command/command_reader.ts";
import { encodeExecuteBody } from "../command/execute_body.ts";
import type { Answer, ExecuteRequest, QueryRequest, ResultFormat } from "../command/request.ts";
import { attachRetryName } from "../command/retry.ts";
import { parseStatements } from "../command/statement_parser.ts";
import { NOBODY } from "../raft/types.ts";
import { answerWrites } from "./forwarded_writes.ts";
import type { ForwardedWork, Forwarding } from "./forwarding.ts";
import { FORWARD_TIMEOUT_MS_DEFAULT, LEADER_WAIT_MS_MAX } from "./limits.ts";
import type { ClusterView } from "./cluster_view.ts";
import type { Node } from "./node.ts";
import type { QueryOutcome, StateMachinePort } from "./ports.ts";
import type { WriteOutcome } from "./proposals.ts";

/** How often a read is begun anew because the leader has changed. */
const LEADER_ATTEMPTS_MAX = 4;

const QUARANTINED =
  "Cannot read here: the data of this node differs from that of the others and is being renewed";

const ENCODER = new TextEncoder();
const UTF8 = new TextDecoder();

/** What there is once the node is open. */
export interface OpenedNode {
  readonly node: Node;
  readonly stateMachine: StateMachinePort;
  /** To the leader, when that is another node; undefined for a node that has no others. */
  readonly forwarding?: Forwarding | undefined;
  /** The other members; undefined for a node that has no others. */
  readonly cluster?: ClusterView | undefined;
}

/** One per process; `attach` once the node is open. */
export class Database {
  #opened: OpenedNode | undefined;
  #hasQueried = false;
  #lastForeignId = 0;
  /** Reads that another node answers, by the id that may be canceled. */
  readonly #forwarded = new Map<number, AbortController>();

  /** From now on requests are served. */
  attach(opened: OpenedNode): void {
    this.#opened = opened;
  }

  /** The open node, or undefined while it starts. */
  get opened(): OpenedNode | undefined {
    return this.#opened;
  }

  /** Whether a reader thread was ever asked for anything. */
  get hasQueried(): boolean {
    return this.#hasQueried;
  }

  /** A write: one log entry, answered once it is durable and applied. */
  execute(request: ExecuteRequest): Promise<Answer> {
    return this.#write(request, { rows: false });
  }

  async #write(request: ExecuteRequest, { rows }: { readonly rows: boolean }): Promise<Answer> {
    const { node, stateMachine, forwarding } = this.require();
    if (forwarding === undefined || node.isLeader) node.assertWritable();
    const { body, transaction, timeoutMs, format, idempotencyKey: key } = request;
    const options = { body, transaction, rows, timeoutMs };
    let payload = body.text.length > LARGE_BODY_CHARACTERS
      ? await stateMachine.encodeExecute(options)
      : encodeExecuteBody(options);
    if (payload === undefined) {
      return { results: "[]", raftIndex: 0, stateIndex: node.appliedIndex };
    }
    if (key !== undefined) {
      payload = attachRetryName(payload, { kind: "key", user: "", key, format });
    }
    return await this.#propose(payload, request);
  }

  /** Writes an encoded command, here or through the leader; it has its client's own name or none. */
  async #propose(
    payload: Uint8Array,
    request: Pick<ExecuteRequest, "format" | "idempotencyKey" | "leaderTimeoutMs">,
  ): Promise<Answer> {
    const { node, forwarding } = this.require();
    const { format, idempotencyKey, leaderTimeoutMs: timeoutMs } = request;
    if (forwarding === undefined || node.isLeader) {
      try {
        const { results, index } = await node.write(payload, format);
        return { results, raftIndex: index };
      } catch (error) {
        // Refused: leadership has gone to another node meanwhile, or is about to (rule E5).
        if (forwarding === undefined || !isNotLeader(error)) throw error;
      }
    }
    const isNamed = idempotencyKey !== undefined;
    return await forwarding.write({ payload, format, isNamed, timeoutMs });
  }

  /** Carries out what another node has passed on to this one as the leader. Nothing is passed on again. */
  async carryOut(
    work: ForwardedWork,
    body: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { node } = this.require();
    const write = (payload: Uint8Array, format: ResultFormat): Promise<WriteOutcome> => {
      node.assertWritable();
      // In the log it would stop every node that cannot read it: one of a newer build may have sent it (F1).
      checkCommand(payload);
      return node.write(payload, format);
    };
    if (work.kind === "execute") {
      const { results, index } = await write(body, work.format);
      return { results, raftIndex: index };
    }
    if (work.kind === "executes") {
      const results = await answerWrites({ writes: work.writes, body }, write);
      return { results, raftIndex: 0 };
    }
    if (!node.isLeader) throw new OperatingError("not_leader", "leader not found");
    // Ids of this node's own clients are positive.
    const id = --this.#lastForeignId;
    const text = body.length > LARGE_BODY_CHARACTERS ? body : UTF8.decode(body);
    const request = { ...work.request, id, body: { kind: work.bodyKind, text } };
    const cancel = (): void => this.#opened?.stateMachine.cancelQuery(id);
    signal.addEventListener("abort", cancel, { once: true });
    try {
      return await (work.kind === "query" ? this.#query(request) : this.#request(request));
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  /** A read. */
  async query(request: QueryRequest): Promise<Answer> {
    const { node, forwarding } = this.require();
    this.#assertTakable(request);
    if (forwarding === undefined) return await this.#query(request);
    for (let attempt = 1;; attempt++) {
      const isForwarded = !node.isLeader && this.#isForLeader(request);
      try {
        if (!isForwarded) return await this.#query(request);
        return await this.#forward("query", request);
      } catch (error) {
        // Leadership has come here, or gone from here, in between.
        const isAgain = isNotLeader(error) && await this.#mayAsk(request, { attempt, isForwarded });
        if (!isAgain) throw error;
      }
    }
  }

  async #query(request: QueryRequest): Promise<Answer> {
    const { outcome, raftIndex } = await this.#read(request, { unified: false });
    if (outcome.kind === "write") {
      throw new OperatingError("internal", "A query turned into a write");
    }
    return { results: outcome.results, raftIndex, stateIndex: outcome.index };
  }

  /** Runs what may be a read by its level, and a second time if meanwhile somebody else may have led (rule E4). */
  async #read(
    request: QueryRequest,
    options: { readonly unified: boolean },
  ): Promise<{ readonly outcome: QueryOutcome; readonly raftIndex: LogIndex | 0 }> {
    const { node, stateMachine } = this.require();
    this.#assertTrusted();
    const { raftIndex, isOwnWord } = await this.#waitForLevel(request);
    this.#assertTrusted();
    if (!isOwnWord) return { outcome: await stateMachine.query(request, options), raftIndex };
    const outcome = await stateMachine.query(copyOf(request), options);
    if (outcome.kind === "write" || node.isFollowed) return { outcome, raftIndex };
    if (typeof outcome.results !== "string") await outcome.results.cancel();
    await node.confirmRead(weakTimeoutMs(request));
    return { outcome: await stateMachine.query(request, options), raftIndex };
  }

  /** Reads and writes mixed: a read when every statement is one and it has no key, else one log entry. */
  async request(request: QueryRequest): Promise<Answer> {
    // What its statements are would be found out by the state of now, not that of the first time.
    if (request.idempotencyKey !== undefined) return await this.#write(request, { rows: true });
    const { node, forwarding } = this.require();
    this.#assertTakable(request);
    if (forwarding === undefined) return await this.#request(request);
    for (let attempt = 1;; attempt++) {
      const isForwarded = !node.isLeader && this.#isForLeader(request);
      try {
        if (!isForwarded) return await this.#request(request);
        return await this.#requestOfLeader(request);
      } catch (error) {
        const isAgain = isNotLeader(error) && await this.#mayAsk(request, { attempt, isForwarded });
        if (!isAgain) throw error;
      }
    }
  }

  async #request(request: QueryRequest): Promise<Answer> {
    const { outcome, raftIndex } = await this.#read(request, { unified: true });
    if (outcome.kind === "answer") {
      return { results: outcome.results, raftIndex, stateIndex: outcome.index };
    }
    return await this.#propose(outcome.payload, request);
  }

  /**
   * What writes gets a name here, so that it happens once (rule X1); what reads is for the leader to answer.
   * Which it is depends on the schema that this node has by now, and the leader looks for itself again.
   */
  async #requestOfLeader(request: QueryRequest): Promise<Answer> {
    const { stateMachine } = this.require();
    const outcome = await stateMachine.query(copyOf(request), { unified: true });
    if (outcome.kind === "write") return await this.#propose(outcome.payload, request);
    if (typeof outcome.results !== "string") await outcome.results.cancel();
    return await this.#forward("request", request);
  }

  async #forward(kind: "query" | "request", request: QueryRequest): Promise<Answer> {
    const { forwarding } = this.require();
    assert(forwarding !== undefined, "Database: nobody to forward to");
    const { body, leaderTimeoutMs: timeoutMs, ...rest } = request;
    const bytes = typeof body.text === "string" ? ENCODER.encode(body.text) : body.text;
    const work = { kind, bodyKind: body.kind, request: rest } as const;
    const abort = new AbortController();
    this.#forwarded.set(request.id, abort);
    try {
      return await forwarding.read(work, bytes, { timeoutMs, signal: abort.signal });
    } finally {
      this.#forwarded.delete(request.id);
    }
  }

  /** Ends a query whose client is gone. */
  cancel(id: number): void {
    this.#opened?.stateMachine.cancelQuery(id);
    this.#forwarded.get(id)?.abort();
  }

  /**
   * Whether the level can only be had from the leader. Linearizable reads ask it for an index alone, and so do
   * weak ones on other nodes: that costs half of what the leader's own answer does, and misses no more.
   */
  #isForLeader(request: QueryRequest): boolean {
    const level = this.#levelOf(request);
    return level === "strong" || (level !== "none" && this.require().node.isQuarantined);
  }

  /** Rule V2. At a leader it is over once another leads, and whoever asked looks for that one. */
  #assertTrusted(): void {
    const { node } = this.require();
    if (!node.isQuarantined) return;
    if (node.isLeader) throw new OperatingError("not_leader", "leader not found");
    throw new OperatingError("quarantined", QUARANTINED);
  }

  #levelOf({ level }: QueryRequest): Exclude<QueryRequest["level"], "auto"> {
    return level === "auto" ? this.require().node.automaticLevel : level;
  }

  /** What no leader would take does not wait for one. @throws {OperatingError} as `parseStatements`. */
  #assertTakable(request: QueryRequest): void {
    const { node } = this.require();
    if (node.leaderId !== NOBODY || this.#levelOf(request) === "none") return;
    if (request.body.text.length <= LARGE_BODY_CHARACTERS) parseStatements(request.body);
  }

  /**
   * Waits a little for a leader, unless forwarding has done so in vain.
   * @returns whether a request that was refused may be tried with it.
   */
  async #mayAsk(
    { body, leaderTimeoutMs = LEADER_WAIT_MS_MAX }: QueryRequest,
    { attempt, isForwarded }: { readonly attempt: number; readonly isForwarded: boolean },
  ): Promise<boolean> {
    // A large body may have gone to the thread that parses it, and is not here any more.
    if (typeof body.text !== "string" || attempt >= LEADER_ATTEMPTS_MAX) return false;
    const waitMs = isForwarded ? 0 : Math.min(leaderTimeoutMs, LEADER_WAIT_MS_MAX);
    return await this.require().node.untilLeader(waitMs) !== NOBODY;
  }

  /**
   * @returns the index of the log entry that the level needed, or 0; and whether the read rests on nothing but
   * this node's word that it leads, which must still hold when it has run (rule E4).
   */
  async #waitForLevel(
    request: QueryRequest,
  ): Promise<{ readonly raftIndex: LogIndex | 0; readonly isOwnWord: boolean }> {
    const { node } = this.require();
    this.#hasQueried = true;
    const { minIndex } = request;
    if (minIndex !== undefined) {
      await node.untilApplied(logIndex(minIndex.index), minIndex.timeoutMs);
    }
    const level = this.#levelOf(request);
    switch (level) {
      case "none":
        node.assertFresh(request);
        break;
      case "weak":
        if (node.isLeader && node.mayReadWeakly()) return { raftIndex: 0, isOwnWord: true };
        await node.confirmRead(weakTimeoutMs(request));
        break;
      case "linearizable":
        await node.confirmRead(request.linearizableTimeoutMs);
        break;
      case "strong":
        return { raftIndex: await node.barrier(), isOwnWord: false };
      default:
        return unreachable(level);
    }
    return { raftIndex: 0, isOwnWord: false };
  }

  /** The open node. @throws {OperatingError} `not_ready` while it opens. */
  require(): OpenedNode {
    if (this.#opened === undefined) throw new OperatingError("not_ready", "store not open");
    return this.#opened;
  }
}

/** A large body goes to the thread that parses it and is gone: a copy of it goes. */
function copyOf(request: QueryRequest): QueryRequest {
  const { body } = request;
  if (typeof body.text === "string") return request;
  return { ...request, body: { ...body, text: body.text.slice() } };
}

/** What a read that is not linearizable waits for another node is what its client says of that. */
function weakTimeoutMs({ leaderTimeoutMs = FORWARD_TIMEOUT_MS_DEFAULT }: QueryRequest): number {
  return leaderTimeoutMs;
}

function isNotLeader(error: unknown): boolean {
  return error instanceof OperatingError && error.code === "not_leader";
}
