/**
 * The cluster under test: its nodes, the links between them, and what the judge asks past all faults.
 */
import { ChaosNode } from "./chaos_node.ts";
import { GOOD_LINK, type LinkState } from "./fault_proxy.ts";

const READY_MS_MAX = 60_000;
const ASK_MS_MAX = 5_000;

/** See the file's header. */
export class ChaosCluster {
  readonly nodes: ChaosNode[] = [];
  /** Faults by `from>to`; of clients, `client>to`. */
  readonly #links = new Map<string, LinkState>();

  constructor(folder: string, modes: readonly boolean[]) {
    const network = {
      sourceOf: (port: number) => this.#nodeAt(port),
      linkOf: (from: string, to: string) => this.#links.get(`${from}>${to}`) ?? GOOD_LINK,
    };
    modes.forEach((isOnDisk, place) => {
      const name = `n${place + 1}`;
      this.nodes.push(new ChaosNode({ name, folder, isOnDisk }, network));
    });
  }

  /** Starts all nodes, and waits until each is ready. */
  async start(): Promise<void> {
    for (const node of this.nodes) {
      this.startNode(node);
      await this.untilReady(node);
    }
  }

  /**
   * Starts one, which joins any other when it is new. The others are named even when all of them are down:
   * a new node that is told of nobody is a cluster of its own.
   */
  startNode(node: ChaosNode, tracer?: readonly string[]): void {
    const others = this.nodes.filter((each) => each !== node && each.hasBegun);
    const join = others.map(({ raftProxy }) => raftProxy.address).join(",");
    node.start({
      join: join === "" ? undefined : join,
      ...(tracer === undefined ? {} : { tracer }),
    });
  }

  setLink(from: string, to: string, state: LinkState): void {
    this.#links.set(`${from}>${to}`, state);
  }

  /** All links are good again. */
  heal(): void {
    this.#links.clear();
  }

  /** @throws {Error} when it takes too long. */
  async untilReady(node: ChaosNode): Promise<void> {
    const untilMs = performance.now() + READY_MS_MAX;
    while (performance.now() < untilMs) {
      if (await get(`${node.directUrl}/readyz`) !== undefined) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${node.site.name} is not ready after ${READY_MS_MAX} ms`);
  }

  /** Who leads, by what the nodes say; undefined when none of them knows. */
  async leader(): Promise<ChaosNode | undefined> {
    for (const { directUrl, isRunning } of this.nodes) {
      if (!isRunning) continue;
      const text = await get(`${directUrl}/status?key=store.leader.node_id`);
      const found = this.nodes.find(({ site }) => JSON.stringify(site.name) === text);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.close()));
  }

  /** The node whose process owns the local port of a connection. */
  #nodeAt(port: number): string | undefined {
    const wanted = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
    for (const line of Deno.readTextFileSync("/proc/net/tcp").split("\n")) {
      const fields = line.trim().split(/\s+/);
      if (fields[1] !== wanted) continue;
      const inode = `socket:[${fields[9]}]`;
      return this.nodes.find((node) => ownsSocket(node.pid, inode))?.site.name;
    }
    return undefined;
  }
}

function ownsSocket(pid: number | undefined, inode: string): boolean {
  if (pid === undefined) return false;
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
      if (linkOf(`/proc/${pid}/fd/${name}`) === inode) return true;
    }
  } catch (error) {
    // The process has just ended.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return false;
}

function linkOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    // A file that was closed meanwhile.
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The body of a GET that is answered with 200; undefined otherwise. */
export async function get(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ASK_MS_MAX) });
    const text = await response.text();
    return response.ok ? text : undefined;
  } catch {
    // Nobody answers there now.
    return undefined;
  }
}
