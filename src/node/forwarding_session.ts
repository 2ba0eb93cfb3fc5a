/**
 * The names of the writes that this process passes on (rule X1): a session with the cluster, opened through
 * the log before the first of them, and a sequence number each. With its name a write can be sent again,
 * to whoever leads, and happens once; the state keeps the answers from the lowest outstanding one on.
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import type { ForwardingSession as SessionName } from "../command/retry.ts";
import type { ResultFormat } from "../command/request.ts";
import { FORWARDED_WRITES_MAX } from "./limits.ts";

/** A write's name, until it is answered for good. */
export interface NamedWrite {
  /** The name as it goes into the next attempt. */
  name(format: ResultFormat): SessionName;
  /** Nobody waits for the answer any more. */
  end(): void;
}

/** See the file's header. One per process. */
export class ForwardingSession {
  readonly #nodeId: () => number;
  readonly #bootNonce: bigint;
  /** Writes `open_session` to the log, wherever the leader is. */
  readonly #open: (
    session: { readonly nodeId: number; readonly bootNonce: bigint },
  ) => Promise<void>;
  #opening: Promise<void> | undefined;
  #isOpen = false;
  #sequence = 0;
  /** Ascending, since sequences are given in order. */
  readonly #outstanding = new Set<number>();

  constructor(options: {
    readonly nodeId: () => number;
    /** Of this process: 8 bytes. */
    readonly bootNonce: Uint8Array;
    readonly open: (
      session: { readonly nodeId: number; readonly bootNonce: bigint },
    ) => Promise<void>;
  }) {
    const { bootNonce } = options;
    assert(bootNonce.length === 8, "ForwardingSession: boot nonce");
    this.#nodeId = options.nodeId;
    this.#open = options.open;
    this.#bootNonce = new DataView(bootNonce.buffer, bootNonce.byteOffset, 8).getBigUint64(0);
  }

  /** Whether a write can be named without waiting. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Opens the session, or waits until it is open. @throws {OperatingError} what hinders it. */
  async open(): Promise<void> {
    await this.#opened();
  }

  /** Names the next write. @throws {OperatingError} `overloaded`, or what hinders the session. */
  async begin(): Promise<NamedWrite> {
    if (this.#outstanding.size >= FORWARDED_WRITES_MAX) {
      throw new OperatingError("overloaded", "Cannot pass on write: too many wait for an answer");
    }
    await this.#opened();
    const sequence = ++this.#sequence;
    this.#outstanding.add(sequence);
    return {
      name: (format) => ({
        kind: "session",
        nodeId: this.#nodeId(),
        bootNonce: this.#bootNonce,
        sequence,
        lowestOutstanding: this.#lowest(sequence),
        format,
      }),
      end: () => void this.#outstanding.delete(sequence),
    };
  }

  /** The cluster does not know the session (any more): the next write opens it anew. */
  forget(): void {
    this.#opening = undefined;
    this.#isOpen = false;
  }

  #lowest(own: number): number {
    for (const sequence of this.#outstanding) return Math.min(sequence, own);
    return own;
  }

  async #opened(): Promise<void> {
    const opening = this.#opening ??
      this.#open({ nodeId: this.#nodeId(), bootNonce: this.#bootNonce });
    this.#opening = opening;
    try {
      await opening;
      if (this.#opening === opening) this.#isOpen = true;
    } catch (error) {
      if (this.#opening === opening) this.#opening = undefined;
      throw error;
    }
  }
}
