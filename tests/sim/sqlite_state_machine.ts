/**
 * Real SQLite in the simulation: production's writer and batch runner, in this thread and at once, over a
 * real file, as RAM mode has it. The file outlives the process and no power cut; generations are copies of
 * it on the simulated disk, which a start goes back to.
 * Bytes of a copy: an encoded state without registers (model_state.ts) | CRC-32C u32 | length u32 | the
 * database. The state's digest is the result chain, so replicas that answered differently differ.
 */
import { assert } from "../../src/base/assert.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import { entryChainText, nextEntryChain } from "../../src/base/entry_chain.ts";
import { FatalError } from "../../src/base/errors.ts";
import { type LogIndex, logIndex, term } from "../../src/base/ids.ts";
import type {
  AppliedState,
  ApplyEntry,
  ApplyOutcome,
  SnapshotOutcome,
  StateDigest,
  StateMachineStats,
} from "../../src/node/ports.ts";
import { Connection } from "../../src/sqlite/connection.ts";
import { setSwitches } from "../../src/sqlite/settings.ts";
import { hasRowDigest } from "../../src/sqlite/row_digest.ts";
import { testLibrary } from "../../src/sqlite/testing.ts";
import { ApplyBatch, packBatch } from "../../src/state_machine/apply_batch.ts";
import { SOFT_LIMIT_STEPS_DEFAULT } from "../../src/state_machine/replicated_limits.ts";
import { isCompareEntry } from "../../src/state_machine/comparisons.ts";
import { digestState } from "../../src/state_machine/state_digest.ts";
import { copyState } from "../../src/state_machine/state_file.ts";
import { createState } from "../../src/state_machine/state_record.ts";
import { contentOf } from "../../src/state_machine/testing.ts";
import { Writer } from "../../src/state_machine/writer.ts";
import { appliedOf, decodeState, encodeState, type ModelState } from "./model_state.ts";
import { Generations, type SimStateMachine, type StateHost, Turns } from "./state_host.ts";

const CLUSTER_ID = new Uint8Array(16).fill(7);
const HEAD_BYTES = 8;
const SLICE_BYTES = 2 ** 30;
const NO_VALUES: ModelState["values"] = new Map();

/** See the file's header. */
export class SqliteStateMachine implements SimStateMachine {
  readonly #host: StateHost;
  readonly #turns: Turns;
  readonly #generations: Generations;
  readonly #path: string;
  #writer: Writer;
  #generation: number;
  #durableIndex: LogIndex;
  /** Of the newest entry that asked for one. */
  #digest: StateDigest | undefined;
  #isOpen = true;

  constructor(options: {
    readonly host: StateHost;
    readonly generations: Generations;
    readonly generation: number;
    readonly durableIndex: LogIndex;
    readonly path: string;
  }) {
    this.#host = options.host;
    this.#turns = new Turns(options.host);
    this.#generations = options.generations;
    this.#generation = options.generation;
    this.#durableIndex = options.durableIndex;
    this.#path = options.path;
    this.#writer = openWriter(options.path);
  }

  /** Opens the file that memory has kept, or a copy of `generation`. @throws {FatalError} (65) when that is damaged. */
  static async open(
    host: StateHost,
    generation: number,
    kept: ModelState | undefined,
  ): Promise<SqliteStateMachine> {
    const generations = await Generations.open(host, generation);
    const { state, database } = decodeCopy(generations.read(generation));
    const path = `${host.realFolder()}/live`;
    if (kept === undefined) putDatabase(path, database);
    return new SqliteStateMachine({
      host,
      generations,
      generation,
      durableIndex: state.index,
      path,
    });
  }

  get state(): ModelState {
    const { record, configuration } = this.#writer;
    const { high, low } = record.resultChain;
    return {
      index: logIndex(record.appliedIndex),
      term: term(record.appliedTerm),
      chain: record.entryChain,
      configuration,
      taint: 0,
      digest: (high ^ low) >>> 0,
      values: NO_VALUES,
    };
  }

  get applied(): AppliedState {
    return appliedOf(this.state);
  }

  get durableIndex(): LogIndex {
    return this.#durableIndex;
  }

  /** All that SQL can see of the database. */
  get text(): string {
    return contentOf(this.#path);
  }

  apply(entries: readonly ApplyEntry[]): Promise<ApplyOutcome> {
    return this.#turns.take(() => this.#apply(entries));
  }

  #apply(entries: readonly ApplyEntry[]): ApplyOutcome {
    const compareAt = entries.findLastIndex(isCompareEntry);
    if (compareAt < 0) return this.#applyBatch(entries);
    const first = this.#applyBatch(entries.slice(0, compareAt + 1));
    this.#digest = this.#takeDigest();
    const rest = entries.slice(compareAt + 1);
    if (rest.length === 0) return first;
    const second = this.#applyBatch(rest);
    return { ...second, results: [...first.results, ...second.results] };
  }

