/**
 * The real log, with somebody looking over its shoulder: every write and every end of a sync is told to
 * the judge before anybody else learns of it.
 */
import { OperatingError } from "../../src/base/errors.ts";
import type { LogIndex, Term } from "../../src/base/ids.ts";
import type { SegmentedLog } from "../../src/log/segmented_log.ts";
import type { HardState, LogEntry, LogMarker, LogPort } from "../../src/node/ports.ts";
import type { DurableFacts } from "./durable_facts.ts";
import type { Judge } from "./judge.ts";

/** See the file's header. */
export class WatchedLog implements LogPort {
  readonly #log: SegmentedLog;
  readonly #facts: DurableFacts;
  readonly #judge: Judge;

  constructor(
    options: { readonly log: SegmentedLog; readonly facts: DurableFacts; readonly judge: Judge },
  ) {
    this.#log = options.log;
    this.#facts = options.facts;
    this.#judge = options.judge;
  }

  get firstIndex(): LogIndex {
    return this.#log.firstIndex;
  }

  get lastIndex(): LogIndex {
    return this.#log.lastIndex;
  }

  get marker(): LogMarker {
    return this.#log.marker;
  }

  get sizeBytes(): number {
    return this.#log.sizeBytes;
  }

  term(index: LogIndex): Term | undefined {
    return this.#log.term(index);
  }

  append(options: { readonly entries: readonly LogEntry[]; readonly hardState: HardState }): void {
    const first = options.entries[0];
    const { durableUpTo } = this.#facts;
    // What is replaced may be gone from here on, also when the power fails in the middle.
    if (first !== undefined) this.#facts.durableUpTo = Math.min(durableUpTo, first.index - 1);
    try {
      this.#log.append(options);
    } catch (error) {
      if (error instanceof OperatingError) this.#facts.durableUpTo = durableUpTo;
      throw error;
    }
    this.#judge.wrote(options.entries, this.#facts);
    this.#facts.wrote(options.entries, options.hardState);
  }

  async sync(): Promise<void> {
    await this.#log.sync();
    this.#facts.synced();
  }

  async read(options: {
    readonly from: LogIndex;
    readonly to: LogIndex;
    readonly sizeBytesMax: number;
  }): Promise<readonly LogEntry[]> {
    return await this.#log.read(options);
  }

  async saveMarker(
    options: { readonly marker: LogMarker; readonly hardState: HardState },
  ): Promise<void> {
    const { marker, hardState } = options;
    const { index, term } = marker;
    const isReset = index > this.#log.lastIndex || this.#log.term(index) !== term;
    if (isReset) this.#facts.pendingReset = marker;
    else this.#facts.hardState = hardState;
    await this.#log.saveMarker(options);
    if (isReset) this.#facts.restarted(marker, hardState);
    else this.#facts.synced();
  }

  async purge(index: LogIndex): Promise<void> {
    await this.#log.purge(index);
  }

  async entryChain(index: LogIndex): Promise<string | undefined> {
    return await this.#log.entryChain(index);
  }

  async close(): Promise<void> {
    await this.#log.close();
  }
}
