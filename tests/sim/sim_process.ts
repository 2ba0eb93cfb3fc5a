/**
 * One process: the production node on a machine's disk, from the moment it starts to open its log until
 * it ends, in whatever way. Everything it waits for is planned here, so nothing of it happens once it is
 * dead, and everything waits while it is paused.
 */
import { assert } from "../../src/base/assert.ts";
import { FatalError, OperatingError } from "../../src/base/errors.ts";
import { runInBackground } from "../../src/base/background.ts";
import { SegmentedLog } from "../../src/log/segmented_log.ts";
import { Node } from "../../src/node/node.ts";
import { assertOwnHistory, isOwnHistory } from "../../src/node/recovery.ts";
import { productionConfig } from "../../src/raft/config.ts";
import type { Message } from "../../src/raft/message.ts";
import type { Chance } from "./chance.ts";
import { Judge, type Witness } from "./judge.ts";
import { HealthFile } from "../../src/node/health_file.ts";
import { ReplicaHealth } from "../../src/node/replica_health.ts";
import { SimReplicas } from "./sim_replicas.ts";
import { HEALTH_DIRECTORY, LOG_DIRECTORY, type Machine, STATE_DIRECTORY } from "./machine.ts";
import { appliedOf, type ModelState } from "./model_state.ts";
import { ModelStateMachine } from "./model_state_machine.ts";
import { type Plan, SimClock } from "./sim_clock.ts";
import { type SimOperation, type SimOutcome, SimulatedCrash } from "./sim_file_system.ts";
import type { Parcel } from "./sim_network.ts";
import { SimPeers } from "./sim_peers.ts";
import { SqliteStateMachine } from "./sqlite_state_machine.ts";
import type { SimStateMachine, StateHost } from "./state_host.ts";
import { WatchedLog } from "./watched_log.ts";
import type { World } from "./world.ts";

/** The longest that a batch takes where applying lags. */
const LAG_MS = 800;

/** How a process ends: by itself or a signal, or with the machine's power. */
export type Death = "exit" | "power";

