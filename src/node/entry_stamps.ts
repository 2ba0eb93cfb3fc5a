/**
 * What a leader writes into each entry that it proposes: time (rule T1) and chance (rule Q4). They are
 * decided once, here, and are the same for every replica.
 */
import type { LogIndex, NodeId } from "../base/ids.ts";
import { stampCommand } from "../command/command_encoder.ts";
import { ELAPSED_MS_MAX, KIND, kindByteOf, NOW_MS_END } from "../command/command_format.ts";
import type { Clock } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import { type Moment, ProposedTime } from "./proposed_time.ts";
import type { Proposal } from "./proposals.ts";

/** Odd, so that 2^64 entries of a batch would have different seeds. */
const SEED_STEP = 0x9e3779b97f4a7c15n;

/** What the proposed time goes by. */
export interface TimeFacts {
  /** Whose clocks count besides this node's. */
  readonly others: readonly NodeId[];
  /** The time that the state has reached, in milliseconds since 1970, and by which entry. */
  readonly stateMs: number;
  readonly appliedIndex: LogIndex;
  /** Of the log: what is proposed now stands behind it. */
  readonly lastIndex: LogIndex;
}

/** See the file's header. One per event loop. */
export class EntryStamps {
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #time = new ProposedTime();
  /**
   * Until this entry is applied the state's time is not to go by: it may be one that the log sets back, and an
   * entry behind that would take it forward again.
   */
  #setBackIndex = 0;
  /** When the last batch was stamped, in whole milliseconds of the monotonic clock. */
  #stampedMs: number;

  constructor(options: { readonly clock: Clock; readonly entropy: Entropy }) {
    this.#clock = options.clock;
    this.#entropy = options.entropy;
    this.#stampedMs = Math.floor(options.clock.monotonicMs());
  }

  /** A voter's wall clock, as it has just said it. */
  heard(voter: NodeId, wallMs: number): void {
    this.#time.heard(voter, { ...this.#now(), wallMs });
  }

  /** This node follows: clocks that it hears from its next election on may have been set since. */
  reset(): void {
    this.#time.reset();
  }

  /** This node leads from now on: it has not applied what its log has up to `lastIndex`. */
  lead(lastIndex: LogIndex): void {
    this.#setBackIndex = lastIndex;
  }

  /** How far the time of the state is ahead of the voters' clocks, as far as they are known; milliseconds. */
  aheadMs(facts: TimeFacts): number {
    return this.#time.aheadMs(this.#now(), facts);
  }

  /** Stamps the payloads of one batch in place. Their seeds differ by an odd constant. */
  stamp(batch: readonly Proposal[], facts: TimeFacts): void {
    const now = this.#now();
    const setBack = batch.findLastIndex(({ payload }) => kindByteOf(payload) === KIND.setTime);
    if (setBack >= 0) {
      this.#setBackIndex = facts.lastIndex + 1 + setBack;
      this.#time.forget();
    }
    const nowMs = Math.min(this.#time.next(now, this.#known(facts)), NOW_MS_END - 1);
    const stampedMs = Math.floor(now.monotonicMs);
    // For the first of them; no time passes between the others.
    let elapsedMs = Math.min(stampedMs - this.#stampedMs, ELAPSED_MS_MAX);
    this.#stampedMs = stampedMs;
    const bytes = this.#entropy.bytes(8);
    let seed = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
    for (const proposal of batch) {
      stampCommand(proposal.payload, { nowMs, elapsedMs, seed });
      elapsedMs = 0;
      seed = BigInt.asUintN(64, seed + SEED_STEP);
      proposal.onProposed?.();
    }
  }

  #known(facts: TimeFacts): TimeFacts {
    return facts.appliedIndex < this.#setBackIndex ? { ...facts, stateMs: 0 } : facts;
  }

  #now(): Moment {
    return { wallMs: this.#clock.wallMs(), monotonicMs: this.#clock.monotonicMs() };
  }
}
