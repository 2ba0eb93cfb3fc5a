/**
 * The limits at full size, with figures: `deno run -A tests/limits/main.ts [NAME...]`, where a name is
 * one of those below. Takes minutes and some gigabytes of disk; the regular tests do the same smaller.
 */
import { bodyCases, ENDLESS_CASES, sendBody } from "./bodies.ts";
import { LEFTOVER_BYTES_MAX, stopReading, streamRows } from "./big_result.ts";
import { ENDLESS, execute, post } from "./client.ts";
import { connectionsProblem, holdConnections } from "./idle_connections.ts";
import { sleep } from "../process.ts";
import { MIB, readFigures } from "./process_figures.ts";
import { startNode } from "../process.ts";

const ROWS = 10_000_000;
const BODY_BYTES = 100_000_000;
const STATEMENTS = 1_000_000;
const CONNECTIONS = 10_000;
const WRITE_BYTES = 400 * MIB;
/** Past the time that a client may leave an answer unread. */
const STALL_MS = 35_000;

type Measurement = () => Promise<void>;

const MEASUREMENTS: { readonly [name: string]: Measurement } = {
  stream,
  stall,
  bodies,
  connections,
  runaway,
};

async function stream(): Promise<void> {
  await using node = await startNode();
  await streamRows(node, 1000);
  const { rows, sizeBytes, elapsedMs, grownBytes } = await streamRows(node, ROWS);
  print(`${rows} rows, ${mib(sizeBytes)} in ${seconds(elapsedMs)}, memory +${mib(grownBytes)}`);
}

async function stall(): Promise<void> {
  for (const flags of [[], ["--on-disk"]]) {
    await using node = await startNode({ flags });
    for (const writeBytes of [WRITE_BYTES, 0]) {
      const stallMs = writeBytes === 0 ? STALL_MS : 0;
      const figures = await stopReading(node, { writeBytes, stallMs });
      const { grownBytes, walBytesMax, walBytesLeft, leftover } = figures;
      const isCut = leftover.sizeBytes < LEFTOVER_BYTES_MAX;
      print(
        `${flags.join() || "in memory"}, ${mib(writeBytes)} written, unread for ${stallMs} ms: ` +
          `${isCut ? "cut off" : "NOT CUT OFF"} (${mib(leftover.sizeBytes)} left), ` +
          `memory +${mib(grownBytes)}, WAL at most ${mib(walBytesMax)}, then ${mib(walBytesLeft)}`,
      );
    }
  }
}

async function bodies(): Promise<void> {
  for (const each of [...bodyCases(BODY_BYTES, STATEMENTS), ...ENDLESS_CASES]) {
    await using node = await startNode({ flags: ["--http-max-body", "128MiB"] });
    await execute(node.url, ["CREATE TABLE big(x)"]);
    const { answer, elapsedMs, ticker, grownBytes } = await sendBody(node, each);
    print(
      `${each.name}: ${answer.status} after ${seconds(elapsedMs)}, others waited at most ` +
        `${Math.round(ticker.longestMs)} ms (${ticker.count} reads, ${ticker.failures.length} ` +
        `failed), memory +${mib(grownBytes)}`,
    );
  }
}

async function connections(): Promise<void> {
  await using node = await startNode();
  const problem = connectionsProblem(CONNECTIONS);
  if (problem !== undefined) return print(`skipped: ${problem}`);
  await holdConnections(node, 100);
  const figures = await holdConnections(node, CONNECTIONS);
  print(
    `${figures.connections} held: resident ${mib(figures.beforeBytes)} before, ` +
      `${mib(figures.idleBytes)} idle, ${mib(figures.askedBytes)} after a request each; others ` +
      `waited at most ${Math.round(figures.ticker.longestMs)} ms, ` +
      `${figures.ticker.failures.length} of ${figures.ticker.count} failed`,
  );
  await sleep(2000);
  const { residentBytes, openFiles } = readFigures(node.pid);
  print(`after they left: ${mib(residentBytes)}, ${openFiles} files`);
}

/** A write without a time limit of its own: its steps end it. */
async function runaway(): Promise<void> {
  await using node = await startNode();
  await execute(node.url, ["CREATE TABLE t(x)"]);
  const body = JSON.stringify([`INSERT INTO t ${ENDLESS}`]);
  const startedMs = performance.now();
  const { text } = await post(node.url, "/db/execute", body);
  print(
    `runaway write without time limit: ${text} after ${seconds(performance.now() - startedMs)}`,
  );
  const lost = post(node.url, "/db/execute", body).then(() => {}, () => {});
  await sleep(2000);
  await node.stop("SIGKILL");
  await lost;
  const restartedMs = performance.now();
  await using again = await startNode({ dataDirectory: node.dataDirectory, readyMsMax: 180_000 });
  print(`killed in its midst: ready again after ${seconds(performance.now() - restartedMs)}`);
  await execute(again.url, ["INSERT INTO t VALUES(1)"]);
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(0)} MiB`;
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) {
  const names = Deno.args.length > 0 ? Deno.args : Object.keys(MEASUREMENTS);
  for (const name of names) {
    const measure = MEASUREMENTS[name];
    if (measure === undefined) {
      print(`Unknown measurement: ${name}`);
      Deno.exit(2);
    }
    print(`\n${name}`);
    await measure();
  }
}
