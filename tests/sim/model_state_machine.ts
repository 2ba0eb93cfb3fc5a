/**
 * The model behind the node's state machine port, on the simulated disk as SQLite would be.
 * A generation is a file of states back to back, each whole and with its applied index inside, the
 * last whole one counts. Disk mode appends one with every batch and syncs for a snapshot; RAM mode keeps
 * the state in memory, which outlives the process but no power cut, and a snapshot is a new generation.
 */
import { assert } from "../../src/base/assert.ts";
import { FatalError, OperatingError } from "../../src/base/errors.ts";
import { type LogIndex, logIndex } from "../../src/base/ids.ts";
import type {
  AppliedState,
  ApplyEntry,
  ApplyOutcome,
  SnapshotOutcome,
  StateDigest,
  StateMachineStats,
} from "../../src/node/ports.ts";
import { type File, joinPath } from "../../src/os/file_system.ts";
import {
  appliedOf,
  applyEntry,
  decodeModelCommand,
  decodeState,
  encodeState,
  isCompareEntry,
  type ModelState,
  type Weight,
} from "./model_state.ts";
import { Generations, type SimStateMachine, type StateHost, Turns } from "./state_host.ts";

/** See the file's header. */
export class ModelStateMachine implements SimStateMachine {
  readonly #host: StateHost;
  readonly #turns: Turns;
  readonly #generations: Generations;
  #state: ModelState;
  #generation: number;
  #file: File;
  #fileEnd: number;
  #durableIndex: LogIndex;
  #verdict: { readonly index: number; readonly isVoid: boolean } | undefined;
  #parkedWeight: Weight = "light";
  /** The last batch stopped short: for a verdict, or for room. */
  #hasStopped = false;
  /** Behind entries that want one, until somebody asks. */
  readonly #digests = new Map<LogIndex, StateDigest>();

  constructor(options: {
    readonly host: StateHost;
    readonly state: ModelState;
    readonly generation: number;
    readonly generations: Generations;
    readonly file: File;
    readonly fileEnd: number;
  }) {
    this.#host = options.host;
    this.#state = options.state;
    this.#generation = options.generation;
    this.#generations = options.generations;
    this.#turns = new Turns(options.host);
    this.#file = options.file;
    this.#fileEnd = options.fileEnd;
    this.#durableIndex = options.state.index;
  }

  /**
   * Opens `generation`. `kept` is what memory has, if it is of the log's own history: it counts.
   * @throws {FatalError} (65) when nothing whole is in the file.
   */
  static async open(
    host: StateHost,
    generation: number,
    kept: ModelState | undefined,
  ): Promise<ModelStateMachine> {
    const { fileSystem } = host;
    const generations = await Generations.open(host, generation);
    const path = generations.path(generation);
    const file = fileSystem.openSync(path, "write");
    const bytes = new Uint8Array(file.sizeSync());
    file.readSync(bytes, 0);
    let fileEnd = 0;
    let state: ModelState | undefined;
    for (let found = decodeState(bytes, 0); found !== undefined;) {
      if (state !== undefined && found.state.index <= state.index) break;
      state = found.state;
      fileEnd += found.sizeBytes;
      found = decodeState(bytes, fileEnd);
    }
    if (state === undefined) throw new FatalError(65, `Cannot open ${path}: no whole state in it`);
    // What a dead process wrote may not be durable yet, and after a failed sync no other one would help.
    file.writeSync(bytes.subarray(0, fileEnd), 0);
    await file.syncData();
    const machine = new ModelStateMachine({ host, state, generation, generations, file, fileEnd });
    // As open_state.ts: what memory has and the durable copy is ahead of is of no use.
    if (kept !== undefined && kept.index >= state.index) machine.#state = kept;
    return machine;
  }

  get state(): ModelState {
    return this.#state;
  }

