/**
 * The database as clients see it: requests in, answers out. Chooses where each request runs (log,
 * reader thread, both) by the read levels of the wire contract, section 7. Exists before the node is
 * open, so that the HTTP port can answer from the first moment on.
 * Not here: what /status, /nodes and /readyz say (node_report.ts).
 */
import { unreachable } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import type { LogIndex } from "../base/ids.ts";
import { LARGE_BODY_CHARACTERS } from "../base/limits.ts";
import { encodeExecuteBody } from "../command/execute_body.ts";
import type { Answer, ExecuteRequest, QueryRequest } from "../command/request.ts";
import type { Node } from "./node.ts";
import type { StateMachinePort } from "./ports.ts";

/** What there is once the node is open. */
export interface OpenedNode {
  readonly node: Node;
  readonly stateMachine: StateMachinePort;
}

/** One per process; `attach` once the node is open. */
export class Database {
  #opened: OpenedNode | undefined;
  #hasQueried = false;

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
  async execute(request: ExecuteRequest): Promise<Answer> {
    const { node, stateMachine } = this.require();
    node.assertWritable();
    const options = {
      body: request.body,
      transaction: request.transaction,
      rows: false,
      timeoutMs: request.timeoutMs,
    };
    const payload = request.body.text.length > LARGE_BODY_CHARACTERS
      ? await stateMachine.encodeExecute(options)
      : encodeExecuteBody(options);
    if (payload === undefined) return { results: "[]", raftIndex: 0 };
    const outcome = await node.write(payload, request.format);
    return { results: outcome.results, raftIndex: outcome.index };
  }

  /** A read. */
  async query(request: QueryRequest): Promise<Answer> {
    const { stateMachine } = this.require();
    const raftIndex = await this.#waitForLevel(request);
    const outcome = await stateMachine.query(request, { unified: false });
    if (outcome.kind === "write") {
      throw new OperatingError("internal", "A query turned into a write");
    }
    return { results: outcome.results, raftIndex };
  }

  /** Reads and writes mixed: a read when every statement is one, else one log entry. */
  async request(request: QueryRequest): Promise<Answer> {
    const { node, stateMachine } = this.require();
    const raftIndex = await this.#waitForLevel(request);
    const outcome = await stateMachine.query(request, { unified: true });
    if (outcome.kind === "answer") return { results: outcome.results, raftIndex };
    node.assertWritable();
    const written = await node.write(outcome.payload, request.format);
    return { results: written.results, raftIndex: written.index };
  }

  /** Ends a query whose client is gone. */
  cancel(id: number): void {
    this.#opened?.stateMachine.cancelQuery(id);
  }

  /** @returns the index of the log entry that the level needed, or 0. */
  async #waitForLevel(request: QueryRequest): Promise<LogIndex | 0> {
    const { node } = this.require();
    this.#hasQueried = true;
    const level = request.level === "auto" ? node.automaticLevel : request.level;
    switch (level) {
      case "none":
        node.assertFresh(request);
        return 0;
      case "weak":
        if (!node.mayReadWeakly()) await node.confirmRead(request.linearizableTimeoutMs);
        return 0;
      case "linearizable":
        await node.confirmRead(request.linearizableTimeoutMs);
        return 0;
      case "strong":
        return await node.barrier();
      default:
        return unreachable(level);
    }
  }

  /** The open node. @throws {OperatingError} `not_ready` while it opens. */
  require(): OpenedNode {
    if (this.#opened === undefined) throw new OperatingError("not_ready", "store not open");
    return this.#opened;
  }
}
