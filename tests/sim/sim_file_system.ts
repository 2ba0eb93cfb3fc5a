/**
 * A file system in memory that forgets like a real one. Content is kept in sectors of 512 bytes, names
 * in directories; both have what everybody sees (live) and what survives (durable). Until a sync, a
 * sector may come back from a power cut as it was at the last sync or as any write since left it,
 * independently of its neighbours, and so may the file's size; until a sync of its directory, a
 * creation, removal or rename may or may not have happened, each on its own.
 * The `onOperation` hook sees each change before it happens and decides: go on, fail, cut the power.
 * After a crash the object is dead; `afterCrash` gives the one that the next process finds.
 */
import { assert } from "../../src/base/assert.ts";
import { FatalError, OperatingError } from "../../src/base/errors.ts";
import {
  type DirectoryLock,
  type File,
  type FileAccess,
  type FileSystem,
  parentPath,
  pathsDownTo,
} from "../../src/os/file_system.ts";
import { SimInode } from "./sim_inode.ts";

/** A change, told to the hook before it happens. Reads are not told: a crash there is a crash before the next change. */
export interface SimOperation {
  readonly kind:
    | "create"
    | "write"
    | "truncate"
    | "syncData"
    | "sync"
    | "rename"
    | "remove"
    | "makeDirectory"
    | "syncDirectory";
  readonly path: string;
  /** From 1, over the life of this object. */
  readonly number: number;
}

/**
 * What happens instead of success. `crash`: the change is made, but is not durable, and power fails.
 * `EIO`: fails; a sync that fails so has lost what it should have saved, for good. `ENOSPC`: no room;
 * a write has been done by half.
 */
export type SimOutcome = "crash" | "EIO" | "ENOSPC";

/** The changes whose lack of room is an operating error. */
const NEEDS_ROOM: ReadonlySet<SimOperation["kind"]> = new Set([
  "create",
  "write",
  "truncate",
  "makeDirectory",
]);

/** Chooses one of `count` versions, 0 the oldest: what was durable. */
export type SimChoice = (count: number) => number;

/** Thrown by the operation at which the power was cut, and by all later ones. */
export class SimulatedCrash extends Error {
  override readonly name = "SimulatedCrash";
}

/** A change of a directory that no sync has made durable. Inode undefined: the name goes. */
interface NameChange {
  readonly directory: string;
  readonly names: readonly { readonly path: string; readonly inode: SimNode | undefined }[];
}

type SimNode = SimInode | "directory";

/** `lost`: the power fails in the middle of the operation, so a sync has saved nothing. */
type SyncFate = "done" | "lost";

/** Options of a new, empty file system. */
export interface SimOptions {
  /** Bytes that files may have together; default: no limit. */
  readonly capacityBytes?: number;
  /** Called before every change. May also just count. */
  readonly onOperation?: (operation: SimOperation) => SimOutcome | undefined;
  /** Awaited in every asynchronous operation before it takes effect; default: one microtask. */
  readonly delay?: (operation: SimOperation) => Promise<void>;
}

/** See the file's header. Single-threaded and deterministic. */
export class SimFileSystem implements FileSystem {
  capacityBytes: number;
  onOperation: (operation: SimOperation) => SimOutcome | undefined;
  delay: (operation: SimOperation) => Promise<void>;
  #live = new Map<string, SimNode>([["/", "directory"]]);
  #durable = new Map<string, SimNode>([["/", "directory"]]);
  #changes: NameChange[] = [];
  readonly #locks = new Set<string>();
  #operationCount = 0;
  #hasCrashed = false;

  constructor(options: SimOptions = {}) {
    this.capacityBytes = options.capacityBytes ?? Infinity;
    this.onOperation = options.onOperation ?? (() => undefined);
    this.delay = options.delay ?? (() => Promise.resolve());
  }

  /** Changes so far. */
  get operationCount(): number {
    return this.#operationCount;
  }

  /** Ends this object; every call from now on throws. */
  crash(): void {
    this.#hasCrashed = true;
  }

