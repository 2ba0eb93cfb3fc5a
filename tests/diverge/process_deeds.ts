/**
 * What is done to the processes of a cluster while clients write, one deed after the other: each round deals
 * all of them in another order, so that none is left out. What is counted has happened, and is not only
 * intended. Behind a deed all members run and are ready.
 */
import { get, type Member } from "../cluster.ts";
import { sleep } from "../process.ts";
import type { Chance } from "../sim/chance.ts";
import { appliedIndex } from "./process_contents.ts";
import type { ProcessCluster } from "./process_cluster.ts";
import type { Traffic } from "./process_traffic.ts";

/** What a log that was never cut begins with: the first entry behind the genesis. */
const FIRST_INDEX = 2;
/** More than a segment of the log holds: whatever is before it can go. */
const LARGE_CHARACTERS = 17 * 1024 * 1024;
/** Entries that a member misses which stays down for a while, unless nobody writes so many. */
const MISSED_ENTRIES = 150;
const MISSED_MS_MAX = 3_000;
const PAUSE_MS_MAX = 400;
const TRANSFERS_MAX = 5;
const TRANSFER_PAUSE_MS = 500;
const CATCH_UP_MS_MAX = 90_000;
const LOOK_MS = 50;
const CUTS_MAX = 20;
const CUT_PAUSE_MS = 200;

/** How often each deed was done. */
export interface DeedCounts {
  restarts: number;
  /** Of them: in another time zone, locale and processor. */
  restartsElsewhere: number;
  kills: number;
  killsOfLeaders: number;
  transfers: number;
  snapshots: number;
  removals: number;
  joinsByLog: number;
  joinsBySnapshot: number;
  /** Of members that were there before, and for which the log did not reach back far enough. */
  catchUpsBySnapshot: number;
}

/** Deeds of a round; a cluster's first is a join by log, while the log is whole. */
export const DEEDS_OF_A_ROUND = 8;

/** See the file's header. One per cluster. */
export class Deeds {
  readonly #cluster: ProcessCluster;
  readonly #traffic: Traffic;
  readonly #random: Chance;
  readonly #counts: DeedCounts;
  readonly #note: (text: string) => void;
  #dealt: (readonly [name: string, act: () => Promise<void>])[] = [];
  #hasBegun = false;

  constructor(options: {
    readonly cluster: ProcessCluster;
    readonly traffic: Traffic;
    readonly random: Chance;
    readonly counts: DeedCounts;
    /** Takes what is about to be done, and when. */
    readonly note: (text: string) => void;
  }) {
    this.#cluster = options.cluster;
    this.#traffic = options.traffic;
    this.#random = options.random;
    this.#counts = options.counts;
    this.#note = options.note;
  }

