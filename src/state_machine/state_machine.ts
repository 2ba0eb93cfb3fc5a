/**
 * The replicated state as the node sees it (node/ports.ts): SQLite behind its writer and reader
 * threads, on the main thread only bookkeeping and messages.
 * Not here: how the live file is found or rebuilt (open_state.ts).
 */
import { assert } from "../base/assert.ts";
import { runInBackground } from "../base/background.ts";
import { FatalError, OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex, term } from "../base/ids.ts";
import { APPLY_BATCH_BYTES_MAX } from "../base/limits.ts";
import type { QueryRequest, RequestBody } from "../command/request.ts";
import type {
  AppliedState,
  ApplyEntry,
  ApplyOutcome,
  QueryOutcome,
  SnapshotOutcome,
  StateDigest,
  StateExport,
  StateMachinePort,
  StateMachineStats,
  StateScan,
} from "../node/ports.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { FolderHold } from "../os/deno_folder_hold.ts";
import { FileReserve } from "../os/deno_file_reserve.ts";
import type { Library } from "../sqlite/library.ts";
import type { LibraryLocation } from "../sqlite/loader.ts";
import { hasRowDigest } from "../sqlite/row_digest.ts";
import { packBatch, packLargeEntry } from "./apply_batch.ts";
import { Comparisons, isCompareEntry } from "./comparisons.ts";
import { type CopiedState, copyOnThread } from "./copy_thread.ts";
import type { CopyRequest, CopyTarget } from "./copy_worker.ts";
import { ROOM_LOOK_MS } from "./limits.ts";
import { EntryWatch, Watchdog } from "./entry_watch.ts";
import { ReadGate } from "./read_gate.ts";
import { ReaderPool } from "./reader_pool.ts";
import {
  adoptFile,
  generationPath,
  outgoingPath,
  readStuckIndex,
  removeOlderGenerations,
  removeStuckIndex,
  removeUnused,
  requireFile,
  writeStuckIndex,
} from "./state_folders.ts";
import { StateScans } from "./state_scans.ts";
import { WriterMailbox } from "./writer_mailbox.ts";
import { type AppliedReply, unpackAnswers, type WriterState } from "./writer_messages.ts";
import { startWriterWorker, WriterThread } from "./writer_thread.ts";

/** A live file that is ready to be opened by the threads. */
export interface LiveState {
  readonly library: Library;
  readonly location: LibraryLocation;
  readonly path: string;
  readonly mode: "ram" | "disk";
  /** Whether the live file lies in memory. */
  readonly isRam: boolean;
  /** Keeps the live file's folder in memory from being removed; released when it is closed. */
  readonly hold?: FolderHold | undefined;
  readonly dataDirectory: string;
  /** The generation that the log names. */
  readonly generation: number;
  /** RAM mode: the index that generation's copy holds. Disk mode: 0, it is synced when opened. */
  readonly durableIndex: number;
  readonly foreignKeys: boolean;
  /** How the cluster began (command/genesis.ts). */
  readonly genesis?: Uint8Array | undefined;
  /** RAM mode: puts a generation's copy in place of the live file, which nobody has open. */
  readonly renew?: ((generation: number) => Promise<void>) | undefined;
}

/** How to run it. */
export interface StateMachineOptions {
  readonly live: LiveState;
  /** The writer's thread, when it was started ahead of time (`startWriterWorker`). */
  readonly writer?: Worker | undefined;
  readonly readers: number;
  readonly clock: Clock;
  /** How the writer is watched, for tests; as limits.ts has it otherwise. */
  readonly watchdog?: { readonly lookMs: number; readonly looksMax: number } | undefined;
  readonly onFatal: (error: unknown) => void;
}

/** Reasons that a voided entry is answered with. */
const TIMEOUT_REASON = "execute timeout";
const BUDGET_REASON = "statement was ended: it needs more steps than any write may take";

const STUCK_REASON = "statement was ended: nothing could interrupt it";

