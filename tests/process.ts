/**
 * Whole nodes as processes of their own, for tests that speak HTTP to them: `dust serve` on free
 * ports of the loopback and in a folder of its own, ready when `startNode` returns. Whatever happens
 * in the test, disposing of the node ends the process and removes the folder.
 */

/** How long a node may take until it is ready. */
export const READY_MS_MAX = 30_000;

/** Where state in memory goes, as `dust serve` chooses it too; elsewhere the node decides for itself. */
const MEMORY_FOLDER = "/dev/shm";

/** A running node. */
export interface TestNode extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly httpAddress: string;
  readonly raftAddress: string;
  readonly nodeId: string;
  readonly dataDirectory: string;
  readonly pid: number;
  /** Ends the process by the signal and waits for it; the folder stays for another start. */
  stop(signal: "SIGTERM" | "SIGKILL"): Promise<Deno.CommandStatus>;
  /** What it has written to standard error so far. */
  log(): string;
  /** How the process has ended; undefined while it runs. */
  ended(): Deno.CommandStatus | undefined;
}

/** How to start a node. */
export interface StartOptions {
  /** Further flags, before the data directory; with `--ram-dir` that folder is the caller's to remove. */
  readonly flags?: readonly string[];
  /** A folder of an earlier node, which is then not removed; a new one otherwise. */
  readonly dataDirectory?: string;
  /** How many files it may have open; what this process may, otherwise. */
  readonly openFilesMax?: number;
  /** How long it may take until it is ready; READY_MS_MAX otherwise. */
  readonly readyMsMax?: number;
  /** Besides what this process has in its own. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Its name; "1" otherwise. */
  readonly nodeId?: string;
  /** The main.ts that it runs; this project's otherwise. */
  readonly program?: string | undefined;
  /** Where an earlier node listened; free ports otherwise. */
  readonly at?: Pick<TestNode, "httpAddress" | "raftAddress">;
}

/**
 * Starts a node and waits until /readyz answers 200.
 * @throws {Error} with the node's own words when it ends before, or takes too long.
 */
export async function startNode(options: StartOptions = {}): Promise<TestNode> {
  const dataDirectory = options.dataDirectory ?? await Deno.makeTempDir({ prefix: "dust-test-" });
  const httpAddress = options.at?.httpAddress ?? `127.0.0.1:${freePort()}`;
  const raftAddress = options.at?.raftAddress ?? `127.0.0.1:${freePort()}`;
  const nodeId = options.nodeId ?? "1";
  const hasOwn = options.flags?.includes("--ram-dir") === true;
  const ramDirectory = hasOwn ? undefined : await makeRamDirectory(dataDirectory);
  const limit = options.openFilesMax === undefined ? ":" : `ulimit -n ${options.openFilesMax}`;
  const process = new Deno.Command("sh", {
    args: [
      ...["-c", `${limit}; exec "$0" "$@"`, Deno.execPath()],
      ...["run", "-A", "--no-prompt", options.program ?? mainPath(), "serve"],
      ...["-http-addr", httpAddress, "-raft-addr", raftAddress, "-node-id", nodeId],
      ...(ramDirectory === undefined ? [] : ["--ram-dir", ramDirectory]),
      ...(options.flags ?? []),
      dataDirectory,
    ],
    env: { ...options.environment },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const output = collect(process.stderr);
  const end = watchEnd(process);
  const stop = async (signal: "SIGTERM" | "SIGKILL"): Promise<Deno.CommandStatus> => {
    kill(process, signal);
    const status = await end.done;
    await output.done;
    return status;
  };
  const node: TestNode = {
    url: `http://${httpAddress}`,
    httpAddress,
    raftAddress,
    nodeId,
    dataDirectory,
    pid: process.pid,
    stop,
    log: output.text,
    ended: end.status,
    [Symbol.asyncDispose]: async () => {
      await stop("SIGKILL");
      if (options.dataDirectory !== undefined) return;
      await Deno.remove(dataDirectory, { recursive: true });
      if (ramDirectory !== undefined) await Deno.remove(ramDirectory, { recursive: true });
    },
  };
  try {
    await waitUntilReady(node, options.readyMsMax ?? READY_MS_MAX);
    return node;
  } catch (error) {
    await node[Symbol.asyncDispose]();
    throw error;
  }
}

/** How a command of `dust` has ended, and what it has said. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs another command than `serve` to its end. */
export async function dust(...args: readonly string[]): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--quiet", mainPath(), ...args],
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/**
 * A folder in memory that goes with the data directory, so that it can be removed with it: nobody
 * else would, and the memory would stay taken until the machine restarts.
 */
async function makeRamDirectory(dataDirectory: string): Promise<string | undefined> {
  const name = dataDirectory.slice(dataDirectory.lastIndexOf("/") + 1);
  const path = `${MEMORY_FOLDER}/${name}`;
  try {
    await Deno.mkdir(path, { mode: 0o700, recursive: true });
    return path;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      return undefined;
    }
    throw error;
  }
}

async function waitUntilReady(node: TestNode, readyMsMax: number): Promise<void> {
  const deadlineMs = performance.now() + readyMsMax;
  while (node.ended() === undefined && performance.now() < deadlineMs) {
    if (await isReady(node.url)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const ended = node.ended();
  const how = ended === undefined ? "is not ready in time" : `ended with status ${ended.code}`;
  throw new Error(`Cannot start node: it ${how}\n${node.log()}`);
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`);
    await response.body?.cancel();
    return response.status === 200;
  } catch (error) {
    // Nobody listens yet.
    if (error instanceof TypeError) return false;
    throw error;
  }
}

function kill(process: Deno.ChildProcess, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(signal);
  } catch (error) {
    // It has ended by itself.
    if (!(error instanceof TypeError)) throw error;
  }
}

/** How a process has ended, once it has. */
function watchEnd(process: Deno.ChildProcess): {
  readonly status: () => Deno.CommandStatus | undefined;
  readonly done: Promise<Deno.CommandStatus>;
} {
  let ended: Deno.CommandStatus | undefined;
  const watch = async (): Promise<Deno.CommandStatus> => ended = await process.status;
  return { status: () => ended, done: watch() };
}

/** Gathers a stream as text while the process runs, so that its pipe never fills. */
function collect(stream: ReadableStream<Uint8Array>): {
  readonly text: () => string;
  readonly done: Promise<void>;
} {
  const decoder = new TextDecoder();
  let text = "";
  const read = async (): Promise<void> => {
    for await (const piece of stream) text += decoder.decode(piece, { stream: true });
  };
  return { text: () => text, done: read() };
}

/** Below those that the system gives to outgoing connections, one of which could take a port meanwhile. */
const PORTS = { min: 10_000, count: 22_000 } as const;
const PORT_TRIES_MAX = 1000;
const portsGiven = new Set<number>();

/** A port of the loopback that nobody listens on now, and that this process has not been given before. */
export function freePort(): number {
  for (let tries = 0; tries < PORT_TRIES_MAX; tries++) {
    const port = PORTS.min + Math.floor(Math.random() * PORTS.count);
    if (portsGiven.has(port) || !isFree(port)) continue;
    portsGiven.add(port);
    return port;
  }
  throw new Error(`No free port in ${PORT_TRIES_MAX} tries`);
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** Resolves after so long. */
export function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

/** The program's file. */
export function mainPath(): string {
  return decodeURIComponent(new URL("../main.ts", import.meta.url).pathname);
}
