/**
 * Requests that only the leader can carry out, on whatever node they arrive: they go to it, and again to
 * its successor, until the client's time is over (rules X1, E5). A write has a name by then, the client's
 * own or one of this node's session, so sending it again never doubles it; what was refused may go again
 * in any case, and reads may, too.
 * Not here: which requests need the leader (database.ts), how they travel (transport).
 */
import { type ErrorCode, OperatingError } from "../base/errors.ts";
import { nodeId } from "../base/ids.ts";
import { encodeCommand } from "../command/command_encoder.ts";
import type { MemberRow } from "../command/member_table.ts";
import type { Answer, QueryRequest, ResultFormat } from "../command/request.ts";
import { attachRetryName } from "../command/retry.ts";
import type { Clock } from "../os/clock.ts";
import { NOBODY } from "../raft/types.ts";
import { ForwardedWrites, type WriteInCall } from "./forwarded_writes.ts";
import { ForwardingSession } from "./forwarding_session.ts";
import { FORWARD_RETRY_MS, FORWARD_TIMEOUT_MS_DEFAULT, LEADER_WAIT_MS_MAX } from "./limits.ts";
import type { Node } from "./node.ts";

/** But for `not_leader`, which the next leader may be asked about. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "disk_full",
  "keys_full",
  "overloaded",
  "session_refused",
  "timeout",
]);

/** What a leader is asked to do; `body` in its bytes. */
export type ForwardedWork =
  /** `body` is an encoded command. */
  | { readonly kind: "execute"; readonly format: ResultFormat }
  /** `body` is several of them (forwarded_writes.ts). */
  | { readonly kind: "executes"; readonly writes: readonly WriteInCall[] }
  /** `body` is the client's own, in UTF-8. */
  | {
    readonly kind: "query" | "request";
    readonly bodyKind: "json" | "sql";
    readonly request: Omit<QueryRequest, "body">;
  };

/** Carries a request to a leader. */
export interface LeaderCalls {
  /**
   * @throws {OperatingError} the leader's own; `not_leader` also when it cannot have been reached, and
   * `outcome_unknown` when it may have been and nothing came back.
   */
  forward(
    leader: MemberRow,
    request: { readonly work: ForwardedWork; readonly body: Uint8Array },
    options: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
  ): Promise<Answer>;
}

/** See the file's header. One per node. */
export class Forwarding {
  readonly #node: Node;
  readonly #clock: Clock;
  readonly #calls: LeaderCalls;
  readonly #session: ForwardingSession;
  readonly #writes: ForwardedWrites;

