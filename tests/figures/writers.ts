/**
 * Clients that write without pause, each one insert after the other, and note when each was acknowledged.
 * A client whose request fails goes on at the next node of its list for a while, as a client library does.
 */
import { sleep } from "../process.ts";

/** How long a client waits for an answer. */
const TIMEOUT_MS = 5_000;

/** How long a client stays away from its own node after a failure. */
const AWAY_MS = 1_000;

/** Between a failure and the next attempt. */
const PAUSE_MS = 5;

const INSERT = "INSERT INTO load(a, b) VALUES(?, ?)";
const TEXT = "forty characters of text in every single row";

/** One request that was answered, or was not; milliseconds of `performance.now()`. */
export interface Outcome {
  readonly url: string;
  readonly sentMs: number;
  readonly endedMs: number;
  /** undefined: acknowledged. */
  readonly failure: string | undefined;
}

/** Gives each write a number of its own, which it puts into its row, and keeps those that were acknowledged. */
export class WrittenNumbers {
  readonly acknowledged = new Set<number>();
  #last = 0;

  /** The next write's number. */
  next(): number {
    this.#last += 1;
    return this.#last;
  }
}

/** See the file's header. */
export class Writers {
  /** Failures, all of them. */
  readonly failures: Outcome[] = [];
  #acknowledged = 0;
  #isStopped = false;
  #watched: Outcome[] | undefined;
  readonly #limit: number;
  readonly #numbers: WrittenNumbers | undefined;
  readonly #restMs: number;
  readonly #clients: Promise<void>[] = [];

  /**
   * Client number N is at home at URL number N modulo their count. `limit`: writes in all. `numbers`: what rows
   * hold; all the same otherwise. `restMs`: between an acknowledgement and the client's next write.
   */
  constructor(
    { urls, clients, limit = Infinity, numbers, restMs = 0 }: {
      readonly urls: readonly string[];
      readonly clients: number;
      readonly limit?: number;
      readonly numbers?: WrittenNumbers;
      readonly restMs?: number;
    },
  ) {
    this.#limit = limit;
    this.#numbers = numbers;
    this.#restMs = restMs;
    for (let client = 0; client < clients; client++) this.#clients.push(this.#run(urls, client));
  }

  /** Writes that were acknowledged so far. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** From now on every outcome is kept, until `unwatch` takes them. */
  watch(): void {
    this.#watched = [];
  }

  /** What came since `watch`, in order of its end. */
  unwatch(): readonly Outcome[] {
    const outcomes = this.#watched ?? [];
    this.#watched = undefined;
    return outcomes;
  }

  /** When a write that was sent after `sinceMs` was acknowledged first; watch before. @throws after a minute. */
  async firstSentAfter(sinceMs: number): Promise<number> {
    while (performance.now() < sinceMs + 60_000) {
      const first = this.#watched?.find((each) =>
        each.failure === undefined && each.sentMs >= sinceMs
      );
      if (first !== undefined) return first.endedMs;
      await sleep(1);
    }
    throw new Error("No write was acknowledged for a minute");
  }

  /** Resolves once `limit` writes are acknowledged. */
  async done(): Promise<void> {
    await Promise.all(this.#clients);
  }

  /** No more requests; resolves when the last one is answered. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.done();
  }

  async #run(urls: readonly string[], client: number): Promise<void> {
    let place = client;
    let awayUntilMs = 0;
    while (!this.#isStopped && this.#acknowledged < this.#limit) {
      if (performance.now() >= awayUntilMs) place = client;
      const url = urls[place % urls.length] ?? "";
      const sentMs = performance.now();
      const number = this.#numbers?.next() ?? 1;
      const failure = await insert(url, number);
      const outcome = { url, sentMs, endedMs: performance.now(), failure };
      this.#watched?.push(outcome);
      if (failure === undefined) {
        this.#acknowledged += 1;
        this.#numbers?.acknowledged.add(number);
        if (this.#restMs > 0) await sleep(this.#restMs);
        continue;
      }
      this.failures.push(outcome);
      place += 1;
      awayUntilMs = performance.now() + AWAY_MS;
      await sleep(PAUSE_MS);
    }
  }
}

/** @returns why it failed. */
async function insert(url: string, number: number): Promise<string | undefined> {
  try {
    const response = await fetch(`${url}/db/execute`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify([[INSERT, number, TEXT]]),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    const isDone = response.status === 200 && text.includes('"rows_affected":1');
    return isDone ? undefined : `${response.status} ${text.slice(0, 120)}`;
  } catch (error) {
    // The node is gone, or silent for too long.
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    return error instanceof DOMException ? "no answer in time" : "connection ended or refused";
  }
}
