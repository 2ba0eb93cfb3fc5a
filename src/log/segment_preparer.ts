/**
 * Keeps the next segment's file ready: full of zeros and synced, so that appends change neither size
 * nor blocks and fdatasync is enough, and so that a full disk shows here and not in the middle of a
 * record. Works in the background in small pieces, each synced, so that appends get their turn.
 * Invariant: at most one file is prepared or in preparation. A full disk is not an error here: nothing
 * is prepared then, and who needs a segment makes a small one or learns that there is no room.
 */
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import { type File, type FileSystem, joinPath } from "../os/file_system.ts";
import { PREPARE_PIECE_BYTES } from "./limits.ts";

/** Temporary files of the log; found at a start, they are removed. */
export const TEMPORARY_SUFFIX = ".tmp";
/** A file is prepared only where so many would fit. */
const FREE_FACTOR = 2;
const PREPARED_NAME = `prepared${TEMPORARY_SUFFIX}`;

/** A file of zeros under a temporary name. Who takes it owns it. */
export interface PreparedFile {
  readonly name: string;
  readonly file: File;
  readonly sizeBytes: number;
}

/** Prepares one file after the other; see the file's header. */
export class SegmentPreparer {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #sizeBytes: number;
  #ready: PreparedFile | undefined;
  #running: Promise<void> | undefined;
  #failure: unknown;
  #isClosed = false;

  constructor(options: {
    readonly fileSystem: FileSystem;
    readonly directory: string;
    readonly sizeBytes: number;
  }) {
    this.#fileSystem = options.fileSystem;
    this.#directory = options.directory;
    this.#sizeBytes = options.sizeBytes;
  }

  /** Bytes of the file that is ready, or 0. */
  get readyBytes(): number {
    return this.#ready?.sizeBytes ?? 0;
  }

  /** Starts preparing unless a file is ready or on its way. The name must be free of a file taken earlier. */
  start(): void {
    if (this.#isClosed || this.#ready !== undefined || this.#running !== undefined) return;
    this.#running = this.#prepare();
    runInBackground(this.#running, (error) => {
      this.#failure = error;
    });
  }

  /** Hands over the file if it has at least `bytes`. @throws {FatalError} when preparing failed. */
  take(bytes: number): PreparedFile | undefined {
    this.assertHealthy();
    const ready = this.#ready;
    if (ready === undefined || ready.sizeBytes < bytes) return undefined;
    this.#ready = undefined;
    return ready;
  }

  /** @throws {FatalError} when preparing failed: the disk cannot be trusted. */
  assertHealthy(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Resolves when nothing is in preparation. */
  async settled(): Promise<void> {
    // A failure is kept in #failure; here only the end of the work matters.
    if (this.#running !== undefined) await Promise.allSettled([this.#running]);
  }

  /** Stops and removes what nobody took. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.settled();
    if (this.#ready === undefined) return;
    this.#ready.file.close();
    this.#ready = undefined;
    await this.#fileSystem.remove(joinPath(this.#directory, PREPARED_NAME));
  }

  async #prepare(): Promise<void> {
    try {
      this.#ready = await this.#prepareFile();
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
    } finally {
      this.#running = undefined;
    }
  }

  /** Returns undefined when there is little room, or it was closed meanwhile. @throws {OperatingError} `disk_full`, nothing is left. */
  async #prepareFile(): Promise<PreparedFile | undefined> {
    // On a small disk others would meet a full one while this grows, only for it to be given up.
    const freeBytes = await this.#fileSystem.freeBytes(this.#directory);
    if (freeBytes < FREE_FACTOR * this.#sizeBytes) return undefined;
    const path = joinPath(this.#directory, PREPARED_NAME);
    const file = this.#fileSystem.createSync(path);
    try {
      const piece = new Uint8Array(Math.min(PREPARE_PIECE_BYTES, this.#sizeBytes));
      for (let at = 0; at < this.#sizeBytes && !this.#isClosed; at += piece.length) {
        await file.write(piece.subarray(0, Math.min(piece.length, this.#sizeBytes - at)), at);
        await file.syncData();
      }
      await file.sync();
    } catch (error) {
      file.close();
      if (error instanceof OperatingError) this.#fileSystem.removeSync(path);
      throw error;
    }
    return { name: PREPARED_NAME, file, sizeBytes: this.#sizeBytes };
  }
}