/** See the file's header. */
export class SimProcess {
  readonly machine: Machine;
  readonly boot: number;
  readonly clock: SimClock;
  /** Nobody listens to a directory that was put back, so what it does is nobody's concern. */
  readonly judge: Judge;
  readonly #world: World;
  readonly #chance: Chance;
  /** Due and not done, since the process is paused. */
  readonly #held: Plan[] = [];
  readonly #seen: Witness["seen"] = {
    commit: 0,
    term: 0,
    isLeader: false,
    configuration: undefined,
  };
  /** Set once, by `die`; the world buries it after the event. */
  death: Death | undefined;
  pausedUntilMs = 0;
  /** Membership changes that it was asked for and has not answered: they may wait, and be in no log yet. */
  changesAsked = 0;
  node: Node | undefined;
  stateMachine: SimStateMachine | undefined;
  peers: SimPeers | undefined;
  log: SegmentedLog | undefined;
  replicas: SimReplicas | undefined;
  #health: ReplicaHealth | undefined;
  #watchedLog: WatchedLog | undefined;

  constructor(options: { readonly world: World; readonly machine: Machine }) {
    const { world, machine } = options;
    this.#world = world;
    this.machine = machine;
    this.judge = machine.isRolledBack ? new Judge() : world.judge;
    machine.boots += 1;
    this.boot = machine.boots;
    this.#chance = world.stream(`process${machine.id}`, machine.boots);
    this.clock = new SimClock({
      process: this,
      rate: 0.97 + this.#chance.below(60) / 1000,
      wallOffsetMs: this.#chance.within(-5000, 5000),
    });
  }

  get isAlive(): boolean {
    return this.death === undefined;
  }

  get nowMs(): number {
    return this.#world.timeline.nowMs;
  }

  /** Plans something that this process does; see the file's header. */
  plan(delayMs: number, run: () => void): Plan {
    const plan: Plan = { run };
    this.#world.timeline.after(delayMs, () => this.#fire(plan));
    return plan;
  }

  #fire(plan: Plan): void {
    if (!this.isAlive || plan.run === undefined) return;
    if (this.nowMs < this.pausedUntilMs || this.#held.length > 0) {
      this.#held.push(plan);
      if (this.#held.length === 1) this.#resumeLater();
      return;
    }
    plan.run();
    this.#world.settle(this);
  }

  /** What was due in a pause happens behind it, in the order in which it was due. */
  #resumeLater(): void {
    // At least a microsecond: sums of milliseconds are not exact, and time must pass.
    this.#world.timeline.after(Math.max(0.001, this.pausedUntilMs - this.nowMs), () => {
      if (this.nowMs < this.pausedUntilMs) return this.#resumeLater();
      for (const plan of this.#held.splice(0)) this.#fire(plan);
    });
  }

  /** Does something at once, unless the process is dead or paused. @returns whether it was done. */
  enter(run: (node: Node) => void): boolean {
    if (!this.isAlive || this.node === undefined || this.nowMs < this.pausedUntilMs) return false;
    run(this.node);
    this.#world.settle(this);
    return true;
  }

  /** From now on nothing of this process happens. */
  die(death: Death): void {
    this.death ??= death;
  }

  /** Opens the disk and joins in. */
  start(): void {
    const { disk } = this.machine;
    disk.onOperation = (operation) => this.#onOperation(operation);
    disk.delay = (operation) => this.#delay(operation);
    runInBackground(this.#open(), (error) => this.#onFatal(error));
  }

  /** The machine is known by what its last process knew. */
  noteHealth(): void {
    if (this.#health !== undefined) this.machine.isQuarantined = this.#health.isQuarantined;
  }

  /** What the judge looks at; undefined while the process starts. */
  get witness(): Witness | undefined {
    const { node, machine } = this;
    if (node === undefined) return undefined;
    return {
      id: machine.id,
      boot: this.boot,
      raft: node.loop.raft,
      facts: machine.facts,
      isReady: node.isReady,
      appliedIndex: node.loop.applyQueue.appliedIndex,
      seen: this.#seen,
    };
  }

  /** As production opens a data directory (cli/data_directory.ts), with the model behind it. */
  async #open(): Promise<void> {
    const { machine } = this;
    const { judge } = this;
    const { options } = this.#world;
    const log = await SegmentedLog.open({
      fileSystem: machine.disk,
      directory: LOG_DIRECTORY,
      segmentSizeBytes: options.segmentSizeBytes,
    });
    judge.recovered(machine.id, machine.facts, { log, hardState: log.hardState });
    machine.facts.adopt(log, log.hardState);
    const { ram } = machine;
    const isOwn = ram !== undefined && await isOwnHistory(appliedOf(ram), log);
    const stateMachine = await this.#openState(log.marker.generation, isOwn ? ram : undefined);
    this.stateMachine = stateMachine;
    await assertOwnHistory(stateMachine.applied, log);
    judge.history.loaded(stateMachine.state, machine.id);
    this.log = log;
    this.peers = new SimPeers(this.#peersHost(stateMachine));
    const store = await this.#openHealth();
    const health = store === undefined ? undefined : new ReplicaHealth(store.mark);
    this.#health = health;
    this.node = this.#makeNode({ log, stateMachine, peers: this.peers, health });
    if (store !== undefined && health !== undefined) this.#watchState(store, health);
    this.node.start();
    this.#world.onStarted(this);
  }

  #openState(generation: number, kept: ModelState | undefined): Promise<SimStateMachine> {
    const host = this.#stateHost();
    return this.#world.options.isSqlite
      ? SqliteStateMachine.open(host, generation, kept)
      : ModelStateMachine.open(host, generation, kept);
  }

  /** In runs in which states diverge. */
  async #openHealth(): Promise<HealthFile | undefined> {
    if (this.#world.options.divergenceMs === 0) return undefined;
    const { disk } = this.machine;
    await disk.makeDirectory(HEALTH_DIRECTORY);
    return await HealthFile.open({ fileSystem: disk, directory: HEALTH_DIRECTORY });
  }

  #watchState(store: HealthFile, health: ReplicaHealth): void {
    const { node, peers, stateMachine } = this;
    const watchedLog = this.#watchedLog;
    assert(node !== undefined && peers !== undefined, "SimProcess: no node");
    assert(stateMachine !== undefined && watchedLog !== undefined, "SimProcess: no state");
    this.replicas = new SimReplicas({
      world: this.#world,
      process: this,
      node,
      peers,
      // The marker of a renewal is as durable a fact as any other.
      log: watchedLog,
      stateMachine,
      health,
      store,
      onFatal: (error) => this.#onFatal(error),
    });
  }

  #makeNode(parts: {
    readonly log: SegmentedLog;
    readonly stateMachine: SimStateMachine;
    readonly peers: SimPeers;
    readonly health: ReplicaHealth | undefined;
  }): Node {
    const { log, stateMachine, peers, health } = parts;
    const { judge } = this;
    const { options } = this.#world;
    const { facts, id } = this.machine;
    this.#watchedLog = new WatchedLog({ log, facts, judge });
    return new Node({
      config: { ...productionConfig(id), ...options.raft },
      log: this.#watchedLog,
      health,
      hardState: log.hardState,
      stateMachine,
      clock: this.clock,
      entropy: this.#chance,
      peers,
      policy: {
        entriesMin: options.snapshotEntries,
        bytesMin: 0,
        intervalMs: options.snapshotIntervalMs,
        trailingEntries: options.trailingEntries,
      },
      applyTimeoutMs: 10_000,
      onFatal: (error) => this.#onFatal(error),
    });
  }

  #stateHost(): StateHost {
    const { machine, judge } = this;
    const { trace, timeline } = this.#world;
    return {
      fileSystem: machine.disk,
      directory: STATE_DIRECTORY,
      realFolder: () => this.#world.folderOf(machine.id),
      mode: machine.mode,
      applyMs: () => this.#applyMs(),
      chance: this.#chance,
      get nowMs(): number {
        return timeline.nowMs;
      },
      later: (delayMs, work) => {
        this.plan(delayMs, work);
      },
      onApplied: (entry, state) => {
        trace.note("applied", machine.id, [entry.index, entry.term, state.digest ?? 0]);
        judge.applies(entry.index, machine.facts, machine.id);
        judge.history.apply(entry, state, machine.id);
      },
      onVerdict: () => this.#world.count("verdicts"),
      keepInMemory: (state) => {
        if (this.isAlive) machine.ram = state;
      },
    };
  }

  #peersHost(stateMachine: SimStateMachine): ConstructorParameters<typeof SimPeers>[0] {
    return {
      id: this.machine.id,
      stateMachine,
      snapshotMs: () => this.#chance.within(1, 100),
      later: (delayMs, work) => {
        this.plan(delayMs, work);
      },
      send: (parcel) => this.#send(parcel),
      maySend: () => this.#health?.maySendState !== false,
      keepsLog: () => this.#health?.isLogKept === true,
      onInstalled: (state) => {
        this.#world.count("snapshotsInstalled");
        this.#world.trace.note("installed", this.machine.id, [state.index, state.digest]);
        this.judge.history.loaded(state, this.machine.id);
      },
    };
  }

  #send(parcel: Parcel): void {
    const { witness } = this;
    if (!this.isAlive || witness === undefined) return;
    if (parcel.content !== undefined && this.#health?.isQuarantined === true) {
      this.judge.fail(`node ${this.machine.id} spreads a state that is known to be wrong`);
    }
    this.judge.sent(witness, parcel.message);
    this.#world.send(parcel);
  }

  /** A message has arrived. @returns whether somebody was there. */
  deliver(parcel: Parcel): boolean {
    const { message, content } = parcel;
    if (!this.isAlive || this.node === undefined || this.peers === undefined) return false;
    if (this.nowMs < this.pausedUntilMs) {
      // The kernel keeps it.
      this.plan(this.pausedUntilMs - this.nowMs, () => this.#take(message, content));
      return true;
    }
    this.#take(message, content);
    this.#world.settle(this);
    return true;
  }

  #take(message: Message, content: Uint8Array | undefined): void {
    if (message.kind === "snapshot" && content !== undefined) {
      this.peers?.receive(message.snapshot, content);
      this.#maybeCrashSoon();
    }
    this.#world.trace.note(
      message.kind,
      this.machine.id,
      numbersOf(message),
      () => textOf(message),
    );
    this.node?.loop.receive(message);
  }

  /** Installing is many steps, and seldom: a crash between any two of them must be harmless. */
  #maybeCrashSoon(): void {
    const { faults } = this.#world.options;
    if (this.#world.isCalm || faults.diskCrash === 0 || !this.#chance.happens(0.35)) return;
    this.machine.crashAtOperation = this.machine.disk.operationCount + this.#chance.within(1, 12);
  }

  /** Ends in order: no new work, what was begun is finished. */
  async stop(): Promise<void> {
    const { node, log } = this;
    if (node === undefined || log === undefined) return;
    await node.stop();
    await log.close();
    this.die("exit");
  }

  /** Something that was asked of the process has thrown what nobody expects. */
  failed(error: unknown): void {
    this.#onFatal(error);
  }

  #onFatal(error: unknown): void {
    if (!this.isAlive) return;
    const { machine } = this;
    this.#world.trace.note("fatal", machine.id, [], () => String(error));
    this.die("exit");
    if (error instanceof SimulatedCrash) return;
    if (error instanceof OperatingError && error.code === "disk_full") return;
    if (error instanceof FatalError && error.exitStatus === 74) return;
    const mayRefuse = machine.isSuspect || machine.isRolledBack;
    if (error instanceof FatalError && mayRefuse) {
      this.#world.count("damageRefused");
      machine.isLost = true;
      return;
    }
    const text = error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
    this.judge.fail(`node ${machine.id} ended: ${text}`);
  }

  #onOperation(operation: SimOperation): SimOutcome | undefined {
    const { machine } = this;
    if (!this.isAlive) return "crash";
    const { crashAtOperation } = machine;
    if (crashAtOperation !== undefined && operation.number >= crashAtOperation) {
      machine.crashAtOperation = undefined;
      return this.#crash(operation);
    }
    const isBooting = this.node === undefined;
    if (isBooting && this.#chance.happens(this.#world.bootCrash)) {
      this.#world.count("crashesInRecovery");
      return this.#crash(operation);
    }
    if (this.nowMs < machine.ioErrorsUntilMs && this.#chance.happens(0.3)) {
      const isSync = operation.kind === "sync" || operation.kind === "syncData";
      this.#world.count(isSync ? "syncErrors" : "writeErrors");
      return "EIO";
    }
    return undefined;
  }

  #crash(operation: SimOperation): SimOutcome {
    this.#world.count("diskCrashes");
    this.#world.trace.note(
      "crash_at",
      this.machine.id,
      [operation.number],
      () => `${operation.kind} ${operation.path}`,
    );
    this.die(this.#chance.happens(0.5) ? "power" : "exit");
    return "crash";
  }

  #delay(operation: SimOperation): Promise<void> {
    const { kind } = operation;
    if (kind !== "sync" && kind !== "syncData" && kind !== "syncDirectory") {
      return Promise.resolve();
    }
    const delayMs = this.#syncMs();
    return new Promise((resolve) => {
      this.plan(delayMs, resolve);
    });
  }

  #applyMs(): number {
    const { options, isCalm } = this.#world;
    if (isCalm) return 1;
    return this.nowMs < this.machine.lagsUntilMs ? LAG_MS : options.applyMs;
  }

  #syncMs(): number {
    const { options, isCalm } = this.#world;
    const [min, max] = options.syncMs;
    if (isCalm) return min + 0.1;
    const usual = min + this.#chance.below(max * 100 + 1) / 100;
    if (this.nowMs < this.machine.stalledUntilMs) return usual + this.#chance.within(200, 2000);
    if (this.#chance.happens(options.syncStall)) return usual + this.#chance.within(500, 3000);
    return this.nowMs < this.machine.slowUntilMs ? usual * 30 + 20 : usual;
  }
}

function numbersOf(message: Message): readonly number[] {
  const { from, term } = message;
  switch (message.kind) {
    case "append":
      return [from, term, message.prevIndex, message.entries.length, message.commit];
    case "append_response":
      return [from, term, message.index, message.rejection === undefined ? 0 : 1];
    case "vote_request":
      return [from, term, message.lastIndex, message.lastTerm];
    case "vote_response":
      return [from, term, message.isGranted ? 1 : 0];
    case "snapshot":
      return [from, term, message.snapshot.index];
    default:
      return [from, term];
  }
}

function textOf(message: Message): string {
  const text = JSON.stringify(message, (key, value: unknown) => {
    if (key === "payload" || key === "kind" || key === "to") return undefined;
    if (key === "entries" && Array.isArray(value)) return value.length;
    return value;
  });
  assert(text !== undefined, "textOf: no text");
  return text;
}
