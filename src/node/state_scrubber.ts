/**
 * Has the state's file read again in the background, at a bounded rate, so that a damaged page is found before a
 * query or a start needs it (faults D2, S32). Indexes are compared with their tables, which the replicas' digests
 * leave out.
 *
 * A durable copy is replaced by a new one. A live file on disk ends the node where the cluster has its content:
 * the next start takes it from the leader (rule V2). Alone, the node tells of it and goes on: what is
 * not damaged can be read, and a REINDEX or a backup is its operator's to choose.
 */
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import type { Clock, Timer } from "../os/clock.ts";
import { SCAN_AGAIN_MS, SCAN_FIRST_MS, SCAN_REST_MS } from "./limits.ts";
import { scanMetricsText } from "./node_metrics.ts";
import type { StateScan } from "./ports.ts";

/** What the scrubber needs. */
export interface StateScrubberOptions {
  /** As `StateMachinePort.scan`. */
  readonly scan: () => Promise<StateScan | undefined>;
  /** Makes a new durable copy. May do nothing for now. */
  readonly renewCopy: () => Promise<void>;
  /** Ends the process: the live file is worth nothing, and others have its content. */
  readonly giveUpState: (damage: string) => void;
  /** Whether other nodes have the state. */
  readonly hasPeers: () => boolean;
  readonly clock: Clock;
  /** Once for each damage. */
  readonly onFound: (damage: string) => void;
  /** The whole file was read since, and is sound. */
  readonly onHealed: () => void;
  readonly onFatal: (error: unknown) => void;
}

/** See the file's header. One per node. */
export class StateScrubber {
  readonly #options: StateScrubberOptions;
  #damage: string | undefined;
  #passCount = 0;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: StateScrubberOptions) {
    this.#options = options;
  }

  /** For /status. */
  facts(): { readonly damage: string; readonly passes: number } {
    return { damage: this.#damage ?? "", passes: this.#passCount };
  }

  /** For /metrics. */
  metricsText(): string {
    return scanMetricsText({ isDamaged: this.#damage !== undefined, passCount: this.#passCount });
  }

  /** Begins after a rest. */
  start(): void {
    this.#plan(SCAN_FIRST_MS);
  }

  /** Begins nothing more; the state machine ends what it is reading when it is closed. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #plan(delayMs: number): void {
    if (this.#isStopped) return;
    this.#timer = this.#options.clock.startTimer(delayMs, () => {
      runInBackground(this.#step(), this.#options.onFatal);
    });
  }

  async #step(): Promise<void> {
    const scan = await this.#options.scan();
    if (this.#isStopped) return;
    if (scan?.damage !== undefined) return await this.#onDamage({ ...scan, damage: scan.damage });
    if (scan?.isComplete === true) this.#onSound();
    this.#plan(SCAN_REST_MS);
  }

  #onSound(): void {
    this.#passCount += 1;
    if (this.#damage === undefined) return;
    this.#damage = undefined;
    this.#options.onHealed();
  }

  async #onDamage(scan: StateScan & { readonly damage: string }): Promise<void> {
    const { onFound, hasPeers, renewCopy, giveUpState } = this.#options;
    const damage = `${scan.path}: ${scan.damage}`;
    if (this.#damage !== damage) onFound(damage);
    this.#damage = damage;
    if (!scan.isCopy) {
      return hasPeers() ? giveUpState(damage) : this.#plan(SCAN_REST_MS);
    }
    try {
      await renewCopy();
    } catch (error) {
      // No leader, no room: another time.
      if (!(error instanceof OperatingError)) throw error;
    }
    this.#plan(SCAN_AGAIN_MS);
  }
}
