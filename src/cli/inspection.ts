/**
 * Looks at the data directory of a node that does not run, as a start would, and changes nothing: the log is recovered
 * on a file system that forgets what is written, the state is read where it lies or from a copy. The lock is held
 * meanwhile, so a node that runs is refused, and none can start.
 * Not here: what the state's file holds (state_machine/state_inspection.ts), the words of the report.
 */
import { entryChainText } from "../base/entry_chain.ts";
import { FatalError } from "../base/errors.ts";
import { logIndex, term } from "../base/ids.ts";
import { encodeMemberTable } from "../command/member_table.ts";
import { LogDamageError } from "../log/damage.ts";
import { SegmentedLog } from "../log/segmented_log.ts";
import { isOwnHistory } from "../node/recovery.ts";
import { DenoFileSystem } from "../os/deno_file_system.ts";
import { type FileSystem, joinPath } from "../os/file_system.ts";
import { UntouchedFileSystem } from "../os/untouched_file_system.ts";
import type { Library } from "../sqlite/library.ts";
import {
  findRamState,
  inspectState,
  listStates,
  type StateInspection,
} from "../state_machine/state_inspection.ts";
import { adviceFor } from "./inspection_advice.ts";
import {
  type NodeReport,
  type PartReport,
  type PartStatus,
  REPORT_FORMAT,
  type ReportedLog,
  type ReportedState,
} from "./inspection_report.ts";
import { membersByLog } from "./members_in_log.ts";
import { readPeersFile } from "./recovery.ts";

/** What a look needs. */
export interface InspectionOptions {
  readonly directory: string;
  readonly library: Library;
  /** Where live files in memory lie. */
  readonly ramDirectory: string;
  /** Hears what is being looked at, a few words each time, and often. */
  readonly onProgress: (text: string) => void;
  /** Hears of what takes long without a word meanwhile, before it begins. */
  readonly onLong: (text: string) => void;
}

/** There is nothing to look at, or somebody else is there: exit status as sysexits.h has it. */
export class InspectionRefusal extends Error {
  override readonly name = "InspectionRefusal";
  readonly exitStatus: 66 | 75;
  constructor(exitStatus: 66 | 75, message: string) {
    super(message);
    this.exitStatus = exitStatus;
  }
}

/**
 * Looks at everything in a data directory.
 * @throws {InspectionRefusal} @throws {FatalError} (74) when the disk refuses, or has no room for a copy.
 */
export async function inspect(options: InspectionOptions): Promise<NodeReport> {
  await assertDataDirectory(options.directory);
  using _lock = await holdLock(options.directory);
  return await new Inspection(options).run();
}

async function assertDataDirectory(path: string): Promise<void> {
  let names: string[];
  try {
    names = (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      throw new InspectionRefusal(66, `Cannot check ${path}: there is no such directory`);
    }
    throw error;
  }
  if (["log", "state", "BIRTH", "recovery"].some((name) => names.includes(name))) return;
  const what = names.length === 0 ? "it is empty" : "it holds no log and no state";
  throw new InspectionRefusal(66, `Cannot check ${path}: ${what}, so it is no node's data`);
}

/** Takes the lock that is there. Without its file no node has ever run here, and making it would be a change. */
async function holdLock(path: string): Promise<Disposable> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(joinPath(path, "LOCK"), { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { [Symbol.dispose]: () => {} };
    throw error;
  }
  const exclusive = true;
  if (file.tryLockSync(exclusive)) return file;
  file.close();
  throw new InspectionRefusal(75, `Cannot check ${path}: a node runs on it; stop the node first`);
}

class Inspection {
  readonly #options: InspectionOptions;
  readonly #fileSystem: FileSystem;
  readonly #parts: PartReport[] = [];
  #isAmnesic = false;

