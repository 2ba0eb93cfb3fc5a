/**
 * Files that are kept open so that they can be closed when a thread is to start (fault P11).
 *
 * A new thread opens a dozen files. Where the process has none left, the runtime does not fail: it ends the
 * process, or loads half of the thread's program. Connections may take all other files; these they
 * cannot take, except in the moment in which they are lent.
 */
import type { Clock } from "./clock.ts";

/** More than three threads open while they start. */
const FILES = 48;
const RETRY_MS = 1_000;
const PATH = "/dev/null";

/** See the file's header. One per process that starts threads while it serves. */
export class FileReserve implements Disposable {
  readonly #clock: Clock;
  readonly #path: string;
  readonly #files: Deno.FsFile[] = [];
  #borrowers = 0;
  #isClosed = false;

  /** `path`: what is opened, again and again; for tests. */
  constructor(clock: Clock, path = PATH) {
    this.#clock = clock;
    this.#path = path;
    this.#fill();
  }

  /** Files that are held now. */
  get size(): number {
    return this.#files.length;
  }

  /** Runs `start`; until what `untilOf` makes of its result has settled, others may open the files. */
  lend<T>(start: () => T, untilOf: (started: T) => Promise<unknown>): T {
    this.#borrowers += 1;
    this.#release();
    const giveBack = (): void => {
      this.#borrowers -= 1;
      this.#fill();
    };
    const started = start();
    untilOf(started).then(giveBack, giveBack);
    return started;
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#release();
  }

  #release(): void {
    for (const file of this.#files.splice(0)) file.close();
  }

  /** As many as there are; those that are missing, later. */
  #fill(): void {
    if (this.#isClosed || this.#borrowers > 0) return;
    try {
      while (this.#files.length < FILES) this.#files.push(Deno.openSync(this.#path));
    } catch {
      // Whatever the reason: without a reserve the process works, too.
      this.#clock.startTimer(RETRY_MS, () => this.#fill());
    }
  }
}
