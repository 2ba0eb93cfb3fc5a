/**
 * One member's hardware: the disk, the memory that outlives a process but no power cut, and what the
 * judge knows to be durable there. Processes come and go on it.
 */
import type { NodeId } from "../../src/base/ids.ts";
import { logIndex, term } from "../../src/base/ids.ts";
import { parseEntryChain, startEntryChain } from "../../src/base/entry_chain.ts";
import { SegmentedLog } from "../../src/log/segmented_log.ts";
import { encodeConfiguration } from "../../src/raft/configuration.ts";
import type { ConfState } from "../../src/raft/types.ts";
import { DurableFacts } from "./durable_facts.ts";
import { appliedOf, type ModelState } from "./model_state.ts";
import type { SimFileSystem } from "./sim_file_system.ts";
import type { SimProcess } from "./sim_process.ts";
import { writeWhole } from "./state_host.ts";
import { drainMicrotasks } from "./traps.ts";
import { joinPath } from "../../src/os/file_system.ts";

/** Where things are on every simulated disk. */
export const LOG_DIRECTORY = "/data/log";
/** One file per generation. */
export const STATE_DIRECTORY = "/data/state";
/** What a node knows of its own state's health. */
export const HEALTH_DIRECTORY = "/data/health";

/** Bytes of a disk that is not made smaller. */
export const DISK_BYTES = 1_000_000_000;

/** The cluster's name in logs. */
const CLUSTER_ID = new Uint8Array(16).fill(7);

/** See the file's header. */
export interface Machine {
  readonly id: NodeId;
  readonly mode: "ram" | "disk";
  facts: DurableFacts;
  disk: SimFileSystem;
  ram: ModelState | undefined;
  process: SimProcess | undefined;
  boots: number;
  /** A bit on its disk was flipped: it may refuse to start, and is to be replaced. */
  isSuspect: boolean;
  /** It will never be the member again that it was: wiped, rolled back, or refused for damage. */
  isLost: boolean;
  /** Its disk was put back to an earlier state: peers refuse its handshake. */
  isRolledBack: boolean;
  /** Stopped for good, unless it turns out to be a member. */
  isRetired: boolean;
  /** Its state is known to be wrong (rule V2). */
  isQuarantined: boolean;
  /** An old copy of its disk. */
  copy: SimFileSystem | undefined;
  /** Power fails at the disk operation with this number. */
  crashAtOperation: number | undefined;
  /** Sync and write errors until then; simulated milliseconds. */
  ioErrorsUntilMs: number;
  slowUntilMs: number;
  /** Until then syncs take a second or so. */
  stalledUntilMs: number;
  /** Until then it applies slowly: what is committed is not in force here yet. */
  lagsUntilMs: number;
}

/** What a first member begins with, or, without a configuration, one that is to join. */
export function genesisState(configuration: ConfState | undefined): ModelState {
  const isBlank = configuration === undefined;
  return {
    index: logIndex(isBlank ? 0 : 1),
    term: term(isBlank ? 0 : 1),
    chain: isBlank ? startEntryChain(CLUSTER_ID) : parseEntryChain("0123456789abcdef"),
    configuration: encodeConfiguration(
      configuration ??
        { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
    ),
    digest: isBlank ? 0 : 1,
    values: new Map(),
    taint: 0,
  };
}

/** Names of the files in a directory. Only where no promise is being resolved. */
export function filesIn(disk: SimFileSystem, directory: string): readonly string[] {
  let paths: readonly string[] = [];
  disk.listFiles(directory).then((names) => {
    paths = names.map((name) => joinPath(directory, name));
  }, () => undefined);
  drainMicrotasks();
  return paths;
}

/** Makes log and state on an empty disk, in the order of a birth: state first, then the log that names it. */
export async function giveBirth(
  disk: SimFileSystem,
  options: {
    readonly id: NodeId;
    readonly state: ModelState;
    /** The same as bytes of the first generation. */
    readonly content: Uint8Array;
    readonly segmentSizeBytes: number;
  },
): Promise<void> {
  const { id, state, content, segmentSizeBytes } = options;
  await disk.makeDirectory(STATE_DIRECTORY);
  await writeWhole(disk, joinPath(STATE_DIRECTORY, "1"), content);
  await disk.syncDirectory(STATE_DIRECTORY);
  const log = await SegmentedLog.create({
    fileSystem: disk,
    directory: LOG_DIRECTORY,
    segmentSizeBytes,
    identity: { clusterId: CLUSTER_ID, nodeId: id, incarnation: new Uint8Array(16).fill(id) },
    marker: { ...appliedOf(state), generation: 1 },
  });
  await log.close();
}
