/**
 * What Dust asks of a file system. `DenoFileSystem` is the real one, `tests/sim/sim_file_system.ts`
 * one whose power can be cut at every operation; one contract suite runs against both.
 * Errors: no room (ENOSPC, EDQUOT) is an OperatingError `disk_full`, whatever else the operating
 * system refuses is a FatalError (74) that names operation and path. A failed sync is always fatal:
 * the kernel may have dropped the data already, so a second try could succeed and still have lost it.
 * Durability: content is durable after `syncData` or `sync` of the file, a name after `syncDirectory`.
 */

/** How a file is opened: for reading only, or for reading and writing in place. */
export type FileAccess = "read" | "write";

/** How a sync may go about it. */
export interface SyncOptions {
  /** The caller has nothing else to do: a disk that is known to be quick may be waited for on its thread. */
  readonly mayBlock: boolean;
}

/**
 * An open file. Positions and sizes are bytes and may pass 4 GiB.
 * One operation at a time: while a promise of this file is pending, every other call is a bug
 * (AssertionError). Who reads while a sync runs opens the file a second time.
 */
export interface File {
  readonly path: string;
  /** Current size in bytes. @throws {FatalError} */
  sizeSync(): number;
  /** Fills `into` from `position` on; returns the bytes read, fewer only at the end of the file. @throws {FatalError} */
  readSync(into: Uint8Array, position: number): number;
  /** As `readSync`, off the caller's thread. `into` must not be touched until it resolves. */
  read(into: Uint8Array, position: number): Promise<number>;
  /**
   * Writes all of `bytes` at `position`, into the page cache; beyond the end the file grows.
   * @throws {OperatingError} `disk_full`: any part of `bytes` may have been written.
   * @throws {FatalError}
   */
  writeSync(bytes: Uint8Array, position: number): void;
  /** As `writeSync`, off the caller's thread. `bytes` must not be touched until it resolves. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Makes the content durable, and the size where reading needs it (fdatasync). @throws {FatalError} */
  syncData(options?: SyncOptions): Promise<void>;
  /** Makes content and all attributes durable (fsync). @throws {FatalError} */
  sync(): Promise<void>;
  /** Cuts or extends with zeros; not durable before `sync`. @throws {OperatingError} `disk_full`. @throws {FatalError} */
  truncateSync(sizeBytes: number): void;
  /** Releases the handle; must not be called while an operation is pending. A second call does nothing. */
  close(): void;
}

/** Holds a directory for one process. Also released by the end of the process, however it comes. */
export interface DirectoryLock {
  release(): void;
}

/** Paths are taken as they are. Names within one directory only: nothing here walks. */
export interface FileSystem {
  /** Opens an existing file. @throws {FatalError} also when it does not exist. */
  openSync(path: string, access: FileAccess): File;
  /** Creates an empty file for writing. @throws {OperatingError} `disk_full`. @throws {FatalError} also when it exists. */
  createSync(path: string): File;
  /** Deletes a file. @throws {FatalError} also when it does not exist. */
  removeSync(path: string): void;
  /** As `removeSync`, off the caller's thread: freeing a large file takes time. */
  remove(path: string): Promise<void>;
  /** Gives a file another name and replaces what had it, in one step. @throws {FatalError} */
  rename(from: string, to: string): Promise<void>;
  /**
   * Makes a directory and its parents, their names durable on return; one that exists is fine, its name
   * is made durable all the same. @throws {OperatingError} `disk_full`. @throws {FatalError}
   */
  makeDirectory(path: string): Promise<void>;
  /** Names of the files (not directories) in a directory, in code unit order. @throws {FatalError} */
  listFiles(path: string): Promise<readonly string[]>;
  /** Whether a file or directory has this name. @throws {FatalError} when that cannot be told. */
  exists(path: string): Promise<boolean>;
  /** Makes all creations, renames and removals in a directory durable. @throws {FatalError} */
  syncDirectory(path: string): Promise<void>;
  /** Bytes that may still be written on the file system that holds `path`. @throws {FatalError} */
  freeBytes(path: string): Promise<number>;
  /** Takes the lock of a data directory, for life. @throws {FatalError} (1) when another process holds it. */
  lockDirectory(path: string): Promise<DirectoryLock>;
}

/** `name` inside `directory`. */
export function joinPath(directory: string, name: string): string {
  return directory.endsWith("/") ? directory + name : `${directory}/${name}`;
}

/** The directories that lead to `path` and `path` itself, outermost first; the root is left out. */
export function pathsDownTo(path: string): readonly string[] {
  const parts = path.split("/").filter((part) => part.length > 0);
  const root = path.startsWith("/") ? "/" : "";
  return parts.map((_, at) => root + parts.slice(0, at + 1).join("/"));
}

/** The directory that holds `path`; `.` for a bare name. */
export function parentPath(path: string): string {
  const at = path.replace(/\/+$/, "").lastIndexOf("/");
  if (at < 0) return ".";
  return at === 0 ? "/" : path.slice(0, at);
}
