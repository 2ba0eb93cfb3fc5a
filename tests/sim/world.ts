/**
 * The simulated world of one run: machines, network, time, judge; and what can be done to them. Who does
 * what when is decided elsewhere: nemesis.ts (faults), operator.ts (membership), clients.ts (load),
 * healing.ts (the calm afterwards).
 */
import { assert } from "../../src/base/assert.ts";
import { type NodeId, nodeId } from "../../src/base/ids.ts";
import { allMembers, EMPTY_CONFIGURATION } from "../../src/raft/configuration.ts";
import type { ConfState } from "../../src/raft/types.ts";
import { type Chance, stream } from "./chance.ts";
import { type Counters, noCounters } from "./counters.ts";
import { DurableFacts } from "./durable_facts.ts";
import { isQuorum } from "./history.ts";
import { Judge } from "./judge.ts";
import { DISK_BYTES, genesisState, giveBirth, type Machine } from "./machine.ts";
import { encodeState } from "./model_state.ts";
import { RealFolders } from "./real_folders.ts";
import { SimFileSystem } from "./sim_file_system.ts";
import { type Parcel, SimNetwork } from "./sim_network.ts";
import { SimProcess } from "./sim_process.ts";
import { firstCopy } from "./sqlite_state_machine.ts";
import type { SwarmOptions } from "./swarm_options.ts";
import { Timeline } from "./timeline.ts";
import { Trace } from "./trace.ts";
import { drainMicrotasks } from "./traps.ts";

/** A mark that no read of the node itself has. */
const FOLLOWER_CONTEXT = -1;

/** See the file's header. */
export class World implements Disposable {
  readonly options: SwarmOptions;
  readonly timeline = new Timeline();
  readonly trace: Trace;
  readonly judge = new Judge();
  readonly network: SimNetwork;
  readonly machines = new Map<NodeId, Machine>();
  readonly counters: Counters = noCounters();
  /** From now on disks are fast and nothing goes wrong. */
  isCalm = false;
  /** A state has become another one, somewhere. */
  hasDiverged = false;
  /** The next write wants a verdict. */
  isHeavyNext = false;
  /** Told whenever a process ends (rule E2). */
  onDeath: (machine: Machine) => void = () => undefined;
  /** Told whenever voters are to be exchanged, and for whom. */
  onSwap: (newcomers: readonly NodeId[]) => void = () => undefined;
  /** Told whenever a change of the members is asked for. */
  onChangeAsked: () => void = () => undefined;
  readonly #chance: Chance;
  #nextId = 1;
  /** By sender and request: what the answer must cover. */
  readonly #folders = new RealFolders();
  readonly #asked = new Map<string, number>();

  constructor(options: SwarmOptions, trace: { readonly hasText: boolean }) {
    this.options = options;
    this.trace = new Trace({ timeline: this.timeline, ...trace });
    this.#chance = this.stream("world");
    this.network = new SimNetwork({
      options,
      timeline: this.timeline,
      chance: this.stream("network"),
      trace: this.trace,
      ends: {
        deliver: (parcel) => this.#deliver(parcel),
        report: (parcel, outcome) => this.#report(parcel, outcome),
      },
    });
  }

  /** A stream of chance for one concern. */
  stream(concern: string, number = 0): Chance {
    return stream(this.options.seed, concern, number);
  }

  /** One more of what the campaign sums up. */
  count(counter: keyof Counters): void {
    this.counters[counter] += 1;
  }

  /** Nothing new goes wrong for a while. */
  get isLull(): boolean {
    const { stormMs, lullMs } = this.options;
    return this.timeline.nowMs % (stormMs + lullMs) >= stormMs;
  }

  /** A machine's real folder, in runs with real SQLite. */
  folderOf(id: NodeId): string {
    return this.#folders.of(id);
  }

  /** Gives back what is outside of the simulation. The world is over. */
  [Symbol.dispose](): void {
    for (const { process } of this.machines.values()) process?.stateMachine?.abandon();
    this.#folders[Symbol.dispose]();
  }

  get bootCrash(): number {
    return this.isCalm ? 0 : this.options.bootCrash;
  }

  /** The first members, started. */
  begin(): void {
    const ids = Array.from({ length: this.options.voters }, (_, i) => nodeId(i + 1));
    const configuration: ConfState = { ...EMPTY_CONFIGURATION, voters: ids };
    this.judge.history.begin(1, configuration);
    this.judge.history.commit({ index: 1, term: 1 }, 1);
    for (const _ of ids) this.restart(this.addMachine(configuration));
  }

