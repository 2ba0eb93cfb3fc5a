/**
 * Makes things go wrong, each kind at its own pace. Faults of the disk that lose data for good strike only
 * as many voters as the cluster can do without; everything else may strike anybody at any time.
 */
import type { NodeId } from "../../src/base/ids.ts";
import { runInBackground } from "../../src/base/background.ts";
import { OperatingError } from "../../src/base/errors.ts";
import type { Node } from "../../src/node/node.ts";
import type { Chance } from "./chance.ts";
import { ModelStateMachine } from "./model_state_machine.ts";
import { DurableFacts } from "./durable_facts.ts";
import { DISK_BYTES, filesIn, LOG_DIRECTORY, type Machine, STATE_DIRECTORY } from "./machine.ts";
import { isQuorum } from "./history.ts";
import type { SimProcess } from "./sim_process.ts";
import type { FaultRates } from "./swarm_options.ts";
import type { World } from "./world.ts";

/** Parts of a log segment and of a state file in which a flipped bit matters. */
const FLIP_BYTES_MAX = 8192;

/** A change that is in no log by then was refused, or waits for too long to be waited for. */
const LOGGED_WITHIN_MS = 1000;

/** See the file's header. */
export class Nemesis {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #splits: Chance;
  readonly #taints: Chance;
  #isOver = false;

  constructor(world: World) {
    this.#world = world;
    this.#chance = world.stream("nemesis");
    this.#splits = world.stream("splits");
    this.#taints = world.stream("taints");
  }

  /** Starts every kind of fault that the run has. */
  begin(): void {
    for (const [kind, fault] of Object.entries(this.#faults())) {
      this.#repeat(this.#world.options.faults[kind as keyof FaultRates], fault);
    }
    this.#repeat(this.#world.options.divergenceMs, () => this.#taint(), this.#taints);
    this.#world.onSwap = (newcomers) => this.#splitSoon(newcomers);
    this.#world.onChangeAsked = () => this.#darkenSoon();
    if (this.#world.options.tellsDeath) this.#world.onDeath = (machine) => this.#tellDeath(machine);
  }

  /** No new faults; those under way end when `World` calms down. */
  end(): void {
    this.#isOver = true;
    this.#world.onDeath = () => undefined;
    this.#world.onSwap = () => undefined;
    this.#world.onChangeAsked = () => undefined;
  }

  #repeat(meanMs: number, fault: () => void, chance = this.#chance): void {
    if (meanMs === 0) return;
    this.#world.timeline.after(chance.waitMs(meanMs), () => {
      if (this.#isOver) return;
      if (!this.#world.isLull) fault();
      this.#repeat(meanMs, fault, chance);
    });
  }

  /** A state becomes another one: of fewer than half of the voters at a time, or nobody knows what is right. */
  #taint(): void {
    const { machines, configuration } = this.#world;
    const victim = this.#taints.pick(this.#world.running());
    const machine = victim?.process?.stateMachine;
    if (victim === undefined || !(machine instanceof ModelStateMachine)) return;
    const isTainted = (id: NodeId): boolean => {
      const other = machines.get(id);
      if (other === undefined || other === victim) return true;
      const state = other.process?.stateMachine?.state ?? other.ram;
      return state === undefined || state.taint !== 0 || other.isQuarantined;
    };
    const sets = [configuration.voters, configuration.votersOutgoing];
    const mayNot = sets.some((set) =>
      set.length > 2 && set.filter(isTainted).length * 2 >= set.length
    );
    if (mayNot) return;
    machine.taint(1 + this.#taints.below(2 ** 31));
    this.#world.hasDiverged = true;
    this.#world.count("divergences");
    this.#world.trace.note("tainted", victim.id, [machine.state.taint]);
  }

  #faults(): Partial<Record<keyof FaultRates, () => void>> {
    return {
      kill: () => this.#kill("exit"),
      powerCut: () => this.#kill("power"),
      diskCrash: () => this.#crashAtOperation(),
      blackout: () => this.#blackout(),
      gracefulStop: () => this.#stop(),
      partition: () => this.#partition(),
      oneWay: () => this.#oneWay(),
      pause: () => this.#pause(),
      clockJump: () => this.#jumpClock(),
      slowDisk: () => this.#slowDisk(),
      ioError: () => this.#failDisk(),
      diskFull: () => this.#fillDisk(),
      bitFlip: () => this.#flipBit(),
      wipe: () => this.#wipe(),
      rollback: () => this.#rollBack(),
      forgetLeader: () => this.#forgetLeader(),
      coup: () => this.#coup(),
      transfer: () => this.#transfer(),
      snapshot: () => this.#takeSnapshot(),
      snapshotRequest: () => this.#requestSnapshot(),
    };
  }

