/**
 * A data directory, opened: locked for life, log recovered, state opened behind it; or born, when the
 * directory is empty. The order is what makes a crash at any line harmless:
 * birth: a mark, then the state of generation 1 durable, then the log that names it, then the mark goes;
 * a marked state without a log is a birth that did not finish, and is begun anew; one without the mark
 * has lost its log, and is refused. Start: log, then state, then rule D4 (node/recovery.ts).
 *
 *     DATA_DIR/log/      segments (src/log)
 *     DATA_DIR/state/    GENERATION/db.sqlite (src/state_machine)
 *     DATA_DIR/REMOVED   this member was removed; its log and state go to removed-TIME/ when it comes back
 *     DATA_DIR/raft/     peers.json of an operator, when a majority is lost
 */
import { runInBackground } from "../base/background.ts";
import { FatalError } from "../base/errors.ts";
import { logIndex, type NodeId, nodeId, term } from "../base/ids.ts";
import type { Genesis } from "../command/genesis.ts";
import { INCARNATION_BYTES, type MemberRow } from "../command/member_table.ts";
import { type LogOptions, SegmentedLog } from "../log/segmented_log.ts";
import { HealthFile } from "../node/health_file.ts";
import { assertOwnHistory, isOwnHistory } from "../node/recovery.ts";
import type { Clock } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import { type DirectoryLock, type File, type FileSystem, joinPath } from "../os/file_system.ts";
import { encodeConfiguration, votersOnly } from "../raft/configuration.ts";
import { createInitialState } from "../state_machine/initial_state.ts";
import { SOFT_LIMIT_STEPS_DEFAULT } from "../state_machine/replicated_limits.ts";
import { type DamagedCopy, openStateMachine } from "../state_machine/open_state.ts";
import type { StateMachine } from "../state_machine/state_machine.ts";
import { startWriterWorker } from "../state_machine/writer_thread.ts";
import type { Logger } from "../telemetry/logger.ts";
import { membersByLog } from "./members_in_log.ts";

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
  /** Asked when the directory is empty: which cluster this is to be a member of, and how that one began. */
  readonly birth: (incarnation: Uint8Array) => Promise<Birth>;
  /** Whether a member that was removed may come back as a new one, its old data set aside (rule M4). */
  readonly mayBeginAnew: boolean;
  readonly onFatal: (error: unknown) => void;
}

/** What a new member is made from. */
export interface Birth {
  readonly clusterId: Uint8Array;
  /** The engine's number of this member (rule M1). */
  readonly nodeId: NodeId;
  readonly genesis: Genesis;
}

/** What a node runs on. Close in the order: state machine, log, lock. */
export interface OpenedData {
  readonly log: SegmentedLog;
  readonly stateMachine: StateMachine;
  /** What is known of this state's health (rule V2). */
  readonly health: HealthFile;
  readonly lock: DirectoryLock;
}

const FIRST_NODE_ID = nodeId(1);

/** There from before the first file of a birth until its last is durable. */
const BIRTH_MARK = "BIRTH";

/** There once this member was removed. */
const REMOVED_MARK = "REMOVED";

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
  if (await fileSystem.exists(joinPath(path, REMOVED_MARK))) await beginAnew(options);
  const pause = (): Promise<void> => options.clock.sleep(0);
  const logOptions = { fileSystem, directory: joinPath(path, "log"), pause };
  await fileSystem.makeDirectory(logOptions.directory);
  const isBorn = await SegmentedLog.exists(logOptions);
  if (!isBorn) await beginBirth(fileSystem, path);
  const log = isBorn ? await SegmentedLog.open(logOptions) : await createLog(options, logOptions);
  await endBirth(fileSystem, path);
  for (const finding of log.findings) {
    options.logger.warn("Log recovered after a crash", { finding: JSON.stringify(finding) });
  }
  const health = await HealthFile.open({ fileSystem, directory: joinPath(path, "state") });
  const onFatal = (error: unknown): void => crashAfterMark(error, { ...options, health });
  const stateMachine = await openState({ ...options, writer, onFatal }, { log, health });
  return { log, stateMachine, health };
}

/**
 * This member was removed, and must not come back as who it was. Again is allowed.
 * @throws {FatalError}
 */
export async function markRemoved(fileSystem: FileSystem, path: string): Promise<void> {
  const mark = joinPath(path, REMOVED_MARK);
  if (await fileSystem.exists(mark)) return;
  fileSystem.createSync(mark).close();
  await fileSystem.syncDirectory(path);
}

/** As `beginAnew`, at once, for data that is not open. */
export async function setDataAside(
  options: Pick<OpenDataOptions, "fileSystem" | "path" | "clock" | "logger">,
): Promise<void> {
  await markRemoved(options.fileSystem, options.path);
  await beginAnew({ ...options, mayBeginAnew: true });
}

