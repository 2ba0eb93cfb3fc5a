/**
 * Bodies that are too large, too deep or too many, sent to a running node while another client reads:
 * each is answered as told, and the reader hardly notices (faults L3, L8).
 */
import { post, type TextAnswer } from "./client.ts";
import { readFigures, resetPeak } from "./process_figures.ts";
import { type TickerFigures, underTicker } from "./ticker.ts";
import type { TestNode } from "../process.ts";

/** One body, and how it is to be answered. */
export interface BodyCase {
  readonly name: string;
  readonly path: string;
  readonly body: () => BodyInit;
  readonly status: number;
  /** How the answer begins. */
  readonly answer: string;
}

/** What a body did. */
export interface BodyFigures {
  readonly answer: TextAnswer;
  readonly elapsedMs: number;
  readonly ticker: TickerFigures;
  /** Resident memory at its peak, beyond what it was before. */
  readonly grownBytes: number;
}

/** All kinds, for bodies of about `sizeBytes`; the table `big(x)` must be there. */
export function bodyCases(sizeBytes: number, statements: number): readonly BodyCase[] {
  const path = "/db/execute";
  const written = { path, status: 200, answer: '{"results":[{"last_insert_id":' };
  const brackets = sizeBytes / 2;
  return [
    { ...written, name: "one long text", body: () => insert(`"${"a".repeat(sizeBytes)}"`) },
    { ...written, name: "one long array of bytes", body: () => insert(byteArray(sizeBytes / 4)) },
    {
      name: "an array that only opens",
      path,
      body: () => "[".repeat(sizeBytes),
      status: 400,
      answer: "invalid",
    },
    {
      name: "a parameter of nested arrays",
      path,
      body: () => insert("[".repeat(brackets) + "]".repeat(brackets)),
      status: 400,
      answer: "unsupported type []interface {}",
    },
    {
      name: "broken at its end",
      path,
      body: () => '["SELECT 1",' + "1,".repeat(sizeBytes / 2) + "x",
      status: 400,
      answer: "invalid",
    },
    {
      name: `${statements} tiny writes`,
      path: `${path}?transaction`,
      body: () => `[${'"INSERT INTO big VALUES(1)",'.repeat(statements - 1)}"DELETE FROM big"]`,
      status: 200,
      answer: '{"results":[{"last_insert_id":',
    },
    {
      name: `${statements} tiny queries`,
      path: "/db/query",
      body: () => `[${'"SELECT 1",'.repeat(statements - 1)}"SELECT 1"]`,
      status: 200,
      answer: '{"results":[{"columns":["1"]',
    },
  ];
}

/** What no node takes, whatever its size: refused without being read to the end. */
export const ENDLESS_CASES: readonly BodyCase[] = [
  {
    name: "over the limit, announced",
    path: "/db/execute",
    body: () => "[" + " ".repeat(140_000_000),
    status: 413,
    answer: "Cannot take request: its body is over ",
  },
  {
    name: "chunks without end",
    path: "/db/execute",
    body: endlessBlanks,
    status: 413,
    answer: "Cannot take request: its body is over ",
  },
];

/** Sends a body under the ticker's eyes. @throws {Error} when it is answered otherwise. */
export async function sendBody(node: TestNode, each: BodyCase): Promise<BodyFigures> {
  const body = each.body();
  resetPeak(node.pid);
  const before = readFigures(node.pid).residentBytes;
  let elapsedMs = 0;
  const { result: answer, figures: ticker } = await underTicker(node.url, async () => {
    const startedMs = performance.now();
    const answer = await post(node.url, each.path, body);
    elapsedMs = performance.now() - startedMs;
    return answer;
  });
  const grownBytes = readFigures(node.pid).peakBytes - before;
  if (answer.status !== each.status || !answer.text.startsWith(each.answer)) {
    throw new Error(`${each.name}: answered ${answer.status} ${answer.text.slice(0, 200)}`);
  }
  return { answer, elapsedMs, ticker, grownBytes };
}

function insert(parameter: string): string {
  return `[["INSERT INTO big VALUES(?)",${parameter}]]`;
}

function byteArray(count: number): string {
  return `[${"255,".repeat(count - 1)}255]`;
}

/** Stops at a gigabyte all the same, so that a node which takes it fails the test and not the machine. */
function endlessBlanks(): ReadableStream<Uint8Array> {
  const piece = new Uint8Array(65_536).fill(0x20);
  let leftBytes = 1e9;
  return new ReadableStream({
    pull: (controller) => {
      leftBytes -= piece.length;
      if (leftBytes > 0) controller.enqueue(piece);
      else controller.close();
    },
  });
}
