/**
 * Evidence that a peer's process has ended (rule E2): its streams ended by themselves, and two connections
 * to its address, PROBE_GAP_MS apart, were refused. Anything else, such as a timeout or an unreachable
 * host, is none, and the timers of the election decide.
 * The kernel closes a killed process's connections and its listener one after the other, so a first
 * connection that still succeeds is asked about again, PROBE_ROUNDS_MAX times.
 */
import { runInBackground } from "../base/background.ts";
import type { Clock } from "../os/clock.ts";
import { PROBE_GAP_MS, PROBE_PAUSE_MS, PROBE_ROUNDS_MAX, PROBE_TIMEOUT_MS } from "./limits.ts";

/** What a connection to an address came to. */
export type ProbeResult = "refused" | "connected" | "unknown";

/** Tries a connection. Must not reject. */
export type Probe = (address: string) => Promise<ProbeResult>;

/** Asks about one peer. */
export class ProcessEvidence {
  readonly #options: {
    readonly clock: Clock;
    readonly probe: Probe;
    readonly onBug: (error: unknown) => void;
  };
  #round: AbortController | undefined;

  constructor(options: {
    readonly clock: Clock;
    readonly probe: Probe;
    readonly onBug: (error: unknown) => void;
  }) {
    this.#options = options;
  }

  /** Asks about the process at `address`, unless that is being done. `onGone` is called at most once. */
  begin(address: string, onGone: () => void): void {
    if (this.#round !== undefined) return;
    const controller = new AbortController();
    this.#round = controller;
    runInBackground(this.#ask(address, { onGone, signal: controller.signal }), (error) => {
      if (!controller.signal.aborted) this.#options.onBug(error);
    });
  }

  /** The process is there (again), or nobody wants to know any more. */
  cancel(): void {
    this.#round?.abort();
    this.#round = undefined;
  }

  async #ask(
    address: string,
    { onGone, signal }: { readonly onGone: () => void; readonly signal: AbortSignal },
  ): Promise<void> {
    const { clock, probe } = this.#options;
    for (let round = 0; round < PROBE_ROUNDS_MAX; round++) {
      const isRefused = async (): Promise<boolean> => (await probe(address)) === "refused";
      if (await isRefused()) {
        await clock.sleep(PROBE_GAP_MS, signal);
        if (await isRefused() && !signal.aborted) {
          this.#round = undefined;
          onGone();
          return;
        }
      }
      await clock.sleep(PROBE_PAUSE_MS, signal);
    }
    if (!signal.aborted) this.#round = undefined;
  }
}

/** Connects by TCP, since gRPC hides why a connection failed. */
export async function probeByTcp(address: string): Promise<ProbeResult> {
  const at = address.lastIndexOf(":");
  const hostname = address.slice(0, at).replace(/^\[|\]$/g, "");
  const attempt = Deno.connect({ hostname, port: Number(address.slice(at + 1)) }).then(
    (connection): ProbeResult => {
      connection.close();
      return "connected";
    },
    (error): ProbeResult => error instanceof Deno.errors.ConnectionRefused ? "refused" : "unknown",
  );
  const { promise, resolve } = Promise.withResolvers<ProbeResult>();
  const timer = setTimeout(() => resolve("unknown"), PROBE_TIMEOUT_MS);
  try {
    return await Promise.race([attempt, promise]);
  } finally {
    clearTimeout(timer);
  }
}
