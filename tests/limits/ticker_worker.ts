/**
 * The ticker's own thread (ticker.ts): a point read every 20 ms until it is told to stop. A thread of
 * its own, because the gaps of the server are wanted, not those of a test that builds large bodies.
 */
import { runInBackground } from "../../src/base/background.ts";
import type { TickerFigures } from "./ticker.ts";

const PERIOD_MS = 20;

let isStopped = false;

async function run(url: string): Promise<void> {
  let longestMs = 0;
  let count = 0;
  const failures: string[] = [];
  while (!isStopped) {
    const startedMs = performance.now();
    const problem = await read(url);
    if (problem !== undefined) failures.push(problem);
    longestMs = Math.max(longestMs, performance.now() - startedMs);
    if (++count === 1) self.postMessage("started");
    await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
  }
  self.postMessage({ longestMs, count, failures } satisfies TickerFigures);
}

async function read(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(`${url}/db/query?q=SELECT+1`);
    const text = await response.text();
    return text.includes('"values":[[1]]') ? undefined : `${response.status} ${text}`;
  } catch (error) {
    return String(error);
  }
}

self.onmessage = ({ data }: MessageEvent<string>) => {
  if (data === "stop") isStopped = true;
  else runInBackground(run(data), (error) => reportError(error));
};
