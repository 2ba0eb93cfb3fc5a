/**
 * Sees a full file system coming (rule A3): new writes are refused while there is little room, before
 * they are proposed; and on tmpfs, where even DELETE and a checkpoint fail when nothing is left, a
 * ballast file is given up to get them through. It is taken up again when there is room.
 * Touches no file of SQLite's (rule S1).
 */
import { closeSync, openSync, statfsSync, unlinkSync, writeSync } from "node:fs";
import { BALLAST_BYTES, FREE_BYTES_MIN, FREE_SHARE_MIN } from "./limits.ts";

/** How often the room is looked at, and asked for again when it was short. */
const LOOK_MS = 250;
/** Below so many times the room at which writes are refused, every look counts. */
const SCARCE_FACTOR = 4;
/** And below so much: writes may use it up between two looks, however small a share of the disk it is. */
const SCARCE_BYTES = 512 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
const BALLAST_NAME = "ballast";

/** See the file's header. One per writer. */
export class RoomKeeper {
  readonly #directory: string;
  readonly #nowMs: () => number;
  readonly #space: () => FileSystemSpace;
  readonly #wantsBallast: boolean;
  readonly #walBytes: () => number;
  #hasBallast = false;
  #lookedMs = -Infinity;
  #hasRoom = true;
  #isScarce = false;

  constructor(options: {
    /** The folder of the live file. */
    readonly directory: string;
    /** Whether it is in memory. */
    readonly isRam: boolean;
    readonly nowMs: () => number;
    /** What the next checkpoint may add to the database at once. */
    readonly walBytes: () => number;
    /** For tests; the file system's own answer when left out. */
    readonly space?: () => FileSystemSpace;
  }) {
    this.#directory = options.directory;
    this.#nowMs = options.nowMs;
    this.#space = options.space ?? (() => spaceOf(options.directory));
    this.#wantsBallast = options.isRam;
    this.#walBytes = options.walBytes;
  }

  /** Whether new writes should still be accepted. Cheap: it looks now and then, and each time when room is scarce. */
  hasRoom(): boolean {
    const now = this.#nowMs();
    if (now - this.#lookedMs < LOOK_MS && !this.#isScarce) return this.#hasRoom;
    this.#lookedMs = now;
    const { freeBytes: free, totalBytes } = this.#space();
    // In memory a DELETE needs room, too; on a disk the log has some of its own.
    const freeMin = this.#wantsBallast
      ? FREE_BYTES_MIN
      : Math.min(FREE_BYTES_MIN, totalBytes * FREE_SHARE_MIN);
    this.#isScarce = free < Math.max(SCARCE_FACTOR * freeMin, SCARCE_BYTES);
    this.#hasRoom = free >= freeMin + (this.#wantsBallast ? 0 : this.#walBytes());
    if (free >= FREE_BYTES_MIN + BALLAST_BYTES) this.#takeBallast();
    return this.#hasRoom;
  }

  /** After SQLite found the file system full: makes room if it can. */
  giveUpBallast(): void {
    this.#lookedMs = -Infinity;
    if (!this.#hasBallast) return;
    unlinkSync(this.#path);
    this.#hasBallast = false;
  }

  get #path(): string {
    return `${this.#directory}/${BALLAST_NAME}`;
  }

  #takeBallast(): void {
    if (this.#hasBallast || !this.#wantsBallast) return;
    const file = openSync(this.#path, "w", 0o600);
    try {
      const zeros = new Uint8Array(CHUNK_BYTES);
      for (let size = 0; size < BALLAST_BYTES; size += writeSync(file, zeros));
      this.#hasBallast = true;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
      unlinkSync(this.#path);
    } finally {
      closeSync(file);
    }
  }
}

/** What a file system has. */
export interface FileSystemSpace {
  /** Bytes that may still be written. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Asks the file system that holds a folder. */
export function spaceOf(directory: string): FileSystemSpace {
  const { bavail, blocks, bsize } = statfsSync(directory);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

/** Bytes that may still be written to the file system that holds a folder. */
export function freeBytesOf(directory: string): number {
  return spaceOf(directory).freeBytes;
}
