/**
 * A cluster of three real processes in unlike environments, one with its database on disk and two in memory,
 * which is watched all the time: what its nodes say of their replicas, in /status, /metrics and their logs,
 * how often they have compared their states themselves, and whether a process has ended that nobody ended.
 */
import { get, type Member, TestCluster } from "../cluster.ts";
import { sleep, type TestNode } from "../process.ts";
import type { Chance } from "../sim/chance.ts";
import { MANNERS } from "./manners.ts";

const LOOK_MS = 200;
const ASK_MS_MAX = 5_000;
const READY_MS_MAX = 90_000;
const MEMORY_FOLDER = "/dev/shm";
const DISK_FOLDER = "/tmp";
const MEMBERS = 3;
const STRIKES_MAX = 8;
const STRIKE_PAUSE_MS = 500;

/** Time zone, locale and processor of a process. */
const ENVIRONMENTS = MANNERS.map(({ environment }) => environment);

/** In /metrics: anything but 0 is an alarm. */
const BAD_METRICS = [
  "dust_replica_alarms_total",
  "dust_replica_diverged",
  "dust_replica_quarantined",
  "dust_replica_undecided",
  "dust_log_damaged",
];
/** In a log; and whatever is logged as an error. */
const BAD_LINE =
  / ERROR \[|Replicas differ|was renewed|built anew|malformed|corrupt|damaged|panic/i;

interface ReplicaFacts {
  readonly alarms: number;
  readonly compared_index: number;
  readonly compared_members: number;
  readonly diverged: readonly string[];
  readonly state: string;
}

/** See the file's header. */
export class ProcessCluster implements AsyncDisposable {
  readonly #cluster: TestCluster;
  readonly #random: Chance;
  readonly #ramFolder: string;
  readonly #resting = new Set<Member>();
  /** Those whose logs were looked at for good, and how far the others' were. */
  readonly #logged = new Map<TestNode, number>();
  readonly #environments = new Map<Member, number>();
  #born = 0;
  #isOver = false;
  #watching: Promise<void> = Promise.resolve();
  /** What must not be, each once. */
  readonly alarms = new Set<string>();
  /** Comparisons that leaders have made, by the entry's index: how many members have reported. */
  readonly compared = new Map<number, number>();

  constructor(
    cluster: TestCluster,
    options: { readonly random: Chance; readonly ramFolder: string },
  ) {
    this.#cluster = cluster;
    this.#random = options.random;
    this.#ramFolder = options.ramFolder;
  }

  /** Starts three nodes. What they write to a data directory is synced for good only with a disk. */
  static async start(
    random: Chance,
    { hasDisk }: { readonly hasDisk: boolean },
  ): Promise<ProcessCluster> {
    const dir = hasDisk ? DISK_FOLDER : MEMORY_FOLDER;
    const folder = await Deno.makeTempDir({ prefix: "dust-processes-", dir });
    const ramFolder = await Deno.makeTempDir({ prefix: "dust-processes-", dir: MEMORY_FOLDER });
    const flags = random.happens(0.5) ? ["--fk"] : [];
    const options = { folder, ramFolder, flags, readyMsMax: READY_MS_MAX };
    const cluster = new ProcessCluster(new TestCluster(options), { random, ramFolder });
    try {
      const onDisk = random.below(MEMBERS);
      for (let at = 0; at < MEMBERS; at++) await cluster.add({ isOnDisk: at === onDisk });
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    cluster.#watching = cluster.#watch();
    return cluster;
  }

  get members(): readonly Member[] {
    return this.#cluster.members;
  }

  /** Members that are not about to be stopped. */
  get available(): readonly Member[] {
    return this.members.filter((member) => !this.#resting.has(member));
  }

  /** How many comparisons there were in which all members have reported. */
  get comparedByAll(): number {
    return [...this.compared.values()].filter((count) => count === MEMBERS).length;
  }

  /** Who leads, as the first says that answers. */
  async leader(): Promise<Member> {
    const [witness] = this.available;
    return await this.#cluster.leader(witness);
  }

  /** A new node with nothing, which joins. */
  async add({ isOnDisk }: { readonly isOnDisk: boolean }): Promise<Member> {
    const number = this.#born++;
    const environment = ENVIRONMENTS[number % ENVIRONMENTS.length] ?? {};
    const flags = isOnDisk ? ["--on-disk"] : [];
    const member = await this.#cluster.add(`n${number + 1}`, flags, environment);
    this.#environments.set(member, number);
    return member;
  }

  /** Ends a member's process; what it has said until now counts. */
  async stop(member: Member, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.#resting.add(member);
    await this.#look(member);
    this.#checkAlive(member);
    const status = await member.node.stop(signal);
    const isExpected = signal === "SIGKILL" ? status.signal === "SIGKILL" : status.code === 0;
    if (!isExpected) {
      this.alarms.add(`${member.name} ended with status ${status.code} instead of by ${signal}`);
    }
    this.#scan(member.node);
  }

  /** Starts a member that was ended, maybe in another time zone, locale and processor. */
  async restart(member: Member, { elsewhere = false } = {}): Promise<void> {
    if (elsewhere) {
      const number = (this.#environments.get(member) ?? 0) + 1 + this.#random.below(2);
      this.#environments.set(member, number);
      member.environment = ENVIRONMENTS[number % ENVIRONMENTS.length] ?? {};
    }
    await this.#cluster.restart(member);
    this.#resting.delete(member);
  }

  /** Takes a member out for good. @throws {Error} when the others do not. */
  async remove(member: Member): Promise<void> {
    const [witness] = this.#cluster.others(member);
    if (witness === undefined) throw new Error("remove: no others");
    this.#resting.add(member);
    await this.#strike(member, witness);
    await this.stop(member, this.#random.happens(0.5) ? "SIGTERM" : "SIGKILL");
    await this.#cluster.forget(member);
    this.#resting.delete(member);
  }

  async #strike({ name }: Member, witness: Member): Promise<void> {
    const body = JSON.stringify({ id: name });
    for (let attempt = 0; attempt < STRIKES_MAX; attempt++) {
      const response = await this.ask(witness, "/remove", { method: "DELETE", body });
      if (response?.status === 200) return;
      await sleep(STRIKE_PAUSE_MS);
    }
    throw new Error(`Nobody removes ${name}`);
  }

  /** Asks a member for something other than data. @returns undefined when it does not answer. */
  async ask(
    { node }: Member,
    path: string,
    options: { readonly method: string; readonly body?: string } = { method: "GET" },
  ): Promise<{ readonly status: number; readonly text: string } | undefined> {
    try {
      const response = await fetch(node.url + path, {
        ...options,
        headers: { "content-type": "application/json" },
        signal: AbortSignal.timeout(4 * ASK_MS_MAX),
      });
      return { status: response.status, text: await response.text() };
    } catch (error) {
      if (!(error instanceof TypeError) && !(error instanceof DOMException)) throw error;
      return undefined;
    }
  }

  /** Looks at all members once more. */
  async lookAtAll(): Promise<void> {
    for (const member of this.members) await this.#look(member);
  }

  /** Keeps what the nodes have logged. @returns the folder. */
  keepLogs(): string {
    const folder = Deno.makeTempDirSync({ prefix: "dust-processes-logs-" });
    for (const node of this.#logged.keys()) {
      Deno.writeTextFileSync(`${folder}/${node.nodeId}-${node.pid}.log`, node.log());
    }
    return folder;
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      for (const member of this.available) {
        await this.#look(member);
        if (!this.#resting.has(member) && this.members.includes(member)) this.#checkAlive(member);
      }
      await sleep(LOOK_MS);
    }
  }

  #checkAlive({ name, node }: Member): void {
    const status = node.ended();
    if (status !== undefined) {
      this.alarms.add(`${name} ended by itself with status ${status.code}, ${status.signal}`);
    }
  }

  async #look(member: Member): Promise<void> {
    const { node } = member;
    this.#scan(node);
    try {
      const metrics = await get(member, "/metrics");
      // It is open, and so is all of what follows.
      if (!metrics.includes("dust_store_open 1")) return;
      for (const name of BAD_METRICS) {
        const value = new RegExp(`^${name} (.*)$`, "m").exec(metrics)?.[1];
        if (value !== "0") this.alarms.add(`${member.name} has ${name} ${value}`);
      }
      const text = await get(member, "/status?key=cluster.replicas");
      const facts = JSON.parse(text) as ReplicaFacts;
      if (facts.compared_members > 0) {
        this.compared.set(facts.compared_index, facts.compared_members);
      }
      if (facts.alarms !== 0 || facts.diverged.length > 0 || facts.state !== "ok") {
        this.alarms.add(`${member.name} says of replicas: ${text}`);
      }
    } catch (error) {
      // It is being stopped, or has ended; which of them is seen elsewhere.
      if (node.ended() === undefined && !this.#resting.has(member)) {
        this.alarms.add(`${member.name} does not tell of itself: ${error}`);
      }
    }
  }

  /** Looks through what a node has logged since the last time. */
  #scan(node: TestNode): void {
    const text = node.log();
    const from = this.#logged.get(node) ?? 0;
    const end = text.lastIndexOf("\n") + 1;
    this.#logged.set(node, end);
    for (const line of text.slice(from, end).split("\n")) {
      if (BAD_LINE.test(line)) this.alarms.add(`${node.nodeId} has logged: ${line.slice(0, 300)}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#watching;
    await this.#cluster[Symbol.asyncDispose]();
    await Deno.remove(this.#ramFolder, { recursive: true });
  }
}
