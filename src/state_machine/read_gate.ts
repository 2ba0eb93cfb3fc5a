/**
 * A gate in shared memory before each read (rule D3): the writer closes it when the `-wal` has grown
 * too large, because a checkpoint can only empty it while nobody reads. Readers that are under way are
 * not touched; those that come wait.
 */

const OPEN = 0;
const CLOSED = 1;

/** One view of the gate; each thread makes its own over the same memory. */
export class ReadGate {
  readonly #state: Int32Array<SharedArrayBuffer>;

  constructor(memory: SharedArrayBuffer) {
    this.#state = new Int32Array(memory);
  }

  /** Memory for a gate, open. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(4);
  }

  /** Reads that come from now on wait. */
  close(): void {
    Atomics.store(this.#state, 0, CLOSED);
  }

  /** Reads go on. */
  open(): void {
    Atomics.store(this.#state, 0, OPEN);
    Atomics.notify(this.#state, 0);
  }

  /** Whether reads that come now would wait. */
  get isClosed(): boolean {
    return Atomics.load(this.#state, 0) === CLOSED;
  }

  /** Blocks the thread while the gate is closed, for at most `waitMsMax`. */
  pass(waitMsMax: number): void {
    if (this.isClosed) {
      Atomics.wait(this.#state, 0, CLOSED, waitMsMax);
    }
  }
}
