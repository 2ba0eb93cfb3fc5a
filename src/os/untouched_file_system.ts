/**
 * A file system that shows another one and leaves it as it is, so that what a start does to a directory can be
 * tried out: bytes written in place are remembered and read back, removals hide, syncs do nothing.
 * Invariant: nothing is ever passed on but opening for reading, listing and looking.
 * New files are refused as on a full disk, since nobody would ever read them.
 */
import { FatalError, OperatingError } from "../base/errors.ts";
import {
  type DirectoryLock,
  type File,
  type FileAccess,
  type FileSystem,
  joinPath,
} from "./file_system.ts";

/** Bytes written at a position, in the order of writing. */
interface Patch {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** See the file's header. Holds in memory what was written, so it is for small repairs. */
export class UntouchedFileSystem implements FileSystem {
  readonly #shown: FileSystem;
  readonly #onRead: (bytes: number) => void;
  readonly #patches = new Map<string, Patch[]>();
  readonly #removed = new Set<string>();

  /** `onRead` hears of every read, with its bytes: how a long look tells that it goes on. */
  constructor(shown: FileSystem, onRead: (bytes: number) => void = () => {}) {
    this.#shown = shown;
    this.#onRead = onRead;
  }

  openSync(path: string, _access: FileAccess): File {
    if (this.#removed.has(path)) throw new FatalError(74, `Cannot open ${path}: it was removed`);
    const patches = this.#patches.get(path) ?? [];
    this.#patches.set(path, patches);
    const file = this.#shown.openSync(path, "read");
    return new UntouchedFile({ file, patches, onRead: this.#onRead });
  }

  createSync(path: string): File {
    throw new OperatingError("disk_full", `Cannot create ${path}: nothing is written here`);
  }

  removeSync(path: string): void {
    this.#removed.add(path);
  }

  remove(path: string): Promise<void> {
    this.#removed.add(path);
    return Promise.resolve();
  }

  rename(from: string, to: string): Promise<void> {
    return Promise.reject(
      new FatalError(74, `Cannot rename ${from} to ${to}: nothing is written here`),
    );
  }

  makeDirectory(_path: string): Promise<void> {
    return Promise.resolve();
  }

  async listFiles(path: string): Promise<readonly string[]> {
    const names = await this.#shown.listFiles(path);
    return names.filter((name) => !this.#removed.has(joinPath(path, name)));
  }

  async exists(path: string): Promise<boolean> {
    return !this.#removed.has(path) && await this.#shown.exists(path);
  }

  syncDirectory(_path: string): Promise<void> {
    return Promise.resolve();
  }

  async freeBytes(path: string): Promise<number> {
    return await this.#shown.freeBytes(path);
  }

  /** Not here: taking the lock may make its file. */
  lockDirectory(path: string): Promise<DirectoryLock> {
    return Promise.reject(new FatalError(74, `Cannot lock ${path}: nothing is written here`));
  }
}

class UntouchedFile implements File {
  readonly path: string;
  readonly #file: File;
  readonly #patches: Patch[];
  readonly #onRead: (bytes: number) => void;

  constructor(
    { file, patches, onRead }: {
      readonly file: File;
      readonly patches: Patch[];
      readonly onRead: (bytes: number) => void;
    },
  ) {
    this.path = file.path;
    this.#file = file;
    this.#patches = patches;
    this.#onRead = onRead;
  }

  sizeSync(): number {
    return this.#file.sizeSync();
  }

  readSync(into: Uint8Array, position: number): number {
    const count = this.#file.readSync(into, position);
    return this.#patched(into.subarray(0, count), position);
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    const count = await this.#file.read(into, position);
    return this.#patched(into.subarray(0, count), position);
  }

  writeSync(bytes: Uint8Array, position: number): void {
    if (position + bytes.length > this.#file.sizeSync()) {
      throw new OperatingError("disk_full", `Cannot extend ${this.path}: nothing is written here`);
    }
    this.#patches.push({ position, bytes: bytes.slice() });
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    this.writeSync(bytes, position);
    return Promise.resolve();
  }

  syncData(): Promise<void> {
    return Promise.resolve();
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  truncateSync(_sizeBytes: number): void {
    throw new OperatingError("disk_full", `Cannot resize ${this.path}: nothing is written here`);
  }

  close(): void {
    this.#file.close();
  }

  /** @returns the bytes that were read. */
  #patched(into: Uint8Array, position: number): number {
    for (const { position: at, bytes } of this.#patches) {
      const from = Math.max(at, position);
      const to = Math.min(at + bytes.length, position + into.length);
      if (from < to) into.set(bytes.subarray(from - at, to - at), from - position);
    }
    this.#onRead(into.length);
    return into.length;
  }
}
