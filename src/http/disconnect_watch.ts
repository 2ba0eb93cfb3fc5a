/**
 * Notices when the client of a running query goes away, so that the query can end (faults L1, L5).
 * Only requests that have run for DISCONNECT_WATCH_DELAY_MS are watched: asking the runtime for a
 * request's signal doubles what a short request costs (measured: 9 µs), and a departure before is
 * still reported when it is asked later.
 */
import type { DelayedCall, DelayedCalls } from "./delayed_calls.ts";

/** Watches one request from its construction until `end`. */
export class DisconnectWatch {
  readonly #delays: DelayedCalls;
  readonly #request: Request;
  readonly #onDisconnect: () => void;
  readonly #delay: DelayedCall;
  #listening = false;

  /** `onDisconnect` is called at most once, and must not throw. */
  constructor(options: {
    readonly delays: DelayedCalls;
    readonly request: Request;
    readonly onDisconnect: () => void;
  }) {
    this.#delays = options.delays;
    this.#request = options.request;
    this.#onDisconnect = options.onDisconnect;
    this.#delay = this.#delays.add(() => this.#listen());
  }

  /** Stops watching. To be called before the request is answered, since answering aborts the signal. */
  end(): void {
    this.#delays.cancel(this.#delay);
    if (this.#listening) this.#request.signal.removeEventListener("abort", this.#onDisconnect);
  }

  #listen(): void {
    if (this.#request.signal.aborted) return this.#onDisconnect();
    this.#listening = true;
    this.#request.signal.addEventListener("abort", this.#onDisconnect, { once: true });
  }
}
