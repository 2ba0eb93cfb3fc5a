/**
 * The file system of the machine, through Deno. Positional reads and writes are a seek and a transfer
 * on a handle that nobody else uses (hence one operation at a time, asserted here); both together
 * cost about 2 µs when the page cache answers. No memory of its own, no retries.
 */
import { statfs } from "node:fs/promises";
import { assert } from "../base/assert.ts";
import { FatalError, OperatingError } from "../base/errors.ts";
import {
  type DirectoryLock,
  type File,
  type FileAccess,
  type FileSystem,
  joinPath,
  parentPath,
  pathsDownTo,
  type SyncOptions,
} from "./file_system.ts";
import { SyncPace } from "./sync_pace.ts";

/** The file whose lock stands for its directory. It stays when the lock is released. */
const LOCK_FILE_NAME = "LOCK";
const EXCLUSIVE = true;

/** The file system of this process. Stateless: any number may exist. */
export class DenoFileSystem implements FileSystem {
  openSync(path: string, access: FileAccess): File {
    const options = { read: true, write: access === "write" };
    return new DenoFile(path, attempt("open", path, () => Deno.openSync(path, options)));
  }

  createSync(path: string): File {
    const options = { read: true, write: true, createNew: true };
    return new DenoFile(path, attempt("create", path, () => Deno.openSync(path, options)));
  }

  removeSync(path: string): void {
    try {
      Deno.removeSync(path);
    } catch (error) {
      throw fatalError("remove", path, error);
    }
  }

  async remove(path: string): Promise<void> {
    await attemptFatal("remove", path, () => Deno.remove(path));
  }

  async rename(from: string, to: string): Promise<void> {
    await attemptFatal(`rename to ${to}`, from, () => Deno.rename(from, to));
  }

  async makeDirectory(path: string): Promise<void> {
    // The parents of what is new; and of the last part always: a crash may have come before its sync.
    const unsynced = new Set([parentPath(path)]);
    for (const part of pathsDownTo(path)) {
      if (!await this.exists(part)) unsynced.add(parentPath(part));
    }
    await attemptAsync("make directory", path, () => Deno.mkdir(path, { recursive: true }));
    for (const parent of unsynced) await syncParent(parent);
  }

  async listFiles(path: string): Promise<readonly string[]> {
    return await attemptAsync("list", path, async () => {
      const names: string[] = [];
      for await (const entry of Deno.readDir(path)) if (entry.isFile) names.push(entry.name);
      return names.sort();
    });
  }

  async exists(path: string): Promise<boolean> {
    return await attemptAsync("stat", path, async () => {
      try {
        await Deno.lstat(path);
        return true;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return false;
        throw error;
      }
    });
  }

  async syncDirectory(path: string): Promise<void> {
    await attemptFatal("sync directory", path, () => syncDirectory(path));
  }

  async freeBytes(path: string): Promise<number> {
    const facts = await attemptAsync("read free space of", path, () => statfs(path));
    return facts.bavail * facts.bsize;
  }

  async lockDirectory(path: string): Promise<DirectoryLock> {
    const lockPath = joinPath(path, LOCK_FILE_NAME);
    const file = await attemptAsync(
      "lock",
      lockPath,
      () => Deno.open(lockPath, { write: true, create: true }),
    );
    const taken = attempt("lock", lockPath, () => file.tryLockSync(EXCLUSIVE));
    if (!taken) {
      file.close();
      throw new FatalError(1, `Cannot lock ${path}: another process uses this data directory`);
    }
    return new DenoDirectoryLock(file);
  }
}

