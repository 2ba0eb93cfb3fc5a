/**
 * Looks at the state of a node that does not run, and writes nothing beside it. A file alone is read where it lies,
 * as one that nobody changes; with frames in its `-wal` both are copied first, since SQLite makes files of its own
 * to read them. The caller holds the lock of the data directory, so nobody has the database open (rule S1).
 *
 *   found: the state file that the log names, its `-wal`, what else lies in state/ and in memory.
 * Not here: whether log and state belong together (cli/inspection.ts).
 */
import {
  closeSync,
  copyFileSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { AssertionError } from "../base/assert.ts";
import { FatalError, OperatingError } from "../base/errors.ts";
import { logIndex, term } from "../base/ids.ts";
import { joinPath } from "../os/file_system.ts";
import { Connection } from "../sqlite/connection.ts";
import { SqliteError } from "../sqlite/errors.ts";
import type { Library } from "../sqlite/library.ts";
import { readWalFile } from "../sqlite/wal_file.ts";
import { findCopyDamage } from "./copy_checksum.ts";
import { lookThroughState } from "./database_check.ts";
import { ramFolder } from "./ram_folders.ts";
import { problemsWithRetries } from "./retry_check.ts";
import { freeBytesOf } from "./room_keeper.ts";
import { generationPath, inspectFolder, livePath } from "./state_folders.ts";
import { readState, type StateIdentity, type StateRecord } from "./state_record.ts";

/** What there is of a state. */
export interface StateInspection {
  /** The database file. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Disk mode's live file has a `-wal`; memory's copy is a file alone. */
  readonly hasWal: boolean;
  /** What it says; undefined when that cannot be read. */
  readonly state: { readonly record: StateRecord; readonly identity: StateIdentity } | undefined;
  /** What is damaged, each with its file; none when the state is whole. */
  readonly damages: readonly StateDamage[];
  readonly notes: readonly string[];
}

/** One damage of a state. */
export interface StateDamage {
  readonly file: string;
  readonly offset: number | undefined;
  readonly reason: string;
}

const GENERATION_PATTERN = /^[1-9]\d{0,15}$/;

/** From here on a look takes seconds. */
const LONG_BYTES = 256 * 1024 * 1024;

const COPY_PREFIX = "dust-check-";

/** What a first look at folders tells. */
export interface StateNames {
  /** Ascending. */
  readonly generations: readonly number[];
  /** Other names in state/. */
  readonly others: readonly string[];
}

/** What lies in state/; nothing when it is not there. */
export function listStates(dataDirectory: string): StateNames {
  const folder = joinPath(dataDirectory, "state");
  const isThere = lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === true;
  const names = isThere ? readdirSync(folder).sort() : [];
  const generations = names.filter((name) => GENERATION_PATTERN.test(name)).map(Number);
  return {
    generations: generations.sort((left, right) => left - right),
    others: names.filter((name) => !GENERATION_PATTERN.test(name)),
  };
}

/** The live file that a process has left in memory; undefined when there is none of this user. */
export function findRamState(
  place: { readonly ramDirectory: string; readonly dataDirectory: string },
): { readonly path: string; readonly sizeBytes: number } | undefined {
  const folder = ramFolder(place);
  if (inspectFolder(folder) !== "ours") return undefined;
  const path = livePath(folder);
  const sizeBytes = sizeOf(path);
  return sizeBytes === undefined ? undefined : { path, sizeBytes };
}

/**
 * Looks through the state of one generation.
 * @throws {FatalError} (74) when there is no room for a copy, or the disk refuses.
 */
export function inspectState(
  library: Library,
  place: {
    readonly dataDirectory: string;
    readonly generation: number;
    /** Hears of a file that takes long, before it is begun. */
    readonly onLong: (text: string) => void;
  },
): StateInspection {
  const path = generationPath(place);
  const sizeBytes = sizeOf(path);
  if (sizeBytes === undefined) {
    const damage = { file: path, offset: undefined, reason: "the file is missing" };
    const facts = { path, sizeBytes: 0, hasWal: false, state: undefined };
    return { ...facts, damages: [damage], notes: [] };
  }
  const walBytes = sizeOf(`${path}-wal`) ?? 0;
  if (sizeBytes + walBytes >= LONG_BYTES) {
    place.onLong(`state: ${Math.round((sizeBytes + walBytes) / 1e6)} MB to look through`);
  }
  const facts = { path, sizeBytes, hasWal: walBytes > 0 };
  if (walBytes === 0) {
    const { state, damages, notes } = readThrough(library, { path, shown: path });
    const changed = findCopyDamage(place);
    const more = changed === undefined ? [] : [{ file: path, offset: undefined, reason: changed }];
    return { ...facts, state, damages: [...damages, ...more], notes };
  }
  const wal = lookAtWal(`${path}-wal`);
  const folder = mkdtempSync(joinPath(tmpdir(), COPY_PREFIX));
  try {
    const copy = livePath(folder);
    copyWithRoom(path, { to: copy, folder, neededBytes: sizeBytes + walBytes });
    copyFileSync(`${path}-wal`, `${copy}-wal`);
    const { state, damages, notes } = readThrough(library, { path: copy, shown: path });
    return {
      ...facts,
      state,
      damages: [...wal.damages, ...damages],
      notes: [...wal.notes, ...notes],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function copyWithRoom(
  from: string,
  target: { readonly to: string; readonly folder: string; readonly neededBytes: number },
): void {
  const free = freeBytesOf(target.folder);
  if (free < target.neededBytes) {
    throw new FatalError(
      74,
      `Cannot check ${from}: a copy needs ${target.neededBytes} bytes and ${tmpdir()} has ${free}; ` +
        "name a folder with room in TMPDIR",
    );
  }
  copyFileSync(from, target.to);
}

/**
 * A frame that is not whole ends what SQLite reads. A crash leaves one at most, the last; several of the same run, there
 * and behind, were once read.
 */
function lookAtWal(path: string): Pick<StateInspection, "damages" | "notes"> {
  const file = openSync(path, "r");
  try {
    const { endOffset, strandedFrames } = readWalFile((into, position) =>
      readSync(file, into, 0, into.length, position)
    );
    const found = (reason: string): readonly StateDamage[] => [{
      file: path,
      offset: endOffset,
      reason,
    }];
    if (endOffset === 0) return { damages: found("it has no valid head"), notes: [] };
    if (strandedFrames > 1) {
      const reason = `a frame is not whole, and ${strandedFrames - 1} more of its run follow`;
      return { damages: found(reason), notes: [] };
    }
    const note = `the last frame of ${path} is not whole, as a crash leaves it: the log has it`;
    return { damages: [], notes: strandedFrames === 1 ? [note] : [] };
  } finally {
    closeSync(file);
  }
}

/** `path` is opened, `shown` is what messages name. */
function readThrough(
  library: Library,
  { path, shown }: { readonly path: string; readonly shown: string },
): Pick<StateInspection, "state" | "damages" | "notes"> {
  const damages: StateDamage[] = [];
  const damaged = (reason: string): void => {
    damages.push({ file: shown, offset: undefined, reason });
  };
  let state: StateInspection["state"];
  let notes: readonly string[] = [];
  try {
    using connection = Connection.open(library, {
      path,
      mode: path === shown ? "immutable" : "readonly",
    });
    const found = readState(connection);
    // Numbers from the file, before anybody counts with them.
    logIndex(found.record.appliedIndex);
    term(found.record.appliedTerm);
    state = found;
    for (const problem of problemsWithRetries(connection)) damaged(problem);
    const { appliedIndex, lastWriteIndex } = state.record;
    if (lastWriteIndex > appliedIndex) damaged("its last write is behind what is applied");
    const content = lookThroughState(connection);
    if (content.damage !== undefined) damaged(content.damage);
    notes = content.notes;
  } catch (error) {
    damaged(reasonOf(error).replaceAll(path, shown));
  }
  return { state, damages, notes };
}

/** @throws whatever does not say that the content is unusable. */
function reasonOf(error: unknown): string {
  const isOfContent = error instanceof SqliteError || error instanceof AssertionError ||
    error instanceof FatalError || error instanceof OperatingError;
  if (!isOfContent) throw error;
  return error.message;
}

function sizeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.size;
}
