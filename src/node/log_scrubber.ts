/**
 * Reads the log again in the background, at a bounded rate, so that a damaged entry is found while it can be
 * mended and not when a start or a slow member needs it (fault D2). What is applied is in the state as well: with
 * a newer durable state the damaged part of the log is not needed any more, by this node or by any other, which
 * gets a copy of the state instead. So no other node is asked, and a node of its own heals as well.
 * What a slow member stumbles on meanwhile is mended at once.
 * Not here: what is not applied yet, and the state itself, which replicas compare (replica_watch.ts).
 */
import { runInBackground } from "../base/background.ts";
import { type LogIndex, logIndex } from "../base/ids.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { NodeObserver } from "./node.ts";
import { SCRUB_REST_MS, SCRUB_SLICE_BYTES, SCRUB_SLICE_MS } from "./limits.ts";
import { scrubMetricsText } from "./node_metrics.ts";

/** What came of reading some entries again. */
export interface LogCheck {
  /** Behind the last one that was read. */
  readonly to: LogIndex;
  /** Why they cannot be used, with file and offset; undefined when they can. */
  readonly damage: string | undefined;
}

/** The log as far as this needs it. */
export interface VerifiableLog {
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** Reads entries `[from, to)` or the first of them, some `sizeBytesMax`. Damage is no failure of the log. */
  verify(
    range: { readonly from: LogIndex; readonly to: LogIndex; readonly sizeBytesMax: number },
  ): Promise<LogCheck>;
  /** What is written from now on lies in files of its own. */
  cut(): void;
}

/** What the scrubber needs. */
export interface LogScrubberOptions {
  readonly log: VerifiableLog;
  readonly appliedIndex: () => LogIndex;
  /** Makes the state durable and lets the log of it go. Again is allowed; may do nothing for now. */
  readonly heal: () => Promise<void>;
  readonly clock: Clock;
  /** Once for each damage. */
  readonly onFound: (damage: string) => void;
  /** The whole log was read since, and is sound. */
  readonly onHealed: () => void;
  readonly onFatal: (error: unknown) => void;
}

/** See the file's header. One per node. */
export class LogScrubber implements NodeObserver {
  readonly #options: LogScrubberOptions;
  /** Where this pass is; 0 before it begins. */
  #next: LogIndex = logIndex(0);
  /** Where this pass ends: what comes meanwhile is the next one's, or it would never end while writes come. */
  #end: LogIndex = logIndex(0);
  #damage: string | undefined;
  /** What somebody else has met and told of, until it is acted upon. */
  #told: string | undefined;
  #passCount = 0;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #isStepping = false;
  #isStopped = false;

  constructor(options: LogScrubberOptions) {
    this.#options = options;
  }

  /** How often the whole log was read and found sound. */
  get passCount(): number {
    return this.#passCount;
  }

  /** What is wrong with the log; undefined while nothing is known. */
  get damage(): string | undefined {
    return this.#damage;
  }

  /** For /status. */
  facts(): { readonly damage: string; readonly passes: number } {
    return { damage: this.#damage ?? "", passes: this.#passCount };
  }

  /** For /metrics. */
  metricsText(): string {
    return scrubMetricsText({ isDamaged: this.#damage !== undefined, passCount: this.#passCount });
  }

  /** Begins after a rest. */
  start(): void {
    this.#plan(SCRUB_REST_MS);
  }

  /**
   * Somebody else met damage in what is applied. While some is known already, that is being mended, and what
   * is left after it the next pass finds: whoever asks again and again does not make a copy of the state each time.
   */
  onLogDamaged(damage: string): void {
    if (this.#damage !== undefined) return;
    this.#told = damage;
    if (!this.#isStepping) this.#plan(0);
  }

  /** Reads no more; what is being read or healed comes to its end first. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  #plan(delayMs: number): void {
    if (this.#isStopped) return;
    const { clock, onFatal } = this.#options;
    this.#timer?.cancel();
    this.#timer = clock.startTimer(this.#told === undefined ? delayMs : 0, () => {
      this.#isStepping = true;
      this.#running = this.#step().finally(() => {
        this.#isStepping = false;
      });
      runInBackground(this.#running, onFatal);
    });
  }

  async #step(): Promise<void> {
    const { log, appliedIndex } = this.#options;
    if (this.#told !== undefined) return await this.#onDamage(this.#told);
    const known = logIndex(Math.min(log.lastIndex, appliedIndex()) + 1);
    if (this.#next === 0) this.#end = known;
    const from = logIndex(Math.max(this.#next, log.firstIndex));
    // The log may have begun anew behind a snapshot.
    const to = logIndex(Math.min(this.#end, known));
    if (from >= to) return this.#endPass();
    const check = await log.verify({ from, to, sizeBytesMax: SCRUB_SLICE_BYTES });
    if (check.damage !== undefined) return await this.#onDamage(check.damage);
    // Entries went while they were read: they are another pass's.
    if (check.to === from) return this.#endPass();
    this.#next = check.to;
    this.#plan(SCRUB_SLICE_MS);
  }

  #endPass(): void {
    this.#next = logIndex(0);
    this.#passCount += 1;
    if (this.#damage !== undefined) {
      this.#damage = undefined;
      this.#options.onHealed();
    }
    this.#plan(SCRUB_REST_MS);
  }

  async #onDamage(damage: string): Promise<void> {
    this.#told = undefined;
    if (this.#damage !== damage) this.#options.onFound(damage);
    this.#damage = damage;
    this.#options.log.cut();
    await this.#options.heal();
    this.#next = logIndex(0);
    this.#plan(SCRUB_REST_MS);
  }
}
