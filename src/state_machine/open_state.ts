/**
 * Finds or makes the live file at start (rules S3, D4).
 *
 * Disk mode: the file of the generation that the log names. RAM mode: the file that an earlier process
 * has left in memory, when it is ours, of this incarnation, and from the log's own history; otherwise
 * a copy of the generation's, which the log's entries then bring up to date.
 */
import { runInBackground } from "../base/background.ts";
import { entryChainText } from "../base/entry_chain.ts";
import { FatalError } from "../base/errors.ts";
import { logIndex, term } from "../base/ids.ts";
import { assertLevelIsKnown } from "../command/feature_level.ts";
import { encodeMemberTable } from "../command/member_table.ts";
import type { AppliedState } from "../node/ports.ts";
import type { Clock } from "../os/clock.ts";
import type { FolderHold } from "../os/deno_folder_hold.ts";
import { Connection } from "../sqlite/connection.ts";
import { SqliteError } from "../sqlite/errors.ts";
import type { Library } from "../sqlite/library.ts";
import { findLibrary, type LibraryLocation } from "../sqlite/loader.ts";
import { setSwitches } from "../sqlite/settings.ts";
import type { Logger } from "../telemetry/logger.ts";
import { BALLAST_BYTES, FREE_BYTES_MIN, RAM_GROWTH_FACTOR, SWEEP_MS_MAX } from "./limits.ts";
import {
  holdRamFolder,
  ownerText,
  prepareRamFolder,
  ramFolder,
  sweepRamFolders,
} from "./ram_folders.ts";
import { findCopyDamage, removeCopyChecksum } from "./copy_checksum.ts";
import { copyOnThread } from "./copy_thread.ts";
import { freeBytesOf } from "./room_keeper.ts";
import { copyState } from "./state_file.ts";
import {
  fallbackFolder,
  generationPath,
  inspectFolder,
  isLiveFolderOf,
  keepGeneration,
  livePath,
  makeLiveFolder,
  removeLiveIdentity,
  removeTransfers,
  requireFile,
  writeLiveIdentity,
} from "./state_folders.ts";
import { type LiveState, StateMachine } from "./state_machine.ts";
import { readState, type StateIdentity } from "./state_record.ts";

/** tmpfs on every Linux. */
const RAM_DIRECTORY = "/dev/shm";

