/**
 * One write and one fsync to the log at a time (rule D6): what comes while an fsync runs waits, and
 * goes out together in the next one. That is the group commit (architecture, section 5).
 */
import { assert } from "../base/assert.ts";
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import { LARGE_ENTRY_BYTES } from "../base/limits.ts";
import type { Clock } from "../os/clock.ts";
import type { EntryTail } from "./entry_tail.ts";
import type { HardState, LogEntry, LogPort } from "./ports.ts";

/** How long to wait before entries that met a full disk are written again. */
const DISK_FULL_RETRY_MS = 250;

/**
 * So many syncs in a row that found the thread idle, and the next one may block it. A single one tells
 * nothing: of many writes that come together the first is alone, too.
 */
const IDLE_SYNCS_MIN = 8;

/** One batch from the engine, and what to do once it is durable. */
export interface AppendWork {
  readonly entries: readonly LogEntry[];
  readonly hardState: HardState;
  /** False when only the commit index changed: it waits for the next write (rule D2 holds on start). */
  readonly mustSync: boolean;
  /** Called on the node's loop, in order, once this and all earlier work is durable. */
  readonly onDurable: () => void;
}

/** Something else that is done to the log, alone with it. */
interface Task {
  readonly run: () => Promise<void>;
  readonly refuse: (error: OperatingError) => void;
}

/** See the file's header. */
export class AppendQueue {
  readonly #log: LogPort;
  readonly #tail: EntryTail;
  readonly #clock: Clock;
  readonly #isIdle: () => boolean;
  readonly #onFatal: (error: unknown) => void;
  /** In order; a task waits for all work before it and holds back all work behind it. */
  #waiting: (AppendWork | Task)[] = [];
  #busy = false;
  #diskFull = false;
  #isStopping = false;
  /** Entries were dropped: none may follow them. */
  #isGivenUp = false;
  #idle: (() => void)[] = [];
  #syncCount = 0;
  #idleSyncs = 0;

  constructor(options: {
    readonly log: LogPort;
    readonly tail: EntryTail;
    readonly clock: Clock;
    /** Asked before each fsync: whether nothing else needs this thread while it lasts. */
    readonly isIdle: () => boolean;
    readonly onFatal: (error: unknown) => void;
  }) {
    this.#log = options.log;
    this.#tail = options.tail;
    this.#clock = options.clock;
    this.#isIdle = options.isIdle;
    this.#onFatal = options.onFatal;
  }

  /** Whether an fsync runs or waits. */
  get isBusy(): boolean {
    return this.#busy;
  }

  /** True while entries wait for room on the disk: new writes are refused before they are proposed. */
  get isDiskFull(): boolean {
    return this.#diskFull;
  }

  /** Fsyncs since the start. */
  get syncCount(): number {
    return this.#syncCount;
  }

  /** Adds work; it starts at once when nothing runs. */
  add(work: AppendWork): void {
    if (this.#isGivenUp) return;
    this.#waiting.push(work);
    this.#next();
  }

  /** Runs `task` behind all that was added before, alone with the log, for example to save a marker. */
  runExclusive(task: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isGivenUp) return reject(fullDisk());
      this.#waiting.push({ run: () => task().then(resolve, reject), refuse: reject });
      this.#next();
    });
  }

  /** From now on nothing waits for room: what meets a full disk is dropped, as in a crash. */
  stop(): void {
    this.#isStopping = true;
  }

  /** Resolves when nothing runs and nothing waits. */
  untilIdle(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  #next(): void {
    if (this.#busy) return;
    const first = this.#waiting[0];
    if (first !== undefined && "run" in first) {
      this.#waiting.shift();
      return this.#run(first.run());
    }
    const works = this.#worksBeforeTask();
    if (works.some((work) => work.mustSync)) return this.#write(works);
    this.#waiting.splice(0, works.length);
    for (const work of works) work.onDurable();
    if (this.#busy) return;
    if (this.#waiting.length > 0) return this.#next();
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #worksBeforeTask(): readonly AppendWork[] {
    const works: AppendWork[] = [];
    for (const each of this.#waiting) {
      if ("run" in each) break;
      works.push(each);
    }
    return works;
  }

  /** Idle before it tells of what became durable: whoever has waited for that may have more. */
  #run(task: Promise<readonly AppendWork[] | void>): void {
    this.#busy = true;
    const done = task.then((durable) => {
      this.#busy = false;
      for (const work of durable ?? []) work.onDurable();
      this.#next();
    });
    runInBackground(done, this.#onFatal);
  }

  #write(works: readonly AppendWork[]): void {
    const last = works.at(-1);
    assert(last !== undefined, "AppendQueue: nothing to write");
    const entries = joinEntries(works);
    const written = { entries, hardState: last.hardState };
    if (entries.some(({ payload }) => payload.length >= LARGE_ENTRY_BYTES)) {
      const appended = this.#log.appendLarge?.(written);
      if (appended !== undefined) return this.#run(this.#syncLarge(appended, works, entries));
    }
    try {
      this.#log.append(written);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      return this.#run(this.#retryLater());
    }
    this.#run(this.#sync(works, entries));
  }

  #sync(
    works: readonly AppendWork[],
    entries: readonly LogEntry[],
  ): Promise<readonly AppendWork[]> {
    this.#diskFull = false;
    this.#waiting.splice(0, works.length);
    this.#tail.add(entries);
    this.#syncCount += 1;
    this.#idleSyncs = this.#isIdle() ? this.#idleSyncs + 1 : 0;
    const mayBlock = this.#idleSyncs > IDLE_SYNCS_MIN;
    return this.#log.sync({ mayBlock }).then(() => works);
  }

  async #syncLarge(
    appended: Promise<void>,
    works: readonly AppendWork[],
    entries: readonly LogEntry[],
  ): Promise<readonly AppendWork[]> {
    try {
      await appended;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      await this.#retryLater();
      return [];
    }
    return await this.#sync(works, entries);
  }

  /** Nothing was written. The same entries go again: they may be promised to nobody, but they are proposed. */
  async #retryLater(): Promise<void> {
    this.#diskFull = true;
    if (this.#isStopping) this.#dropAll();
    else await this.#clock.sleep(DISK_FULL_RETRY_MS);
  }

  #dropAll(): void {
    this.#isGivenUp = true;
    for (const each of this.#waiting.splice(0)) if ("run" in each) each.refuse(fullDisk());
  }
}

function isDiskFull(error: unknown): boolean {
  return error instanceof OperatingError && error.code === "disk_full";
}

function fullDisk(): OperatingError {
  return new OperatingError("disk_full", "Cannot write to the log: the disk is full");
}

/** Entries of several batches in a row; a later batch that begins earlier replaces (Raft figure 7). */
function joinEntries(works: readonly AppendWork[]): readonly LogEntry[] {
  const only = works[0];
  if (works.length === 1 && only !== undefined) return only.entries;
  const joined: LogEntry[] = [];
  for (const { entries } of works) {
    const first = entries[0];
    const begin = joined[0];
    if (first === undefined) continue;
    if (begin !== undefined) {
      joined.length = Math.max(0, Math.min(joined.length, first.index - begin.index));
    }
    for (const entry of entries) joined.push(entry);
  }
  return joined;
}
