/**
 * Reading a request's body: bounded in size before and while it is read (faults L3), in time (L4),
 * and in the sum over all requests. Invariant: `#heldBytes` is what the bodies that were admitted and
 * not yet released have announced, or have sent so far when they announced nothing.
 *
 * Bytes that are not UTF-8 become U+FFFD, as JSON on the wire has it.
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { type BodyText, decodeBody } from "../command/request.ts";
import type { DelayedCall, DelayedCalls } from "./delayed_calls.ts";
import {
  BODIES_IN_FLIGHT_BYTES_MAX,
  BODY_BYTES_AT_ONCE_MAX,
  BODY_BYTES_MAX,
  BODY_PACE_BYTES,
  LARGE_BODIES_IN_FLIGHT_BYTES_MAX,
} from "./limits.ts";

/** A body that was read; `release` it with its size when its request is answered. */
export interface ReadBody {
  readonly text: BodyText;
  readonly sizeBytes: number;
}

/** Reads bodies within common bounds. */
export class BodyReader {
  readonly #stalls: DelayedCalls;
  readonly #bodyBytesMax: number;
  #heldBytes = 0;

  constructor(options: {
    /** Delays by BODY_IDLE_MS_MAX. */
    readonly stalls: DelayedCalls;
    /** 1 to BODY_BYTES_MAX. */
    readonly bodyBytesMax: number;
  }) {
    assert(
      options.bodyBytesMax >= 1 && options.bodyBytesMax <= BODY_BYTES_MAX,
      "BodyReader: bodyBytesMax is out of bounds",
    );
    this.#stalls = options.stalls;
    this.#bodyBytesMax = options.bodyBytesMax;
  }

