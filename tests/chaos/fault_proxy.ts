/**
 * A TCP proxy that stands for the network in front of one address: links can be cut, stalled in one or both
 * directions, slowed down and throttled, by who connects. Bytes are never changed or dropped in the middle
 * of a stream, as TCP would not either: what a stall holds back comes late, or the connection breaks.
 */

import { sleep } from "../process.ts";
import { runInBackground } from "../../src/base/background.ts";

/** What happens to the bytes of one direction. */
export interface LinkState {
  /** Nothing passes. */
  readonly isStalled: boolean;
  /** Each piece waits so long. */
  readonly delayMs: number;
  /** At most so many bytes a second; Infinity for no limit. */
  readonly bytesPerSecond: number;
}

/** A link without faults. */
export const GOOD_LINK: LinkState = { isStalled: false, delayMs: 0, bytesPerSecond: Infinity };

/** Who connects through the proxy, from his own end's port; undefined when that is not known (any more). */
export type SourceOf = (port: number) => string | undefined;

/** The state of the link from `from` to `to`, asked again and again. */
export type LinkOf = (from: string, to: string) => LinkState;

const PIECE_BYTES = 64 * 1024;
const LOOK_MS = 10;

/** One proxy, in front of `target`. */
export class FaultProxy {
  readonly #listener: Deno.TcpListener;
  readonly #options: {
    readonly name: string;
    readonly target: string;
    readonly sourceOf: SourceOf;
    readonly linkOf: LinkOf;
  };
  readonly #pairs = new Set<{ readonly from: string; readonly ends: readonly Deno.TcpConn[] }>();
  #isClosed = false;

  /** `name`: the node behind it; `target`: host:port. */
  constructor(options: {
    readonly name: string;
    readonly target: string;
    readonly sourceOf: SourceOf;
    readonly linkOf: LinkOf;
  }) {
    this.#options = options;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    runInBackground(this.#accept(), failLoudly);
  }

  /** host:port that others are told. */
  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  /** Breaks the connections that `from` has. @returns how many. */
  cut(from: string): number {
    let count = 0;
    for (const pair of this.#pairs) {
      if (pair.from !== from) continue;
      count += 1;
      this.#drop(pair);
    }
    return count;
  }

  /** Ends the listener and every connection. */
  close(): void {
    this.#isClosed = true;
    this.#listener.close();
    for (const pair of this.#pairs) this.#drop(pair);
  }

  async #accept(): Promise<void> {
    while (!this.#isClosed) {
      try {
        const client = await this.#listener.accept();
        runInBackground(this.#serve(client), failLoudly);
      } catch (error) {
        if (this.#isClosed) return;
        // Who connected has left again already.
        if (!isBroken(error)) throw error;
      }
    }
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    const { name, target, sourceOf, linkOf } = this.#options;
    const from = sourceOf(client.remoteAddr.port) ?? "";
    const [hostname = "", port = ""] = target.split(":");
    let server: Deno.TcpConn;
    try {
      // A link that is stalled lets no handshake through either.
      while (linkOf(from, name).isStalled || linkOf(name, from).isStalled) {
        if (this.#isClosed) return client.close();
        await sleep(LOOK_MS);
      }
      server = await Deno.connect({ hostname, port: Number(port) });
    } catch (error) {
      if (!isBroken(error)) throw error;
      // Nobody is there: the client sees a connection that ends.
      return client.close();
    }
    client.setNoDelay();
    server.setNoDelay();
    const pair = { from, ends: [client, server] } as const;
    this.#pairs.add(pair);
    await Promise.race([
      this.#pump(client, server, () => linkOf(from, name)),
      this.#pump(server, client, () => linkOf(name, from)),
    ]);
    this.#drop(pair);
  }

  #drop(pair: { readonly from: string; readonly ends: readonly Deno.TcpConn[] }): void {
    if (!this.#pairs.delete(pair)) return;
    for (const end of pair.ends) end.close();
  }

  /** Passes on until one end is gone. */
  async #pump(from: Deno.TcpConn, to: Deno.TcpConn, link: () => LinkState): Promise<void> {
    const buffer = new Uint8Array(PIECE_BYTES);
    try {
      for (;;) {
        const count = await from.read(buffer);
        if (count === null) return;
        const { delayMs, bytesPerSecond } = link();
        const waitMs = delayMs + count / bytesPerSecond * 1000;
        if (waitMs > 0) await sleep(waitMs);
        while (link().isStalled && !this.#isClosed) await sleep(LOOK_MS);
        for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
      }
    } catch (error) {
      if (!isBroken(error)) throw error;
    }
  }
}

/** The proxy's own bug, never the network's doing. */
function failLoudly(error: unknown): void {
  throw error;
}

/** Whether a connection has ended, by whichever end, or found nobody. */
function isBroken(error: unknown): boolean {
  const kinds = [
    Deno.errors.BadResource,
    Deno.errors.BrokenPipe,
    Deno.errors.ConnectionAborted,
    Deno.errors.ConnectionRefused,
    Deno.errors.ConnectionReset,
    Deno.errors.Interrupted,
    Deno.errors.NotConnected,
    Deno.errors.TimedOut,
  ];
  return kinds.some((kind) => error instanceof kind);
}