  /** What a new process finds when the machine stayed up: everything, though not all of it durable. */
  afterProcessCrash(): SimFileSystem {
    this.crash();
    return this.#copy((node, copies) => copyNode(node, copies));
  }

  /** What is found after a power cut. */
  afterPowerCut(choose: SimChoice): SimFileSystem {
    this.crash();
    for (const change of this.#changes) {
      if (choose(2) === 1) applyNames(this.#durable, change);
    }
    const next = this.#copy((node, copies) => copyNode(node, copies));
    next.#changes = [];
    next.#live = new Map(
      [...next.#durable].filter(([path]) => hasParents(path, next.#durable)),
    );
    next.#durable = new Map(next.#live);
    for (const node of new Set(next.#live.values())) {
      if (node !== "directory") node.losePower(choose);
    }
    return next;
  }

  /** An independent copy, crashed or not, with the same hooks. */
  clone(): SimFileSystem {
    return this.#copy((node, copies) => copyNode(node, copies));
  }

  /** All bytes of a file, for looking behind the scenes. */
  contentOf(path: string): Uint8Array {
    const inode = this.#inode(path, "open");
    const bytes = new Uint8Array(inode.size);
    inode.read(bytes, 0);
    return bytes;
  }

  /** Replaces a file's bytes, durably and without an operation: damage. */
  replaceContent(path: string, bytes: Uint8Array): void {
    const found = this.#live.get(path);
    const inode = found instanceof SimInode ? found : new SimInode();
    inode.truncate(0);
    inode.write(bytes, 0);
    inode.beginSync()();
    this.#live.set(path, inode);
    this.#durable.set(path, inode);
  }

  /** Removes a file, durably and without an operation: damage. */
  eraseName(path: string): void {
    this.#live.delete(path);
    this.#durable.delete(path);
  }

  openSync(path: string, access: FileAccess): File {
    this.assertAlive();
    return new SimFile(this, path, this.#inode(path, "open"), access);
  }

  createSync(path: string): File {
    this.#change("create", path, () => {
      this.#assertParent(path);
      if (this.#live.has(path)) throw new FatalError(74, `Cannot create ${path}: it exists`);
      this.#rename(parentPath(path), [{ path, inode: new SimInode() }]);
    });
    return this.openSync(path, "write");
  }

  removeSync(path: string): void {
    this.#change("remove", path, () => {
      this.#inode(path, "remove");
      this.#rename(parentPath(path), [{ path, inode: undefined }]);
    });
  }

