/**
 * `dust bench`: makes its table on a running node, puts load on it, prints what came of it. A table
 * for people, or with --json one line for programs. Exit status 1 when no request succeeded.
 */
import { choiceFlag, countFlag, listFlag, switchFlag, textFlag } from "../config/flag.ts";
import { formatFlags } from "../config/flag_help.ts";
import { type FlagValues, parseFlags } from "../config/flag_parser.ts";
import { BenchConnection, encodeRequest } from "./bench_connection.ts";
import { measureBareServer, measureSyncs } from "./bench_limits.ts";
import { type LoadResult, runLoad } from "./bench_load.ts";
import {
  BENCH_MODES,
  BENCH_TABLE,
  RequestMaker,
  setupBodies,
  type Workload,
} from "./bench_workload.ts";

const LOAD = "Load";
const OUTPUT = "Output";

const BENCH_FLAGS = {
  "mode": choiceFlag({
    group: LOAD,
    choices: BENCH_MODES,
    initial: "write",
    meaning: "write: inserts with parameters; bulk: rows of literals in one statement; read: one " +
      "row by key; range: many rows by key",
    aliases: ["m"],
  }),
  "clients": countFlag({
    group: LOAD,
    initial: 64,
    min: 1,
    max: 10_000,
    meaning: "Connections; each sends, waits, sends again",
    aliases: ["c"],
  }),
  "seconds": countFlag({
    group: LOAD,
    initial: 5,
    min: 1,
    max: 86_400,
    meaning: "Measured time",
    aliases: ["s"],
  }),
  "warm-up": countFlag({
    group: LOAD,
    initial: 1,
    max: 3_600,
    meaning: "Seconds before it",
    aliases: ["w"],
  }),
  "batch": countFlag({
    group: LOAD,
    initial: 0,
    max: 100_000,
    meaning: "Statements (write, in one transaction) or rows (bulk, range) in one request",
    defaultText: "1, for bulk and range 1000",
  }),
  "rows": countFlag({
    group: LOAD,
    initial: 10_000,
    min: 1,
    max: 10_000_000,
    meaning: "Rows that reads pick from",
  }),
  "size": countFlag({
    group: LOAD,
    initial: 40,
    max: 1_000_000,
    meaning: "Characters of text in a row",
  }),
  "level": choiceFlag({
    group: LOAD,
    choices: ["none", "weak", "linearizable", "strong", "auto"],
    initial: "none",
    meaning: "Level of reads",
  }),
  "addr": listFlag({
    group: LOAD,
    placeholder: "HOST:PORT,...",
    meaning: "Nodes; clients are spread over them",
    defaultText: "127.0.0.1:4001",
    aliases: ["a"],
  }),
  "query": textFlag({
    group: LOAD,
    placeholder: "TEXT",
    meaning: "More of the query string, such as queue",
    aliases: ["q"],
  }),
  "json": switchFlag({ group: OUTPUT, meaning: "One line of JSON" }),
  "limits": textFlag({
    group: OUTPUT,
    placeholder: "DIR",
    meaning: "Also measure what the machine allows: syncs per second of DIR's disk, requests per " +
      "second of a bare HTTP server",
  }),
} as const;

type Values = FlagValues<typeof BENCH_FLAGS>;

const ADDRESS_DEFAULT = "127.0.0.1:4001";
const BATCH_DEFAULT = 1000;
const LIMITS_SECONDS = 2;
const ANSWER_SHOWN_MAX = 200;

/** Runs the load generator. @returns the exit status. */
export async function bench(argv: readonly string[]): Promise<number> {
  // `deno task bench -- --mode read` hands over the dashes too.
  const words = argv[0] === "--" ? argv.slice(1) : argv;
  const parsed = parseFlags(BENCH_FLAGS, {
    argv: words,
    environment: {},
    environmentPrefix: undefined,
  });
  if (parsed.kind === "help") return print(Deno.stdout, help(), 0);
  const excess = parsed.kind === "values" ? parsed.operands[0] : undefined;
  if (parsed.kind === "wrong" || excess !== undefined) {
    const message = parsed.kind === "wrong" ? parsed.message : `Unexpected argument: ${excess}`;
    return print(
      Deno.stderr,
      `${message}\nUsage: dust bench [options]; see dust bench --help\n`,
      2,
    );
  }
  try {
    return await measure(parsed.values);
  } catch (error) {
    if (!(error instanceof BenchError || isConnectError(error))) throw error;
    return print(Deno.stderr, `fatal: ${error.message}\n`, 1);
  }
}

/** Something in the way of measuring, for the user. */
class BenchError extends Error {
  override readonly name = "BenchError";
}

