/**
 * Digests of the state behind entries that ask for one (rule V1), taken on a thread of its own. At most one is under
 * way: a newer one ends it. The thread is started by the first, and has the file open until `close`.
 */
import { FatalError } from "../base/errors.ts";
import { logIndex } from "../base/ids.ts";
import { KIND, kindByteOf } from "../command/command_format.ts";
import type { LogEntry, StateDigest } from "../node/ports.ts";
import type { FileReserve } from "../os/deno_file_reserve.ts";
import type { LibraryLocation } from "../sqlite/loader.ts";
import { cellOf, type DigestReply, type DigestRequest, STOPPED } from "./digest_messages.ts";
import { errorOfReply } from "./fatal_reply.ts";

/** The file, and whom the thread serves. */
export interface ComparisonsOptions {
  readonly location: LibraryLocation;
  readonly path: string;
  /** The gate before each read (read_gate.ts). */
  readonly gate: SharedArrayBuffer;
  /** What a thread needs while it starts. */
  readonly files: FileReserve;
  readonly onFatal: (error: Error) => void;
}

interface Running {
  readonly index: number;
  readonly pinned: PromiseWithResolvers<void>;
  readonly digest: PromiseWithResolvers<StateDigest | undefined>;
}

/** See the file's header. One per live file, on the main thread. */
export class Comparisons {
  readonly #options: ComparisonsOptions;
  readonly #wanted = new Int32Array(new SharedArrayBuffer(4));
  #worker: Worker | undefined;
  /** Those without a digest yet: one, and older ones that are about to end. */
  readonly #running = new Map<number, Running>();
  #newest: Running | undefined;
  readonly #closed = Promise.withResolvers<void>();
  #isClosed = false;

  constructor(options: ComparisonsOptions) {
    this.#options = options;
  }

  /**
   * Begins with the digest of the state as it is, behind the entry at `index`.
   * @returns when entries may be applied again.
   */
  begin(index: number): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#worker ??= this.#start();
    this.#want(cellOf(index));
    const running: Running = {
      index,
      pinned: Promise.withResolvers(),
      digest: Promise.withResolvers(),
    };
    this.#newest = running;
    this.#running.set(index, running);
    this.#post({ kind: "pin", index });
    return running.pinned.promise;
  }

  /** What came of the digest behind the entry at `index`; undefined when it was given up, or never begun. */
  async digest(index: number): Promise<StateDigest | undefined> {
    return this.#newest?.index === index ? await this.#newest.digest.promise : undefined;
  }

  /** Gives up what is under way and closes the file. Again is allowed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#want(STOPPED);
    if (this.#worker === undefined) return;
    this.#post({ kind: "close" });
    await this.#closed.promise;
    this.#end();
  }

  /** Ends the thread as it is: the process is about to end too. */
  abandon(): void {
    this.#isClosed = true;
    this.#end();
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const { pinned, digest } of this.#running.values()) {
      pinned.resolve();
      digest.resolve(undefined);
    }
    this.#running.clear();
    this.#closed.resolve();
  }

  #want(cell: number): void {
    Atomics.store(this.#wanted, 0, cell);
    Atomics.notify(this.#wanted, 0);
  }

  #start(): Worker {
    const { files, onFatal, location: library, path, gate } = this.#options;
    const worker = new Worker(new URL("./digest_worker.ts", import.meta.url), {
      type: "module",
      name: "dust-digest",
    });
    const started = Promise.withResolvers<void>();
    worker.onmessage = ({ data }: MessageEvent<DigestReply>) => {
      started.resolve();
      this.#onReply(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      started.resolve();
      onFatal(new FatalError(74, `The digest thread has ended: ${event.message}`));
    };
    worker.postMessage({ kind: "open", library, path, gate, wanted: this.#wanted.buffer });
    return files.lend(() => worker, () => started.promise);
  }

  #post(request: DigestRequest): void {
    this.#worker?.postMessage(request);
  }

  #onReply(reply: DigestReply): void {
    switch (reply.kind) {
      case "pinned":
        return this.#running.get(reply.index)?.pinned.resolve();
      case "digested": {
        const { index, digest } = reply;
        const result = digest === undefined ? undefined : { index: logIndex(index), ...digest };
        this.#running.get(index)?.digest.resolve(result);
        this.#running.delete(index);
        return;
      }
      case "closed":
        return this.#closed.resolve();
      case "fatal":
        return this.#options.onFatal(errorOfReply(reply));
    }
  }
}

/** Whether an entry asks for a digest of the state behind it. */
export function isCompareEntry({ kind, payload }: Pick<LogEntry, "kind" | "payload">): boolean {
  return kind === "normal" && kindByteOf(payload) === KIND.compare;
}
