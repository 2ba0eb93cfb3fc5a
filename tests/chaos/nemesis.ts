/**
 * Does harm, one fault after the other: each round deals all of them in another order, so that none is
 * left out. What it counts has happened, and is not only intended. Faults overlap by chance; a majority need
 * not be alive at any moment, but no acknowledged write may depend on a disk that is thrown away.
 */
import type { ChaosCluster } from "./chaos_cluster.ts";
import type { ChaosNode } from "./chaos_node.ts";
import { GOOD_LINK, type LinkState } from "./fault_proxy.ts";
import type { SeededRandom } from "../raft_chaos/random.ts";

const STALLED: LinkState = { ...GOOD_LINK, isStalled: true };
const ORDER_MS_MAX = 8_000;
/** Calls of strace's that make files durable. */
const SYNCS = "fdatasync,fsync";

/** How often each fault has happened. */
export interface FaultCounts {
  kills: number;
  blackouts: number;
  gracefulStops: number;
  pauses: number;
  partitions: number;
  oneWayPartitions: number;
  cuts: number;
  slowLinks: number;
  clientFaults: number;
  diskFaults: number;
  transfers: number;
  replacements: number;
  snapshots: number;
}

/** See the file's header. */
export class Nemesis {
  readonly counts: FaultCounts = {
    kills: 0,
    blackouts: 0,
    gracefulStops: 0,
    pauses: 0,
    partitions: 0,
    oneWayPartitions: 0,
    cuts: 0,
    slowLinks: 0,
    clientFaults: 0,
    diskFaults: 0,
    transfers: 0,
    replacements: 0,
    snapshots: 0,
  };
  readonly #cluster: ChaosCluster;
  readonly #random: SeededRandom;
  readonly #canTrace: boolean;
  readonly #note: (text: string) => void;
  #isOver = false;

  constructor(
    options: {
      readonly cluster: ChaosCluster;
      readonly random: SeededRandom;
      /** Whether system calls can be made to fail (strace). */
      readonly canTrace: boolean;
      readonly note: (text: string) => void;
    },
  ) {
    this.#cluster = options.cluster;
    this.#random = options.random;
    this.#canTrace = options.canTrace;
    this.#note = options.note;
  }

  end(): void {
    this.#isOver = true;
  }