async function measure(values: Values): Promise<number> {
  const addresses = values.addr.length === 0 ? [ADDRESS_DEFAULT] : values.addr;
  const workload = workloadOf(values);
  const limits = values.limits === "" ? undefined : await measureLimits(values, workload);
  await setUp(addresses[0] ?? ADDRESS_DEFAULT, workload);
  const result = await runLoad({
    addresses,
    clients: values.clients,
    seconds: values.seconds,
    warmUpSeconds: values["warm-up"],
    requests: (client, address) => new RequestMaker({ workload, address, client }),
  });
  const figures = { ...figuresOf(values, workload, result), ...limits };
  print(Deno.stdout, values.json ? `${JSON.stringify(figures)}\n` : tableOf(figures), 0);
  return result.latencies.count > 0 ? 0 : 1;
}

function workloadOf(values: Values): Workload {
  const { mode, level, rows, size, query } = values;
  const batch = values.batch || (mode === "bulk" || mode === "range" ? BATCH_DEFAULT : 1);
  return { mode, level, rows, size, query, batch: mode === "read" ? 1 : batch };
}

async function setUp(address: string, workload: Workload): Promise<void> {
  const connection = await BenchConnection.open(address);
  try {
    for (const body of setupBodies(workload)) {
      const path = "/db/execute";
      const answer = await connection.exchange(encodeRequest({ address, path, body }));
      if (answer.status !== 200 || answer.body.includes('"error"')) {
        const shown = answer.body.slice(0, ANSWER_SHOWN_MAX);
        throw new BenchError(`Cannot make table ${BENCH_TABLE}: ${answer.status} ${shown}`);
      }
    }
  } finally {
    connection.close();
  }
}

interface Limits {
  readonly diskSyncsPerSecond: number;
  readonly bareServerPerSecond: number;
}

async function measureLimits(values: Values, workload: Workload): Promise<Limits> {
  const syncs = await measureSyncs(values.limits, LIMITS_SECONDS);
  const bare = await measureBareServer({
    workload,
    clients: values.clients,
    seconds: LIMITS_SECONDS,
    warmUpSeconds: 1,
  });
  return {
    diskSyncsPerSecond: Math.round(syncs),
    bareServerPerSecond: Math.round(bare.latencies.count / bare.seconds),
  };
}

interface Figures extends Partial<Limits> {
  readonly mode: string;
  readonly clients: number;
  readonly batch: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly rowsPerSecond: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  readonly errors: number;
  readonly firstError: string;
}

function figuresOf(values: Values, workload: Workload, result: LoadResult): Figures {
  const { latencies, seconds, errors, firstError } = result;
  const perSecond = latencies.count / seconds;
  const ms = (share: number): number => round(latencies.percentileMs(share));
  return {
    mode: values.mode,
    clients: values.clients,
    batch: workload.batch,
    seconds: round(seconds),
    perSecond: Math.round(perSecond),
    rowsPerSecond: Math.round(perSecond * workload.batch),
    p50Ms: ms(0.5),
    p90Ms: ms(0.9),
    p99Ms: ms(0.99),
    p999Ms: ms(0.999),
    maxMs: round(latencies.maxMs),
    errors,
    firstError,
  };
}

function tableOf(figures: Figures): string {
  const { mode, clients, batch, seconds } = figures;
  const line = (name: string, value: string | number): string => `  ${name.padEnd(26)}${value}\n`;
  const { diskSyncsPerSecond, bareServerPerSecond } = figures;
  return `${mode}, ${clients} clients, ${batch} a request, ${seconds} s\n` +
    line("requests/s", figures.perSecond) +
    line("rows or statements/s", figures.rowsPerSecond) +
    line("latency p50", `${figures.p50Ms} ms`) +
    line("latency p90", `${figures.p90Ms} ms`) +
    line("latency p99", `${figures.p99Ms} ms`) +
    line("latency p99.9", `${figures.p999Ms} ms`) +
    line("latency max", `${figures.maxMs} ms`) +
    line("errors", figures.errors) +
    (figures.firstError === "" ? "" : line("first error", figures.firstError)) +
    (diskSyncsPerSecond === undefined ? "" : line("this disk: syncs/s", diskSyncsPerSecond)) +
    (bareServerPerSecond === undefined ? "" : line("bare server: requests/s", bareServerPerSecond));
}

function help(): string {
  return `Usage: dust bench [options]

Puts load on a running node in a closed loop and checks every answer. Drops and makes the table
${BENCH_TABLE} on it, and leaves it behind.

${formatFlags(BENCH_FLAGS)}  --help                                Print this text
`;
}

function isConnectError(error: unknown): error is Error {
  return error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.TimedOut;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function print<Status extends number>(
  stream: typeof Deno.stdout,
  text: string,
  status: Status,
): Status {
  stream.writeSync(new TextEncoder().encode(text));
  return status;
}