/** Sets the data of a removed member aside. A crash in between leaves the mark, and what is left goes next. */
async function beginAnew(
  { fileSystem, path, clock, logger, mayBeginAnew }: Pick<
    OpenDataOptions,
    "fileSystem" | "path" | "clock" | "logger" | "mayBeginAnew"
  >,
): Promise<void> {
  if (!mayBeginAnew) {
    throw new FatalError(
      1,
      `Cannot start on ${path}: this node was removed from its cluster; give -join to come back as a ` +
        "new member, or choose an empty directory",
    );
  }
  const archive = joinPath(path, `removed-${clock.wallMs()}`);
  await fileSystem.makeDirectory(archive);
  for (const name of ["log", "state"]) {
    const from = joinPath(path, name);
    if (await fileSystem.exists(from)) await fileSystem.rename(from, joinPath(archive, name));
  }
  await fileSystem.syncDirectory(archive);
  await fileSystem.remove(joinPath(path, REMOVED_MARK));
  await fileSystem.syncDirectory(path);
  logger.warn("The data of the removed member is set aside", { archive });
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

async function createLog(
  options: OpenDataOptions,
  logOptions: LogOptions,
): Promise<SegmentedLog> {
  const { path } = options;
  const incarnation = await bornIncarnation(options);
  const { clusterId, nodeId, genesis } = await options.birth(incarnation);
  const marker = await createInitialState({
    dataDirectory: path,
    sqliteLibrary: options.sqliteLibrary,
    identity: { clusterId },
    index: logIndex(1),
    term: term(1),
    genesis,
  });
  options.logger.info("New data directory", { path });
  const identity = { clusterId, nodeId, incarnation };
  return await SegmentedLog.create({ ...logOptions, identity, marker });
}

/**
 * Kept from before anybody is told of it: a joiner that crashes and asks again is the same one.
 * The mark of a birth holds it.
 */
async function bornIncarnation(options: OpenDataOptions): Promise<Uint8Array> {
  const { fileSystem, path, entropy } = options;
  using mark = opened(fileSystem, joinPath(path, BIRTH_MARK));
  const known = new Uint8Array(INCARNATION_BYTES);
  const isWhole = mark.file.readSync(known, 0) === known.length;
  if (isWhole && known.some((byte) => byte !== 0)) return known;
  const incarnation = entropy.bytes(INCARNATION_BYTES);
  mark.file.writeSync(incarnation, 0);
  await mark.file.sync();
  return incarnation;
}

function opened(fileSystem: FileSystem, path: string): Disposable & { readonly file: File } {
  const file = fileSystem.openSync(path, "write");
  return { file, [Symbol.dispose]: () => file.close() };
}

/** The birth of a cluster's first member. */
export function firstBirth(
  options: {
    readonly entropy: Entropy;
    readonly foreignKeys: boolean;
    readonly member: Pick<MemberRow, "name" | "raftAddress" | "apiUrl">;
  },
  incarnation: Uint8Array,
): Birth {
  const { entropy, foreignKeys, member } = options;
  const row = { ...member, nodeId: FIRST_NODE_ID, incarnation, isReadOnly: false };
  return {
    clusterId: entropy.bytes(INCARNATION_BYTES),
    nodeId: FIRST_NODE_ID,
    genesis: {
      configuration: encodeConfiguration(votersOnly([FIRST_NODE_ID])),
      members: { nextNodeId: FIRST_NODE_ID + 1, members: [row] },
      foreignKeys,
      softLimitSteps: SOFT_LIMIT_STEPS_DEFAULT,
    },
  };
}

/**
 * A state on disk that turns out to be damaged has no other copy here: the next start begins in quarantine, and
 * takes the state of the cluster's leader (rule V2). In memory it is built anew.
 */
function crashAfterMark(
  error: unknown,
  { health, mode, onFatal }: Pick<OpenDataOptions, "mode" | "onFatal"> & {
    readonly health: HealthFile;
  },
): void {
  const isDamaged = error instanceof FatalError && error.isStateDamaged;
  if (!isDamaged || mode !== "disk") return onFatal(error);
  runInBackground(quarantine(health).finally(() => onFatal(error)), onFatal);
}

/** Durable when it resolves: what is here now is not served, and the leader's state takes its place (rule V2). */
async function quarantine(health: HealthFile): Promise<void> {
  await health.save({ ...health.mark, quarantine: { index: 0, verdictIndex: 0 } });
}

/**
 * What memory had is gone, and the only copy here has changed: others have its content, if there are any. Alone
 * the node must not go on as if nothing were wrong.
 */
async function onDamagedCopy(
  { path, damage, identity, appliedIndex }: DamagedCopy,
  { log, health, logger }: Pick<OpenedData, "log" | "health"> & { readonly logger: Logger },
): Promise<void> {
  const { members } = await membersByLog(log, { identity, appliedIndex });
  if (members.length < 2) {
    throw new FatalError(
      65,
      `Cannot start: ${path} is damaged: ${damage}. It is the only copy of what the log no longer holds: put ` +
        "back a backup of the whole directory, or delete the file named checksum beside it to go on with it as it is",
    );
  }
  logger.warn("The copy of the state is damaged: nobody is served, and the leader's is taken", {
    path,
    damage,
  });
  await quarantine(health);
}

async function openState(
  options: OpenDataOptions & { readonly writer: Worker },
  { log, health }: Pick<OpenedData, "log" | "health">,
): Promise<StateMachine> {
  const logger = options.logger.forComponent("state");
  const stateMachine = await openStateMachine({
    dataDirectory: options.path,
    mode: options.mode,
    ramDirectory: options.ramDirectory,
    readers: options.readers,
    foreignKeys: options.foreignKeys,
    sqliteLibrary: options.sqliteLibrary,
    clock: options.clock,
    logger,
    identity: log.identity,
    generation: log.marker.generation,
    verifyHistory: (state) => isOwnHistory(state, log),
    onDamagedCopy: (copy) => onDamagedCopy(copy, { log, health, logger }),
    writer: options.writer,
    onFatal: options.onFatal,
  });
  await assertOwnHistory(stateMachine.applied, log);
  return stateMachine;
}
