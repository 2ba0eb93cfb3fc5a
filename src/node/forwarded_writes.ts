/**
 * Writes on their way to the leader, many in one call: a call costs both nodes a millisecond of work, a write
 * in it next to nothing. At most CALLS_MAX calls are under way to a leader; what comes meanwhile goes into the
 * next. Answers come back together, one for each write, as JSON text:
 *
 *   [{"results": "[...]", "index": 7}, {"code": "not_leader", "error": "..."}, ...]
 *
 * A call that fails fails all its writes; each of them has a name by which it may be sent again.
 */
import { type ErrorCode, OperatingError } from "../base/errors.ts";
import { runInBackground } from "../base/background.ts";
import type { MemberRow } from "../command/member_table.ts";
import type { Answer, ResultFormat } from "../command/request.ts";
import {
  FORWARD_CALLS_MAX,
  FORWARD_WRITES_AT_ONCE_BYTES,
  FORWARD_WRITES_AT_ONCE_MAX,
} from "./limits.ts";

/** One write of a call: the body holds their payloads, one after the other. */
export interface WriteInCall {
  readonly format: ResultFormat;
  readonly sizeBytes: number;
}

/** Carries one call with several writes. @throws {OperatingError} for all of them. */
export type CarryWrites = (
  leader: MemberRow,
  call: { readonly writes: readonly WriteInCall[]; readonly body: Uint8Array },
  options: { readonly timeoutMs: number },
) => Promise<Answer>;

/** What became of one write. */
export type WriteAnswer =
  | { readonly results: string; readonly index: number }
  | { readonly code: ErrorCode; readonly error: string };

interface Waiting {
  readonly payload: Uint8Array;
  readonly format: ResultFormat;
  readonly timeoutMs: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

interface Lane {
  readonly waiting: Waiting[];
  calls: number;
}

/** See the file's header. One per node. */
export class ForwardedWrites {
  readonly #carry: CarryWrites;
  readonly #onBug: (error: unknown) => void;
  readonly #lanes = new Map<string, Lane>();

  constructor(options: {
    readonly carry: CarryWrites;
    readonly onBug: (error: unknown) => void;
  }) {
    this.#carry = options.carry;
    this.#onBug = options.onBug;
  }

  /** Sends a write to `leader`. @throws {OperatingError} the leader's, or the call's. */
  send(
    leader: MemberRow,
    write: {
      readonly payload: Uint8Array;
      readonly format: ResultFormat;
      readonly timeoutMs: number;
    },
  ): Promise<Answer> {
    const lane = this.#lanes.get(leader.raftAddress) ?? { waiting: [], calls: 0 };
    this.#lanes.set(leader.raftAddress, lane);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    lane.waiting.push({ ...write, resolve, reject });
    // What else this turn brings goes along.
    if (lane.waiting.length === 1) queueMicrotask(() => this.#pump(leader, lane));
    return promise;
  }

  /** It leads no more: what waits for its turn was not sent, and calls under way are not waited for. */
  forget(leader: MemberRow): void {
    const lane = this.#lanes.get(leader.raftAddress);
    this.#lanes.delete(leader.raftAddress);
    for (const { reject } of lane?.waiting.splice(0) ?? []) {
      reject(new OperatingError("not_leader", "leader not found"));
    }
  }

  #pump(leader: MemberRow, lane: Lane): void {
    while (lane.calls < FORWARD_CALLS_MAX && lane.waiting.length > 0) {
      lane.calls += 1;
      const call = this.#call(leader, take(lane.waiting)).finally(() => {
        lane.calls -= 1;
        this.#pump(leader, lane);
      });
      runInBackground(call, this.#onBug);
    }
    const isPresent = this.#lanes.get(leader.raftAddress) === lane;
    if (lane.calls === 0 && isPresent) this.#lanes.delete(leader.raftAddress);
  }

  async #call(leader: MemberRow, batch: readonly Waiting[]): Promise<void> {
    const writes = batch.map(({ format, payload }) => ({ format, sizeBytes: payload.length }));
    const body = new Uint8Array(writes.reduce((size, { sizeBytes }) => size + sizeBytes, 0));
    let at = 0;
    for (const { payload } of batch) {
      body.set(payload, at);
      at += payload.length;
    }
    const timeoutMs = Math.max(...batch.map((write) => write.timeoutMs));
    let answers: readonly WriteAnswer[];
    try {
      const { results } = await this.#carry(leader, { writes, body }, { timeoutMs });
      answers = JSON.parse(typeof results === "string" ? results : await textOf(results));
    } catch (error) {
      for (const { reject } of batch) reject(error);
      return;
    }
    batch.forEach(({ resolve, reject }, place) => {
      const answer = answers[place];
      if (answer === undefined) {
        reject(new OperatingError("outcome_unknown", "The leader left a write without an answer"));
      } else if ("error" in answer) reject(new OperatingError(answer.code, answer.error));
      else resolve({ results: answer.results, raftIndex: answer.index });
    });
  }
}

/** Carries out the writes of a call, all at once. @returns what became of each, as text. */
export async function answerWrites(
  call: { readonly writes: readonly WriteInCall[]; readonly body: Uint8Array<ArrayBuffer> },
  write: (
    payload: Uint8Array,
    format: ResultFormat,
  ) => Promise<{ readonly results: string; readonly index: number }>,
): Promise<string> {
  let at = 0;
  const answers = call.writes.map(async ({ format, sizeBytes }): Promise<WriteAnswer> => {
    const payload = call.body.subarray(at, at + sizeBytes);
    at += sizeBytes;
    try {
      if (payload.length < sizeBytes) {
        throw new OperatingError("bad_request", "Cannot take write: it is cut short");
      }
      const { results, index } = await write(payload, format);
      return { results, index };
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      return { code: error.code, error: error.message };
    }
  });
  return JSON.stringify(await Promise.all(answers));
}

/** The next ones: at least one, then within the bounds of a call. */
function take(waiting: Waiting[]): readonly Waiting[] {
  let count = 0;
  let bytes = 0;
  for (const { payload } of waiting) {
    bytes += payload.length;
    const isOver = bytes > FORWARD_WRITES_AT_ONCE_BYTES || count >= FORWARD_WRITES_AT_ONCE_MAX;
    if (count > 0 && isOver) break;
    count += 1;
  }
  return waiting.splice(0, count);
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return await new Response(stream as ReadableStream<Uint8Array<ArrayBuffer>>).text();
}