  /** A new machine with an empty log, or with the genesis. It is not started. */
  addMachine(configuration: ConfState | undefined): Machine {
    const id = nodeId(this.#nextId++);
    const disk = new SimFileSystem({ capacityBytes: DISK_BYTES });
    const facts = new DurableFacts();
    const state = genesisState(configuration);
    const birth = giveBirth(disk, {
      id,
      state,
      content: this.options.isSqlite ? firstCopy(state, this.folderOf(id)) : encodeState(state),
      segmentSizeBytes: this.options.segmentSizeBytes,
    });
    let isBorn = false;
    birth.then(() => {
      isBorn = true;
    }, (error) => this.judge.fail(`birth: ${error}`));
    drainMicrotasks();
    assert(isBorn || this.judge.violation !== undefined, "World.addMachine: a birth hangs");
    const machine: Machine = {
      id,
      mode: this.#chance.happens(this.options.ramShare) ? "ram" : "disk",
      facts,
      disk,
      ram: undefined,
      process: undefined,
      boots: 0,
      isSuspect: false,
      isLost: false,
      isRolledBack: false,
      isRetired: false,
      isQuarantined: false,
      copy: undefined,
      crashAtOperation: undefined,
      ioErrorsUntilMs: 0,
      slowUntilMs: 0,
      stalledUntilMs: 0,
      lagsUntilMs: 0,
    };
    this.machines.set(id, machine);
    this.judge.facts.set(id, facts);
    return machine;
  }

  /** Starts a process on a machine that has none. */
  restart(machine: Machine): void {
    if (machine.process !== undefined || machine.isRetired) return;
    if (machine.isLost && !machine.isRolledBack) return;
    this.trace.note("start", machine.id);
    const process = new SimProcess({ world: this, machine });
    machine.process = process;
    process.start();
    this.settle(process);
  }

  /** A process has joined in. */
  onStarted(process: SimProcess): void {
    this.trace.note("started", process.machine.id, [process.log?.lastIndex ?? 0]);
    this.count("starts");
  }

  /** Ends a machine's process. */
  kill(machine: Machine, death: "exit" | "power"): void {
    const { process } = machine;
    if (process === undefined) return;
    process.die(death);
    this.#bury(process);
  }

  /** An event at a process is over once nothing can run any more. Then everybody looks. */
  settle(process: SimProcess): void {
    drainMicrotasks();
    if (!process.isAlive) {
      this.#bury(process);
      return;
    }
    process.noteHealth();
    const { witness } = process;
    if (witness !== undefined) process.judge.inspect(witness);
  }

  #bury(process: SimProcess): void {
    const { machine, death } = process;
    if (machine.process !== process || death === undefined) return;
    machine.process = undefined;
    process.stateMachine?.abandon();
    this.trace.note("ended", machine.id, [death === "power" ? 1 : 0]);
    this.count(death === "power" ? "powerCuts" : "exits");
    machine.crashAtOperation = undefined;
    if (death === "power") {
      machine.disk = machine.disk.afterPowerCut(this.#countTorn(this.#powerCutChoice()));
      machine.ram = undefined;
    } else {
      machine.disk = machine.disk.afterProcessCrash();
      if (this.#chance.happens(0.1)) machine.ram = undefined;
    }
    this.onDeath(machine);
    const [min, max] = this.options.restartMs;
    this.timeline.after(this.isCalm ? 50 : this.#chance.within(min, max), () => {
      this.restart(machine);
    });
  }

  /** Everything unsynced is lost, or kept, or each piece on its own. */
  #powerCutChoice(): (count: number) => number {
    const style = this.#chance.below(4);
    if (style === 0) return () => 0;
    if (style === 1) return (count) => count - 1;
    return (count) => this.#chance.below(count);
  }

