/**
 * Takes one snapshot from a stream: judges the sender, asks for a sink, writes chunk after chunk into it,
 * commits it, and only then hands the engine's message on.
 * Invariant: the sink gets bytes in order, without gaps, each checked against its chunk's checksum, one call
 * at a time; and `commit` or `abort` as its last.
 * Not here: where the bytes go (snapshot_file.ts), and whether one is wanted (the node's).
 */
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { SnapshotMessage } from "../raft/message.ts";
import type { ByteStream, StreamEvents } from "./byte_stream.ts";
import { decodeChecked } from "./checked_codec.ts";
import { Chunk, ChunkAnswer, type Hello } from "./generated/dust.ts";
import type { Admission } from "./inbound_stream.ts";
import { PIECE_BYTES, SNAPSHOT_SILENCE_MS_MAX, SNAPSHOT_WINDOW_BYTES } from "./limits.ts";
import { fromWire, WireError } from "./message_codec.ts";
import type { SnapshotOffer, SnapshotSink } from "./peer_services.ts";

/** What a transfer needs of the world, and tells it. */
export interface SnapshotReceiverOptions {
  readonly clock: Clock;
  /** Lets the sender in, or says why not; asked once, with the message that it offers. */
  readonly admit: (hello: Hello, message: SnapshotMessage) => Admission;
  readonly receiveSnapshot: (offer: SnapshotOffer) => Promise<SnapshotSink | undefined>;
  /** The content is here and durable. */
  readonly deliver: (message: SnapshotMessage) => void;
  /** Over, in whatever way, and the sink let go: another one may be opened. Last call. */
  readonly onEnd: (receiver: SnapshotReceiver) => void;
  readonly onBug: (error: unknown) => void;
}

const SILENT: ChunkAnswer = {
  hello: undefined,
  receivedOffset: 0,
  isInstalled: false,
  isDeclined: false,
};

/** One transfer. */
export class SnapshotReceiver {
  readonly #stream: ByteStream;
  readonly #options: SnapshotReceiverOptions;
  #offer: SnapshotOffer | undefined;
  #sink: SnapshotSink | undefined;
  /** Chunks that wait for the sink, at most a window of them. */
  #waiting: Chunk[] = [];
  #waitingBytes = 0;
  #isWorking = false;
  #isOver = false;
  /** What the sink has. */
  #received = 0;
  #silence: Timer | undefined;

  constructor(stream: ByteStream, options: SnapshotReceiverOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#expectChunk();
  }

  /** What is being received; undefined before it was offered. */
  get message(): SnapshotMessage | undefined {
    return this.#offer?.message;
  }

  /** What to do with what arrives. */
  get events(): StreamEvents {
    return {
      onBytes: (bytes) => this.#guard(() => this.#onChunk(bytes)),
      onHalfEnd: () => undefined,
      onEnd: () => this.#end(),
    };
  }

  /** Ends it early; the sender learns why. */
  close(kind: "refused" | "busy" | "closed", text: string): void {
    if (this.#isOver) return;
    this.#stream.close({ kind, text });
    this.#end();
  }

  #onChunk(bytes: Uint8Array): void {
    if (this.#isOver) return;
    const chunk = decodeChecked(Chunk, bytes);
    this.#expectChunk();
    const room = SNAPSHOT_WINDOW_BYTES + PIECE_BYTES;
    if (this.#waitingBytes + chunk.content.length > room) {
      throw new WireError("More of a snapshot than was asked for");
    }
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.content.length;
    if (!this.#isWorking) runInBackground(this.#work(), this.#options.onBug);
  }

  /** Deals with what waits; ends with the sink when the transfer is over. */
  async #work(): Promise<void> {
    this.#isWorking = true;
    try {
      for (;;) {
        const chunk = this.#isOver ? undefined : this.#waiting.shift();
        if (chunk === undefined) break;
        this.#waitingBytes -= chunk.content.length;
        if (this.#offer === undefined) await this.#begin(chunk);
        else await this.#add(chunk);
      }
    } catch (error) {
      this.#refuse(error);
    } finally {
      this.#isWorking = false;
    }
    if (this.#isOver) await this.#letGo();
  }

  async #begin({ hello, offer }: Chunk): Promise<void> {
    if (hello === undefined || offer?.message === undefined) throw new WireError("No offer");
    const message = fromWire(offer.message);
    if (message.kind !== "snapshot") throw new WireError(`A ${message.kind} as a snapshot`);
    const admission = this.#options.admit(hello, message);
    if (admission.kind !== "admitted") return this.close(admission.kind, admission.text);
    this.#offer = {
      message,
      sizeBytes: offer.sizeBytes,
      checksum: offer.contentChecksum,
      note: offer.note.slice(),
    };
    const sink = await this.#options.receiveSnapshot(this.#offer);
    this.#sink = sink;
    if (this.#isOver) return;
    if (sink === undefined) {
      this.#answer({ ...SILENT, hello: admission.answer, isDeclined: true });
      this.#stream.finish();
      this.#end();
      return;
    }
    this.#received = sink.resumeOffset;
    this.#answer({ ...SILENT, hello: admission.answer, receivedOffset: this.#received });
  }

  async #add({ offset, content, isLast }: Chunk): Promise<void> {
    const [sink, offer] = [this.#sink, this.#offer];
    if (sink === undefined || offer === undefined) throw new WireError("Content without an offer");
    if (offset !== this.#received || offset + content.length > offer.sizeBytes) {
      throw new WireError(`Content at ${offset} instead of ${this.#received}`);
    }
    if (content.length > 0) await sink.write(content, offset);
    this.#received += content.length;
    if (!isLast) return this.#answer({ ...SILENT, receivedOffset: this.#received });
    if (this.#received !== offer.sizeBytes) throw new WireError("The end before the end");
    if (this.#isOver) return;
    this.#sink = undefined;
    await sink.commit();
    this.#options.deliver(offer.message);
    this.#answer({ ...SILENT, receivedOffset: this.#received, isInstalled: true });
    this.#stream.finish();
    this.#end();
  }

  #answer(answer: ChunkAnswer): void {
    if (this.#isOver) return;
    this.#stream.write(ChunkAnswer.encode(answer).finish(), () => undefined);
  }

  #expectChunk(): void {
    this.#silence?.cancel();
    this.#silence = this.#options.clock.startTimer(SNAPSHOT_SILENCE_MS_MAX, () => {
      // What waits is the sink's to write: the sender has no part in that.
      if (this.#isWorking) this.#expectChunk();
      else this.close("closed", `No content for ${SNAPSHOT_SILENCE_MS_MAX} ms`);
    });
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#silence?.cancel();
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (!this.#isWorking) runInBackground(this.#letGo(), this.#options.onBug);
  }

  /** Once, when it is over and no call of the sink runs any more. */
  async #letGo(): Promise<void> {
    const sink = this.#sink;
    this.#sink = undefined;
    await sink?.abort();
    this.#options.onEnd(this);
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** What the peer sent, or a full disk, ends the transfer at worst; everything else that fails is a bug. */
  #refuse(error: unknown): void {
    if (error instanceof WireError) this.close("closed", error.message);
    else if (error instanceof OperatingError) this.close("busy", error.message);
    else this.#options.onBug(error);
  }
}
