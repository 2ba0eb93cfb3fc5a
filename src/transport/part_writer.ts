/**
 * Sends the parts of a request or an answer: a head with as much of the body as fits, the rest in pieces, with
 * no more than WINDOW_BYTES under way that the connection has not taken.
 * Invariant: exactly one part is the last one, and it is sent unless the stream ends before.
 */
import type { ByteStream } from "./byte_stream.ts";
import { encodeChecked } from "./checked_codec.ts";
import { type Head, type Hello, Part } from "./generated/dust.ts";
import { PIECE_BYTES, WINDOW_BYTES } from "./limits.ts";

const NO_BYTES = new Uint8Array(0);
const UTF8 = new TextEncoder();

/** What goes in front of a body. */
export interface Opening {
  readonly hello: Hello;
  readonly head: Head;
}

/** A head that says nothing. */
export function emptyHead(): Head {
  return { kind: "", document: "", errorCode: "", errorText: "", bodyBytes: 0, timeoutMs: 0 };
}

/** Sends on one stream. */
export class PartWriter {
  readonly #stream: ByteStream;
  #inFlightBytes = 0;
  #hasTaken = false;
  #isOver = false;
  #wake: (() => void) | undefined;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /** Whether the connection took anything: if not, the other side knows of nothing. */
  get hasTaken(): boolean {
    return this.#hasTaken;
  }

  /** The stream ended: whoever waits need not any more. */
  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  /** Sends all of a whole body. Resolves once it is handed over, or the stream ended. */
  async sendWhole(opening: Opening, body: Uint8Array | string): Promise<void> {
    const bytes = typeof body === "string" ? UTF8.encode(body) : body;
    let at = Math.min(PIECE_BYTES, bytes.length);
    const first = { body: bytes.subarray(0, at), isLast: at === bytes.length };
    this.#write({ ...opening, ...first });
    while (at < bytes.length && !this.#isOver) {
      await this.#untilRoom();
      const end = Math.min(at + PIECE_BYTES, bytes.length);
      this.#write({ body: bytes.subarray(at, end), isLast: end === bytes.length });
      at = end;
    }
  }

  /** Sends a body as it comes. It is read to its end, or cancelled when the stream ends. @throws what reading does. */
  async sendStream(opening: Opening, body: ReadableStream<Uint8Array>): Promise<void> {
    this.#write({ ...opening, body: NO_BYTES, isLast: false });
    const reader = body.getReader();
    while (!this.#isOver) {
      const { done, value } = await reader.read();
      if (done) {
        this.#write({ body: NO_BYTES, isLast: true });
        return;
      }
      for (let at = 0; at < value.length && !this.#isOver; at += PIECE_BYTES) {
        await this.#untilRoom();
        this.#write({ body: value.subarray(at, at + PIECE_BYTES), isLast: false });
      }
    }
    await reader.cancel();
  }

  #write(
    part: Partial<Opening> & { readonly body: Uint8Array; readonly isLast: boolean },
  ): void {
    if (this.#isOver) return;
    const bytes = encodeChecked(Part, { hello: undefined, head: undefined, checksum: 0, ...part });
    this.#inFlightBytes += bytes.length;
    this.#stream.write(bytes, () => {
      this.#hasTaken = true;
      this.#inFlightBytes -= bytes.length;
      this.#wake?.();
    });
  }

  async #untilRoom(): Promise<void> {
    while (this.#inFlightBytes >= WINDOW_BYTES && !this.#isOver) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }
}
