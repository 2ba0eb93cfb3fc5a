/**
 * The database as clients see it: requests in, answers out. Chooses where each request runs (log,
 * reader thread, both) by the read levels of the wire contract, section 7. Exists before the node is
 * open, so that the HTTP port can answer from the first moment on.
 * Not here: what /status, /nodes and /readyz say (node_report.ts).
 */
import { unreachable } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex } from "../base/ids.ts";
import { LARGE_BODY_CHARACTERS } from "../base/limits.ts";
import { encodeExecuteBody } from "../command/execute_body.ts";
import type { Answer, ExecuteRequest, QueryRequest } from "../command/request.ts";
import { attachRetryName } from "../command/retry.ts";
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
  execute(request: ExecuteRequest): Promise<Answer> {
    return this.#write(request, { rows: false });
  }

  async #write(request: ExecuteRequest, { rows }: { readonly rows: boolean }): Promise<Answer> {
    const { node, stateMachine } = this.require();
    node.assertWritable();
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
    const outcome = await node.write(payload, format);
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
    return { results: outcome.results, raftIndex, stateIndex: outcome.index };
  }

  /** Reads and writes mixed: a read when every statement is one and it has no key, else one log entry. */
  async request(request: QueryRequest): Promise<Answer> {
    // What its statements are would be found out by the state of now, not that of the first time.
    if (request.idempotencyKey !== undefined) return await this.#write(request, { rows: true });
    const { node, stateMachine } = this.require();
    const raftIndex = await this.#waitForLevel(request);
    const outcome = await stateMachine.query(request, { unified: true });
    if (outcome.kind === "answer") {
      return { results: outcome.results, raftIndex, stateIndex: outcome.index };
    }
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
    const { minIndex } = request;
    if (minIndex !== undefined) {
      await node.untilApplied(logIndex(minIndex.index), minIndex.timeoutMs);
    }
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
