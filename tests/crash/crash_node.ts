/**
 * A node that is meant to be killed: `dust serve` as a process of its own on ports and folders that
 * stay the same over many starts, returned at once and not when it is ready, if wanted under strace.
 * Who makes a `CrashSite` owns its folders; who starts a node waits for its end.
 */
import { BenchConnection, encodeRequest } from "../../src/cli/bench_connection.ts";
import { mainPath, sleep } from "../process.ts";

/** How the state is kept. */
export type NodeMode = "ram" | "disk";

/** How long a start may take until the node counts as one that needs help. */
export const READY_MS_MAX = 30_000;
const READY_PAUSE_MS = 10;

/** tmpfs. */
const MEMORY_FOLDER = "/dev/shm";

/** How long a node may take to end after SIGTERM, or after its disk has failed. */
const END_MS_MAX = 15_000;

/** Folders, ports and flags of one node over many starts. */
export interface CrashSite {
  readonly mode: NodeMode;
  readonly dataDirectory: string;
  /** Where the state lives in memory; removed to act as a power cut. */
  readonly ramDirectory: string;
  /** host:port of the HTTP API. */
  readonly address: string;
  readonly raftAddress: string;
  readonly flags: readonly string[];
}

/** Makes a site with empty folders. */
export async function makeCrashSite(options: {
  readonly mode: NodeMode;
  readonly flags: readonly string[];
}): Promise<CrashSite> {
  const parent = await Deno.makeTempDir({ prefix: "dust-crash-" });
  const ramDirectory = await Deno.makeTempDir({ dir: MEMORY_FOLDER, prefix: "dust-crash-" });
  const [address = "", raftAddress = ""] = freeAddresses();
  return { ...options, dataDirectory: `${parent}/data`, ramDirectory, address, raftAddress };
}

/** Removes a site's folders. Its node must have ended. */
export async function removeCrashSite(site: CrashSite): Promise<void> {
  await Deno.remove(site.dataDirectory.slice(0, -"/data".length), { recursive: true });
  await Deno.remove(site.ramDirectory, { recursive: true });
}

/** What a power cut does to memory. @returns whether there was anything. */
export async function clearMemory(site: CrashSite): Promise<boolean> {
  let isFound = false;
  for await (const entry of Deno.readDir(site.ramDirectory)) {
    await Deno.remove(`${site.ramDirectory}/${entry.name}`, { recursive: true });
    isFound = true;
  }
  return isFound;
}

/** A started node, ready or not. */
export class CrashNode {
  readonly #process: Deno.ChildProcess;
  readonly #address: string;
  readonly #startedMs = performance.now();
  readonly #output: Promise<void>;
  #text = "";
  #status: Deno.CommandStatus | undefined;
  /** How the process ended. */
  readonly ended: Promise<Deno.CommandStatus>;

  constructor(process: Deno.ChildProcess, address: string) {
    this.#process = process;
    this.#address = address;
    this.#output = this.#collect();
    this.ended = process.status.then(async (status) => {
      await this.#output;
      this.#status = status;
      return status;
    });
  }

  /** Starts a node. With `tracer`, a command and its arguments, as its child's child: kill works as without. */
  static start(site: CrashSite, options: { readonly tracer?: readonly string[] } = {}): CrashNode {
    const [command = "", ...args] = [
      ...(options.tracer ?? []),
      ...[Deno.execPath(), "run", "-A", "--no-prompt", "--no-check", mainPath(), "serve"],
      ...["-http-addr", site.address, "-raft-addr", site.raftAddress, "-node-id", "1"],
      ...["--ram-dir", site.ramDirectory, ...(site.mode === "disk" ? ["--on-disk"] : [])],
      ...site.flags,
      site.dataDirectory,
    ];
    const process = new Deno.Command(command, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    return new CrashNode(process, site.address);
  }

  /** What it wrote to standard error so far. */
  get text(): string {
    return this.#text;
  }

  get isEnded(): boolean {
    return this.#status !== undefined;
  }

  /** Kills it, as often as wanted, and waits for its end. */
  async kill(): Promise<Deno.CommandStatus> {
    this.signal("SIGKILL");
    return await this.ended;
  }

  /** Sends a signal unless it has ended. */
  signal(signal: "SIGTERM" | "SIGKILL"): void {
    try {
      this.#process.kill(signal);
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Waits for its end. @throws {Error} with its output, killed, when it takes too long. */
  async untilEnded(): Promise<Deno.CommandStatus> {
    const deadlineMs = performance.now() + END_MS_MAX;
    while (!this.isEnded && performance.now() < deadlineMs) await sleep(READY_PAUSE_MS);
    if (this.isEnded) return await this.ended;
    await this.kill();
    throw new Error(`The node does not end in ${END_MS_MAX} ms\n${this.#text}`);
  }

  /**
   * Waits until /readyz answers 200, or the process has ended.
   * @returns milliseconds from its start, or undefined when it has ended.
   * @throws {Error} with its output, killed, when it takes too long.
   */
  async untilReady(): Promise<number | undefined> {
    while (!this.isEnded) {
      if (await this.#isReady()) return performance.now() - this.#startedMs;
      if (performance.now() - this.#startedMs > READY_MS_MAX) {
        await this.kill();
        throw new Error(`The node is not ready in ${READY_MS_MAX} ms\n${this.#text}`);
      }
      await sleep(READY_PAUSE_MS);
    }
    return undefined;
  }

  async #isReady(): Promise<boolean> {
    try {
      const response = await fetch(`http://${this.#address}/readyz`);
      await response.body?.cancel();
      return response.status === 200;
    } catch (error) {
      // Nobody listens yet, or the process has just ended.
      if (error instanceof TypeError) return false;
      throw error;
    }
  }

  async #collect(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const piece of this.#process.stderr) {
      this.#text = (this.#text + decoder.decode(piece, { stream: true })).slice(-20_000);
    }
  }
}

/** An answer to one request over a connection of its own; undefined when there is none. */
export async function ask(
  address: string,
  request: { readonly path: string; readonly body: string },
): Promise<{ readonly status: number; readonly body: string } | undefined> {
  let connection: BenchConnection;
  try {
    connection = await BenchConnection.open(address);
  } catch (error) {
    if (isBrokenConnection(error)) return undefined;
    throw error;
  }
  try {
    return await connection.exchange(encodeRequest({ address, ...request }));
  } catch (error) {
    if (isBrokenConnection(error)) return undefined;
    throw error;
  } finally {
    connection.close();
  }
}

/** Whether an exchange failed because the other side is gone. */
export function isBrokenConnection(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionRefused ||
    error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.NotConnected ||
    (error instanceof Error && error.message === "Connection closed by the server");
}

/** Two addresses that are free at the moment. */
function freeAddresses(): readonly string[] {
  using first = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using second = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return [first, second].map(({ addr }) => `127.0.0.1:${addr.port}`);
}
