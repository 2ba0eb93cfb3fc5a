/**
 * One node of a cluster under faults: a process that is started, killed, paused and replaced again and
 * again, with its data on a real file system and a fault proxy in front of both of its ports. It tells
 * others the addresses of its proxies.
 */
import { freePort, mainPath } from "../process.ts";
import { FaultProxy, type LinkOf, type SourceOf } from "./fault_proxy.ts";

const STOP_MS_MAX = 20_000;
/** Faults pass in less time than that takes. */
const JOIN_ATTEMPTS = "600";

/** Where a node lives. */
export interface NodeSite {
  readonly name: string;
  readonly folder: string;
  readonly isOnDisk: boolean;
}

/** See the file's header. */
export class ChaosNode {
  readonly site: NodeSite;
  readonly httpAddress = `127.0.0.1:${freePort()}`;
  readonly raftAddress = `127.0.0.1:${freePort()}`;
  readonly httpProxy: FaultProxy;
  readonly raftProxy: FaultProxy;
  readonly #logPath: string;
  #child: Deno.ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #isPaused = false;
  /** Counts replacements: each is a new directory. */
  #life = 1;
  /** How processes ended that nobody told to. */
  readonly surprises: string[] = [];
  #isExpected = false;
  /** Whether it was ever started. */
  hasBegun = false;

  constructor(site: NodeSite, network: { readonly sourceOf: SourceOf; readonly linkOf: LinkOf }) {
    this.site = site;
    this.#logPath = `${site.folder}/${site.name}.log`;
    const { name } = site;
    this.raftProxy = new FaultProxy({ name, target: this.raftAddress, ...network });
    const clientNetwork = { sourceOf: () => "client", linkOf: network.linkOf };
    this.httpProxy = new FaultProxy({ name, target: this.httpAddress, ...clientNetwork });
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && !this.#isPaused;
  }

  get url(): string {
    return `http://${this.httpProxy.address}`;
  }

  /** Past the proxy, for the judge. */
  get directUrl(): string {
    return `http://${this.httpAddress}`;
  }

  /** Starts the process; `tracer` is a command to run it under, which may end or fail it. */
  start(options: { readonly join: string | undefined; readonly tracer?: readonly string[] }): void {
    if (this.#child !== undefined) return;
    this.hasBegun = true;
    const { name, folder, isOnDisk } = this.site;
    const ramDirectory = `${folder}/ram-${name}`;
    Deno.mkdirSync(ramDirectory, { recursive: true, mode: 0o700 });
    const [command = "", ...args] = [
      ...(options.tracer ?? []),
      ...[Deno.execPath(), "run", "-A", "--no-prompt", "--no-check", mainPath(), "serve"],
      ...["--node-id", name, "--http-addr", this.httpAddress, "--raft-addr", this.raftAddress],
      ...["--http-adv-addr", this.httpProxy.address, "--raft-adv-addr", this.raftProxy.address],
      ...["--ram-dir", ramDirectory, ...(isOnDisk ? ["--on-disk"] : [])],
      // So that snapshots and catching up by one happen within minutes.
      ...["--raft-snap", "500", "--raft-snap-int", "1s"],
      ...(options.join === undefined
        ? []
        : ["--join", options.join, "--join-attempts", JOIN_ATTEMPTS, "--join-interval", "1s"]),
      `${folder}/${name}-${this.#life}`,
    ];
    const log = Deno.openSync(this.#logPath, { append: true, create: true });
    const child = new Deno.Command(command, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    this.#isExpected = options.tracer !== undefined;
    this.#ended = this.#watch(child, log);
  }

  async #watch(child: Deno.ChildProcess, log: Deno.FsFile): Promise<void> {
    await child.stderr.pipeTo(log.writable);
    const { code, signal } = await child.status;
    this.#child = undefined;
    this.#isPaused = false;
    // 74: the disk failed, which is a fault of ours; 75: it asks to be started again.
    if (!this.#isExpected && code !== 0 && signal === null) {
      this.surprises.push(`${this.site.name} ended with status ${code}`);
    }
  }

  /** Ends the process. */
  async kill(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    if (this.#child === undefined) return;
    if (signal === "SIGKILL") this.#isExpected = true;
    this.resume();
    this.#signal(signal);
    const timer = setTimeout(() => this.#signal("SIGKILL"), STOP_MS_MAX);
    await this.#ended;
    clearTimeout(timer);
  }

  pause(): void {
    this.#isPaused = this.#child !== undefined;
    this.#signal("SIGSTOP");
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#signal("SIGCONT");
    this.#isPaused = false;
  }

  /** From the next start on it has nothing: it was removed, or its disk is lost. */
  async wipe(): Promise<void> {
    await this.kill("SIGKILL");
    await Deno.remove(`${this.site.folder}/ram-${this.site.name}`, { recursive: true });
    this.#life += 1;
  }

  async close(): Promise<void> {
    await this.kill("SIGKILL");
    this.httpProxy.close();
    this.raftProxy.close();
  }

  #signal(signal: Deno.Signal): void {
    try {
      this.#child?.kill(signal);
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