  async remove(path: string): Promise<void> {
    await this.#pause("remove", path);
    this.removeSync(path);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#pause("rename", from);
    this.#change("rename", from, () => {
      const inode = this.#inode(from, "rename");
      this.#assertParent(to);
      assert(parentPath(from) === parentPath(to), "SimFileSystem.rename: between directories");
      this.#rename(parentPath(from), [{ path: from, inode: undefined }, { path: to, inode }]);
    });
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#pause("makeDirectory", path);
    const unsynced = new Set([parentPath(path)]);
    for (const part of pathsDownTo(path)) {
      const found = this.#live.get(part);
      if (found === "directory") continue;
      unsynced.add(parentPath(part));
      if (found !== undefined) throw new FatalError(74, `Cannot make directory ${part}: a file`);
      this.#change("makeDirectory", part, () => {
        this.#rename(parentPath(part), [{ path: part, inode: "directory" }]);
      });
    }
    for (const parent of unsynced) await this.syncDirectory(parent);
  }

  listFiles(path: string): Promise<readonly string[]> {
    return this.#answer(() => {
      if (this.#live.get(path) !== "directory") {
        throw new FatalError(74, `Cannot list ${path}: no such directory`);
      }
      const names: string[] = [];
      for (const [name, node] of this.#live) {
        if (node === "directory" || parentPath(name) !== path) continue;
        names.push(name.slice(name.lastIndexOf("/") + 1));
      }
      return names.sort();
    });
  }

  exists(path: string): Promise<boolean> {
    return this.#answer(() => this.#live.has(path));
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#pause("syncDirectory", path);
    this.#change("syncDirectory", path, (fate) => {
      if (this.#live.get(path) !== "directory") {
        throw new FatalError(74, `Cannot sync directory ${path}: no such directory`);
      }
      if (fate === "lost") return;
      for (const change of this.#changes) {
        if (change.directory === path) applyNames(this.#durable, change);
      }
      this.#changes = this.#changes.filter((change) => change.directory !== path);
    });
  }

  freeBytes(_path: string): Promise<number> {
    return this.#answer(() => Math.max(0, this.capacityBytes - this.#usedBytes()));
  }

  lockDirectory(path: string): Promise<DirectoryLock> {
    return this.#answer(() => {
      if (this.#locks.has(path)) {
        throw new FatalError(1, `Cannot lock ${path}: another process uses this data directory`);
      }
      this.#locks.add(path);
      return { release: () => this.#locks.delete(path) };
    });
  }

  /** For SimFile: as `#change`. */
  changeFile(kind: SimOperation["kind"], path: string, apply: (fate: SyncFate) => void): void {
    this.#change(kind, path, apply);
  }

  /** For SimFile: as `#pause`. */
  async pauseFile(kind: SimOperation["kind"], path: string): Promise<void> {
    await this.#pause(kind, path);
  }

  /** For SimFile: bytes by which an inode may grow. @throws {SimulatedCrash} */
  roomToGrow(): number {
    this.assertAlive();
    return this.capacityBytes - this.#usedBytes();
  }

  /** Counts and announces a change, then makes it, or what the hook wants instead. */
  #change(kind: SimOperation["kind"], path: string, apply: (fate: SyncFate) => void): void {
    this.assertAlive();
    this.#operationCount += 1;
    const outcome = this.onOperation({ kind, path, number: this.#operationCount });
    const message = `Cannot ${kind} ${path}: ${outcome} (simulated)`;
    switch (outcome) {
      case undefined:
        apply("done");
        return;
      case "crash":
        apply("lost");
        this.crash();
        throw new SimulatedCrash(`Power cut at operation ${this.#operationCount}: ${kind} ${path}`);
      case "EIO":
        throw new FatalError(74, message);
      case "ENOSPC":
        throw NEEDS_ROOM.has(kind)
          ? new OperatingError("disk_full", message)
          : new FatalError(74, message);
    }
  }

  async #pause(kind: SimOperation["kind"], path: string): Promise<void> {
    this.assertAlive();
    await this.delay({ kind, path, number: this.#operationCount + 1 });
    this.assertAlive();
  }

  async #answer<T>(work: () => T): Promise<T> {
    this.assertAlive();
    await Promise.resolve();
    this.assertAlive();
    return work();
  }

  /** @throws {SimulatedCrash} once the power is off. */
  assertAlive(): void {
    if (this.#hasCrashed) throw new SimulatedCrash("The power is off");
  }

  #assertParent(path: string): void {
    if (this.#live.get(parentPath(path)) === "directory") return;
    throw new FatalError(74, `Cannot use ${path}: no such directory`);
  }

  #inode(path: string, operation: string): SimInode {
    const node = this.#live.get(path);
    if (node === undefined || node === "directory") {
      throw new FatalError(74, `Cannot ${operation} ${path}: no such file`);
    }
    return node;
  }

  #rename(directory: string, names: NameChange["names"]): void {
    const change = { directory, names };
    applyNames(this.#live, change);
    this.#changes.push(change);
  }

  #usedBytes(): number {
    let bytes = 0;
    for (const node of new Set(this.#live.values())) if (node !== "directory") bytes += node.size;
    return bytes;
  }

  #copy(copyOne: (node: SimNode, copies: Map<SimNode, SimNode>) => SimNode): SimFileSystem {
    const { capacityBytes, onOperation, delay } = this;
    const next = new SimFileSystem({ capacityBytes, onOperation, delay });
    const copies = new Map<SimNode, SimNode>();
    const copyNames = (names: Map<string, SimNode>): Map<string, SimNode> =>
      new Map([...names].map(([path, node]) => [path, copyOne(node, copies)]));
    next.#live = copyNames(this.#live);
    next.#durable = copyNames(this.#durable);
    next.#changes = this.#changes.map(({ directory, names }) => ({
      directory,
      names: names.map(({ path, inode }) => {
        return { path, inode: inode === undefined ? undefined : copyOne(inode, copies) };
      }),
    }));
    return next;
  }
}

