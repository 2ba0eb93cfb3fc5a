/**
 * Queued writes (the wire contract, section 9): requests that are answered before they are written,
 * put together into few log entries. Memory only: what was queued and not waited for is lost when the
 * process ends (faults L6).
 *
 * Invariants: sequence numbers grow by one per request, and batches run one at a time in their order.
 * Every request accepted ends: written, or refused QUEUE_ATTEMPTS_MAX times, or in an unknown state,
 * after which trying again could write it twice.
 */
import { assert } from "../base/assert.ts";
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import { STATEMENTS_MAX } from "../command/limits.ts";
import { type BodyText, decodeBody } from "../command/request.ts";
import { parseStatements } from "../command/statement_parser.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { Counters } from "./counters.ts";
import type { DatabasePort, FactTree } from "./database_port.ts";
import {
  QUEUE_ATTEMPTS_MAX,
  QUEUE_BATCH_BYTES_MAX,
  QUEUE_RETRY_DELAY_MS,
  QUEUED_REQUEST_BYTES_MAX,
} from "./limits.ts";
import { formatDuration } from "../base/duration.ts";

/** How the queue gathers requests; rqlited's `-write-queue-*` flags. */
export interface WriteQueueSettings {
  /** Requests that may wait in the queue, and again as many for a place in it; then 503. */
  readonly capacity: number;
  /** Requests in one log entry. */
  readonly batchSize: number;
  /** How long the first request of a batch waits for others. Milliseconds; 0 for until the batch is full. */
  readonly timeoutMs: number;
  /** Whether a batch is one transaction. */
  readonly transaction: boolean;
}

/** A request in the queue. */
export interface QueuedWrite {
  readonly sequenceNumber: bigint;
  /** When it got its place, on the monotonic clock. Milliseconds. */
  readonly addedMs: number;
  /** The statements between the brackets of their array; empty for a mere marker. */
  readonly statements: string;
  readonly statementCount: number;
  /** Settles with the batch. Its rejection is handled whether or not somebody waits. */
  readonly done: PromiseWithResolvers<void>;
}

/** The failures after which nothing has happened, so that trying again is safe. */
const SAFE_TO_RETRY: ReadonlySet<string> = new Set([
  "not_leader",
  "not_ready",
  "overloaded",
  "disk_full",
  "timeout",
]);

/** The queue of one node. */
export class WriteQueue {
  readonly #database: DatabasePort;
  readonly #clock: Clock;
  readonly #settings: WriteQueueSettings;
  readonly #counters: Counters;
  readonly #crash: (error: unknown) => void;
  #queue: QueuedWrite[] = [];
  /** Requests that wait for a place, oldest first. */
  readonly #blocked = new Set<() => void>();
  /** Places that were given to blocked requests which have not taken them yet. */
  #reserved = 0;
  #nextSequenceNumber: bigint;
  #lastWritten = 0n;
  #timer: Timer | undefined;
  #running = false;

