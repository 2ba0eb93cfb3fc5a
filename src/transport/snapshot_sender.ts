/**
 * Sends one snapshot to one member: an offer, then the file in chunks of PIECE_BYTES, from where the receiver
 * has it (rule N3), never more than SNAPSHOT_WINDOW_BYTES ahead of what it has written.
 * Invariant: `onEnd` is called exactly once; `finished` only when the receiver said that all is there,
 * verified and durable.
 * Not here: what to send, and when to try again (the engine's and the node's).
 */
import { runInBackground } from "../base/background.ts";
import { crc32c } from "../base/crc32c.ts";
import { OperatingError } from "../base/errors.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { File } from "../os/file_system.ts";
import type { StreamEnd, StreamEvents } from "./byte_stream.ts";
import { decodeWire, encodeChecked } from "./checked_codec.ts";
import { Chunk, ChunkAnswer, type Hello } from "./generated/dust.ts";
import { PIECE_BYTES, SNAPSHOT_SILENCE_MS_MAX, SNAPSHOT_WINDOW_BYTES } from "./limits.ts";
import { toWire, WireError } from "./message_codec.ts";
import type { DialledStream } from "./outbound_lane.ts";
import type { SnapshotOffer, SnapshotTransferOutcome } from "./peer_services.ts";

/** What a transfer needs of the world, and tells it. */
export interface SnapshotSenderOptions {
  readonly clock: Clock;
  readonly offer: SnapshotOffer;
  /** The content, `offer.sizeBytes` long; read only. Closed by this object. */
  readonly file: File;
  readonly dial: (events: StreamEvents) => DialledStream;
  readonly hello: () => Hello;
  /** Judges the receiver's hello: a text why not, or undefined. */
  readonly judge: (hello: Hello) => string | undefined;
  readonly onEnd: (outcome: SnapshotTransferOutcome, text: string) => void;
  readonly onBug: (error: unknown) => void;
}

const NO_BYTES = new Uint8Array(0);
const NOTHING: Chunk = {
  hello: undefined,
  offer: undefined,
  offset: 0,
  content: NO_BYTES,
  isLast: false,
  checksum: 0,
};

/** CRC-32C of a whole file, read in pieces so that others have their turn. @throws {FatalError} */
export async function checksumOf(file: File, sizeBytes: number): Promise<number> {
  const piece = new Uint8Array(PIECE_BYTES);
  let crc = 0;
  for (let at = 0; at < sizeBytes;) {
    const size = await file.read(piece, at);
    if (size === 0) break;
    crc = crc32c(piece, crc, 0, size);
    at += size;
  }
  return crc;
}

/** One transfer. It begins when it is made. */
export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  readonly #dialled: DialledStream;
  /** What the receiver has written; undefined before its first answer. */
  #received: number | undefined;
  #isInstalled = false;
  /** Why it is over before its end. */
  #failure: string | undefined;
  #wake = Promise.withResolvers<void>();
  #silence: Timer | undefined;

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
    this.#dialled = options.dial({
      onBytes: (bytes) => this.#onAnswer(bytes),
      onHalfEnd: () => undefined,
      onEnd: (end) => this.#onStreamEnd(end),
    });
    this.#expectAnswer();
    runInBackground(this.#run(), options.onBug);
  }

  /** Ends it early. */
  cancel(text: string): void {
    this.#fail(text);
  }

  async #run(): Promise<void> {
    const { file, onEnd } = this.#options;
    try {
      await this.#send();
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      this.#fail(error.message);
    } finally {
      this.#silence?.cancel();
      file.close();
      if (this.#isInstalled) this.#dialled.stream.finish();
      else this.#dialled.stream.close({ kind: "closed", text: this.#failure ?? "Over" });
      this.#dialled.disconnect();
    }
    onEnd(this.#isInstalled ? "finished" : "failed", this.#failure ?? "Installed");
  }

  async #send(): Promise<void> {
    const { offer, hello, file } = this.#options;
    const { message, sizeBytes, checksum, note } = offer;
    const wire = { message: toWire(message), sizeBytes, contentChecksum: checksum, note };
    this.#write({ ...NOTHING, hello: hello(), offer: wire });
    await this.#until(() => this.#received !== undefined);
    let at = this.#received ?? 0;
    for (let isLast = false; !isLast && this.#failure === undefined;) {
      await this.#until(() => at - (this.#received ?? 0) < SNAPSHOT_WINDOW_BYTES);
      if (this.#failure !== undefined) return;
      const content = new Uint8Array(Math.min(PIECE_BYTES, sizeBytes - at));
      const size = content.length === 0 ? 0 : await file.read(content, at);
      if (size < content.length) {
        this.#fail(`Cannot read ${file.path}: it ends at ${at + size} of ${sizeBytes}`);
        return;
      }
      isLast = at + size === sizeBytes;
      this.#write({ ...NOTHING, offset: at, content, isLast });
      at += size;
    }
    await this.#until(() => this.#isInstalled);
  }

  /** Waits for an answer that makes `condition` hold, or for the end. */
  async #until(condition: () => boolean): Promise<void> {
    while (this.#failure === undefined && !condition()) await this.#wake.promise;
  }

  #write(chunk: Chunk): void {
    if (this.#failure !== undefined) return;
    this.#dialled.stream.write(encodeChecked(Chunk, chunk), () => undefined);
  }

  #onAnswer(bytes: Uint8Array): void {
    if (this.#failure !== undefined || this.#isInstalled) return;
    try {
      this.#take(decodeWire(ChunkAnswer, bytes));
    } catch (error) {
      if (error instanceof WireError) this.#fail(error.message);
      else this.#options.onBug(error);
    }
    this.#wakeUp();
  }

  #take({ hello, receivedOffset, isDeclined, isInstalled }: ChunkAnswer): void {
    const before = this.#received;
    if (before === undefined) {
      const refusal = hello === undefined ? "No hello" : this.#options.judge(hello);
      if (refusal !== undefined) return this.#fail(refusal);
    }
    if (isDeclined) return this.#fail("The receiver does not want it now");
    if (receivedOffset < (before ?? 0) || receivedOffset > this.#options.offer.sizeBytes) {
      throw new WireError(`An answer about ${receivedOffset}, past or before what was sent`);
    }
    this.#received = receivedOffset;
    this.#isInstalled = isInstalled;
    this.#expectAnswer();
  }

  #onStreamEnd({ kind, text }: StreamEnd): void {
    if (!this.#isInstalled) this.#fail(kind === "done" ? "The receiver ended it" : text);
  }

  #expectAnswer(): void {
    this.#silence?.cancel();
    this.#silence = this.#options.clock.startTimer(SNAPSHOT_SILENCE_MS_MAX, () => {
      this.#fail(`No progress for ${SNAPSHOT_SILENCE_MS_MAX} ms`);
    });
  }

  #fail(text: string): void {
    if (this.#isInstalled) return;
    this.#failure ??= text;
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}
