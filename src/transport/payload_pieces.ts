/**
 * Payloads of large appends in pieces: the sender cuts them one behind the other, the receiver fills them
 * one after the other. No piece is larger than PIECE_BYTES, so that nothing else waits long behind one,
 * and neither side ever makes one buffer of the whole.
 */
import type { Message as WireMessage } from "./generated/dust.ts";
import { DETACHED_BYTES_MAX, PIECE_BYTES } from "./limits.ts";
import { WireError } from "./message_codec.ts";

/** Cuts payloads into pieces of PIECE_BYTES, the last one shorter. A piece within one payload is a view of it. */
export function* cutPayloads(payloads: readonly Uint8Array[]): Generator<Uint8Array> {
  let gathered: Uint8Array[] = [];
  let size = 0;
  for (const payload of payloads) {
    for (let at = 0; at < payload.length;) {
      const end = Math.min(payload.length, at + PIECE_BYTES - size);
      gathered.push(payload.subarray(at, end));
      size += end - at;
      at = end;
      if (size < PIECE_BYTES) continue;
      yield join(gathered, size);
      gathered = [];
      size = 0;
    }
  }
  if (size > 0) yield join(gathered, size);
}

function join(parts: readonly Uint8Array[], size: number): Uint8Array {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const joined = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Collects the payloads that one message announced. */
export class DetachedPayloads {
  readonly message: WireMessage;
  /** Every announced payload, filled up to `#place` and `#filled`. */
  readonly payloads: readonly Uint8Array[];
  #place = 0;
  #filled = 0;

  /** @throws {WireError} when more is announced than any message may have. */
  constructor(message: WireMessage) {
    const sizes = announced(message);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (total > DETACHED_BYTES_MAX) throw new WireError(`Payloads of ${total} bytes announced`);
    this.message = message;
    this.payloads = sizes.map((size) => new Uint8Array(size));
    this.#skipFull();
  }

  /** Whether all of it is here. */
  get isComplete(): boolean {
    return this.#place === this.payloads.length;
  }

  /** Copies a piece to where it belongs. @throws {WireError} when it is more than was announced. */
  add(piece: Uint8Array): void {
    for (let at = 0; at < piece.length;) {
      const payload = this.payloads[this.#place];
      if (payload === undefined) throw new WireError("More of a payload than was announced");
      const end = Math.min(piece.length, at + payload.length - this.#filled);
      payload.set(piece.subarray(at, end), this.#filled);
      this.#filled += end - at;
      at = end;
      this.#skipFull();
    }
  }

  #skipFull(): void {
    while (!this.isComplete && this.#filled === this.payloads[this.#place]?.length) {
      this.#place += 1;
      this.#filled = 0;
    }
  }
}

/** Sizes of the detached payloads of a message, in order; none when it carries its own. */
function announced(message: WireMessage): number[] {
  const { kind } = message;
  if (kind?.$case !== "append" && kind?.$case !== "propose") return [];
  return kind.value.entries.filter((entry) => entry.isDetached).map((entry) => entry.size);
}

/** Whether pieces follow behind a message. */
export function hasDetached(message: WireMessage): boolean {
  return announced(message).length > 0;
}