  constructor(options: {
    readonly node: Node;
    readonly clock: Clock;
    readonly calls: LeaderCalls;
    /** 8 random bytes of this process. */
    readonly bootNonce: Uint8Array;
    readonly onBug: (error: unknown) => void;
  }) {
    this.#writes = new ForwardedWrites({
      carry: (leader, { writes, body }, { timeoutMs }) => {
        const work = { kind: "executes", writes } as const;
        return this.#calls.forward(leader, { work, body }, { timeoutMs, signal: undefined });
      },
      onBug: options.onBug,
    });
    this.#node = options.node;
    this.#clock = options.clock;
    this.#calls = options.calls;
    this.#session = new ForwardingSession({
      nodeId: () => this.#node.id,
      bootNonce: options.bootNonce,
      open: (session) => this.#openSession(session),
    });
  }

  /**
   * Writes an encoded command, on this node when it leads by then. `isNamed`: it has the client's own name.
   * @throws {OperatingError} refused, or `outcome_unknown`.
   */
  async write(write: {
    readonly payload: Uint8Array;
    readonly format: ResultFormat;
    readonly isNamed: boolean;
    readonly timeoutMs: number | undefined;
  }): Promise<Answer> {
    const { payload, format } = write;
    const deadlineMs = this.#deadline(write.timeoutMs);
    if (write.isNamed) {
      return await this.#send({ format, deadlineMs, payload: () => payload.slice() });
    }
    for (let attempt = 0;; attempt++) {
      if (!this.#session.isOpen) await this.#inTime(this.#session.open(), deadlineMs);
      const named = await this.#session.begin();
      try {
        return await this.#send({
          format,
          deadlineMs,
          payload: () => attachRetryName(payload, named.name(format)),
        });
      } catch (error) {
        // Never proposed under this name, or its session was not known: nothing happened.
        if (!isCode(error, "session_refused") || attempt > 0) throw error;
        this.#session.forget();
      } finally {
        named.end();
      }
    }
  }

  /**
   * Asks the leader a query, or a request that most likely does not write.
   * @throws {OperatingError} `not_leader` also when this node leads by now.
   */
  async read(
    work: ForwardedWork & { readonly kind: "query" | "request" },
    body: Uint8Array,
    options: { readonly timeoutMs: number | undefined; readonly signal: AbortSignal },
  ): Promise<Answer> {
    return await this.#withLeader(this.#deadline(options.timeoutMs), {
      local: undefined,
      isRepeatable: work.kind === "query",
      remote: (leader, timeoutMs) => {
        const { signal } = options;
        return this.#calls.forward(leader, { work, body }, { timeoutMs, signal });
      },
    });
  }

  async #send(write: {
    readonly payload: () => Uint8Array;
    readonly format: ResultFormat;
    readonly deadlineMs: number;
  }): Promise<Answer> {
    const { format } = write;
    return await this.#withLeader(write.deadlineMs, {
      isRepeatable: true,
      local: async () => {
        const { results, index } = await this.#node.write(write.payload(), format);
        return { results, raftIndex: index };
      },
      remote: (leader, timeoutMs) => {
        return this.#writes.send(leader, { payload: write.payload(), format, timeoutMs });
      },
    });
  }

  /** Tries until it is done, refused for good, or too late. */
  async #withLeader(deadlineMs: number, attempt: {
    /** Undefined when this node is asked itself in another way. */
    readonly local: (() => Promise<Answer>) | undefined;
    /** Whether it may be sent again although it may have happened. */
    readonly isRepeatable: boolean;
    readonly remote: (leader: MemberRow, leftMs: number) => Promise<Answer>;
  }): Promise<Answer> {
    let unknown: OperatingError | undefined;
    for (;;) {
      const leftMs = deadlineMs - this.#clock.monotonicMs();
      const leaderId = leftMs <= 0
        ? NOBODY
        : await this.#node.untilLeader(Math.min(leftMs, LEADER_WAIT_MS_MAX));
      const leader = this.#node.loop.members.members.find((row) => row.nodeId === leaderId);
      if (leader === undefined) throw unknown ?? this.#tooLate();
      try {
        if (nodeId(leader.nodeId) !== this.#node.id) {
          return await this.#whileLeading(leader, attempt.remote(leader, leftMs));
        }
        if (attempt.local === undefined) throw new OperatingError("not_leader", "leader not found");
        return await attempt.local();
      } catch (error) {
        // This attempt came to nothing, but one before it may have happened.
        if (unknown !== undefined && isRefusal(error)) throw unknown;
        if (isCode(error, "outcome_unknown") && attempt.isRepeatable) unknown = error;
        else if (!isCode(error, "not_leader")) throw error;
        else if (attempt.local === undefined && this.#node.isLeader) throw error;
      }
      await this.#clock.sleep(FORWARD_RETRY_MS);
    }
  }

  /** A leader that only fell silent answers nothing: once another one leads, it is asked no longer. */
  async #whileLeading(leader: MemberRow, call: Promise<Answer>): Promise<Answer> {
    const { promise, reject } = Promise.withResolvers<never>();
    const endWait = this.#node.onceOtherLeader(nodeId(leader.nodeId), () => {
      this.#writes.forget(leader);
      reject(new OperatingError("outcome_unknown", "leadership lost while committing log"));
    });
    try {
      return await Promise.race([call, promise]);
    } finally {
      endWait();
    }
  }

  async #openSession(
    session: { readonly nodeId: number; readonly bootNonce: bigint },
  ): Promise<void> {
    const seenIndex = this.#node.appliedIndex;
    await this.#send({
      payload: () => encodeCommand({ kind: "open_session", ...session, seenIndex }),
      format: 0,
      deadlineMs: this.#deadline(undefined),
    });
  }

  /** The session is everybody's, and goes on opening when the time of one write is over. */
  async #inTime(opening: Promise<void>, deadlineMs: number): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>();
    const leftMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
    const timer = this.#clock.startTimer(leftMs, () => reject(this.#tooLate()));
    try {
      await Promise.race([opening, promise]);
    } finally {
      timer.cancel();
    }
  }

  #tooLate(): OperatingError {
    if (this.#node.leaderId === NOBODY) return new OperatingError("not_leader", "leader not found");
    return new OperatingError("timeout", "timeout waiting for the leader to respond");
  }

  #deadline(timeoutMs: number | undefined): number {
    return this.#clock.monotonicMs() + (timeoutMs ?? FORWARD_TIMEOUT_MS_DEFAULT);
  }
}

/** Whether an attempt has left no trace, which says nothing of those before it. */
function isRefusal(error: unknown): boolean {
  return error instanceof OperatingError && REFUSALS.has(error.code);
}

function isCode(error: unknown, code: OperatingError["code"]): error is OperatingError {
  return error instanceof OperatingError && error.code === code;
}
