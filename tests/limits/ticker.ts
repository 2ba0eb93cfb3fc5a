/**
 * Point reads at a steady pace while something heavy happens to the same node: what an ordinary
 * client feels of it. The longest answer time counts, since that is how long nothing else moved.
 */

/** What the reads met. */
export interface TickerFigures {
  /** The longest time from a request to its answer. */
  readonly longestMs: number;
  readonly count: number;
  /** What was no answer to the read; wanted empty. */
  readonly failures: readonly string[];
}

/** Runs `heavy` while a thread reads every 20 ms. @returns both outcomes. */
export async function underTicker<Result>(
  url: string,
  heavy: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly figures: TickerFigures }> {
  const worker = new Worker(new URL("./ticker_worker.ts", import.meta.url), { type: "module" });
  try {
    await message(worker, url);
    const result = await heavy();
    const figures = await message(worker, "stop") as TickerFigures;
    return { result, figures };
  } finally {
    worker.terminate();
  }
}

/** Sends one message and waits for the next that comes. */
function message(worker: Worker, text: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.onmessage = (event) => resolve(event.data);
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(text);
  });
}