  /** A machine with a process that has joined in; often the leader's, where faults matter most. */
  #victim(): Machine | undefined {
    if (this.#chance.happens(0.4)) {
      const leader = this.#world.leader();
      if (leader !== undefined) return leader.machine;
    }
    return this.#chance.pick(this.#world.running());
  }

  #kill(death: "exit" | "power"): void {
    const victim = this.#victim();
    if (victim === undefined) return;
    this.#world.count("kills");
    this.#world.kill(victim, death);
  }

  #crashAtOperation(): void {
    const victim = this.#victim();
    if (victim === undefined) return;
    victim.crashAtOperation = victim.disk.operationCount + this.#chance.within(1, 20);
  }

  #blackout(): void {
    this.#world.count("blackouts");
    for (const machine of this.#world.machines.values()) {
      if (this.#chance.happens(0.8)) this.#world.kill(machine, "power");
    }
  }

  #stop(): void {
    const { process } = this.#victim() ?? {};
    if (process === undefined) return;
    process.enter(() => {
      this.#world.count("gracefulStops");
      runInBackground(process.stop(), (error) => process.failed(error));
    });
  }

  /** Nobody is left who has applied a change that may stand in every log. */
  #darkenSoon(): void {
    const { faults, heavyShare } = this.#world.options;
    if (faults.blackout === 0 || heavyShare === 0 || !this.#chance.happens(0.15)) return;
    this.#world.timeline.after(this.#chance.within(1, 60), () => {
      if (this.#isOver || this.#world.isLull) return;
      this.#world.count("blackouts");
      for (const machine of this.#world.machines.values()) this.#world.kill(machine, "power");
    });
  }

  /** Two groups that do not hear each other. */
  #partition(): void {
    const ids = [...this.#world.machines.keys()];
    const group = new Set(ids.filter(() => this.#chance.happens(0.5)));
    this.#world.count("partitions");
    this.#cutFor((from, to) => group.has(from) !== group.has(to));
  }

  /** Some links pass messages in one direction only, or a node can only speak, or only hear. */
  #oneWay(): void {
    const ids = [...this.#world.machines.keys()];
    const victim = this.#chance.pick(ids);
    const style = this.#chance.below(3);
    const links = new Set(
      ids.flatMap((from) => ids.map((to) => from * 4096 + to))
        .filter(() => this.#chance.happens(0.2)),
    );
    this.#world.count("oneWayPartitions");
    this.#cutFor((from, to) => {
      if (style === 0) return from === victim;
      if (style === 1) return to === victim;
      return links.has(from * 4096 + to);
    });
  }

  #cutFor(
    isCut: (from: NodeId, to: NodeId) => boolean,
    holdMs = this.#chance.within(100, 6000),
  ): void {
    const { network, machines, timeline, trace } = this.#world;
    const links: (readonly [from: NodeId, to: NodeId])[] = [];
    for (const from of machines.keys()) {
      for (const to of machines.keys()) if (from !== to && isCut(from, to)) links.push([from, to]);
    }
    for (const [from, to] of links) network.cut(from, to);
    trace.note("cut", 0, [links.length], () => links.map(([a, b]) => `${a}>${b}`).join(" "));
    timeline.after(holdMs, () => {
      for (const [from, to] of links) network.heal(from, to);
      trace.note("healed", 0, [links.length]);
    });
  }

  #pause(): void {
    const { process } = this.#victim() ?? {};
    if (process === undefined) return;
    const pauseMs = this.#chance.within(100, 5000);
    this.#world.count("pauses");
    this.#world.trace.note("pause", process.machine.id, [pauseMs]);
    process.pausedUntilMs = Math.max(
      process.pausedUntilMs,
      this.#world.timeline.nowMs + pauseMs,
    );
  }

  #jumpClock(): void {
    const { process } = this.#victim() ?? {};
    if (process === undefined) return;
    this.#world.count("clockJumps");
    process.clock.wallOffsetMs += this.#chance.within(-86_400_000, 86_400_000);
  }

  #slowDisk(): void {
    const victim = this.#victim();
    if (victim === undefined) return;
    if (this.#chance.happens(0.3)) return this.#stallDisk(victim.id);
    this.#world.count("slowDisks");
    victim.slowUntilMs = this.#world.timeline.nowMs + this.#chance.within(500, 8000);
  }

  /** Syncs take about as long as an election. */
  #stallDisk(id: NodeId): void {
    const machine = this.#world.machines.get(id);
    if (machine === undefined) return;
    this.#world.count("slowDisks");
    machine.stalledUntilMs = this.#world.timeline.nowMs + this.#chance.within(500, 4000);
  }

  #failDisk(): void {
    const victim = this.#victim();
    if (victim === undefined) return;
    victim.ioErrorsUntilMs = this.#world.timeline.nowMs + this.#chance.within(10, 1000);
  }

  #fillDisk(): void {
    const victim = this.#victim();
    if (victim?.process === undefined) return;
    const { disk } = victim;
    const usedBytes = disk.capacityBytes - disk.roomToGrow();
    disk.capacityBytes = usedBytes + this.#chance.below(10_000);
    this.#world.count("fullDisks");
    this.#world.trace.note("disk_full", victim.id, [disk.capacityBytes]);
    this.#world.timeline.after(this.#chance.within(500, 8000), () => {
      // A crash may have made another object of the disk.
      victim.disk.capacityBytes = DISK_BYTES;
    });
  }

  /** A machine that may be lost for good; undefined when the cluster cannot do without one now. */
  #expendable(): Machine | undefined {
    const victim = this.#chance.pick([...this.#world.machines.values()]);
    return victim !== undefined && this.#isExpendable(victim) ? victim : undefined;
  }

  #isExpendable(machine: Machine): boolean {
    return !machine.isLost && !machine.isSuspect && this.#world.mayLose(machine);
  }

  #flipBit(): void {
    const victim = this.#expendable();
    if (victim === undefined) return;
    victim.isSuspect = true;
    this.#world.kill(victim, "power");
    this.#world.count("bitFlips");
    const directory = this.#chance.happens(0.7) ? LOG_DIRECTORY : STATE_DIRECTORY;
    const { disk } = victim;
    const path = this.#chance.pick(filesIn(disk, directory));
    if (path === undefined) return;
    const bytes = disk.contentOf(path);
    const at = this.#chance.below(Math.min(bytes.length, FLIP_BYTES_MAX) || 1);
    if (at >= bytes.length) return;
    bytes[at] = (bytes[at] ?? 0) ^ 1 << this.#chance.below(8);
    disk.replaceContent(path, bytes);
    this.#world.trace.note("bit_flip", victim.id, [at], () => `${path} at ${at}`);
  }

  #wipe(): void {
    const victim = this.#expendable();
    if (victim === undefined) return;
    this.#world.count("wipes");
    this.#world.trace.note("wiped", victim.id);
    victim.isLost = true;
    this.#world.kill(victim, "power");
  }

  /** First a copy is taken; later the disk is put back to it. */
  #rollBack(): void {
    const machines = [...this.#world.machines.values()];
    const copied = this.#chance.pick(machines);
    if (copied !== undefined && copied.copy === undefined) {
      copied.copy = copied.disk.clone();
      return;
    }
    const victim = this.#chance.pick(machines.filter((machine) => this.#isExpendable(machine)));
    if (victim?.copy === undefined) return;
    this.#world.count("rollbacks");
    this.#world.trace.note("rolled_back", victim.id);
    victim.isLost = true;
    victim.isRolledBack = true;
    this.#world.kill(victim, "power");
    victim.disk = victim.copy.afterPowerCut(() => 0);
    // What the judge knows of the member stays as it was.
    victim.facts = new DurableFacts();
    victim.ram = undefined;
  }

  /** Evidence of a dead leader that is false (rule E2): nothing may break, whatever it says. */
  #forgetLeader(): void {
    const { process } = this.#victim() ?? {};
    process?.enter((node) => {
      this.#world.count("falseEvidence");
      this.#world.trace.note("forget_leader", process.machine.id);
      node.loop.raft.forgetLeader();
    });
    if (this.#chance.happens(0.5)) process?.enter((node) => node.loop.raft.campaign());
  }

  /** The leader hears nobody any more, or is heard by nobody, and the others are told that it is dead. */
  #coup(): void {
    const leader = this.#world.leader()?.machine.id;
    if (leader === undefined) return;
    // Most often it still hears: of what it wrote and nobody got, it learns that others took its place.
    const style = this.#chance.pick([0, 1, 1, 1, 2]) ?? 1;
    this.#world.count("coups");
    this.#cutFor((from, to) => (from === leader && style !== 0) || (to === leader && style !== 1));
    // Its disk is still busy with the old term when the new one's entries come.
    if (this.#chance.happens(0.7)) this.#stallDisk(leader);
    for (const { id, process } of this.#world.running()) {
      if (id === leader) continue;
      process?.plan(this.#chance.within(1, 30), () => process.node?.loop.raft.forgetLeader());
      process?.plan(this.#chance.within(31, 400), () => process.node?.loop.raft.campaign());
    }
  }

  /**
   * The old and the new voters do not hear each other, and each want a leader. Some of the old ones are
   * late to apply the change, and count as it was before.
   */
  #splitSoon(newcomers: readonly NodeId[]): void {
    const { faults } = this.#world.options;
    if (faults.partition + faults.oneWay + faults.coup === 0 || this.#world.isLull) return;
    if (this.#splits.happens(0.5)) return this.#splitBeforeCommit(newcomers);
    for (const machine of this.#world.machines.values()) {
      const isOld = !newcomers.includes(machine.id);
      if (isOld && this.#chance.happens(0.6)) {
        machine.lagsUntilMs = this.#world.timeline.nowMs + this.#chance.within(500, 3000);
      }
    }
    this.#world.timeline.after(this.#chance.within(0, 400), () => {
      if (this.#isOver) return;
      const group = new Set(newcomers);
      this.#world.count("partitions");
      this.#cutFor((from, to) => group.has(from) !== group.has(to));
      for (const { process } of this.#world.running()) {
        process?.plan(this.#chance.within(1, 30), () => process.node?.loop.raft.forgetLeader());
        process?.plan(this.#chance.within(31, 600), () => process.node?.loop.raft.campaign());
      }
    });
  }

  /**
   * As `splitSoon`, with the leader on the side of the new voters, and early: a quorum of the old ones has the
   * change in its logs and never hears that it is committed, so that it may elect by the old majority.
   */
  #splitBeforeCommit(newcomers: readonly NodeId[]): void {
    this.#whenLogged(newcomers, this.#world.timeline.nowMs + LOGGED_WITHIN_MS, (leader) => {
      const group = new Set([...newcomers, leader.machine.id]);
      const isCut = (from: NodeId, to: NodeId): boolean => group.has(from) && !group.has(to);
      const holdMs = this.#splits.within(2000, 8000);
      this.#world.count("halvesSplit");
      this.#world.count("partitions");
      this.#cutFor(isCut, holdMs);
      // What the old ones say arrives for a while: the leader commits by their answers.
      this.#world.timeline.after(this.#splits.within(20, 300), () => {
        if (this.#isOver) return;
        this.#cutFor((from, to) => isCut(to, from), holdMs);
        this.#electInBothHalves(newcomers, leader);
      });
    });
  }

  /** Calls `act` once the leader's change is in the logs of a quorum, of which nobody else knows that it is. */
  #whenLogged(
    newcomers: readonly NodeId[],
    untilMs: number,
    act: (leader: SimProcess) => void,
  ): void {
    const { timeline, machines } = this.#world;
    if (this.#isOver || timeline.nowMs > untilMs) return;
    timeline.after(1, () => {
      const leader = this.#world.leader();
      const { raft } = leader?.node?.loop ?? {};
      const change = raft?.state.pendingConfIndex ?? 0;
      if (leader !== undefined && raft !== undefined && change > raft.state.log.applied) {
        const hasUnknowingly = (id: NodeId): boolean => {
          const { log } = machines.get(id)?.process?.node?.loop.raft.state ?? {};
          if (log === undefined || newcomers.includes(id)) return false;
          return log.lastIndex >= change && (id === leader.machine.id || log.commit < change);
        };
        if (isQuorum(raft.configuration, hasUnknowingly)) return act(leader);
      }
      this.#whenLogged(newcomers, untilMs, act);
    });
  }

  /** The leader's lease would keep its half quiet: it hands over, or dies, or finds out by itself. */
  #electInBothHalves(newcomers: readonly NodeId[], leader: SimProcess): void {
    const way = this.#splits.below(4);
    const heir = this.#splits.pick(newcomers);
    if (way === 0) this.#world.kill(leader.machine, "exit");
    if (way > 1 && heir !== undefined) {
      leader.plan(this.#splits.within(1, 100), () => {
        leader.node?.loop.raft.transferLeadership(heir);
      });
    }
    for (const { process } of this.#world.running()) {
      const forgetMs = this.#splits.within(1, 100);
      process?.plan(forgetMs, () => process.node?.loop.raft.forgetLeader());
      const campaignMs = forgetMs + this.#splits.within(1, 300);
      process?.plan(campaignMs, () => process.node?.loop.raft.campaign());
    }
  }

  /** A process has died, and those that were connected to it notice, each after a while. */
  #tellDeath(dead: Machine): void {
    const { nodes } = { nodes: this.#world.running() };
    for (const [rank, machine] of nodes.entries()) {
      const { process } = machine;
      const delayMs = this.#chance.within(1, 60);
      process?.plan(delayMs, () => {
        const { node } = process;
        if (node === undefined || dead.process !== undefined) return;
        if (node.loop.raft.leader !== dead.id || machine.id === dead.id) return;
        this.#world.count("leadersForgotten");
        this.#world.trace.note("leader_dead", machine.id, [dead.id]);
        node.loop.raft.forgetLeader();
        process.plan(rank * 100 + this.#chance.below(50), () => {
          if (node.loop.raft.leader === 0) node.loop.raft.campaign();
        });
      });
    }
  }

  #transfer(): void {
    const leader = this.#world.leader();
    const to = this.#chance.pick(leader?.node?.loop.raft.configuration.voters ?? []);
    if (to === undefined) return;
    leader?.enter((node) => {
      this.#world.count("transfers");
      this.#world.trace.note("transfer", leader.machine.id, [to]);
      node.loop.raft.transferLeadership(to);
    });
  }

  #takeSnapshot(): void {
    const { process } = this.#victim() ?? {};
    process?.enter((node) => {
      this.#world.count("snapshotsTaken");
      runInBackground(
        snapshotIfRoom(node, this.#chance.below(10)),
        (error) => process.failed(error),
      );
    });
  }

  #requestSnapshot(): void {
    const { process } = this.#victim() ?? {};
    process?.enter((node) => {
      if (!node.loop.raft.requestSnapshot()) return;
      this.#world.count("snapshotsRequested");
      this.#world.trace.note("request_snapshot", process.machine.id);
    });
  }
}

async function snapshotIfRoom(node: Node, trailingEntries: number): Promise<void> {
  try {
    await node.snapshot(trailingEntries);
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
  }
}
