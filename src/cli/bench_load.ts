/**
 * The closed loop: N clients, each sends a request, waits for its answer, checks it, sends the next.
 * A warm-up goes before the measured time; requests that began in the warm-up do not count. An answer
 * is good when its status is 200 and its body has no "error".
 */
import { BenchConnection } from "./bench_connection.ts";
import { LatencyHistogram } from "./latency_histogram.ts";

/** Who makes requests for a client. */
export interface RequestSource {
  next(): Uint8Array;
}

/** One run. */
export interface LoadOptions {
  /** `host:port` of the nodes; clients are spread over them in turn. */
  readonly addresses: readonly string[];
  readonly clients: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** The requests of a client, who is number `client` and talks to `address`. */
  readonly requests: (client: number, address: string) => RequestSource;
}

/** What a run gave. */
export interface LoadResult {
  readonly latencies: LatencyHistogram;
  readonly seconds: number;
  readonly errors: number;
  /** The first bad answer or failure, "" when there was none. */
  readonly firstError: string;
}

/** A request that is not answered within this time is an error, and its connection is closed. */
const ANSWER_MS_MAX = 30_000;
const WATCH_PERIOD_MS = 1_000;
/** Pause of a client whose connection broke. */
const RECONNECT_DELAY_MS = 20;
/** How long clients may take to end after the measured time. */
const END_MS_MAX = 5_000;
const ERROR_LENGTH_MAX = 200;

/** Runs the load. Errors of the clients are counted, not thrown. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const load = new Load(options);
  return await load.run();
}

class Load {
  readonly #options: LoadOptions;
  readonly #latencies = new LatencyHistogram();
  /** Per client: its connection and since when it waits for an answer; 0 for not. */
  readonly #connections: (BenchConnection | undefined)[] = [];
  readonly #waitingSince: number[] = [];
  #measuredFrom = Infinity;
  #measuredTo = Infinity;
  #stopping = false;
  #errors = 0;
  #firstError = "";

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  async run(): Promise<LoadResult> {
    const { clients, seconds, warmUpSeconds } = this.#options;
    const all = Promise.all(
      Array.from({ length: clients }, (_, client) => this.#runClient(client)),
    );
    const watch = setInterval(() => this.#closeStuck(ANSWER_MS_MAX), WATCH_PERIOD_MS);
    await delay(warmUpSeconds * 1000);
    this.#measuredFrom = performance.now();
    await delay(seconds * 1000);
    this.#measuredTo = performance.now();
    this.#stopping = true;
    await Promise.race([all, delay(END_MS_MAX)]);
    clearInterval(watch);
    this.#closeStuck(0);
    await all;
    return {
      latencies: this.#latencies,
      seconds: (this.#measuredTo - this.#measuredFrom) / 1000,
      errors: this.#errors,
      firstError: this.#firstError,
    };
  }

  async #runClient(client: number): Promise<void> {
    const { addresses, requests } = this.#options;
    const address = addresses[client % addresses.length] ?? "";
    const source = requests(client, address);
    while (!this.#stopping) {
      try {
        const connection = await BenchConnection.open(address);
        this.#connections[client] = connection;
        using _closed = { [Symbol.dispose]: () => connection.close() };
        while (!this.#stopping) await this.#exchange({ client, connection, source });
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        this.#countError(error.message);
        this.#waitingSince[client] = 0;
        await delay(RECONNECT_DELAY_MS);
      }
    }
  }

  async #exchange(options: {
    readonly client: number;
    readonly connection: BenchConnection;
    readonly source: RequestSource;
  }): Promise<void> {
    const { client, connection, source } = options;
    const request = source.next();
    const start = performance.now();
    this.#waitingSince[client] = start;
    const { status, body } = await connection.exchange(request);
    const end = performance.now();
    this.#waitingSince[client] = 0;
    if (status !== 200 || body.includes('"error"')) this.#countError(`${status} ${body}`);
    else if (start >= this.#measuredFrom && end <= this.#measuredTo) {
      this.#latencies.record(end - start);
    }
  }

  #countError(message: string): void {
    if (this.#stopping) return;
    this.#errors += 1;
    if (this.#firstError === "") this.#firstError = message.slice(0, ERROR_LENGTH_MAX);
  }

  /** Closing a connection ends its read with an error, which its client counts. */
  #closeStuck(waitMsMax: number): void {
    const now = performance.now();
    for (const [client, since] of this.#waitingSince.entries()) {
      if (since > 0 && now - since >= waitMsMax) this.#connections[client]?.close();
    }
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
