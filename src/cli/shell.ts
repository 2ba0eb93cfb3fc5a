/**
 * `dust shell`: composition of the shell, and its loop. With a terminal it shows who it talks to, a
 * prompt, and how long a statement has been running; without one it runs the lines of standard input
 * in order and prints results only, exit status 0.
 */
import { processVersion } from "./version.ts";
import { ShellClient } from "./shell_client.ts";
import { dotCommandNames, runDotCommand, withFile } from "./shell_commands.ts";
import { historyPath, readHistory, writeHistory } from "./shell_history.ts";
import { type LineSource, PipeLines, TerminalLines } from "./shell_input.ts";
import { parseShellOptions, type ShellOptions } from "./shell_options.ts";
import { ShellSession } from "./shell_session.ts";

/** A statement that runs for this long gets a line that says so. */
const PROGRESS_DELAY_MS = 1_000;
const PROGRESS_PERIOD_MS = 100;
const CLEAR_LINE = "\r\u001b[K";

/** Runs the shell until its input ends or it is told to exit. @returns the exit status. */
export async function shell(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const outcome = parseShellOptions({ argv, environment });
  switch (outcome.kind) {
    case "help":
      print(outcome.text);
      return 0;
    case "version":
      print(`${processVersion()}\n`);
      return 0;
    case "refused":
      printError(`${outcome.text}\n`);
      return 2;
    case "run":
      return await runShell(outcome.options, environment);
  }
}

async function runShell(
  options: ShellOptions,
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const client = new ShellClient(options, createHttpClient(options));
  const isTerminal = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  const greeting = await greet(client);
  if (greeting.status !== 0) {
    printError(greeting.text);
    return greeting.status;
  }
  if (isTerminal) print(greeting.text);
  const progress = isTerminal ? new ProgressLine() : undefined;
  const session = new ShellSession({
    client,
    runDotCommand,
    output: {
      print: (text) => {
        progress?.stop();
        print(text);
      },
      appendFile: (path, text) =>
        withFile(path, () => Deno.writeTextFileSync(path, text, { append: true })),
    },
  });
  if (!isTerminal) {
    await readLines({ session, lines: new PipeLines(Deno.stdin.readable), progress });
    return 0;
  }
  const path = historyPath(environment);
  const history = readHistory(path, options.historyLinesMax);
  const lines = new TerminalLines({
    history,
    historyLinesMax: options.historyLinesMax,
    completions: dotCommandNames(),
    onInterrupt: () => client.cancel(),
  });
  const typed = await readLines({ session, lines, progress });
  writeHistory(path, { lines: [...history, ...typed], linesMax: options.historyLinesMax });
  print("bye~\n");
  return 0;
}

/** @returns the lines that were run. */
async function readLines(options: {
  readonly session: ShellSession;
  readonly lines: LineSource;
  readonly progress: ProgressLine | undefined;
}): Promise<string[]> {
  const { session, lines, progress } = options;
  const typed: string[] = [];
  for (;;) {
    const line = await lines.next(`${session.client.address}> `);
    if (line === undefined) break;
    if (line.trim() !== "") typed.push(line);
    progress?.start();
    const goesOn = await session.runLine(line);
    progress?.stop();
    if (!goesOn) break;
  }
  lines.close();
  return typed;
}

/** Asks the node who it is. A node that does not answer ends the shell before it began. */
async function greet(client: ShellClient): Promise<{ status: number; text: string }> {
  try {
    const { headers, status } = await client.send({ method: "GET", path: "status" });
    if (status === 401) {
      return {
        status: 1,
        text: `ERR! ${client.address} wants credentials: --user NAME:PASSWORD\n`,
      };
    }
    const version = headers.get("x-rqlite-version") ?? "unknown";
    return {
      status: 0,
      text: `Connected to ${client.address}, version ${version}. Type .help for commands.\n`,
    };
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "ShellRequestError") throw error;
    return { status: 1, text: `ERR! ${error.message}\n` };
  }
}

/**
 * A connection for each request: on one that is kept the runtime sends a POST again, without a word, when
 * it ends before the answer, and a write would happen twice.
 */
function createHttpClient({ caFile, certificateFile, keyFile }: ShellOptions): Deno.HttpClient {
  return Deno.createHttpClient({
    poolMaxIdlePerHost: 0,
    ...(caFile === undefined ? {} : { caCerts: [Deno.readTextFileSync(caFile)] }),
    ...(certificateFile === undefined || keyFile === undefined
      ? {}
      : { cert: Deno.readTextFileSync(certificateFile), key: Deno.readTextFileSync(keyFile) }),
  });
}

/** A line that counts seconds while a statement runs; nothing for short ones. */
class ProgressLine {
  #timer: ReturnType<typeof setInterval> | undefined;
  #shown = false;

  start(): void {
    const start = performance.now();
    this.#timer = setInterval(() => {
      const elapsedMs = performance.now() - start;
      if (elapsedMs < PROGRESS_DELAY_MS) return;
      this.#shown = true;
      printError(`${CLEAR_LINE}running for ${(elapsedMs / 1000).toFixed(1)} s, Ctrl-C cancels`);
    }, PROGRESS_PERIOD_MS);
  }

  /** Before anything else is printed. */
  stop(): void {
    clearInterval(this.#timer);
    if (this.#shown) printError(CLEAR_LINE);
    this.#shown = false;
  }
}

function print(text: string): void {
  writeAll(Deno.stdout, text);
}

function printError(text: string): void {
  writeAll(Deno.stderr, text);
}

/** A pipe takes as much as fits. */
function writeAll(stream: typeof Deno.stdout, text: string): void {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) rest = rest.subarray(stream.writeSync(rest));
}