  constructor(options: InspectionOptions) {
    this.#options = options;
    let bytes = 0;
    this.#fileSystem = new UntouchedFileSystem(new DenoFileSystem(), (count) => {
      bytes += count;
      options.onProgress(`log: ${sizeText(bytes)} read`);
    });
  }

  async run(): Promise<NodeReport> {
    const { directory } = this.#options;
    const log = await this.#openLog();
    try {
      const state = await this.#lookAtState(log);
      this.#lookAtMemory();
      await this.#lookAtRest(log);
      const isDamaged = this.#parts.some(({ status }) => status === "damaged");
      const report: Omit<NodeReport, "advice"> = {
        format: REPORT_FORMAT,
        directory,
        verdict: this.#isAmnesic ? "amnesic" : isDamaged ? "damaged" : "whole",
        isRemoved: await this.#exists("REMOVED"),
        log: log === undefined ? null : reportedLog(log),
        state,
        parts: this.#parts,
      };
      return { ...report, advice: adviceFor(report) };
    } finally {
      await log?.close();
    }
  }

  async #openLog(): Promise<SegmentedLog | undefined> {
    const directory = joinPath(this.#options.directory, "log");
    const isThere = await this.#exists("log") &&
      await SegmentedLog.exists({ fileSystem: this.#fileSystem, directory });
    if (!isThere) {
      if (await this.#exists("BIRTH")) {
        this.#add("note", "log", "the node was never born to the end; a start begins anew");
      } else if (await this.#exists("recovery/READY")) {
        this.#add("note", "log", "a recovery did not come to its end; the next start goes on");
      } else {
        this.#isAmnesic = true;
        this.#add("damaged", "log", "no segment is there", { file: directory, offset: null });
      }
      return undefined;
    }
    try {
      const log = await SegmentedLog.look({ fileSystem: this.#fileSystem, directory });
      this.#add("ok", "log", logText(log));
      for (const finding of log.findings) {
        if (finding.kind !== "torn_tail_cleared") continue;
        const { file, offset, bytes } = finding;
        const text = `${file} has a torn tail of ${bytes} bytes at offset ${offset}, as a crash ` +
          "leaves it; the next start cuts it and keeps a copy";
        this.#add("note", "log", text);
      }
      return log;
    } catch (error) {
      if (!(error instanceof LogDamageError)) throw error;
      this.#isAmnesic = error.kind === "missing";
      const reason = error.message.slice(error.message.lastIndexOf(": ") + 2);
      this.#add("damaged", "log", reason, error.place);
      return undefined;
    }
  }

  async #lookAtState(log: SegmentedLog | undefined): Promise<ReportedState | null> {
    const { directory: dataDirectory, library, onLong } = this.#options;
    const { generations, others } = listStates(dataDirectory);
    const generation = log?.marker.generation ?? generations.at(-1);
    if (generation === undefined) return null;
    const found = inspectState(library, { dataDirectory, generation, onLong });
    for (const { file, offset, reason } of found.damages) {
      this.#add("damaged", "state", reason, { file, offset: offset ?? null });
    }
    const problem = log === undefined ? undefined : await this.#problemWithHistory(found, log);
    if (problem !== undefined) {
      this.#add("damaged", "state", problem, { file: found.path, offset: null });
    } else if (found.damages.length === 0) this.#add("ok", "state", stateText(found, generation));
    for (const note of found.notes) this.#add("note", "state", note);
    const leftovers = [...generations.filter((each) => each !== generation), ...others];
    for (const name of leftovers) {
      this.#add(
        "note",
        "leftover",
        leftoverText(joinPath(joinPath(dataDirectory, "state"), `${name}`)),
      );
    }
    if (found.state === undefined) return null;
    const { identity, record: { appliedIndex } } = found.state;
    // Two histories have no members in common to be sure of.
    const known = problem === undefined ? log : undefined;
    const members = await membersByLog(known, { identity, appliedIndex });
    return { cluster: identity.clusterId.toHex(), appliedIndex, ...members };
  }

  /** Rules D4, S2 and S3. */
  async #problemWithHistory(
    { state }: StateInspection,
    log: SegmentedLog,
  ): Promise<string | undefined> {
    if (state === undefined) return undefined;
    const { record, identity } = state;
    if (identity.clusterId.toHex() !== log.identity.clusterId.toHex()) {
      return "it belongs to another cluster than the log";
    }
    if (record.appliedIndex < log.marker.index) {
      return `it has applied ${record.appliedIndex} entries, and the log names it for ${log.marker.index}`;
    }
    const applied = {
      index: logIndex(record.appliedIndex),
      term: term(record.appliedTerm),
      entryChain: entryChainText(record.entryChain),
      configuration: identity.configuration,
      members: encodeMemberTable(identity.members),
    };
    try {
      if (await isOwnHistory(applied, log)) return undefined;
      return `entry ${record.appliedIndex} is another one in the log: they are two histories`;
    } catch (error) {
      if (error instanceof LogDamageError || !(error instanceof FatalError)) throw error;
      this.#isAmnesic = true;
      return `it has applied entry ${record.appliedIndex}, and the log ends at ${log.lastIndex}`;
    }
  }

  #lookAtMemory(): void {
    const { directory: dataDirectory, ramDirectory } = this.#options;
    const found = findRamState({ ramDirectory, dataDirectory });
    if (found === undefined) return;
    const { path, sizeBytes } = found;
    const text = `${path} (${
      sizeText(sizeBytes)
    }) is there from the last run: used again if it fits`;
    this.#add("note", "memory", text);
  }

  async #lookAtRest(log: SegmentedLog | undefined): Promise<void> {
    const { directory } = this.#options;
    if (await this.#exists("REMOVED")) {
      this.#add(
        "note",
        "member",
        "the node was removed from its cluster; it comes back with -join",
      );
    }
    if (log !== undefined && await this.#exists("recovery")) {
      this.#add("note", "leftover", leftoverText(joinPath(directory, "recovery")));
    }
    for await (const { name } of Deno.readDir(directory)) {
      if (!/^(?:removed|recovered)-\d+$/.test(name)) continue;
      const text = `${joinPath(directory, name)} is data set aside, which is yours to delete`;
      this.#add("note", "leftover", text);
    }
    if (await this.#exists("log")) {
      for (const name of await this.#fileSystem.listFiles(joinPath(directory, "log"))) {
        if (!name.endsWith(".broken")) continue;
        const text = `${joinPath(joinPath(directory, "log"), name)} is the copy of a torn tail`;
        this.#add("note", "leftover", text);
      }
    }
    await this.#lookAtPeersFile();
  }

  async #lookAtPeersFile(): Promise<void> {
    const { directory } = this.#options;
    try {
      const peers = await readPeersFile(new DenoFileSystem(), directory);
      if (peers === undefined) return;
      const names = peers.map(({ id }) => id).join(", ");
      this.#add("note", "recovery", `raft/peers.json waits for the next start: ${names}`);
    } catch (error) {
      if (!(error instanceof FatalError) || error.exitStatus !== 1) throw error;
      const file = joinPath(joinPath(directory, "raft"), "peers.json");
      const reason = "it is no list of nodes, and keeps the node from starting: mend or remove it";
      this.#add("damaged", "recovery", reason, { file, offset: null });
    }
  }

  #exists(name: string): Promise<boolean> {
    return this.#fileSystem.exists(joinPath(this.#options.directory, name));
  }

  #add(
    status: PartStatus,
    part: string,
    text: string,
    place: Pick<PartReport, "file" | "offset"> = { file: null, offset: null },
  ): void {
    this.#parts.push({ part, status, text, file: place.file, offset: place.offset });
  }
}

