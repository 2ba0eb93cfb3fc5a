/**
 * Writers that keep a ledger: each on a keep-alive connection of its own, one operation after the
 * other, until the node is gone or they are told to stop. And the look at the database behind them.
 */
import { BenchConnection, encodeRequest } from "../../src/cli/bench_connection.ts";
import { SimEntropy } from "../sim/sim_entropy.ts";
import { ask, isBrokenConnection } from "./crash_node.ts";
import {
  type Comparison,
  encodeOperation,
  type Ledger,
  type OperationKind,
  schema,
  type TableContent,
} from "./ledger.ts";

/** How often each kind comes. */
export type OperationMix = readonly (readonly [OperationKind, number])[];

/** All kinds, with enough large values to fill log segments. */
export const USUAL_MIX: OperationMix = [
  ["row", 30],
  ["entry", 15],
  ["transaction", 20],
  ["failing", 5],
  ["count", 20],
  ["large", 10],
];

/** What the writers share. */
export interface WriterOptions {
  readonly address: string;
  readonly ledger: Ledger;
  readonly entropy: SimEntropy;
  readonly mix: OperationMix;
  /** Operations of each writer. */
  readonly operationsMax: number;
  /** True once no more should be sent. */
  readonly isStopped: () => boolean;
}

/** Runs all writers of the ledger until they are stopped, done, or without a node. */
export async function runWriters(options: WriterOptions): Promise<void> {
  const writers = Array.from(
    { length: options.ledger.writers },
    (_, writer) => runWriter(writer, options),
  );
  await Promise.all(writers);
}

async function runWriter(writer: number, options: WriterOptions): Promise<void> {
  const { address, ledger, entropy, mix, operationsMax, isStopped } = options;
  let connection: BenchConnection;
  try {
    connection = await BenchConnection.open(address);
  } catch (error) {
    if (isBrokenConnection(error)) return;
    throw error;
  }
  try {
    for (let count = 0; count < operationsMax && !isStopped(); count++) {
      const kind = chooseKind(mix, entropy);
      const seq = ledger.begin(writer, kind);
      const { path, body, results } = encodeOperation(kind, { writer, seq });
      const answer = await connection.exchange(encodeRequest({ address, path, body }));
      if (!settle(ledger, writer, { ...answer, results })) return;
    }
  } catch (error) {
    if (!isBrokenConnection(error)) throw error;
  } finally {
    connection.close();
  }
}

/**
 * Notes an answer. @returns false when it leaves the outcome open: then this writer must not go on.
 * @throws {Error} for an answer that a node must not give.
 */
function settle(
  ledger: Ledger,
  writer: number,
  answer: { readonly status: number; readonly body: string; readonly results: number | undefined },
): boolean {
  const { status, body, results } = answer;
  if (status === 503 || status === 507) {
    ledger.settle(writer, "refused");
    return true;
  }
  if (status !== 200) throw new Error(`Unexpected answer ${status}: ${body.slice(0, 200)}`);
  const parsed: { results: { error?: string }[]; error?: string } = JSON.parse(body);
  if (parsed.error !== undefined) return false;
  const errors = parsed.results.filter(({ error }) => error !== undefined);
  const isExpected = results === undefined
    ? errors.length === 1
    : errors.length === 0 && parsed.results.length === results;
  if (!isExpected) throw new Error(`Unexpected results: ${body.slice(0, 300)}`);
  ledger.settle(writer, "acknowledged");
  return true;
}

function chooseKind(mix: OperationMix, entropy: SimEntropy): OperationKind {
  const total = mix.reduce((sum, [, weight]) => sum + weight, 0);
  let ticket = entropy.below(total);
  for (const [kind, weight] of mix) {
    if (ticket < weight) return kind;
    ticket -= weight;
  }
  throw new Error("The weights do not add up");
}

/** Makes the tables. @returns false when the node is gone. @throws {Error} when it refuses. */
export async function makeTables(address: string, ledger: Ledger): Promise<boolean> {
  const answer = await ask(address, { path: "/db/execute", body: schema(ledger.writers) });
  if (answer === undefined) return false;
  if (answer.status !== 200 || answer.body.includes("error")) {
    throw new Error(`Cannot make tables: ${answer.status} ${answer.body}`);
  }
  return true;
}

/** Reads the tables at a read level and compares. @throws {Error} when the node does not answer. */
export async function compareTables(
  address: string,
  ledger: Ledger,
  level: "none" | "weak" | "linearizable" | "strong",
): Promise<Comparison> {
  const body = JSON.stringify([
    "SELECT writer, seq, part, body FROM event",
    "SELECT writer, value, seq FROM counter",
    "SELECT writer, seq, body FROM large",
  ]);
  const answer = await ask(address, { path: `/db/query?level=${level}`, body });
  if (answer?.status !== 200) throw new Error(`Cannot read tables: ${answer?.body}`);
  const { results }: { results: { error?: string; values?: unknown[] }[] } = JSON.parse(
    answer.body,
  );
  const failed = results.find(({ error }) => error !== undefined);
  if (failed !== undefined) throw new Error(`Cannot read tables: ${failed.error}`);
  const [event = [], counter = [], large = []] = results.map(({ values }) => values ?? []);
  return ledger.compare({ event, counter, large } as TableContent);
}

/** Deletes the rows that were compared, so that the database stays small. */
export async function forgetRows(address: string, ledger: Ledger): Promise<void> {
  const answer = await ask(address, { path: "/db/execute", body: '["DELETE FROM event"]' });
  if (answer?.status !== 200 || answer.body.includes("error")) {
    throw new Error(`Cannot delete rows: ${answer?.body}`);
  }
  ledger.forget();
}