/** See the file's header. Made by `openStateMachine`. */
export class StateMachine implements StateMachinePort {
  readonly #options: StateMachineOptions;
  #live: LiveState;
  #writer: WriterThread;
  #pool: ReaderPool;
  #comparisons: Comparisons;
  #scans: StateScans;
  /** The digest behind a compare entry (rule V1); absent with a library that takes none. */
  readonly comparison?: (index: LogIndex) => Promise<StateDigest | undefined>;
  #applied: AppliedState;
  #durableIndex: LogIndex;
  /** The newest durable one that this state is, or has been copied to. */
  #generation: number;
  #lastGeneration: number;
  /** While another generation takes the place of this one: until it has. */
  #switching: Promise<void> | undefined;
  /** The copies that are being made of the live file. */
  readonly #copying = new Set<Promise<unknown>>();
  readonly #files: FileReserve;
  /** The entry from which an earlier process did not come back, until it is voided; 0 for none (rule A4b). */
  #stuckIndex = 0;
  #parkedTimeoutMs = 0;
  /** The last of the batches that others wait behind, or that wait: until it has been sent. */
  #turn: Promise<void> | undefined;
  #hasRoom = true;
  #roomTimer: Timer | undefined;
  #isClosed = false;

  /** Use `StateMachine.start`. */
  constructor(options: StateMachineOptions & { readonly files: FileReserve }, parts: Threads) {
    this.#options = options;
    this.#files = options.files;
    this.#live = options.live;
    this.#writer = parts.writer;
    this.#pool = parts.pool;
    this.#comparisons = parts.comparisons;
    this.#scans = parts.scans;
    if (hasRowDigest(options.live.library)) {
      this.comparison = (index) => this.#comparisons.digest(index);
    }
    this.#generation = options.live.generation;
    this.#lastGeneration = options.live.generation;
    this.#durableIndex = logIndex(options.live.durableIndex);
    const { configuration, members, featureLevel } = parts.state;
    assert(configuration !== undefined && members !== undefined, "StateMachine: no configuration");
    this.#applied = appliedState(parts.state, { configuration, members, featureLevel });
    this.#stuckIndex = parts.stuckIndex;
    this.#forgetStuck();
  }

  /** Starts the threads on a live file. */
  static async start(options: StateMachineOptions): Promise<StateMachine> {
    const { live, clock, writer = startWriterWorker() } = options;
    const files = new FileReserve(clock);
    const parts = await startThreads({ ...options, writer, files });
    const machine = new StateMachine({ ...options, files }, parts);
    // On a full disk the node starts all the same: it can be read.
    if (live.mode === "disk") await machine.#maybeSync();
    return machine;
  }

  get applied(): AppliedState {
    return this.#applied;
  }

  /** How the cluster began (command/genesis.ts). */
  get genesis(): Uint8Array {
    return this.#live.genesis ?? new Uint8Array(0);
  }

  get durableIndex(): LogIndex {
    return this.#durableIndex;
  }

  /** False while the live file has little room left to grow: new writes must be refused (rule A3). */
  get hasRoom(): boolean {
    return this.#hasRoom;
  }

  get isReading(): boolean {
    return this.#pool.inFlight > 0;
  }

  async apply(entries: readonly ApplyEntry[]): Promise<ApplyOutcome> {
    assert(entries.length > 0, "StateMachine.apply: no entries");
    const compareAt = this.comparison === undefined ? -1 : entries.findLastIndex(isCompareEntry);
    if (compareAt < 0 && !isLarge(entries) && this.#turn === undefined) {
      return this.#outcomeOf(await this.#writer.apply(packBatch(entries)));
    }
    const before = this.#turn;
    const { promise: turn, resolve } = Promise.withResolvers<void>();
    this.#turn = turn;
    const endTurn = (): void => {
      if (this.#turn === turn) this.#turn = undefined;
      resolve();
    };
    await before;
    if (compareAt < 0) return await this.#applyAlone(entries, endTurn);
    return await this.#applyAndCompare(entries, compareAt, endTurn);
  }

  /** What comes meanwhile goes behind it: the writer wants no gap. */
  async #applyAlone(entries: readonly ApplyEntry[], endTurn: () => void): Promise<ApplyOutcome> {
    const [first] = entries;
    const { clock } = this.#options;
    const batch = isLarge(entries) && entries.length === 1 && first !== undefined
      ? await packLargeEntry(first, () => clock.sleep(0))
      : packBatch(entries);
    const reply = this.#writer.apply(batch);
    endTurn();
    return this.#outcomeOf(await reply);
  }

