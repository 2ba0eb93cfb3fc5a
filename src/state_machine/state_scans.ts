/**
 * Scans of state files, each on a thread of its own (state_scan_worker.ts): at most one at a time, until `close`.
 */
import { FatalError } from "../base/errors.ts";
import type { FileReserve } from "../os/deno_file_reserve.ts";
import type { LibraryLocation } from "../sqlite/loader.ts";
import { errorOfReply } from "./fatal_reply.ts";
import type { GenerationPlace } from "./state_folders.ts";
import type { ScanReply, ScanRequest } from "./state_scan_worker.ts";

/** What came of a scan. */
export type ScannedFile = Omit<Extract<ScanReply, { readonly kind: "scanned" }>, "kind">;

const STOPPED = 1;

/** See the file's header. One per live file, on the main thread. */
export class StateScans {
  readonly #options: {
    readonly location: LibraryLocation;
    readonly gate: SharedArrayBuffer;
    readonly files: FileReserve;
  };
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  #running: Promise<unknown> = Promise.resolve();
  #worker: Worker | undefined;

  constructor(
    options: {
      readonly location: LibraryLocation;
      /** The gate before each read (read_gate.ts). */
      readonly gate: SharedArrayBuffer;
      /** What a thread needs while it starts. */
      readonly files: FileReserve;
    },
  ) {
    this.#options = options;
  }

  /**
   * Reads all of a file; `copy`: that of which generation it is, when it is a durable copy.
   * @returns undefined once this is closed. @throws {FatalError} when the thread has ended.
   */
  async scan(path: string, copy: GenerationPlace | undefined): Promise<ScannedFile | undefined> {
    await this.#running;
    if (Atomics.load(this.#stop, 0) === STOPPED) return undefined;
    const reply = this.#options.files.lend(() => this.#onThread(path, copy), (replied) => replied);
    this.#running = reply.catch(() => {});
    const result = await reply;
    if (result.kind === "fatal") throw errorOfReply(result);
    const { damage, isComplete } = result;
    return { damage, isComplete };
  }

  /** Ends what is under way, and allows no more. Again is allowed. */
  async close(): Promise<void> {
    Atomics.store(this.#stop, 0, STOPPED);
    Atomics.notify(this.#stop, 0);
    await this.#running;
  }

  /** Ends the thread as it is: the process is about to end too. */
  abandon(): void {
    Atomics.store(this.#stop, 0, STOPPED);
    this.#worker?.terminate();
  }

  #onThread(path: string, copy: GenerationPlace | undefined): Promise<ScanReply> {
    const { promise, resolve, reject } = Promise.withResolvers<ScanReply>();
    const worker = new Worker(new URL("./state_scan_worker.ts", import.meta.url), {
      type: "module",
      name: "dust-scan",
    });
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<ScanReply>) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new FatalError(74, `The scanning thread has ended: ${event.message}`));
    };
    const { location: library, gate } = this.#options;
    const request: ScanRequest = { library, path, copy, gate, stop: this.#stop.buffer };
    worker.postMessage(request);
    return promise;
  }
}