  /** Bytes of the bodies held. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Reads all of the body: as text when it is small, otherwise as its bytes.
   * @throws {OperatingError} `too_large`; `overloaded` when all bodies together are; `canceled` when
   *   the client stops sending; `bad_request` when what it sends is no body.
   */
  async read(request: Request): Promise<ReadBody> {
    const header = request.headers.get("content-length");
    if (header === null) {
      return request.body === null
        ? { text: "", sizeBytes: 0 }
        : await this.#readPieces(request.body, { announcedBytes: 0 });
    }
    // The runtime has already refused lengths that are no numbers, and those that contradict.
    const announcedBytes = Number(header);
    if (!(announcedBytes <= this.#bodyBytesMax)) throw tooLarge(this.#bodyBytesMax);
    this.#hold(announcedBytes, { bodyBytes: announcedBytes });
    try {
      const text = announcedBytes <= BODY_BYTES_AT_ONCE_MAX || request.body === null
        ? await this.#readAtOnce(request)
        : (await this.#readPieces(request.body, { announcedBytes })).text;
      return { text, sizeBytes: announcedBytes };
    } catch (error) {
      this.release(announcedBytes);
      throw error;
    }
  }

  /** Gives back what a body held. */
  release(sizeBytes: number): void {
    assert(sizeBytes <= this.#heldBytes, "BodyReader.release: more than is held");
    this.#heldBytes -= sizeBytes;
  }

  /** Counts bytes of a body of `bodyBytes` so far. Large ones leave room for the small (faults L4). */
  #hold(sizeBytes: number, options: { readonly bodyBytes: number }): void {
    const heldBytesMax = options.bodyBytes <= BODY_BYTES_AT_ONCE_MAX
      ? BODIES_IN_FLIGHT_BYTES_MAX
      : LARGE_BODIES_IN_FLIGHT_BYTES_MAX;
    if (this.#heldBytes + sizeBytes > heldBytesMax) {
      throw new OperatingError(
        "overloaded",
        `Cannot read request: ${this.#heldBytes} bytes of others are in work`,
      );
    }
    this.#heldBytes += sizeBytes;
  }

  /** The runtime's own way is the fastest, but cannot be stopped: a stall leaves it behind. */
  #readAtOnce(request: Request): Promise<string> {
    return new Promise((resolve, reject) => {
      const stall = this.#stalls.add(() => reject(stalled()));
      request.text().then((text) => {
        this.#stalls.cancel(stall);
        resolve(text);
      }, (error) => {
        this.#stalls.cancel(stall);
        reject(unreadable(error));
      });
    });
  }

  /** Piece by piece; holds bytes for itself when the length was not announced. */
  async #readPieces(
    body: ReadableStream<Uint8Array>,
    options: { readonly announcedBytes: number },
  ): Promise<ReadBody> {
    const reader = body.getReader();
    const pieces = new PieceBuffer({ ...options, bytesMax: this.#bodyBytesMax });
    let sizeBytes = 0;
    let heldBytes = 0;
    const pace = new BodyPace(this.#stalls);
    try {
      for (;;) {
        const piece = await pace.read(reader);
        if (piece === undefined) return { text: pieces.take(), sizeBytes };
        sizeBytes += piece.length;
        if (sizeBytes > this.#bodyBytesMax) throw tooLarge(this.#bodyBytesMax);
        if (options.announcedBytes === 0) {
          this.#hold(piece.length, { bodyBytes: sizeBytes });
          heldBytes += piece.length;
        }
        pieces.add(piece);
      }
    } catch (error) {
      this.release(heldBytes);
      await cancelQuietly(reader);
      throw error;
    } finally {
      pace.end();
    }
  }
}

/** The pieces of a body in one buffer, of the right size when its length is known. */
class PieceBuffer {
  readonly #buffer: ArrayBuffer;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #sizeBytes = 0;

  /** Room that is not written to is not taken from the machine: a client may announce what never comes. */
  constructor(options: { readonly announcedBytes: number; readonly bytesMax: number }) {
    const { announcedBytes, bytesMax } = options;
    this.#buffer = announcedBytes > 0
      ? new ArrayBuffer(announcedBytes)
      : new ArrayBuffer(0, { maxByteLength: bytesMax });
    this.#bytes = new Uint8Array(this.#buffer);
  }

  add(piece: Uint8Array): void {
    const sizeBytes = this.#sizeBytes + piece.length;
    if (sizeBytes > this.#buffer.byteLength) {
      const roomBytes = sizeBytes - sizeBytes % BODY_PACE_BYTES + BODY_PACE_BYTES;
      this.#buffer.resize(Math.min(roomBytes, this.#buffer.maxByteLength));
    }
    this.#bytes.set(piece, this.#sizeBytes);
    this.#sizeBytes = sizeBytes;
  }

  /** A small body is text, like those that are read at once. */
  take(): BodyText {
    const bytes = this.#bytes.subarray(0, this.#sizeBytes);
    return bytes.length <= BODY_BYTES_AT_ONCE_MAX ? decodeBody(bytes) : bytes;
  }
}

/**
 * How one body keeps up: the time begins anew whenever BODY_PACE_BYTES have come, since a client that
 * sends a byte now and then would otherwise keep its place for hours.
 */
class BodyPace {
  readonly #stalls: DelayedCalls;
  #stall: DelayedCall;
  #missingBytes = BODY_PACE_BYTES;
  #isStalled = false;
  #refuse: ((error: OperatingError) => void) | undefined;

  constructor(stalls: DelayedCalls) {
    this.#stalls = stalls;
    this.#stall = this.#start();
  }

  /** The next piece; undefined behind the last. @throws {OperatingError} `canceled`, `bad_request`. */
  async read(
    reader: ReadableStreamDefaultReader<Uint8Array>,
  ): Promise<Uint8Array | undefined> {
    if (this.#isStalled) throw stalled();
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | undefined>();
    this.#refuse = reject;
    reader.read().then(
      (result) => resolve(result.value),
      (error) => reject(unreadable(error)),
    );
    const piece = await promise;
    this.#missingBytes -= piece?.length ?? 0;
    if (this.#missingBytes <= 0) {
      this.end();
      this.#missingBytes = BODY_PACE_BYTES;
      this.#stall = this.#start();
    }
    return piece;
  }

  /** Stops watching. */
  end(): void {
    this.#stalls.cancel(this.#stall);
  }

  #start(): DelayedCall {
    return this.#stalls.add(() => {
      this.#isStalled = true;
      this.#refuse?.(stalled());
    });
  }
}

async function cancelQuietly(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  try {
    await reader.cancel();
  } catch (error) {
    // A body that has failed already cannot be cancelled, and need not be.
    if (!(error instanceof Error)) throw error;
  }
}

function tooLarge(bodyBytesMax: number): OperatingError {
  return new OperatingError(
    "too_large",
    `Cannot take request: its body is over ${bodyBytesMax} bytes (--http-max-body)`,
  );
}

function stalled(): OperatingError {
  return new OperatingError("canceled", "Cannot read request: its body stopped arriving");
}

function unreadable(cause: unknown): OperatingError {
  return new OperatingError("bad_request", "Cannot read request: its body broke off", { cause });
}
