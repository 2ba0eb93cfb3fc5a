/**
 * Thousands of connections that stay open and ask for little, while an ordinary client goes on
 * (faults L4).
 */
import { RawClient } from "./raw_client.ts";
import { openFilesMax, readFigures } from "./process_figures.ts";
import { type TickerFigures, underTicker } from "./ticker.ts";
import type { TestNode } from "../process.ts";

/** What they cost. */
export interface ConnectionFigures {
  readonly connections: number;
  /** Resident memory before them, with them open and silent, and after each has asked once. */
  readonly beforeBytes: number;
  readonly idleBytes: number;
  readonly askedBytes: number;
  readonly ticker: TickerFigures;
}

/** Files that this process and a node need besides the connections. */
const OTHER_FILES = 200;
const AT_ONCE = 100;

/** Why so many connections cannot be held here, or undefined. A node may open as many files as this process. */
export function connectionsProblem(connections: number): string | undefined {
  const filesMax = openFilesMax("self");
  return filesMax < connections + OTHER_FILES ? `at most ${filesMax} open files` : undefined;
}

/** Opens them, has each ask one query and keeps it open. @throws {Error} when one is not answered. */
export async function holdConnections(
  node: TestNode,
  connections: number,
): Promise<ConnectionFigures> {
  const resident = (): number => readFigures(node.pid).residentBytes;
  const beforeBytes = resident();
  const clients: RawClient[] = [];
  try {
    const { result, figures: ticker } = await underTicker(node.url, async () => {
      while (clients.length < connections) {
        const count = Math.min(AT_ONCE, connections - clients.length);
        const opening = Array.from({ length: count }, () => RawClient.open(node.httpAddress));
        clients.push(...await Promise.all(opening));
      }
      const idleBytes = resident();
      for (let from = 0; from < clients.length; from += AT_ONCE) {
        await Promise.all(clients.slice(from, from + AT_ONCE).map((client) => ask(client, node)));
      }
      return { idleBytes, askedBytes: resident() };
    });
    return { connections, beforeBytes, ...result, ticker };
  } finally {
    for (const client of clients) client.close();
  }
}

async function ask(client: RawClient, { httpAddress }: TestNode): Promise<void> {
  await client.send(`GET /db/query?q=SELECT+1 HTTP/1.1\r\nHost: ${httpAddress}\r\n\r\n`);
  const text = await client.read(1);
  if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(`Answered ${text.slice(0, 100)}`);
}