  constructor(options: {
    readonly database: DatabasePort;
    readonly clock: Clock;
    readonly settings: WriteQueueSettings;
    readonly counters: Counters;
    /** Takes what is no OperatingError. */
    readonly crash: (error: unknown) => void;
  }) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#settings = options.settings;
    this.#counters = options.counters;
    this.#crash = options.crash;
    this.#nextSequenceNumber = BigInt(this.#clock.wallMs()) * 1_000_000n;
  }

  /** What /status shows of it. */
  facts(): FactTree {
    return {
      batch_size: this.#settings.batchSize,
      max_size: this.#settings.capacity,
      sequence_number: this.#lastWritten,
      timeout: formatDuration(this.#settings.timeoutMs),
    };
  }

  /**
   * Accepts a request, once there is a place. With `wait`, `[]` and `null` are markers: nothing to
   * write, but `written` says when all before them is.
   * @throws {OperatingError} `bad_request` and others for a body that could not be written;
   *   `too_large`; `overloaded` when no place comes free within `timeoutMs`, or too many wait for one.
   */
  async submit(request: {
    readonly text: BodyText;
    readonly wait: boolean;
    readonly timeoutMs: number;
  }): Promise<QueuedWrite> {
    if (request.text.length > QUEUED_REQUEST_BYTES_MAX) {
      throw new OperatingError(
        "too_large",
        `Cannot queue request: its body is over ${QUEUED_REQUEST_BYTES_MAX} bytes`,
      );
    }
    const text = decodeBody(request.text).trim();
    const isMarker = request.wait && /^(null|\[\s*\])$/.test(text);
    const statementCount = isMarker ? 0 : parseStatements({ kind: "json", text }).length;
    if (this.#queue.length + this.#reserved >= this.#settings.capacity) {
      await this.#waitForPlace(request.timeoutMs);
      this.#reserved--;
    }
    const done = Promise.withResolvers<void>();
    // Whoever waits hears of it too; without this, a failure that nobody waits for would be an alarm.
    runInBackground(done.promise, () => this.#counters.add("queued_executions_failed"));
    const queued = {
      sequenceNumber: ++this.#nextSequenceNumber,
      addedMs: this.#clock.monotonicMs(),
      statements: isMarker ? "" : text.slice(1, -1),
      statementCount,
      done,
    };
    this.#queue.push(queued);
    this.#schedule();
    return queued;
  }

  /** Resolves with a place reserved. @throws {OperatingError} `overloaded` */
  async #waitForPlace(timeoutMs: number): Promise<void> {
    const overloaded = (): OperatingError =>
      new OperatingError("overloaded", `Cannot queue request: ${this.#queue.length} are waiting`);
    if (this.#blocked.size >= this.#settings.capacity) throw overloaded();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = this.#clock.startTimer(timeoutMs, () => {
      this.#blocked.delete(resolve);
      reject(overloaded());
    });
    this.#blocked.add(resolve);
    await promise;
    timer.cancel();
  }

  #givePlaces(): void {
    for (const resolve of this.#blocked) {
      if (this.#queue.length + this.#reserved >= this.#settings.capacity) return;
      this.#blocked.delete(resolve);
      this.#reserved++;
      resolve();
    }
  }

  /** Waits for a request. @returns false when `timeoutMs` passes before. @throws what its batch threw. */
  async written(queued: QueuedWrite, options: { readonly timeoutMs: number }): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<"late">();
    const timer = this.#clock.startTimer(options.timeoutMs, () => resolve("late"));
    try {
      return await Promise.race([queued.done.promise, promise]) !== "late";
    } finally {
      timer.cancel();
    }
  }

  #schedule(): void {
    const [first] = this.#queue;
    if (this.#running || first === undefined) return;
    const { batchSize, timeoutMs } = this.#settings;
    if (this.#queue.length >= batchSize) {
      this.#timer?.cancel();
      this.#timer = undefined;
      this.#start();
    } else if (this.#timer === undefined && timeoutMs > 0) {
      const waitedMs = this.#clock.monotonicMs() - first.addedMs;
      this.#timer = this.#clock.startTimer(Math.max(timeoutMs - waitedMs, 0), () => {
        this.#timer = undefined;
        this.#start();
      });
    }
  }

  #start(): void {
    assert(!this.#running, "WriteQueue: a batch is running already");
    this.#running = true;
    runInBackground(this.#run(this.#takeBatch()), this.#crash);
  }

  #takeBatch(): readonly QueuedWrite[] {
    let count = 0;
    let characters = 0;
    let statements = 0;
    for (const queued of this.#queue) {
      characters += queued.statements.length;
      statements += queued.statementCount;
      const fits = count < this.#settings.batchSize && characters <= QUEUE_BATCH_BYTES_MAX &&
        statements <= STATEMENTS_MAX;
      if (count > 0 && !fits) break;
      count++;
    }
    const batch = this.#queue.splice(0, count);
    this.#givePlaces();
    return batch;
  }

  async #run(batch: readonly QueuedWrite[]): Promise<void> {
    const failure = await this.#write(batch);
    for (const { done, sequenceNumber } of batch) {
      this.#lastWritten = sequenceNumber;
      if (failure === undefined) {
        this.#counters.add("queued_executions_ok");
        done.resolve();
      } else {
        done.reject(failure);
      }
    }
    this.#running = false;
    this.#schedule();
  }

  /** @returns the failure that ended the last attempt, or undefined when all is written. */
  async #write(batch: readonly QueuedWrite[]): Promise<OperatingError | undefined> {
    const statements = batch.map((queued) => queued.statements).filter((text) => text !== "");
    if (statements.length === 0) return undefined;
    const text = `[${statements.join()}]`;
    for (let attempt = 1;; attempt++) {
      try {
        await this.#database.execute({
          body: { kind: "json", text },
          transaction: this.#settings.transaction,
          format: 0,
          timeoutMs: 0,
        });
        return undefined;
      } catch (error) {
        if (!(error instanceof OperatingError)) throw error;
        if (!SAFE_TO_RETRY.has(error.code) || attempt === QUEUE_ATTEMPTS_MAX) return error;
      }
      await this.#clock.sleep(QUEUE_RETRY_DELAY_MS);
    }
  }
}