/** An open file of the simulation. */
class SimFile implements File {
  readonly path: string;
  readonly #fileSystem: SimFileSystem;
  readonly #inode: SimInode;
  readonly #access: FileAccess;
  #isBusy = false;
  #isClosed = false;

  constructor(fileSystem: SimFileSystem, path: string, inode: SimInode, access: FileAccess) {
    this.#fileSystem = fileSystem;
    this.path = path;
    this.#inode = inode;
    this.#access = access;
  }

  sizeSync(): number {
    this.#assertFree();
    return this.#inode.size;
  }

  readSync(into: Uint8Array, position: number): number {
    this.#assertFree();
    return this.#inode.read(into, position);
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    return await this.#alone(async () => {
      await Promise.resolve();
      return this.#inode.read(into, position);
    });
  }

  writeSync(bytes: Uint8Array, position: number): void {
    this.#assertFree();
    this.#write(bytes, position);
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    await this.#alone(async () => {
      await this.#fileSystem.pauseFile("write", this.path);
      this.#write(bytes, position);
    });
  }

  async syncData(): Promise<void> {
    await this.#sync("syncData");
  }

  async sync(): Promise<void> {
    await this.#sync("sync");
  }

  truncateSync(sizeBytes: number): void {
    this.#assertFree();
    this.#assertWritable("truncate");
    this.#fileSystem.changeFile("truncate", this.path, () => this.#inode.truncate(sizeBytes));
  }

  close(): void {
    assert(!this.#isBusy, "SimFile.close: an operation is pending");
    this.#isClosed = true;
  }

  #write(bytes: Uint8Array, position: number): void {
    this.#assertWritable("write");
    const growth = Math.max(0, position + bytes.length - this.#inode.size);
    const missing = growth === 0 ? 0 : Math.max(0, growth - this.#fileSystem.roomToGrow());
    try {
      this.#fileSystem.changeFile("write", this.path, () => {
        this.#inode.write(bytes.subarray(0, bytes.length - missing), position);
      });
    } catch (error) {
      if (error instanceof OperatingError) {
        this.#inode.write(bytes.subarray(0, Math.floor((bytes.length - missing) / 2)), position);
      }
      throw error;
    }
    if (missing > 0) throw new OperatingError("disk_full", `Cannot write ${this.path}: no room`);
  }

  async #sync(kind: "sync" | "syncData"): Promise<void> {
    await this.#alone(async () => {
      // What is written while a sync runs is not what it saves.
      const finish = this.#inode.beginSync();
      await this.#fileSystem.pauseFile(kind, this.path);
      try {
        this.#fileSystem.changeFile(kind, this.path, (fate) => {
          if (fate === "done") finish();
        });
      } catch (error) {
        if (error instanceof FatalError) this.#inode.loseUnsynced();
        throw error;
      }
    });
  }

  #assertWritable(operation: string): void {
    if (this.#access === "write") return;
    throw new FatalError(74, `Cannot ${operation} ${this.path}: opened for reading`);
  }

  #assertFree(): void {
    assert(!this.#isBusy, "SimFile: an operation is pending");
    assert(!this.#isClosed, "SimFile: the file is closed");
    this.#fileSystem.assertAlive();
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

function applyNames(names: Map<string, SimNode>, change: NameChange): void {
  for (const { path, inode } of change.names) {
    if (inode === undefined) names.delete(path);
    else names.set(path, inode);
  }
}

function copyNode(node: SimNode, copies: Map<SimNode, SimNode>): SimNode {
  if (node === "directory") return node;
  const copy = copies.get(node) ?? node.clone();
  copies.set(node, copy);
  return copy;
}

function hasParents(path: string, names: ReadonlyMap<string, SimNode>): boolean {
  return pathsDownTo(parentPath(path)).every((part) => names.get(part) === "directory");
}