function leftoverText(path: string): string {
  return path.endsWith("/stuck")
    ? `${path} names an entry that no writer came back from`
    : `${path} is unfinished or no longer used; the next start removes it`;
}

function logText(log: SegmentedLog): string {
  const { firstIndex, lastIndex, hardState } = log;
  const entries = lastIndex < firstIndex ? "no entries" : `entries ${firstIndex} to ${lastIndex}`;
  return `${entries}, committed ${hardState.commit}, term ${hardState.term}, ` +
    `vote ${hardState.vote === 0 ? "none" : hardState.vote}, ${sizeText(log.sizeBytes)}`;
}

function stateText({ state, hasWal, sizeBytes }: StateInspection, generation: number): string {
  const mode = hasWal ? "live file" : "one file";
  return `generation ${generation} (${mode}, ${sizeText(sizeBytes)}): applied ` +
    `${state?.record.appliedIndex ?? 0}; pages, schema and retry tables are whole`;
}

function reportedLog(log: SegmentedLog): ReportedLog {
  const { identity, hardState } = log;
  return {
    cluster: identity.clusterId.toHex(),
    incarnation: identity.incarnation.toHex(),
    nodeId: identity.nodeId,
    term: hardState.term,
    lastTerm: log.term(log.lastIndex) ?? 0,
    lastIndex: log.lastIndex,
    firstIndex: log.firstIndex,
    commitIndex: hardState.commit,
    generation: log.marker.generation,
  };
}

/** Bytes for people. */
function sizeText(bytes: number): string {
  if (bytes < 10_000) return `${bytes} bytes`;
  return bytes < 10_000_000 ? `${Math.round(bytes / 1000)} kB` : `${Math.round(bytes / 1e6)} MB`;
}