  /** The digest behind the newest entry that asked for one, taken when that was applied. */
  comparison(index: LogIndex): Promise<StateDigest | undefined> {
    return Promise.resolve(this.#digest?.index === index ? this.#digest : undefined);
  }

  #takeDigest(): StateDigest | undefined {
    const library = testLibrary();
    if (!hasRowDigest(library)) return undefined;
    using connection = Connection.open(library, { path: this.#path, mode: "readwrite" });
    setSwitches(connection, { noCheckpointOnClose: true });
    connection.exec("BEGIN");
    const { appliedIndex, resultChain } = this.#writer.record;
    const slices = digestState(connection, { sliceBytes: SLICE_BYTES });
    let slice = slices.next();
    while (slice.done !== true) slice = slices.next();
    const index = logIndex(appliedIndex);
    return { index, resultChain: entryChainText(resultChain), content: slice.value };
  }

  #applyBatch(entries: readonly ApplyEntry[]): ApplyOutcome {
    const before = this.#writer.record;
    let chain = before.entryChain;
    let { configuration } = this.#writer;
    assert(entries[0]?.index === before.appliedIndex + 1, "SqliteStateMachine: not the next entry");
    const { answers, parked, isDiskFull } = this.#writer.apply(new ApplyBatch(packBatch(entries)));
    assert(parked === undefined && !isDiskFull, "SqliteStateMachine: a batch stopped short");
    const { state } = this;
    for (const entry of entries) {
      const { index, term, payload } = entry;
      chain = nextEntryChain(chain, { index, term, payload });
      configuration = entry.configuration ?? configuration;
      const digest = index === state.index ? state.digest : undefined;
      this.#host.onApplied(entry, { index, term, chain, configuration, digest });
    }
    this.#host.keepInMemory(state);
    return { appliedIndex: state.index, results: answers, parked: undefined, diskFull: false };
  }

  tryParked(): Promise<never> {
    throw new Error("SqliteStateMachine: nothing parks");
  }

  verdict(): void {
    throw new Error("SqliteStateMachine: nothing parks");
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

  content(): Uint8Array {
    return encodeCopy(this.state, readDatabase(this.#path));
  }

  async snapshot(): Promise<SnapshotOutcome> {
    const { state, bytes } = await this.#turns.take(() => {
      return { state: this.state, bytes: this.content() };
    });
    const generation = await this.#generations.write(bytes);
    this.#durableIndex = state.index;
    return { ...appliedOf(state), generation };
  }

  async stageContent(bytes: Uint8Array): Promise<SnapshotOutcome> {
    const { state } = decodeCopy(bytes);
    const generation = await this.#generations.write(bytes);
    return { ...appliedOf(state), generation };
  }

  switchTo(generation: number): ModelState {
    const { database } = decodeCopy(this.#generations.read(generation));
    this.#writer[Symbol.dispose]();
    putDatabase(this.#path, database);
    this.#writer = openWriter(this.#path);
    const { state } = this;
    this.#generation = generation;
    this.#durableIndex = state.index;
    this.#digest = undefined;
    this.#host.keepInMemory(state);
    return state;
  }

  async releaseGenerations(generation: number): Promise<void> {
    await this.#generations.release(generation, this.#generation);
  }

  stats(): Promise<StateMachineStats> {
    return Promise.resolve({
      path: this.#path,
      mode: "ram",
      databaseBytes: 512,
      walBytes: 0,
      sqliteVersion: "",
      sqlitePinned: true,
      compileOptions: [],
      readers: 0,
      queriesInFlight: 0,
      lastWriteIndex: this.#writer.record.lastWriteIndex,
      foreignKeys: false,
    });
  }

  close(): Promise<void> {
    this.abandon();
    return Promise.resolve();
  }

  abandon(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#writer[Symbol.dispose]();
  }
}

/** The first state, as bytes of generation 1. */
export function firstCopy(state: ModelState, folder: string): Uint8Array {
  const path = `${folder}/first`;
  removeDatabase(path);
  {
    using connection = Connection.open(testLibrary(), { path, mode: "create" });
    const { index, term, chain, configuration } = state;
    createState(connection, {
      identity: { clusterId: CLUSTER_ID, configuration },
      record: {
        appliedIndex: index,
        appliedTerm: term,
        entryChain: chain,
        resultChain: { high: 0, low: state.digest },
        lastTimeMs: 0,
        logClockMs: 0,
        lastInsertId: 0,
        rowsAffected: 0,
        lastWriteIndex: 0,
        foreignKeys: true,
        softLimitSteps: SOFT_LIMIT_STEPS_DEFAULT,
        featureLevel: 1,
      },
    });
  }
  return encodeCopy(state, Deno.readFileSync(path));
}

function openWriter(path: string): Writer {
  return new Writer({
    library: testLibrary(),
    path,
    synchronous: "off",
    nowMs: () => 0,
    sleepMs: () => undefined,
  });
}

/** A copy of one point in time, through SQLite (rule Q15). */
function readDatabase(path: string): Uint8Array {
  const to = `${path}-copy`;
  removeDatabase(to);
  copyState(testLibrary(), { from: path, to, isDurable: true });
  return Deno.readFileSync(to);
}

function putDatabase(path: string, database: Uint8Array): void {
  removeDatabase(path);
  Deno.writeFileSync(path, database);
}

function removeDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) {
    try {
      Deno.removeSync(path + suffix);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

function encodeCopy(state: ModelState, database: Uint8Array): Uint8Array {
  const head = encodeState(state);
  const bytes = new Uint8Array(head.length + HEAD_BYTES + database.length);
  bytes.set(head);
  bytes.set(database, head.length + HEAD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(head.length + 4, database.length);
  view.setUint32(head.length, crc32c(bytes, 0, head.length + 4, bytes.length));
  return bytes;
}

/** @throws {FatalError} (65) when a bit is wrong. */
function decodeCopy(
  bytes: Uint8Array,
): { readonly state: ModelState; readonly database: Uint8Array } {
  const found = decodeState(bytes, 0);
  const at = found?.sizeBytes ?? 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isWhole = found !== undefined && at + HEAD_BYTES <= bytes.length &&
    at + HEAD_BYTES + view.getUint32(at + 4) === bytes.length &&
    crc32c(bytes, 0, at + 4, bytes.length) === view.getUint32(at);
  if (!isWhole) throw new FatalError(65, "Cannot use a copy of the state: it is damaged");
  return { state: found.state, database: bytes.subarray(at + HEAD_BYTES) };
}