class DenoDirectoryLock implements DirectoryLock {
  #file: Deno.FsFile | undefined;

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  release(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

class DenoFile implements File {
  readonly path: string;
  readonly #file: Deno.FsFile;
  /** True while a promise of this file is pending: the position of the handle belongs to it. */
  #isBusy = false;
  #isClosed = false;
  readonly #pace = new SyncPace();

  constructor(path: string, file: Deno.FsFile) {
    this.path = path;
    this.#file = file;
  }

  sizeSync(): number {
    this.#assertFree();
    return attempt("stat", this.path, () => this.#file.statSync().size);
  }

  readSync(into: Uint8Array, position: number): number {
    this.#assertFree();
    return attempt("read", this.path, () => {
      this.#file.seekSync(position, Deno.SeekMode.Start);
      let done = 0;
      while (done < into.length) {
        const count = this.#file.readSync(done === 0 ? into : into.subarray(done));
        if (count === null || count === 0) break;
        done += count;
      }
      return done;
    });
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    return await this.#alone(() =>
      attemptAsync("read", this.path, async () => {
        this.#file.seekSync(position, Deno.SeekMode.Start);
        let done = 0;
        while (done < into.length) {
          const count = await this.#file.read(into.subarray(done));
          if (count === null || count === 0) break;
          done += count;
        }
        return done;
      })
    );
  }

  writeSync(bytes: Uint8Array, position: number): void {
    this.#assertFree();
    attempt("write", this.path, () => {
      this.#file.seekSync(position, Deno.SeekMode.Start);
      let done = this.#file.writeSync(bytes);
      while (done < bytes.length) done += this.#file.writeSync(bytes.subarray(done));
    });
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    await this.#alone(() =>
      attemptAsync("write", this.path, async () => {
        this.#file.seekSync(position, Deno.SeekMode.Start);
        let done = 0;
        while (done < bytes.length) done += await this.#file.write(bytes.subarray(done));
      })
    );
  }

  async syncData(options: SyncOptions = { mayBlock: false }): Promise<void> {
    const isHere = options.mayBlock && this.#pace.isQuick;
    const startedMs = performance.now();
    await this.#alone(() =>
      attemptFatal("fdatasync", this.path, async () => {
        if (isHere) this.#file.syncDataSync();
        else await this.#file.syncData();
      })
    );
    this.#pace.took(performance.now() - startedMs);
  }

  async sync(): Promise<void> {
    await this.#alone(() => attemptFatal("fsync", this.path, () => this.#file.sync()));
  }

  truncateSync(sizeBytes: number): void {
    this.#assertFree();
    attempt("truncate", this.path, () => this.#file.truncateSync(sizeBytes));
  }

  close(): void {
    assert(!this.#isBusy, "DenoFile.close: an operation is pending");
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#file.close();
  }

  #assertFree(): void {
    assert(!this.#isBusy, "DenoFile: an operation is pending");
    assert(!this.#isClosed, "DenoFile: the file is closed");
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    this.#assertFree();
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }
}

async function syncDirectory(path: string): Promise<void> {
  using directory = await Deno.open(path, { read: true });
  await directory.sync();
}

async function syncParent(path: string): Promise<void> {
  await attemptFatal("sync directory", path, async () => {
    try {
      await syncDirectory(path);
    } catch (error) {
      // A directory above ours that only root may list, like /root's: there is no way to sync it.
      if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    }
  });
}

function attempt<T>(operation: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fileError(operation, path, error);
  }
}

async function attemptAsync<T>(
  operation: string,
  path: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(operation, path, error);
  }
}

/** As `attemptAsync`, where lack of room is fatal, too: syncs, renames and removals must not half happen. */
async function attemptFatal(
  operation: string,
  path: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw fatalError(operation, path, error);
  }
}

function fileError(operation: string, path: string, error: unknown): Error {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "ENOSPC" && code !== "EDQUOT") return fatalError(operation, path, error);
  const message = `Cannot ${operation} ${path}: ${messageOf(error)}`;
  return new OperatingError("disk_full", message, { cause: error });
}

function fatalError(operation: string, path: string, error: unknown): FatalError {
  return new FatalError(74, `Cannot ${operation} ${path}: ${messageOf(error)}`, { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
