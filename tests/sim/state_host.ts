/**
 * What the simulated state machines share: what they ask of their process, the writer's thread as a queue
 * in simulated time, and generations, which are whole files on the simulated disk (rule S2).
 * Two machines stand on it: a model of a database (model_state_machine.ts) and SQLite itself
 * (sqlite_state_machine.ts).
 */
import { OperatingError } from "../../src/base/errors.ts";
import type { ApplyEntry, SnapshotOutcome, StateMachinePort } from "../../src/node/ports.ts";
import { type FileSystem, joinPath } from "../../src/os/file_system.ts";
import type { Chance } from "./chance.ts";
import type { ModelState } from "./model_state.ts";

/** A state right behind an entry. Without a digest where nobody can look: within a batch of SQLite's. */
export type AppliedHere = Pick<ModelState, "index" | "term" | "chain" | "configuration"> & {
  readonly digest: number | undefined;
};

/** What a state machine needs of its process. */
export interface StateHost {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  /** A real folder, for real SQLite. @throws when the run has none. */
  realFolder(): string;
  readonly mode: "ram" | "disk";
  readonly chance: Chance;
  /** The longest that a batch takes. */
  applyMs(): number;
  /** Runs `work` in simulated milliseconds, unless the process dies before. */
  later(delayMs: number, work: () => void): void;
  readonly nowMs: number;
  /** A state is complete: entry by entry, in order. */
  onApplied(entry: ApplyEntry, state: AppliedHere): void;
  /** The log's word on a parked entry has come. */
  onVerdict(): void;
  /** Memory that outlives the process. */
  keepInMemory(state: ModelState): void;
}

/** A state machine as the simulation sees it. */
export interface SimStateMachine extends StateMachinePort {
  /** The state as reads see it. */
  readonly state: ModelState;
  /** The whole state as bytes, to be sent or kept. */
  content(): Uint8Array;
  /** A received state becomes a generation of its own (rule S2). */
  stageContent(bytes: Uint8Array): Promise<SnapshotOutcome>;
  /** The state is that of `generation` from now on. */
  switchTo(generation: number): ModelState;
  /** The process has died. */
  abandon(): void;
}

/** The writer's thread: one thing after the other, each after a while. */
export class Turns {
  readonly #host: StateHost;
  #busyUntilMs = 0;

  constructor(host: StateHost) {
    this.#host = host;
  }

  /** Does `work` when all before it is done. */
  take<T>(work: () => T): Promise<T> {
    const { chance, nowMs } = this.#host;
    const takesMs = chance.below(this.#host.applyMs() * 100) / 100;
    const doneMs = Math.max(nowMs, this.#busyUntilMs) + takesMs;
    this.#busyUntilMs = doneMs;
    return new Promise((resolve, reject) => {
      this.#host.later(doneMs - nowMs, () => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

/** The files of a state, one for each generation. */
export class Generations {
  readonly #host: StateHost;
  /** The largest number ever given out here. */
  #max: number;

  constructor(host: StateHost, max: number) {
    this.#host = host;
    this.#max = max;
  }

  /** Removes all but `generation`. */
  static async open(host: StateHost, generation: number): Promise<Generations> {
    const { fileSystem, directory } = host;
    let max = generation;
    for (const name of await fileSystem.listFiles(directory)) {
      if (Number(name) !== generation) await fileSystem.remove(joinPath(directory, name));
      max = Math.max(max, Number(name));
    }
    return new Generations(host, max);
  }

  /** All bytes of a generation. */
  read(generation: number): Uint8Array {
    const file = this.#host.fileSystem.openSync(this.path(generation), "read");
    const bytes = new Uint8Array(file.sizeSync());
    file.readSync(bytes, 0);
    file.close();
    return bytes;
  }

  /** A new one, durable. @returns its number. */
  async write(bytes: Uint8Array): Promise<number> {
    const { fileSystem, directory } = this.#host;
    this.#max += 1;
    const generation = this.#max;
    await writeWhole(fileSystem, this.path(generation), bytes);
    await fileSystem.syncDirectory(directory);
    return generation;
  }

  /** Removes those before `generation`, but `current`. */
  async release(generation: number, current: number): Promise<void> {
    const { fileSystem, directory } = this.#host;
    for (const name of await fileSystem.listFiles(directory)) {
      if (Number(name) >= generation || Number(name) === current) continue;
      await fileSystem.remove(joinPath(directory, name));
    }
  }

  path(generation: number): string {
    return joinPath(this.#host.directory, String(generation));
  }
}

/** Writes and syncs a new file. A full disk leaves none. */
export async function writeWhole(
  fileSystem: FileSystem,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const file = fileSystem.createSync(path);
  try {
    file.writeSync(bytes, 0);
    await file.sync();
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    file.close();
    fileSystem.removeSync(path);
    throw error;
  }
  file.close();
}