  /** A torn write: of what was unsynced, part is there and part is not. */
  #countTorn(choose: (count: number) => number): (count: number) => number {
    let lost = false;
    let kept = false;
    return (count) => {
      const chosen = choose(count);
      if (count < 2) return chosen;
      const wasTorn = lost && kept;
      lost ||= chosen === 0;
      kept ||= chosen > 0;
      if (lost && kept && !wasTorn) this.count("tornWrites");
      return chosen;
    };
  }

  /** A process sends. */
  send(parcel: Parcel): void {
    this.#judgeRead(parcel);
    this.network.send(parcel);
  }

  /** Peers refuse the handshake of a directory that was put back (rule D5, M1). */
  #areAcquainted(parcel: Parcel): boolean {
    const { from, to } = parcel.message;
    return this.machines.get(from)?.isRolledBack !== true &&
      this.machines.get(to)?.isRolledBack !== true;
  }

  #deliver(parcel: Parcel): boolean {
    if (!this.#areAcquainted(parcel)) return false;
    return this.machines.get(parcel.message.to)?.process?.deliver(parcel) === true;
  }

  #report(parcel: Parcel, outcome: "installed" | "failed"): void {
    const { from, to } = parcel.message;
    const { process } = this.machines.get(from) ?? {};
    // A paused sender learns it later, but it does: a leader that never does sends that peer nothing more.
    process?.plan(0, () => process.node?.loop.raft.reportSnapshot({ peer: to, outcome }));
  }

  /** A follower asks the leader for a read index. The answer is judged as it arrives. */
  readAtFollower(process: SimProcess): void {
    process.node?.loop.readIndex(FOLLOWER_CONTEXT);
  }

  /** What a follower is told must cover what was known when it asked. */
  #judgeRead(parcel: Parcel): void {
    const { message } = parcel;
    if (message.kind === "read_index") {
      const { from, requestId } = message;
      this.#asked.set(`${from}:${requestId}`, this.judge.history.readFloor);
    }
    if (message.kind !== "read_index_response") return;
    const floor = this.#asked.get(`${message.to}:${message.requestId}`) ?? 0;
    this.count("followerReads");
    if (message.index >= floor) return;
    this.judge.fail(`node ${message.from} answers a read with ${message.index}, not ${floor}`);
  }

  /** The leader of the greatest term, if one runs. */
  leader(): SimProcess | undefined {
    let best: SimProcess | undefined;
    for (const { process, isRolledBack } of this.machines.values()) {
      if (process?.node?.isLeader !== true || isRolledBack) continue;
      const term = best?.node?.loop.raft.term ?? 0;
      if (process.node.loop.raft.term > term) best = process;
    }
    return best;
  }

  /** Machines whose process has joined in. */
  running(): readonly Machine[] {
    return [...this.machines.values()].filter(({ process, isRolledBack }) =>
      process?.node !== undefined && !isRolledBack
    );
  }

  /** The configuration of the newest change that was applied anywhere. */
  get configuration(): ConfState {
    return this.judge.history.newestConfiguration ?? EMPTY_CONFIGURATION;
  }

  /** Whether the newest configuration's own quorum knows durably that it is in force. */
  get isConfigurationKnown(): boolean {
    const index = this.judge.history.newestConfigurationIndex;
    const knows = (id: NodeId): boolean => {
      return (this.machines.get(id)?.facts.durableHardState.commit ?? 0) >= index;
    };
    return isQuorum(this.configuration, knows);
  }

  /** Whether nobody's log holds a change that is not applied there, and nobody is behind with applying them. */
  get isSettled(): boolean {
    const members = allMembers(this.configuration);
    for (const machine of this.machines.values()) {
      if (machine.isLost) continue;
      const { node, changesAsked = 0 } = machine.process ?? {};
      if (changesAsked > 0) return false;
      const applied = node?.loop.applyQueue.appliedIndex;
      const isMember = members.includes(machine.id);
      if (applied === undefined && isMember) return false;
      if (machine.facts.changes.some((index) => index > (applied ?? 0))) return false;
      // Proposed and not yet on its way to the disk.
      if ((node?.loop.raft.state.pendingConfIndex ?? 0) > (applied ?? 0)) return false;
      if (isMember && node?.loop.raft.configuration !== undefined) {
        const own = node.loop.raft.configuration;
        if (JSON.stringify(own) !== JSON.stringify(this.configuration)) return false;
      }
    }
    return this.configuration.votersOutgoing.length === 0;
  }

  /** Whether one more voter may be lost for ever: a majority of sound ones remains, and no change is under way. */
  mayLose(machine: Machine): boolean {
    if (!this.isSettled) return false;
    const { voters } = this.configuration;
    if (!voters.includes(machine.id)) return true;
    const sound = voters.filter((id) => {
      const other = this.machines.get(id);
      return other !== undefined && other !== machine && !other.isLost && !other.isSuspect;
    });
    return sound.length * 2 > voters.length;
  }
}
