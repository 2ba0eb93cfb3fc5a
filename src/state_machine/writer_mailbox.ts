/**
 * Memory that main thread and writer share, for one small batch and its answer. A message costs each
 * side a turn of its event loop; a batch that finds the writer waiting here is back in half the time.
 *
 * A batch is given only while the writer waits for one, which it does for a moment behind each small
 * batch, when all messages to it have arrived and all answers from it: none is overtaken. What does not
 * fit goes as a message, either way.
 * Cells of 32 bits: state | messages posted to the writer | messages it has received | answers so far |
 * bytes of the batch | bytes of the answer | id of the batch; from CELLS_BYTES on the batch, behind it the
 * answer in UTF-8.
 */
import { MAILBOX_BATCH_BYTES_MAX } from "./limits.ts";

const CELL = {
  state: 0,
  posted: 1,
  received: 2,
  answers: 3,
  batchBytes: 4,
  answerBytes: 5,
  id: 6,
} as const;
const CELLS_BYTES = 32;
/** The writer has something else to do, or nobody knows; waits for a batch; has been given one. */
const STATE = { away: 0, waiting: 1, given: 2 } as const;
const ANSWER_BYTES_MAX = 16 * 1024;
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** One view of the memory; each thread makes its own. */
export class WriterMailbox {
  readonly #cells: Int32Array<SharedArrayBuffer>;
  readonly #batch: Uint8Array<SharedArrayBuffer>;
  readonly #answer: Uint8Array<SharedArrayBuffer>;
  /** Main thread: a batch was given whose answer was not looked at, although a message may have answered it. */
  #isGiven = false;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Int32Array(memory, 0, CELLS_BYTES / 4);
    this.#batch = new Uint8Array(memory, CELLS_BYTES, MAILBOX_BATCH_BYTES_MAX);
    this.#answer = new Uint8Array(
      memory,
      CELLS_BYTES + MAILBOX_BATCH_BYTES_MAX,
      ANSWER_BYTES_MAX,
    );
  }

  /** Memory for both sides. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(CELLS_BYTES + MAILBOX_BATCH_BYTES_MAX + ANSWER_BYTES_MAX);
  }

  /**
   * Main thread: gives the writer a batch, which is copied. All that was asked of it must be answered.
   * @returns its answer, empty when that comes as a message; undefined when the writer does not wait.
   */
  give(id: number, batch: ArrayBuffer): Promise<string> | undefined {
    const cells = this.#cells;
    if (this.#isGiven || batch.byteLength > MAILBOX_BATCH_BYTES_MAX) return undefined;
    if (Atomics.load(cells, CELL.state) !== STATE.waiting || this.#hasMessage) return undefined;
    this.#batch.set(new Uint8Array(batch));
    cells[CELL.batchBytes] = batch.byteLength;
    cells[CELL.id] = id;
    const answers = Atomics.load(cells, CELL.answers);
    if (!this.#endWait(STATE.given)) return undefined;
    this.#isGiven = true;
    return this.#untilAnswer(answers);
  }

  /** Main thread: a message is posted; the writer goes back to its event loop for it. */
  onPosted(): void {
    Atomics.add(this.#cells, CELL.posted, 1);
    this.#endWait(STATE.away);
  }

  /** Writer: a message has come. */
  onReceived(): void {
    Atomics.add(this.#cells, CELL.received, 1);
  }

  /** Writer: waits for a batch. @returns undefined when none comes in time, or a message has come. */
  take(waitMs: number): { readonly id: number; readonly batch: ArrayBuffer } | undefined {
    const cells = this.#cells;
    Atomics.store(cells, CELL.state, STATE.waiting);
    if (!this.#hasMessage) Atomics.wait(cells, CELL.state, STATE.waiting, waitMs);
    if (Atomics.exchange(cells, CELL.state, STATE.away) !== STATE.given) return undefined;
    const batch = new Uint8Array(cells[CELL.batchBytes] ?? 0);
    batch.set(this.#batch.subarray(0, batch.length));
    return { id: cells[CELL.id] ?? 0, batch: batch.buffer };
  }

  /** Writer: answers the batch it took; empty: a message will. @returns false when the text is too long. */
  answer(text: string): boolean {
    const { read, written } = ENCODER.encodeInto(text, this.#answer);
    if (read < text.length) return false;
    this.#cells[CELL.answerBytes] = written;
    Atomics.add(this.#cells, CELL.answers, 1);
    Atomics.notify(this.#cells, CELL.answers);
    return true;
  }

  get #hasMessage(): boolean {
    return Atomics.load(this.#cells, CELL.posted) !== Atomics.load(this.#cells, CELL.received);
  }

  #endWait(state: number): boolean {
    const before = Atomics.compareExchange(this.#cells, CELL.state, STATE.waiting, state);
    if (before !== STATE.waiting) return false;
    Atomics.notify(this.#cells, CELL.state);
    return true;
  }

  async #untilAnswer(answers: number): Promise<string> {
    const { value } = Atomics.waitAsync(this.#cells, CELL.answers, answers);
    await value;
    this.#isGiven = false;
    return DECODER.decode(this.#answer.subarray(0, this.#cells[CELL.answerBytes]));
  }
}
