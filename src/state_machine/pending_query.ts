/**
 * A query on the main thread, from its request to its answer: waiting, with a reader, or streaming.
 * Settled exactly once; what comes for it afterwards is ignored, since a query may have been given to
 * a second reader when the first was held up.
 */
import { OperatingError } from "../base/errors.ts";
import { logIndex } from "../base/ids.ts";
import type { BodyText } from "../command/request.ts";
import type { QueryOutcome } from "../node/ports.ts";

/** What a stream asks of the pool. */
export interface StreamHost {
  /** The client has taken a piece. */
  onTaken(): void;
  /** The client wants no more. */
  onCanceled(): void;
}

/** See the file's header. */
export class PendingQuery {
  /** Names it between the threads; positive, and small enough for a cell of shared memory. */
  readonly ticket: number;
  /** The client's name for it; undefined for what cannot be canceled. */
  readonly id: number | undefined;
  readonly flags: number;
  readonly timeoutMs: number;
  /** Bytes are gone from this thread once they were posted: then no other reader can have the query. */
  readonly text: BodyText;
  readonly outcome: Promise<QueryOutcome>;
  #settle: {
    readonly resolve: (outcome: QueryOutcome) => void;
    readonly reject: (error: Error) => void;
  };
  #isSettled = false;
  #stream: PieceQueue | undefined;

  constructor(options: {
    readonly ticket: number;
    readonly id: number | undefined;
    readonly flags: number;
    readonly timeoutMs: number;
    readonly text: BodyText;
  }) {
    this.ticket = options.ticket;
    this.id = options.id;
    this.flags = options.flags;
    this.timeoutMs = options.timeoutMs;
    this.text = options.text;
    const { promise, resolve, reject } = Promise.withResolvers<QueryOutcome>();
    this.outcome = promise;
    this.#settle = { resolve, reject };
  }

  /** Whether it goes to a reader that has nothing else to do, as it cannot be taken back. */
  get isAlone(): boolean {
    return typeof this.text !== "string";
  }

  /** True from the first piece of a streamed answer on. */
  get isStreaming(): boolean {
    return this.#stream !== undefined;
  }

  /** The whole answer. */
  answer(results: string, index: number): void {
    this.#resolve({ kind: "answer", results, index: logIndex(index) });
  }

  /** It is a write. */
  write(payload: Uint8Array): void {
    this.#resolve({ kind: "write", payload });
  }

  /** There will be no answer, or no more of it. */
  fail(error: OperatingError): void {
    if (this.#stream !== undefined) return this.#stream.fail(error);
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#settle.reject(error);
  }

  /** A piece of a large answer; the first one makes it a stream. */
  piece(
    bytes: Uint8Array,
    options: { readonly index: number; readonly isLast: boolean; readonly host: StreamHost },
  ): void {
    if (this.#stream === undefined) {
      this.#stream = new PieceQueue(options.host);
      const index = logIndex(options.index);
      this.#resolve({ kind: "answer", results: this.#stream.readable, index });
    }
    this.#stream.push(bytes, options);
  }

  #resolve(outcome: QueryOutcome): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#settle.resolve(outcome);
  }
}

/** Pieces between a reader thread, which has few credits, and a client, who takes them one by one. */
class PieceQueue {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #host: StreamHost;
  readonly #pieces: Uint8Array[] = [];
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #wake: (() => void) | undefined;
  #isComplete = false;
  #isEnded = false;

  constructor(host: StreamHost) {
    this.#host = host;
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#pull(),
      cancel: () => {
        this.#isEnded = true;
        this.#host.onCanceled();
      },
    }, { highWaterMark: 0 });
  }

  push(bytes: Uint8Array, options: { readonly isLast: boolean }): void {
    if (this.#isEnded) return;
    this.#pieces.push(bytes);
    this.#isComplete = options.isLast;
    this.#wake?.();
  }

  fail(error: Error): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#controller?.error(error);
    this.#wake?.();
  }

  async #pull(): Promise<void> {
    while (this.#pieces.length === 0 && !this.#isEnded) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = undefined;
    }
    const piece = this.#pieces.shift();
    if (this.#isEnded || piece === undefined) return;
    this.#controller?.enqueue(piece);
    this.#host.onTaken();
    if (!this.#isComplete || this.#pieces.length > 0) return;
    this.#isEnded = true;
    this.#controller?.close();
  }
}