/** How to open the state. */
export interface OpenOptions {
  readonly dataDirectory: string;
  readonly mode: "ram" | "disk";
  /** Where live files lie in RAM mode; undefined: the system's tmpfs. */
  readonly ramDirectory: string | undefined;
  /** Reader threads in normal times. */
  readonly readers: number;
  /** What the configuration says; the replicated setting holds. */
  readonly foreignKeys: boolean;
  readonly sqliteLibrary: string | undefined;
  /** The writer's thread, when it was started ahead of time; the caller ends it when this fails. */
  readonly writer?: Worker | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly identity: { readonly clusterId: Uint8Array; readonly incarnation: Uint8Array };
  /** What the newest marker of the log names. */
  readonly generation: number;
  /** Whether the log has the history of a state that was found. @throws {FatalError} when the node must not start. */
  readonly verifyHistory: (state: AppliedState) => Promise<boolean>;
  /**
   * The durable copy that a state in memory is to be built of is not what it was. When this comes back, it is used all
   * the same. @throws {FatalError} when it must not be.
   */
  readonly onDamagedCopy: (copy: DamagedCopy) => Promise<void>;
  /** Called when a thread has failed: the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/** A durable copy that has changed since it was made. */
export interface DamagedCopy {
  readonly path: string;
  readonly damage: string;
  /** What it says. */
  readonly identity: StateIdentity;
  readonly appliedIndex: number;
}

/** Opens the state and starts its threads. @throws {FatalError} when it cannot be used. */
export async function openStateMachine(options: OpenOptions): Promise<StateMachine> {
  const { dataDirectory, generation, readers, clock, onFatal } = options;
  const { library, location } = findLibrary({ path: options.sqliteLibrary });
  if (!library.isPinned) {
    options.logger.warn("SQLite is not the pinned build: this node cannot be part of a cluster", {
      path: library.path,
    });
  }
  const copy = generationPath({ dataDirectory, generation });
  const copyBytes = requireFile(copy);
  await sweep(options);
  if (options.mode === "disk") removeCopyChecksum({ dataDirectory, generation });
  const found = options.mode === "disk"
    ? { path: copy, isRam: false, hold: undefined, durableIndex: 0 }
    : await openRam(options, { library, location, copy, copyBytes });
  keepGeneration({ dataDirectory, generation });
  removeTransfers(dataDirectory);
  const { record, identity } = peek(library, found.path);
  if (!isEqual(identity.clusterId, options.identity.clusterId)) {
    throw new FatalError(65, `Cannot start: ${found.path} belongs to another cluster`);
  }
  assertLevelIsKnown(record.featureLevel, `Cannot start on ${found.path}`);
  const { foreignKeys } = record;
  if (foreignKeys !== options.foreignKeys) {
    options.logger.warn("Foreign keys are as the database has them; change it with the pragma", {
      foreignKeys,
    });
  }
  const { mode } = options;
  const live: LiveState = {
    library,
    location,
    mode,
    dataDirectory,
    generation,
    foreignKeys,
    genesis: identity.genesis,
    ...found,
  };
  return await StateMachine.start({
    live,
    readers: Math.max(1, readers),
    clock,
    onFatal: (error) => {
      // The next start builds it from its copy and the log.
      const isDamaged = error instanceof FatalError && error.isStateDamaged;
      if (isDamaged && live.isRam) removeLiveIdentity(live.path);
      onFatal(error);
    },
    writer: options.writer,
  });
}

interface RamParts {
  readonly library: Library;
  readonly location: LibraryLocation;
  /** The generation's durable copy. */
  readonly copy: string;
  readonly copyBytes: number;
}

async function openRam(
  options: OpenOptions,
  parts: RamParts,
): Promise<Pick<LiveState, "path" | "isRam" | "hold" | "durableIndex" | "renew">> {
  const { logger, dataDirectory } = options;
  const owner = ownerText({ ...options.identity, dataDirectory: options.dataDirectory });
  const { record, identity } = peek(parts.library, parts.copy);
  const durableIndex = record.appliedIndex;
  const folder = await chooseFolder(options, parts);
  const path = livePath(folder.path);
  const isRam = folder.hold !== undefined;
  const renew = async (generation: number): Promise<void> => {
    if (isRam) await prepareRamFolder(folder.path, owner);
    else makeLiveFolder(folder.path);
    const from = generationPath({ dataDirectory, generation });
    const { location: library } = parts;
    await copyOnThread({ library, from, to: "file", path, isDurable: false });
    if (isRam) writeLiveIdentity(folder.path, owner);
  };
  const place = { path, isRam, hold: folder.hold, durableIndex, renew };
  if (place.isRam && isLiveFolderOf(folder.path, owner)) {
    const state = tryPeek(parts.library, path);
    const isUsable = state !== undefined && state.index >= durableIndex &&
      await options.verifyHistory(state);
    if (isUsable) {
      logger.info("State found in memory", { path, index: state.index });
      return place;
    }
    logger.warn("State in memory is not usable: it is built anew", { path });
  }
  const damage = findCopyDamage({ dataDirectory, generation: options.generation });
  if (damage !== undefined) {
    const { copy: path } = parts;
    await options.onDamagedCopy({ path, damage, identity, appliedIndex: durableIndex });
  }
  if (place.isRam) await prepareRamFolder(folder.path, owner);
  else makeLiveFolder(folder.path);
  copyState(parts.library, { from: parts.copy, to: path, isDurable: false });
  if (place.isRam) writeLiveIdentity(folder.path, owner);
  logger.info("State built from its copy", { path, index: durableIndex });
  return place;
}

/** Gives back memory that nobody needs, before it is asked for. A file system that hangs is not waited for. */
async function sweep(options: OpenOptions): Promise<void> {
  const { mode, clock, dataDirectory, logger } = options;
  const ramDirectory = options.ramDirectory ?? RAM_DIRECTORY;
  if (inspectFolder(ramDirectory) === "missing") return;
  const unused = mode === "disk" ? dataDirectory : undefined;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.startTimer(SWEEP_MS_MAX, resolve);
  const swept = sweepRamFolders({ ramDirectory, clock, unused }).then((folders) => {
    for (const folder of folders) logger.info("Memory is given back", { folder });
  });
  runInBackground(swept.finally(resolve), (error) => {
    logger.warn("Cannot give back memory of others", { error: asError(error) });
  });
  await promise;
  timer.cancel();
}

/** Memory if there is room and the folder is ours, otherwise the data directory. */
async function chooseFolder(
  options: OpenOptions,
  parts: RamParts,
): Promise<{ readonly path: string; readonly hold: FolderHold | undefined }> {
  const { dataDirectory, logger, clock } = options;
  const ramDirectory = options.ramDirectory ?? RAM_DIRECTORY;
  let reason = reasonAgainst(ramDirectory, { dataDirectory, copyBytes: parts.copyBytes });
  if (reason === undefined) {
    const path = ramFolder({ ramDirectory, dataDirectory });
    const hold = await holdRamFolder(path, clock);
    // Its name is no secret: somebody may have been quicker to make it.
    if (hold !== undefined && inspectFolder(path) === "ours") return { path, hold };
    hold?.release();
    reason = `${path} cannot be taken from another process`;
  }
  logger.warn("State is kept in the data directory rather than in memory", { reason });
  return { path: fallbackFolder(dataDirectory), hold: undefined };
}

function reasonAgainst(
  ramDirectory: string,
  state: { readonly dataDirectory: string; readonly copyBytes: number },
): string | undefined {
  const parent = inspectFolder(ramDirectory);
  if (parent === "missing") return `${ramDirectory} does not exist`;
  const folder = ramFolder({ ramDirectory, dataDirectory: state.dataDirectory });
  const kind = inspectFolder(folder);
  if (kind === "foreign") return `${folder} is not this user's alone`;
  // What is there already counts as room: it is used, or replaced.
  if (kind === "ours") return undefined;
  const needed = RAM_GROWTH_FACTOR * state.copyBytes + FREE_BYTES_MIN + BALLAST_BYTES;
  const free = freeBytesOf(ramDirectory);
  return free >= needed ? undefined : `${ramDirectory} has ${free} of ${needed} bytes free`;
}

/** What a state file says; its connection is closed again. */
function peek(library: Library, path: string): ReturnType<typeof readState> {
  try {
    using connection = Connection.open(library, { path, mode: "readwrite", noFollow: true });
    setSwitches(connection, { noCheckpointOnClose: true });
    return readState(connection);
  } catch (error) {
    if (!(error instanceof SqliteError)) throw error;
    const what = "it is damaged, or no state of Dust";
    throw new FatalError(65, `Cannot open state ${path}: ${what}`, { cause: error });
  }
}

/** As `peek`, for a file that may be anything: undefined when it is no state. */
function tryPeek(library: Library, path: string): AppliedState | undefined {
  try {
    const { record, identity } = peek(library, path);
    return {
      index: logIndex(record.appliedIndex),
      term: term(record.appliedTerm),
      entryChain: entryChainText(record.entryChain),
      configuration: identity.configuration,
      members: encodeMemberTable(identity.members),
    };
  } catch (error) {
    if (error instanceof SqliteError || error instanceof FatalError) return undefined;
    throw error;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}
