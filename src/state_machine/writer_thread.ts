/**
 * The writer thread as the main thread sees it: requests with their replies as promises, in order.
 * Its failure is the end of the process (rule Q11): `onFatal` is called, and what was asked stays
 * without an answer.
 */
import { assert } from "../base/assert.ts";
import { FatalError } from "../base/errors.ts";
import type { Watchdog } from "./entry_watch.ts";
import type { WriterReply, WriterRequest } from "./writer_messages.ts";

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
  #nextId = 1;

  /** Takes over `worker`, made by `startWriterWorker`, and who watches it. */
  constructor(worker: Worker, listener: {
    /** Reads hold up the emptying of the `-wal`. */
    readonly onReadersInTheWay: () => void;
    readonly onFatal: (error: Error) => void;
  }, watchdog: Watchdog) {
    this.#worker = worker;
    this.#watchdog = watchdog;
    this.#worker.onmessage = ({ data }: MessageEvent<WriterReply>) => {
      if (data.kind === "readers_in_the_way") listener.onReadersInTheWay();
      else if (data.kind === "fatal") listener.onFatal(errorOf(data));
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
    const id = this.#nextId++;
    const { promise, resolve } = Promise.withResolvers<Extract<Answer, { readonly kind: K }>>();
    this.#waiting.set(id, (reply) => {
      assert(reply.kind === kind, "WriterThread: a reply of another kind");
      resolve(reply as Extract<Answer, { readonly kind: K }>);
    });
    this.#worker.postMessage(request(id), { transfer });
    return promise;
  }

  /** Says something that has no reply. */
  tell(request: WriterRequest): void {
    this.#worker.postMessage(request);
  }

  /** Ends the thread, whose connection is closed. */
  end(): void {
    this.#watchdog.stop();
    this.#worker.terminate();
  }

  #settle(reply: Answer): void {
    const settle = this.#waiting.get(reply.id);
    assert(settle !== undefined, "WriterThread: a reply that nobody asked for");
    this.#waiting.delete(reply.id);
    settle(reply);
  }
}

function errorOf(reply: WriterReply & { readonly kind: "fatal" }): Error {
  const { message, exitStatus } = reply;
  return exitStatus === 70 ? new Error(message) : new FatalError(exitStatus, message);
}
