/**
 * Reads that wait for the leader's word that nothing newer exists (Raft thesis 6.4). Each question costs a
 * round of messages, so reads that come while one is under way share the next one.
 * Invariant: a read is answered only by a round that was asked after it came. Any such round will do: the
 * engine fixes a round's index, and the heartbeats that confirm it leave, after it was asked. So no read
 * hangs on one message: whatever was lost, a later round answers for it.
 * Not here: timers. What is due is looked at when a read comes, when an answer comes, and with each tick.
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import type { LogIndex } from "../base/ids.ts";
import type { Clock } from "../os/clock.ts";
import type { ReadContext } from "../raft/types.ts";
import { READ_RETRY_MS, READ_ROUND_MS, READ_ROUNDS_MAX } from "./limits.ts";

interface ReadWait {
  readonly deadlineMs: number;
  readonly resolve: () => void;
  readonly reject: (error: OperatingError) => void;
}

/** A read and the first round that was asked after it came. */
interface AskedRead extends ReadWait {
  readonly round: ReadContext;
}

/** What the confirmations need of their node. */
export interface ReadConfirmationsOptions {
  readonly clock: Clock;
  /** Asks the engine; what comes of it is told to `settle` or `refuse`, or to nobody where it is lost. */
  readonly ask: (round: ReadContext) => void;
  /** Resolves once `index` is applied here. */
  readonly untilApplied: (index: LogIndex, deadlineMs: number) => Promise<void>;
}

/** See the file's header. One per node. Bounded by the requests in flight, which the HTTP room limits. */
export class ReadConfirmations {
  readonly #options: ReadConfirmationsOptions;
  /** In the order of their rounds. */
  #asked: AskedRead[] = [];
  /** Reads that the next round is for: it has not been asked. */
  #gathering: ReadWait[] = [];
  #isAskPlanned = false;
  #lastRound = 0;
  #lastAskedMs = 0;
  /** No round up to this one is under way any more. */
  #endedRound = 0;
  #stopped: OperatingError | undefined;

  constructor(options: ReadConfirmationsOptions) {
    this.#options = options;
  }

  /**
   * Resolves when a read begun now may run here.
   * @throws {OperatingError} `not_leader`, `overloaded`, `timeout`, or what the confirmations were stopped with.
   */
  confirm(timeoutMs: number): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    const nowMs = this.#options.clock.monotonicMs();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#gathering.push({ deadlineMs: nowMs + timeoutMs, resolve, reject });
    this.#askWhenDue(nowMs);
    return promise;
  }

  /** The answer to a round; undefined: it was given up, as the leader is another one or none. */
  settle(round: ReadContext, index: LogIndex | undefined): void {
    this.#endedRound = Math.max(this.#endedRound, round);
    const next = this.#asked.findIndex((read) => read.round > round);
    for (const read of this.#asked.splice(0, next < 0 ? this.#asked.length : next)) {
      if (index === undefined) read.reject(new OperatingError("not_leader", "leader not found"));
      else this.#options.untilApplied(index, read.deadlineMs).then(read.resolve, read.reject);
    }
    this.#askWhenDue(this.#options.clock.monotonicMs());
  }

  /** The engine has not taken a round; an earlier one may still answer for reads that came before that. */
  refuse(round: ReadContext, error: OperatingError): void {
    for (const read of this.#asked) if (read.round === round) read.reject(error);
    this.#asked = this.#asked.filter((read) => read.round !== round);
  }

  /** A tick: apply may stand still and a round may be lost, and time alone ends such waits. */
  tick(nowMs: number): void {
    this.#asked = rejectLate(this.#asked, nowMs);
    this.#gathering = rejectLate(this.#gathering, nowMs);
    this.#askWhenDue(nowMs);
    const isLost = this.#asked.length > 0 && nowMs - this.#lastAskedMs >= READ_RETRY_MS;
    if (isLost) this.#planAsk();
  }

  /** Ends all waits with `error`, those to come too. */
  stop(error: OperatingError): void {
    this.#stopped = error;
    for (const read of this.#asked.splice(0)) read.reject(error);
    for (const read of this.#gathering.splice(0)) read.reject(error);
  }

  #askWhenDue(nowMs: number): void {
    if (this.#gathering.length === 0) return;
    const underWay = this.#lastRound - this.#endedRound;
    const waitMs = underWay < READ_ROUNDS_MAX ? READ_ROUND_MS : READ_RETRY_MS;
    if (underWay === 0 || nowMs - this.#lastAskedMs >= waitMs) this.#planAsk();
  }

  /** Never within a call of the engine's, and once for all that comes in a turn. */
  #planAsk(): void {
    if (this.#isAskPlanned) return;
    this.#isAskPlanned = true;
    queueMicrotask(() => {
      this.#isAskPlanned = false;
      if (this.#asked.length + this.#gathering.length > 0) this.#ask();
    });
  }

  #ask(): void {
    assert(this.#lastRound < Number.MAX_SAFE_INTEGER, "ReadConfirmations: no number is left");
    this.#lastRound += 1;
    this.#lastAskedMs = this.#options.clock.monotonicMs();
    const round = this.#lastRound;
    for (const read of this.#gathering) this.#asked.push({ ...read, round });
    this.#gathering = [];
    this.#options.ask(round);
  }
}

/** @returns those whose time is not over. */
function rejectLate<Wait extends ReadWait>(waits: Wait[], nowMs: number): Wait[] {
  const left = waits.filter(({ deadlineMs }) => deadlineMs > nowMs);
  if (left.length === waits.length) return waits;
  for (const { deadlineMs, reject } of waits) {
    if (deadlineMs > nowMs) continue;
    reject(new OperatingError("timeout", "timeout waiting for leadership to be confirmed"));
  }
  return left;
}
