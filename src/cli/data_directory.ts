/**
 * A data directory, opened: locked for life, log recovered, state opened behind it; or born, when the
 * directory is empty. The order is what makes a crash at any line harmless:
 * birth: a mark, then the state of generation 1 durable, then the log that names it, then the mark goes;
 * a marked state without a log is a birth that did not finish, and is begun anew; one without the mark
 * has lost its log, and is refused. Start: log, then state, then rule D4 (node/recovery.ts).
 *
 *     DATA_DIR/log/      segments (src/log)
 *     DATA_DIR/state/    GENERATION/db.sqlite (src/state_machine)
 *     DATA_DIR/raft/     peers.json of an operator, when a majority is lost
 */
import { FatalError } from "../base/errors.ts";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { SegmentedLog } from "../log/segmented_log.ts";
import { assertOwnHistory, isOwnHistory } from "../node/recovery.ts";
import type { Clock } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import { type DirectoryLock, type FileSystem, joinPath } from "../os/file_system.ts";
import { encodeConfiguration } from "../raft/configuration.ts";
import { createInitialState } from "../state_machine/initial_state.ts";
import { openStateMachine } from "../state_machine/open_state.ts";
import type { StateMachine } from "../state_machine/state_machine.ts";
import { startWriterWorker } from "../state_machine/writer_thread.ts";
import type { Logger } from "../telemetry/logger.ts";

/** How to open a data directory. */
export interface OpenDataOptions {
  readonly path: string;
  readonly mode: "ram" | "disk";
  readonly ramDirectory: string | undefined;
  readonly readers: number;
  readonly foreignKeys: boolean;
  readonly sqliteLibrary: string | undefined;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

/** What a node runs on. Close in the order: state machine, log, lock. */
export interface OpenedData {
  readonly log: SegmentedLog;
  readonly stateMachine: StateMachine;
  readonly lock: DirectoryLock;
}

/** The engine's number of the first member of a cluster (rule M1). */
export const FIRST_NODE_ID = nodeId(1);

/** There from before the first file of a birth until its last is durable. */
const BIRTH_MARK = "BIRTH";

/** Files of other programs that keep a database in such a directory: never to be mixed with ours. */
const FOREIGN_NAMES = ["raft.db", "db.sqlite", "clean_snapshot", "member", "snap"];

/** @throws {FatalError} when the directory cannot be used; nothing of it was changed then. */
export async function openDataDirectory(options: OpenDataOptions): Promise<OpenedData> {
  const { fileSystem, path } = options;
  await fileSystem.makeDirectory(path);
  await assertOurs(fileSystem, path);
  const lock = await fileSystem.lockDirectory(path);
  const writer = startWriterWorker();
  try {
    return { ...await openLocked(options, writer), lock };
  } catch (error) {
    writer.terminate();
    throw error;
  }
}

async function openLocked(
  options: OpenDataOptions,
  writer: Worker,
): Promise<Omit<OpenedData, "lock">> {
  const { fileSystem, path } = options;
  await fileSystem.makeDirectory(joinPath(path, "raft"));
  const logOptions = { fileSystem, directory: joinPath(path, "log") };
  await fileSystem.makeDirectory(logOptions.directory);
  const isBorn = await SegmentedLog.exists(logOptions);
  if (!isBorn) await beginBirth(fileSystem, path);
  const log = isBorn
    ? await SegmentedLog.open(logOptions)
    : await createLog(options, logOptions.directory);
  await endBirth(fileSystem, path);
  for (const finding of log.findings) {
    options.logger.warn("Log recovered after a crash", { finding: JSON.stringify(finding) });
  }
  return { log, stateMachine: await openState({ ...options, writer }, log) };
}

async function assertOurs(fileSystem: FileSystem, path: string): Promise<void> {
  if (await fileSystem.exists(joinPath(path, "log"))) return;
  for (const name of FOREIGN_NAMES) {
    if (!(await fileSystem.exists(joinPath(path, name)))) continue;
    throw new FatalError(
      1,
      `Cannot use data directory ${path}: it holds ${name} of another program; choose an empty directory`,
    );
  }
}

/**
 * Marks a birth before anything of it is there, so that a state without a log can be told from one whose
 * log was lost: the first is begun anew, the second would be erased by that.
 */
async function beginBirth(fileSystem: FileSystem, path: string): Promise<void> {
  const mark = joinPath(path, BIRTH_MARK);
  if (await fileSystem.exists(mark)) return;
  if (await fileSystem.exists(joinPath(path, "state"))) {
    throw new FatalError(
      65,
      `Cannot open data directory ${path}: its state is there and its log is gone; ` +
        "bring back log/, or choose an empty directory",
    );
  }
  fileSystem.createSync(mark).close();
  await fileSystem.syncDirectory(path);
}

/** From here on a log that is missing is lost. */
async function endBirth(fileSystem: FileSystem, path: string): Promise<void> {
  const mark = joinPath(path, BIRTH_MARK);
  if (!(await fileSystem.exists(mark))) return;
  await fileSystem.remove(mark);
  await fileSystem.syncDirectory(path);
}

async function createLog(options: OpenDataOptions, directory: string): Promise<SegmentedLog> {
  const { fileSystem, entropy, path } = options;
  const identity = {
    clusterId: entropy.bytes(16),
    nodeId: FIRST_NODE_ID,
    incarnation: entropy.bytes(16),
  };
  const configuration = encodeConfiguration({
    voters: [FIRST_NODE_ID],
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    autoLeave: false,
  });
  const genesis = await createInitialState({
    dataDirectory: path,
    sqliteLibrary: options.sqliteLibrary,
    identity,
    index: logIndex(1),
    term: term(1),
    configuration,
    foreignKeys: options.foreignKeys,
  });
  options.logger.info("New data directory", { path });
  return await SegmentedLog.create({ fileSystem, directory, identity, marker: genesis });
}

async function openState(
  options: OpenDataOptions & { readonly writer: Worker },
  log: SegmentedLog,
): Promise<StateMachine> {
  const stateMachine = await openStateMachine({
    dataDirectory: options.path,
    mode: options.mode,
    ramDirectory: options.ramDirectory,
    readers: options.readers,
    foreignKeys: options.foreignKeys,
    sqliteLibrary: options.sqliteLibrary,
    clock: options.clock,
    logger: options.logger.forComponent("state"),
    identity: log.identity,
    generation: log.marker.generation,
    verifyHistory: (state) => isOwnHistory(state, log),
    writer: options.writer,
    onFatal: options.onFatal,
  });
  await assertOwnHistory(stateMachine.applied, log);
  return stateMachine;
}
