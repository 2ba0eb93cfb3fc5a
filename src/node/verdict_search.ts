/**
 * Looks through the committed log for the verdict on a parked entry (rule A4). The first verdict in
 * the log holds, at the first run as in a replay, whoever proposed it.
 */
import { runInBackground } from "../base/background.ts";
import { type LogIndex, logIndex } from "../base/ids.ts";
import { APPLY_BATCH_BYTES_MAX } from "../base/limits.ts";
import type { VerdictCommand } from "../command/command.ts";
import { decodeCommand } from "../command/command_decoder.ts";
import { KIND, kindByteOf } from "../command/command_format.ts";
import type { LogPort } from "./ports.ts";

/** One search, for one parked entry. Ends with `onFound`; `onMissing` may come many times before. */
export class VerdictSearch {
  readonly #options: {
    readonly parked: { readonly index: LogIndex };
    readonly log: LogPort;
    readonly onFound: (verdict: VerdictCommand) => void;
    readonly onMissing: () => void;
    readonly onFatal: (error: unknown) => void;
  };
  /** Everything at or below this index was looked at. */
  #searched: number;
  #target: number;
  #running = false;
  #hasEnded = false;

  constructor(
    options: {
      readonly parked: { readonly index: LogIndex; readonly timeoutMs: number };
      readonly log: LogPort;
      readonly onFound: (verdict: VerdictCommand) => void;
      readonly onMissing: () => void;
      readonly onFatal: (error: unknown) => void;
    },
  ) {
    this.#options = options;
    this.#searched = options.parked.index;
    this.#target = options.parked.index;
  }

  /** The committed log reaches to `target` now; looks through what is new. */
  advance(target: LogIndex): void {
    this.#target = Math.max(this.#target, target);
    if (this.#running || this.#hasEnded) return;
    this.#running = true;
    runInBackground(this.#run(), this.#options.onFatal);
  }

  /** Nobody wants to know any more: says nothing from now on, and does not touch the log, which may close. */
  end(): void {
    this.#hasEnded = true;
  }

  async #run(): Promise<void> {
    while (this.#searched < this.#target) {
      const entries = await this.#options.log.read({
        from: logIndex(this.#searched + 1),
        to: logIndex(this.#target + 1),
        sizeBytesMax: APPLY_BATCH_BYTES_MAX,
      });
      if (this.#hasEnded) return;
      // The log begins anew behind a snapshot, which is about to take the parked entry's place.
      if (entries.length === 0) break;
      for (const entry of entries) {
        const verdict = entry.kind === "normal" ? readVerdict(entry.payload) : undefined;
        if (verdict?.index === this.#options.parked.index) return this.#options.onFound(verdict);
        this.#searched = entry.index;
      }
    }
    this.#running = false;
    this.#options.onMissing();
  }
}

/** The verdict in an entry's payload, if it holds one. Cheap for all others. */
function readVerdict(payload: Uint8Array): VerdictCommand | undefined {
  if (kindByteOf(payload) !== KIND.verdict) return undefined;
  const command = decodeCommand(payload);
  return command.kind === "verdict" ? command : undefined;
}