  /** Goes on until `end`, then leaves the faults as they are. */
  async run(): Promise<void> {
    const faults: readonly (readonly [string, () => Promise<void>])[] = [
      ["kill", () => this.#kill()],
      ["kill", () => this.#kill()],
      ["blackout", () => this.#blackout()],
      ["graceful stop", () => this.#stop()],
      ["pause", () => this.#pause()],
      ["partition", () => this.#partition()],
      ["one-way partition", () => this.#oneWay()],
      ["cut", () => this.#cut()],
      ["slow links", () => this.#slow()],
      ["client fault", () => this.#clientFault()],
      ["disk fault", () => this.#diskFault()],
      ["transfer", () => this.#transfer()],
      ["replacement", () => this.#replace()],
      ["snapshot", () => this.#snapshot()],
      ["snapshot", () => this.#snapshot()],
    ];
    while (!this.#isOver) {
      for (const [name, fault] of this.#shuffled(faults)) {
        if (this.#isOver) return;
        this.#note(name);
        await fault();
        await this.#sleep(200, 1500);
        for (const node of this.#cluster.nodes) if (node.pid === undefined) this.#start(node);
      }
    }
  }

  async #kill(): Promise<void> {
    const victim = await this.#victim();
    if (victim.pid === undefined) return;
    await victim.kill("SIGKILL");
    this.counts.kills += 1;
    await this.#sleep(100, 3000);
    this.#start(victim);
  }

  async #blackout(): Promise<void> {
    await Promise.all(this.#cluster.nodes.map((node) => node.kill("SIGKILL")));
    this.counts.blackouts += 1;
    await this.#sleep(50, 500);
    for (const node of this.#cluster.nodes) this.#start(node);
    await this.#sleep(2000, 4000);
  }

  async #stop(): Promise<void> {
    const victim = await this.#victim();
    if (!victim.isRunning) return;
    await victim.kill("SIGTERM");
    this.counts.gracefulStops += 1;
    await this.#sleep(50, 1000);
    this.#start(victim);
  }

  async #pause(): Promise<void> {
    const victim = await this.#victim();
    if (!victim.isRunning) return;
    victim.pause();
    this.counts.pauses += 1;
    await this.#sleep(300, 4000);
    victim.resume();
  }

  async #partition(): Promise<void> {
    const group = this.#cluster.nodes.filter(() => this.#random.below(2) === 0);
    const rest = this.#cluster.nodes.filter((node) => !group.includes(node));
    if (group.length === 0 || rest.length === 0) return await this.#partition();
    for (const one of group) {
      for (const other of rest) this.#setBoth(one, other, STALLED);
    }
    this.counts.partitions += 1;
    await this.#sleep(500, 5000);
    await this.#heal();
  }

  async #oneWay(): Promise<void> {
    const victim = await this.#victim();
    const isDeaf = this.#random.below(2) === 0;
    for (const { site: { name } } of this.#cluster.nodes) {
      if (name === victim.site.name) continue;
      if (isDeaf) this.#cluster.setLink(name, victim.site.name, STALLED);
      else this.#cluster.setLink(victim.site.name, name, STALLED);
    }
    this.counts.oneWayPartitions += 1;
    await this.#sleep(500, 4000);
    await this.#heal();
  }

  /** Connections between two nodes break, again and again. */
  async #cut(): Promise<void> {
    const one = this.#random.pick(this.#cluster.nodes);
    const other = this.#random.pick(this.#cluster.nodes);
    let count = 0;
    for (let times = 1 + this.#random.below(4); times > 0; times--) {
      count += one.raftProxy.cut(other.site.name) + other.raftProxy.cut(one.site.name);
      await this.#sleep(50, 400);
    }
    if (count > 0) this.counts.cuts += 1;
  }

  async #slow(): Promise<void> {
    const delayMs = 2 + this.#random.below(100);
    const bytesPerSecond = 20_000 * (1 + this.#random.below(50));
    const state: LinkState = { isStalled: false, delayMs, bytesPerSecond };
    for (const one of this.#cluster.nodes) {
      for (const other of this.#cluster.nodes) {
        if (one !== other && this.#random.below(2) === 0) this.#setBoth(one, other, state);
      }
    }
    this.counts.slowLinks += 1;
    await this.#sleep(1000, 5000);
    await this.#heal();
  }

  /** Requests that arrive and whose answers do not, and connections that break in between. */
  async #clientFault(): Promise<void> {
    const victim = await this.#victim();
    const { name } = victim.site;
    const [from, to] = this.#random.below(2) === 0 ? ["client", name] : [name, "client"];
    this.#cluster.setLink(from, to, STALLED);
    await this.#sleep(100, 1500);
    const count = victim.httpProxy.cut("client");
    if (count > 0) this.counts.clientFaults += 1;
    await this.#heal();
  }

  /** A node whose disk fails, is full or slow: under strace, until its process ends. */
  async #diskFault(): Promise<void> {
    if (!this.#canTrace) return;
    const victim = await this.#victim();
    await victim.kill("SIGKILL");
    const at = 20 + this.#random.below(200);
    const [calls, inject] = this.#random.pick(
      [
        [SYNCS, `error=EIO:when=${at}`],
        ["pwrite64", `error=ENOSPC:when=${at}..${at + 40}`],
        [SYNCS, `delay_enter=${20_000 + this.#random.below(300_000)}:when=${at}+3`],
      ] as const,
    );
    this.#cluster.startNode(victim, [
      ...["strace", "-D", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf"],
      ...["-e", `trace=${calls}`, "-e", `inject=${calls}:${inject}`],
    ]);
    this.counts.diskFaults += 1;
    await this.#sleep(4000, 8000);
    // It may have ended by itself, as it should when its disk fails.
    await victim.kill("SIGKILL");
    this.#start(victim);
  }

  async #transfer(): Promise<void> {
    const { directUrl } = await this.#victim();
    const isDone = await order(`${directUrl}/leader?timeout=3s`, "POST", "{}");
    if (isDone) this.counts.transfers += 1;
  }

  /** A member is removed for certain, and comes back with nothing. */
  async #replace(): Promise<void> {
    const victim = this.#random.pick(this.#cluster.nodes);
    const witness = this.#cluster.nodes.find((node) => node !== victim && node.isRunning);
    if (witness === undefined) return;
    const body = JSON.stringify({ id: victim.site.name });
    if (!await order(`${witness.directUrl}/remove`, "DELETE", body)) return;
    await victim.wipe();
    this.#start(victim);
    this.counts.replacements += 1;
  }

  async #snapshot(): Promise<void> {
    const { directUrl } = this.#random.pick(this.#cluster.nodes);
    if (await order(`${directUrl}/snapshot?trailing_logs=0`, "POST", "")) {
      this.counts.snapshots += 1;
    }
  }

  /** The leader, more often than not. */
  async #victim(): Promise<ChaosNode> {
    const leader = this.#random.below(3) > 0 ? await this.#cluster.leader() : undefined;
    return leader ?? this.#random.pick(this.#cluster.nodes);
  }

  #start(node: ChaosNode): void {
    this.#cluster.startNode(node);
  }

  #setBoth(one: ChaosNode, other: ChaosNode, state: LinkState): void {
    this.#cluster.setLink(one.site.name, other.site.name, state);
    this.#cluster.setLink(other.site.name, one.site.name, state);
  }

  /** Links are good again; half of the time what was held back never arrives. */
  async #heal(): Promise<void> {
    if (this.#random.below(2) === 0) {
      for (const node of this.#cluster.nodes) {
        for (const { site } of this.#cluster.nodes) node.raftProxy.cut(site.name);
      }
      await this.#sleep(1, 20);
    }
    this.#cluster.heal();
  }

  #shuffled<T>(list: readonly T[]): readonly T[] {
    const dealt = [...list];
    for (let at = dealt.length - 1; at > 0; at--) {
      const other = this.#random.below(at + 1);
      const [one, two] = [dealt[at], dealt[other]];
      if (one !== undefined && two !== undefined) [dealt[at], dealt[other]] = [two, one];
    }
    return dealt;
  }

  async #sleep(fromMs: number, toMs: number): Promise<void> {
    const ms = fromMs + this.#random.below(toMs - fromMs);
    await new Promise((resolve) => setTimeout(resolve, ms));
  }
}

/** @returns whether a node says that it was done. */
async function order(url: string, method: string, body: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(ORDER_MS_MAX);
    const headers = { "content-type": "application/json" };
    const response = await fetch(url, { method, body, headers, signal });
    await response.text();
    return response.ok;
  } catch {
    // Nobody answers there now.
    return false;
  }
}