  /** Nothing goes to the writer until the digest thread reads what is there behind the entry at `compareAt`. */
  async #applyAndCompare(
    entries: readonly ApplyEntry[],
    compareAt: number,
    endTurn: () => void,
  ): Promise<ApplyOutcome> {
    const stay = (): void => undefined;
    const first = await this.#applyAlone(entries.slice(0, compareAt + 1), stay);
    if (first.appliedIndex !== entries[compareAt]?.index) {
      endTurn();
      return first;
    }
    const pinned = this.#comparisons.begin(first.appliedIndex);
    const rest = entries.slice(compareAt + 1);
    if (rest.length === 0) {
      runInBackground(pinned.then(endTurn), this.#options.onFatal);
      return first;
    }
    await pinned;
    const second = await this.#applyAlone(rest, endTurn);
    return { ...second, results: [...first.results, ...second.results] };
  }

  #outcomeOf(reply: AppliedReply): ApplyOutcome {
    this.#advance(reply.state);
    this.#hasRoom = reply.hasRoom;
    this.#watchRoom();
    const { parked, isDiskFull } = reply;
    if (parked !== undefined) this.#parkedTimeoutMs = parked.timeoutMs;
    return {
      appliedIndex: this.#applied.index,
      results: unpackAnswers(reply.answers),
      parked: parked === undefined
        ? undefined
        : { index: logIndex(parked.index), timeoutMs: parked.timeoutMs },
      diskFull: isDiskFull,
    };
  }

  async tryParked(index: LogIndex): Promise<{ readonly ended: boolean; readonly reason: string }> {
    if (index === this.#stuckIndex) return { ended: false, reason: STUCK_REASON };
    const { isEnded } = await this.#writer.ask("tried", (id) => ({ kind: "try", id, index }));
    const reason = this.#parkedTimeoutMs > 0 ? TIMEOUT_REASON : BUDGET_REASON;
    return { ended: isEnded, reason };
  }

  isStuckAt(index: LogIndex): boolean {
    return index === this.#stuckIndex;
  }

  verdict(options: {
    readonly index: LogIndex;
    readonly verdict: "run" | "void";
    readonly reason: string;
  }): void {
    this.#writer.tell({ kind: "verdict", verdict: options });
  }

  async query(
    request: QueryRequest,
    options: { readonly unified: boolean },
  ): Promise<QueryOutcome> {
    if (this.#switching !== undefined) await this.#switching;
    return await this.#pool.query(request, options);
  }

  cancelQuery(id: number): void {
    this.#pool.cancel(id);
  }

  async encodeExecute(options: {
    readonly body: RequestBody;
    readonly transaction: boolean;
    readonly rows: boolean;
    readonly timeoutMs: number;
  }): Promise<Uint8Array | undefined> {
    if (this.#switching !== undefined) await this.#switching;
    return await this.#pool.encode(options);
  }

  async snapshot(): Promise<SnapshotOutcome> {
    const live = this.#live;
    if (live.mode === "disk") {
      const applied = this.#applied;
      if (await this.#maybeSync()) return { ...applied, generation: this.#generation };
      throw new OperatingError("disk_full", "Cannot sync the state: the disk is full");
    }
    const generation = ++this.#lastGeneration;
    const copied = await this.#copy({
      to: "generation",
      dataDirectory: live.dataDirectory,
      generation,
    });
    // Another generation may have come from a peer meanwhile, which is ahead of this copy.
    if (copied.index >= this.#durableIndex) {
      this.#generation = generation;
      this.#durableIndex = logIndex(copied.index);
    }
    return { ...appliedState(copied, copied), generation };
  }

  async exportState(): Promise<StateExport> {
    const path = outgoingPath(this.#live.dataDirectory, this.#applied.index);
    const copied = await this.#copy({ to: "file", path, isDurable: true });
    return { ...appliedState(copied, copied), path, sizeBytes: requireFile(path) };
  }

  dropExport(path: string): Promise<void> {
    return Promise.resolve().then(() => removeUnused(path));
  }

  async stageFile(path: string): Promise<SnapshotOutcome> {
    const { dataDirectory, location: library, renew } = this.#live;
    const place = { dataDirectory, generation: ++this.#lastGeneration };
    const from = adoptFile(path, place);
    const isCopy = renew !== undefined;
    const staged = await this.#onThread({ library, from, to: "nowhere", isCopy, ...place });
    return { ...appliedState(staged, staged), generation: place.generation };
  }

  async activateGeneration(generation: number): Promise<void> {
    const switching = this.#activate(generation);
    this.#switching = switching;
    await switching;
    this.#switching = undefined;
  }

  async #activate(generation: number): Promise<void> {
    await Promise.allSettled(this.#copying);
    await this.#scans.close();
    await this.#comparisons.close();
    await this.#pool.close();
    await this.#writer.ask("closed", (id) => ({ kind: "close", id }));
    this.#writer.end();
    const { renew, dataDirectory } = this.#live;
    await renew?.(generation);
    const path = renew === undefined
      ? generationPath({ dataDirectory, generation })
      : this.#live.path;
    this.#live = { ...this.#live, path, generation };
    const files = this.#files;
    const start = (): Promise<Threads> =>
      startThreads({ ...this.#options, live: this.#live, writer: startWriterWorker(), files });
    const { writer, pool, comparisons, scans, state } = await files.lend(
      start,
      (started) => started,
    );
    this.#writer = writer;
    this.#pool = pool;
    this.#comparisons = comparisons;
    this.#scans = scans;
    this.#generation = generation;
    this.#applied = movedOn(this.#applied, state);
    this.#durableIndex = this.#applied.index;
  }

  /** Copies the live file, which stays while that goes on. */
  async #copy(target: CopyTarget): Promise<CopiedState> {
    await this.#switching;
    const { location: library, path: from } = this.#live;
    const copy = this.#onThread({ library, from, ...target });
    this.#copying.add(copy);
    try {
      return await copy;
    } catch (error) {
      // As if a thread of its own had met it: the next start must not go on with this file.
      if (error instanceof FatalError && error.isStateDamaged) this.#options.onFatal(error);
      throw error;
    } finally {
      this.#copying.delete(copy);
    }
  }

  #onThread(request: CopyRequest): Promise<CopiedState> {
    return this.#files.lend(() => copyOnThread(request), (copy) => copy);
  }

  async scan(): Promise<StateScan | undefined> {
    await this.#switching;
    const { dataDirectory, renew, path: live } = this.#live;
    const generation = this.#generation;
    const isCopy = renew !== undefined;
    const place = { dataDirectory, generation };
    const path = isCopy ? generationPath(place) : live;
    const scanned = await this.#scans.scan(path, isCopy ? place : undefined);
    // What is no longer in use may be gone.
    if (scanned === undefined || generation !== this.#generation) return undefined;
    return { ...scanned, path, isCopy };
  }

  giveUpState(damage: string): void {
    const text = `The state on disk is damaged: ${damage}`;
    this.#options.onFatal(new FatalError(74, text, { isStateDamaged: true }));
  }

  releaseGenerations(generation: number): Promise<void> {
    this.#forgetStuck();
    const { dataDirectory } = this.#options.live;
    return Promise.resolve().then(() => removeOlderGenerations({ dataDirectory, generation }));
  }

  async stats(): Promise<StateMachineStats> {
    await this.#switching;
    const live = this.#live;
    const { stats } = await this.#writer.ask("stats", (id) => ({ kind: "stats", id }));
    this.#hasRoom = stats.hasRoom;
    this.#watchRoom();
    return {
      path: live.path,
      mode: live.mode,
      databaseBytes: stats.databaseBytes,
      walBytes: stats.walBytes,
      sqliteVersion: versionText(live.library.versionNumber),
      sqlitePinned: live.library.isPinned,
      compileOptions: live.library.compileOptions,
      readers: this.#pool.readers,
      queriesInFlight: this.#pool.inFlight,
      lastWriteIndex: stats.lastWriteIndex,
      foreignKeys: stats.foreignKeys,
    };
  }

  async close(): Promise<void> {
    this.#endWatch();
    await this.#switching;
    await this.#scans.close();
    await this.#comparisons.close();
    await this.#pool.close();
    await this.#writer.ask("closed", (id) => ({ kind: "close", id }));
    this.#writer.end();
    this.#options.live.hold?.release();
  }

  /** Ends the threads as they are, after `onFatal`: the process is about to end too. */
  async abandon(): Promise<void> {
    this.#endWatch();
    this.#scans.abandon();
    this.#comparisons.abandon();
    await this.#pool.close();
    this.#writer.end();
    this.#options.live.hold?.release();
  }

  /** While writes are refused for lack of room, no batch comes that would tell of more. */
  #watchRoom(): void {
    if (this.hasRoom || this.#isClosed || this.#roomTimer !== undefined) return;
    const { clock, onFatal } = this.#options;
    this.#roomTimer = clock.startTimer(ROOM_LOOK_MS, () => {
      this.#roomTimer = undefined;
      runInBackground(this.stats(), onFatal);
    });
  }

  #endWatch(): void {
    this.#isClosed = true;
    this.#roomTimer?.cancel();
    this.#files[Symbol.dispose]();
  }

  /** @returns false when the disk is full. */
  async #maybeSync(): Promise<boolean> {
    const { index } = await this.#writer.ask("synced", (id) => ({ kind: "sync", id }));
    if (index !== undefined) this.#durableIndex = logIndex(index);
    return index !== undefined;
  }

  #advance(state: WriterState): void {
    if (state.index === this.#applied.index) return;
    this.#applied = movedOn(this.#applied, state);
  }

  /** Not before a start goes on behind the entry: where it is met again it must park, or its verdict is not looked for. */
  #forgetStuck(): void {
    if (this.#stuckIndex === 0 || this.#durableIndex < this.#stuckIndex) return;
    this.#stuckIndex = 0;
    removeStuckIndex(this.#live.dataDirectory);
  }
}

function isLarge([first]: readonly ApplyEntry[]): boolean {
  return first !== undefined && first.payload.length > APPLY_BATCH_BYTES_MAX;
}

/** The threads of a live file, started. */
interface Threads {
  readonly writer: WriterThread;
  readonly pool: ReaderPool;
  readonly comparisons: Comparisons;
  readonly scans: StateScans;
  readonly state: WriterState;
  readonly stuckIndex: number;
}

async function startThreads(
  options: StateMachineOptions & { readonly writer: Worker; readonly files: FileReserve },
): Promise<Threads> {
  const { live, readers, clock, files, onFatal } = options;
  const { library, location, path, foreignKeys, isRam } = live;
  const gate = ReadGate.allocate();
  const setup = { library, location, path, foreignKeys, gate };
  const pool = new ReaderPool({ setup, readers, clock, files, onFatal });
  const comparisons = new Comparisons({ location, path, gate, files, onFatal });
  const scans = new StateScans({ location, gate, files });
  const { dataDirectory } = live;
  const watch = EntryWatch.allocate();
  const onStuck = (index: number): void => {
    writeStuckIndex(dataDirectory, index);
    onFatal(new FatalError(74, `Cannot end entry ${index}: the next start asks to have it voided`));
  };
  const watchdog = new Watchdog({ memory: watch, clock, onStuck, ...options.watchdog });
  const listener = { onReadersInTheWay: () => pool.interruptOldest(), onFatal };
  const mailbox = WriterMailbox.allocate();
  const writer = new WriterThread(options.writer, listener, { watchdog, mailbox });
  const stuckIndex = readStuckIndex(dataDirectory);
  const synchronous = live.mode === "disk" ? "normal" as const : "off" as const;
  const file = { library: location, path, synchronous, isRam } as const;
  const opening = { kind: "open", ...file, gate, watch, mailbox, stuckIndex } as const;
  const { state } = await writer.ask("opened", (id) => ({ ...opening, id }));
  return { writer, pool, comparisons, scans, state, stuckIndex };
}

/** What a writer says now, with what it has said before and does not repeat. */
function movedOn(before: AppliedState, state: WriterState): AppliedState {
  return appliedState(state, {
    configuration: state.configuration ?? before.configuration,
    members: state.members ?? before.members,
    featureLevel: state.featureLevel ?? before.featureLevel,
  });
}

function appliedState(
  state: Pick<WriterState, "index" | "term" | "entryChain" | "timeMs">,
  cluster: Pick<AppliedState, "configuration" | "members" | "featureLevel">,
): AppliedState {
  return {
    index: logIndex(state.index),
    term: term(state.term),
    entryChain: state.entryChain,
    configuration: cluster.configuration,
    members: cluster.members,
    featureLevel: cluster.featureLevel,
    timeMs: state.timeMs,
  };
}

function versionText(versionNumber: number): string {
  const major = Math.floor(versionNumber / 1_000_000);
  const minor = Math.floor(versionNumber / 1000) % 1000;
  return `${major}.${minor}.${versionNumber % 1000}`;
}