  content(): Uint8Array {
    return encodeState(this.#state);
  }

  abandon(): void {
    // Nothing of it is outside of the simulation.
  }

  /** The state becomes another one, as by a bad disk or a bug. Durable with the next batch. */
  taint(taint: number): void {
    this.#state = { ...this.#state, taint };
    if (this.#host.mode === "ram") this.#host.keepInMemory(this.#state);
  }

  async comparison(index: LogIndex): Promise<StateDigest | undefined> {
    const digest = this.#digests.get(index);
    this.#digests.clear();
    const takesMs = this.#host.chance.within(1, 300);
    await new Promise<void>((resolve) => this.#host.later(takesMs, resolve));
    return digest;
  }

  get applied(): AppliedState {
    return appliedOf(this.#state);
  }

  get durableIndex(): LogIndex {
    return this.#durableIndex;
  }

  apply(entries: readonly ApplyEntry[]): Promise<ApplyOutcome> {
    return this.#turns.take(() => this.#apply(entries));
  }

  #apply(entries: readonly ApplyEntry[]): ApplyOutcome {
    const results: (string | { readonly error: string } | undefined)[] = [];
    const outcome = (more: Partial<ApplyOutcome>): ApplyOutcome => {
      return {
        appliedIndex: this.#state.index,
        results,
        parked: undefined,
        diskFull: false,
        ...more,
      };
    };
    if (entries[0]?.index !== this.#state.index + 1) {
      // Sent behind an entry at which the batch before stopped: it comes again.
      assert(this.#hasStopped, "ModelStateMachine: a batch is out of order");
      return outcome({});
    }
    this.#hasStopped = false;
    let state = this.#state;
    const steps: { readonly entry: ApplyEntry; readonly state: ModelState }[] = [];
    let parked: ApplyOutcome["parked"];
    for (const entry of entries) {
      if (this.#parks(entry)) {
        this.#parkedWeight = decodeModelCommand(entry)?.weight ?? "light";
        parked = { index: entry.index, timeoutMs: 100 };
        this.#hasStopped = true;
        break;
      }
      const isVoid = this.#verdict?.index === entry.index && this.#verdict.isVoid;
      state = applyEntry(state, entry, { isVoid });
      steps.push({ entry, state });
    }
    if (!this.#commit(state)) {
      this.#hasStopped = true;
      return outcome({ diskFull: true });
    }
    for (const step of steps) {
      this.#host.onApplied(step.entry, step.state);
      if (isCompareEntry(step.entry)) this.#takeDigest(step.state);
      results.push(resultOf(step.entry));
    }
    this.#state = state;
    if (this.#host.mode === "ram") this.#host.keepInMemory(state);
    return outcome({ parked });
  }

  #takeDigest({ index, digest, taint }: ModelState): void {
    const content = `${digest}/${taint}`;
    this.#digests.set(index, { index, resultChain: String(digest), content });
  }

  /**
   * Rule A4: past the soft limit nobody commits without a verdict. No entry is near the limit: where one
   * replica passes it and the leader does not, nothing in the node asks for a verdict.
   */
  #parks(entry: ApplyEntry): boolean {
    const weight = decodeModelCommand(entry)?.weight ?? "light";
    return weight !== "light" && this.#verdict?.index !== entry.index;
  }

  /** Disk mode: one commit with its index (rule A2). @returns false when the disk is full. */
  #commit(state: ModelState): boolean {
    if (this.#host.mode === "ram" || state === this.#state) return true;
    const bytes = encodeState(state);
    try {
      this.#file.writeSync(bytes, this.#fileEnd);
    } catch (error) {
      if (error instanceof OperatingError && error.code === "disk_full") return false;
      throw error;
    }
    this.#fileEnd += bytes.length;
    return true;
  }

  tryParked(_index: LogIndex): Promise<{ readonly ended: boolean; readonly reason: string }> {
    return this.#turns.take(() => {
      // Only what nobody can have committed without a verdict may pass the hard limit.
      const ended = this.#parkedWeight === "heavy" || this.#host.chance.happens(0.5);
      return ended ? { ended, reason: "" } : { ended, reason: "too long" };
    });
  }

  verdict(options: {
    readonly index: LogIndex;
    readonly verdict: "run" | "void";
    readonly reason: string;
  }): void {
    this.#host.onVerdict();
    this.#verdict = { index: options.index, isVoid: options.verdict === "void" };
  }

  query(): Promise<never> {
    throw new Error("Reads of the simulation look at `state`");
  }

  cancelQuery(_id: number): void {
    // There are no queries.
  }

  encodeExecute(): Promise<Uint8Array | undefined> {
    return Promise.resolve(undefined);
  }

  async snapshot(): Promise<SnapshotOutcome> {
    const state = await this.#turns.take(() => this.#state);
    if (this.#host.mode === "ram") {
      const generation = await this.#generations.write(encodeState(state));
      this.#durableIndex = state.index;
      return { ...appliedOf(state), generation };
    }
    const generation = this.#generation;
    const path = joinPath(this.#host.directory, String(generation));
    const handle = this.#host.fileSystem.openSync(path, "write");
    await handle.syncData();
    handle.close();
    this.#durableIndex = logIndex(Math.max(this.#durableIndex, state.index));
    return { ...appliedOf(state), generation };
  }

  async stageContent(bytes: Uint8Array): Promise<SnapshotOutcome> {
    const found = decodeState(bytes, 0);
    if (found === undefined) throw new FatalError(65, "Cannot stage a snapshot: it is damaged");
    const generation = await this.#generations.write(bytes);
    return { ...appliedOf(found.state), generation };
  }

  switchTo(generation: number): ModelState {
    const { fileSystem, directory } = this.#host;
    const file = fileSystem.openSync(joinPath(directory, String(generation)), "write");
    const bytes = new Uint8Array(file.sizeSync());
    file.readSync(bytes, 0);
    const found = decodeState(bytes, 0);
    if (found === undefined) {
      throw new FatalError(65, "Cannot activate a generation: it is damaged");
    }
    this.#file.close();
    this.#file = file;
    this.#fileEnd = found.sizeBytes;
    this.#generation = generation;
    this.#state = found.state;
    this.#durableIndex = found.state.index;
    this.#verdict = undefined;
    this.#hasStopped = false;
    if (this.#host.mode === "ram") this.#host.keepInMemory(found.state);
    return found.state;
  }

  async releaseGenerations(generation: number): Promise<void> {
    await this.#generations.release(generation, this.#generation);
  }

  stats(): Promise<StateMachineStats> {
    return Promise.resolve({
      path: this.#host.directory,
      mode: this.#host.mode,
      databaseBytes: 512,
      walBytes: 0,
      sqliteVersion: "",
      sqlitePinned: true,
      compileOptions: [],
      readers: 0,
      queriesInFlight: 0,
      lastWriteIndex: this.#state.index,
      foreignKeys: false,
    });
  }

  close(): Promise<void> {
    this.#file.close();
    return Promise.resolve();
  }
}

function resultOf(entry: ApplyEntry): string | { readonly error: string } | undefined {
  if (entry.format === undefined) return undefined;
  const command = decodeModelCommand(entry);
  if (command === undefined) return "";
  return command.fails ? { error: `failed ${command.id}` } : String(command.id);
}