  /** Does so many deeds. */
  async run(count: number): Promise<void> {
    for (; count > 0; count--) {
      if (this.#dealt.length === 0) this.#dealt = this.#deal();
      const [name, act] = this.#dealt.pop() ?? ["nothing", () => Promise.resolve()];
      this.#note(name);
      await act();
      await sleep(this.#random.below(PAUSE_MS_MAX));
    }
  }

  #deal(): (readonly [string, () => Promise<void>])[] {
    const round: (readonly [string, () => Promise<void>])[] = [
      ["restart", () => this.#restart({ elsewhere: false })],
      ["restart elsewhere", () => this.#restart({ elsewhere: true })],
      ["kill", () => this.#kill()],
      ["kill of the leader", () => this.#killLeader()],
      ["transfer", () => this.#transfer()],
      ["snapshot", () => this.#snapshot()],
      ["replacement by snapshot", () => this.#replace({ byLog: false })],
      ["member left behind", () => this.#leaveBehind()],
    ];
    const dealt: typeof round = [];
    while (round.length > 0) dealt.push(...round.splice(this.#random.below(round.length), 1));
    if (!this.#hasBegun) dealt.push(["replacement by log", () => this.#replace({ byLog: true })]);
    this.#hasBegun = true;
    return dealt;
  }

  async #restart({ elsewhere }: { readonly elsewhere: boolean }): Promise<void> {
    const member = this.#any();
    await this.#cluster.stop(member, "SIGTERM");
    await this.#cluster.restart(member, { elsewhere });
    this.#counts.restarts++;
    if (elsewhere) this.#counts.restartsElsewhere++;
  }

  async #kill(): Promise<void> {
    const member = this.#any();
    await this.#cluster.stop(member, "SIGKILL");
    await sleep(this.#random.below(PAUSE_MS_MAX));
    await this.#cluster.restart(member);
    this.#counts.kills++;
  }

  async #killLeader(): Promise<void> {
    const leader = await this.#cluster.leader();
    await this.#cluster.stop(leader, "SIGKILL");
    await this.#cluster.restart(leader);
    this.#counts.kills++;
    this.#counts.killsOfLeaders++;
  }

  async #transfer(): Promise<void> {
    if (await transfer(this.#cluster)) this.#counts.transfers++;
  }

  async #snapshot(): Promise<void> {
    const answer = await this.#cluster.ask(this.#any(), "/snapshot", { method: "POST" });
    if (answer?.status === 200) this.#counts.snapshots++;
  }

  /** A member is removed, and another one comes with nothing. */
  async #replace({ byLog }: { readonly byLog: boolean }): Promise<void> {
    if (!byLog) await this.#cutLogs();
    const member = this.#any();
    const isOnDisk = member.flags.includes("--on-disk");
    await this.#cluster.remove(member);
    this.#counts.removals++;
    const joined = await this.#cluster.add({ isOnDisk });
    if (await firstLogIndex(joined) > FIRST_INDEX) this.#counts.joinsBySnapshot++;
    else this.#counts.joinsByLog++;
  }

  /** A member is down while the others go on and let go of the log that it needs. */
  async #leaveBehind(): Promise<void> {
    const member = this.#any();
    const last = await lastLogIndex(member);
    await this.#cluster.stop(member, "SIGKILL");
    const untilMs = performance.now() + MISSED_MS_MAX;
    const other = this.#any();
    while (performance.now() < untilMs) {
      if (await lastLogIndex(other) > last + MISSED_ENTRIES) break;
      await sleep(LOOK_MS);
    }
    await this.#cutLogs();
    const target = await lastLogIndex(other);
    await this.#cluster.restart(member);
    await this.#untilApplied(member, target);
    this.#counts.kills++;
    if (await firstLogIndex(member) > last + 1) this.#counts.catchUpsBySnapshot++;
  }

  async #untilApplied(member: Member, index: number): Promise<void> {
    const untilMs = performance.now() + CATCH_UP_MS_MAX;
    while (await appliedIndex(member) < index) {
      if (performance.now() > untilMs) throw new Error(`${member.name} does not catch up`);
      await sleep(LOOK_MS);
    }
  }

  /** The members that run let go of all of their logs but the end, once all of them have that. */
  async #cutLogs(): Promise<void> {
    const last = await lastLogIndex(this.#any());
    await this.#traffic.order([["SELECT length(?)", "x".repeat(LARGE_CHARACTERS)]]);
    for (let attempt = 0; attempt < CUTS_MAX; attempt++) {
      // Without anything new there is no new snapshot.
      await this.#traffic.order(["SELECT 1"]);
      for (const member of this.#cluster.available) {
        if (await firstLogIndex(member) > last) continue;
        const path = "/snapshot?trailing_logs=1";
        const answer = await this.#cluster.ask(member, path, { method: "POST" });
        if (answer?.status === 200) this.#counts.snapshots++;
      }
      const firsts = await Promise.all(this.#cluster.available.map(firstLogIndex));
      if (firsts.every((first) => first > last)) return;
      await sleep(CUT_PAUSE_MS);
    }
  }

  #any(): Member {
    const member = this.#random.pick(this.#cluster.available);
    if (member === undefined) throw new Error("Deeds: no member runs");
    return member;
  }
}

/** Hands over to whoever the leader chooses. @returns whether it did. */
export async function transfer(cluster: ProcessCluster): Promise<boolean> {
  for (let attempt = 0; attempt < TRANSFERS_MAX; attempt++) {
    const [member] = cluster.available;
    if (member === undefined) return false;
    const answer = await cluster.ask(member, "/leader?wait", { method: "POST", body: "{}" });
    if (answer?.status === 200) return true;
    await sleep(TRANSFER_PAUSE_MS);
  }
  return false;
}

async function firstLogIndex(member: Member): Promise<number> {
  return Number(await get(member, "/status?key=store.raft.first_log_index"));
}

async function lastLogIndex(member: Member): Promise<number> {
  return Number(await get(member, "/status?key=store.raft.last_log_index"));
}
