/**
 * Watches the writer from the main thread (rule A4b): what SQLite does within one step, a LIKE with many
 * wildcards on a long text say, neither counts steps nor heeds an interrupt, and may go on for ever.
 *
 * Memory shared by both: at 0 an Int32 that changes whenever the writer gets on within an entry, at 8 a
 * Float64 with the entry's index, 0 outside of entries: a commit waits for the disk as long as that takes.
 * Looks are counted and not time: a process that was stopped for an hour has not been stuck for one.
 */
import { assert } from "../base/assert.ts";
import type { Clock, Timer } from "../os/clock.ts";
import { STUCK_LOOK_MS, STUCK_LOOKS_MAX } from "./limits.ts";

const INDEX_AT = 8;
const SIZE_BYTES = 16;

/** The writer's side. */
export class EntryWatch {
  readonly #beat: Int32Array<SharedArrayBuffer>;
  readonly #index: Float64Array<SharedArrayBuffer>;

  constructor(memory: SharedArrayBuffer) {
    this.#beat = new Int32Array(memory, 0, 1);
    this.#index = new Float64Array(memory, INDEX_AT, 1);
  }

  /** Memory for both sides. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(SIZE_BYTES);
  }

  /** The entry that runs, 0 for none. */
  get index(): number {
    return this.#index[0] ?? 0;
  }

  /** Differs from before if the writer has got on. */
  get beats(): number {
    return Atomics.load(this.#beat, 0);
  }

  /** Begins an entry, or with 0 ends it. */
  enter(index: number): void {
    this.#index[0] = index;
    this.beat();
  }

  /** The writer gets on. */
  beat(): void {
    Atomics.add(this.#beat, 0, 1);
  }
}

/** How to watch. */
export interface WatchdogOptions {
  readonly memory: SharedArrayBuffer;
  readonly clock: Clock;
  /** Called once, with the entry from which the writer does not come back. */
  readonly onStuck: (index: number) => void;
  /** How often to look, and how many looks without a change are too many. */
  readonly lookMs?: number;
  readonly looksMax?: number;
}

/** The main thread's side. Looks until it is stopped. */
export class Watchdog {
  readonly #watch: EntryWatch;
  readonly #options: WatchdogOptions;
  #timer: Timer | undefined;
  #seen = { index: 0, beats: 0 };
  #looks = 0;

  constructor(options: WatchdogOptions) {
    this.#watch = new EntryWatch(options.memory);
    this.#options = options;
    this.#arm();
  }

  /** Looks no more. */
  stop(): void {
    this.#timer?.cancel();
  }

  #arm(): void {
    const { clock, lookMs = STUCK_LOOK_MS } = this.#options;
    this.#timer = clock.startTimer(lookMs, () => this.#look());
  }

  #look(): void {
    const { index, beats } = this.#watch;
    const isSame = index !== 0 && index === this.#seen.index && beats === this.#seen.beats;
    this.#seen = { index, beats };
    this.#looks = isSame ? this.#looks + 1 : 0;
    const { looksMax = STUCK_LOOKS_MAX, onStuck } = this.#options;
    assert(looksMax > 0, "Watchdog: looksMax");
    if (this.#looks < looksMax) return this.#arm();
    onStuck(index);
  }
}
