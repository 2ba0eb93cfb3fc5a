/**
 * The writer thread as the main thread sees it: requests with their replies as promises, in order.
 * Its failure is the end of the process (rule Q11): `onFatal` is called, and what was asked stays
 * without an answer.
 */
import { assert } from "../base/assert.ts";
import { runInBackground } from "../base/background.ts";
import { FatalError } from "../base/errors.ts";
import type { Watchdog } from "./entry_watch.ts";
import { errorOfReply } from "./fatal_reply.ts";
import { WriterMailbox } from "./writer_mailbox.ts";
import {
  type AppliedReply,
  readPlainReply,
  type WriterReply,
  type WriterRequest,
} from "./writer_messages.ts";

/** Replies that belong to a request. */
type Answer = WriterReply & { readonly id: number };

/**
 * Starts the thread's program, which takes a tenth of a second: a start that has other things to do
 * first begins with this, and gives it to `WriterThread`.
 */
export function startWriterWorker(): Worker {
  return new Worker(new URL("./writer_worker.ts", import.meta.url), {
    type: "module",
    name: "dust-writer",
  });
}

/** See the file's header. */
export class WriterThread {
  readonly #worker: Worker;
  readonly #watchdog: Watchdog;
  readonly #waiting = new Map<number, (reply: Answer) => void>();
  readonly #mailbox: WriterMailbox;
  readonly #onFatal: (error: unknown) => void;
  #nextId = 1;

  /** Takes over `worker`, made by `startWriterWorker`, who watches it, and the memory that it is opened with. */
  constructor(worker: Worker, listener: {
    /** Reads hold up the emptying of the `-wal`. */
    readonly onReadersInTheWay: () => void;
    readonly onFatal: (error: unknown) => void;
  }, shared: { readonly watchdog: Watchdog; readonly mailbox: SharedArrayBuffer }) {
    this.#worker = worker;
    this.#watchdog = shared.watchdog;
    this.#mailbox = new WriterMailbox(shared.mailbox);
    this.#onFatal = listener.onFatal;
    this.#worker.onmessage = ({ data }: MessageEvent<WriterReply>) => {
      if (data.kind === "readers_in_the_way") listener.onReadersInTheWay();
      else if (data.kind === "fatal") listener.onFatal(errorOfReply(data));
      else this.#settle(data);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      listener.onFatal(new FatalError(74, `The writer thread has ended: ${event.message}`));
    };
  }

  /** Asks; `kind` is the kind of reply that belongs to the request. */
  ask<K extends Answer["kind"]>(
    kind: K,
    request: (id: number) => WriterRequest,
    transfer: Transferable[] = [],
  ): Promise<Extract<Answer, { readonly kind: K }>> {
    const { id, reply } = this.#expect(kind);
    this.#post(request(id), transfer);
    return reply;
  }

  /** Has a packed batch applied. `batch` is not to be used any more. */
  apply(batch: ArrayBuffer): Promise<AppliedReply> {
    const isFree = this.#waiting.size === 0;
    const answer = isFree ? this.#mailbox.give(this.#nextId, batch) : undefined;
    if (answer === undefined) {
      return this.ask("applied", (id) => ({ kind: "apply", id, batch }), [batch]);
    }
    const { id, reply } = this.#expect("applied");
    const settled = answer.then((plain) => {
      if (plain !== "") this.#settle(readPlainReply(id, plain));
    });
    runInBackground(settled, this.#onFatal);
    return reply;
  }

  /** Says something that has no reply. */
  tell(request: WriterRequest): void {
    this.#post(request, []);
  }

  /** Ends the thread, whose connection is closed. */
  end(): void {
    this.#watchdog.stop();
    this.#worker.terminate();
  }

  #expect<K extends Answer["kind"]>(
    kind: K,
  ): { readonly id: number; readonly reply: Promise<Extract<Answer, { readonly kind: K }>> } {
    const id = this.#nextId++;
    const { promise, resolve } = Promise.withResolvers<Extract<Answer, { readonly kind: K }>>();
    this.#waiting.set(id, (reply) => {
      assert(reply.kind === kind, "WriterThread: a reply of another kind");
      resolve(reply as Extract<Answer, { readonly kind: K }>);
    });
    return { id, reply: promise };
  }

  #post(request: WriterRequest, transfer: Transferable[]): void {
    this.#worker.postMessage(request, { transfer });
    this.#mailbox.onPosted();
  }

  #settle(reply: Answer): void {
    const settle = this.#waiting.get(reply.id);
    assert(settle !== undefined, "WriterThread: a reply that nobody asked for");
    this.#waiting.delete(reply.id);
    settle(reply);
  }
}
