/**
 * The mark of this node's own state (replica_health.ts) in a file of the data directory, `replica`: one line
 * of JSON, replaced as a whole. It is about this node alone: neither in the state nor in the log (rule S4).
 */
import type { File, FileSystem } from "../os/file_system.ts";
import { joinPath } from "../os/file_system.ts";
import { CLEAN_MARK, type HealthMark, type HealthStore } from "./replica_health.ts";

const NAME = "replica";
const NEW_NAME = "replica.new";

/** See the file's header. One per data directory, which is locked. */
export class HealthFile implements HealthStore {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  #mark: HealthMark;

  /** Use `HealthFile.open`. */
  constructor(
    options: { readonly fileSystem: FileSystem; readonly directory: string },
    mark: HealthMark,
  ) {
    this.#fileSystem = options.fileSystem;
    this.#directory = options.directory;
    this.#mark = mark;
  }

  get mark(): HealthMark {
    return this.#mark;
  }

  /** Reads what there is. @throws {FatalError} when the file system refuses. */
  static async open(
    options: { readonly fileSystem: FileSystem; readonly directory: string },
  ): Promise<HealthFile> {
    const { fileSystem, directory } = options;
    const path = joinPath(directory, NAME);
    if (!(await fileSystem.exists(path))) return new HealthFile(options, CLEAN_MARK);
    const file = fileSystem.openSync(path, "read");
    try {
      return new HealthFile(options, parseMark(readText(file)));
    } finally {
      file.close();
    }
  }

  async save(mark: HealthMark): Promise<void> {
    const fileSystem = this.#fileSystem;
    const path = joinPath(this.#directory, NEW_NAME);
    if (await fileSystem.exists(path)) fileSystem.removeSync(path);
    const file = fileSystem.createSync(path);
    try {
      file.writeSync(new TextEncoder().encode(`${JSON.stringify(mark)}\n`), 0);
      await file.sync();
    } finally {
      file.close();
    }
    await fileSystem.rename(path, joinPath(this.#directory, NAME));
    await fileSystem.syncDirectory(this.#directory);
    this.#mark = mark;
  }
}

function readText(file: File): string {
  const bytes = new Uint8Array(file.sizeSync());
  const size = file.readSync(bytes, 0);
  return new TextDecoder().decode(bytes.subarray(0, size));
}

/** What cannot be read is not trusted: the state is renewed, which costs a copy and nothing else. */
function parseMark(text: string): HealthMark {
  const unknown: HealthMark = { cleanIndex: 0, quarantine: { index: 0, verdictIndex: 0 } };
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return unknown;
    throw error;
  }
  if (!isRecord(found) || !isIndex(found.cleanIndex)) return unknown;
  const { cleanIndex, quarantine } = found;
  if (quarantine === undefined) return { cleanIndex, quarantine: undefined };
  if (!isRecord(quarantine)) return unknown;
  const { index, verdictIndex } = quarantine;
  if (!isIndex(index) || !isIndex(verdictIndex)) return unknown;
  return { cleanIndex, quarantine: { index, verdictIndex } };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
