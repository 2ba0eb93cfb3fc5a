/**
 * The write-ahead log of the main database: checkpoints, and read snapshots that can be opened again.
 * A checkpoint's return value does not prove that anything is durable (rule D3).
 */
import { assert } from "../base/assert.ts";
import type { Connection } from "./connection.ts";
import { ResultCode } from "./errors.ts";
import { allocate, MAIN_SCHEMA } from "./library.ts";

const MODES = { passive: 0, full: 1, restart: 2, truncate: 3 } as const;

/** How far a checkpoint goes: sqlite.org/c3ref/wal_checkpoint_v2.html. */
export type CheckpointMode = keyof typeof MODES;

/** What a checkpoint did. */
export interface CheckpointOutcome {
  /** False when readers or a writer kept it from going all the way. */
  readonly isComplete: boolean;
  /** Frames in the `-wal` afterwards, -1 when the database is not in WAL mode. */
  readonly logFrameCount: number;
  /** Of these, how many are in the database file. */
  readonly checkpointedFrameCount: number;
}

const LITTLE_ENDIAN = true;
const FIRST = allocate(8);
const FIRST_VIEW = new DataView(FIRST.buffer);
const SECOND = allocate(4);
const SECOND_VIEW = new DataView(SECOND.buffer);

/** Copies frames into the database file. @throws {SqliteError} for anything but BUSY. */
export function checkpoint(connection: Connection, mode: CheckpointMode): CheckpointOutcome {
  const { symbols } = connection.library;
  FIRST_VIEW.setInt32(0, -1, LITTLE_ENDIAN);
  SECOND_VIEW.setInt32(0, -1, LITTLE_ENDIAN);
  const code = symbols.sqlite3_wal_checkpoint_v2(
    connection.pointer,
    MAIN_SCHEMA,
    MODES[mode],
    FIRST,
    SECOND,
  );
  const isBusy = (code & 0xff) === ResultCode.BUSY;
  if (!isBusy) connection.check(code);
  const logFrameCount = FIRST_VIEW.getInt32(0, LITTLE_ENDIAN);
  const checkpointedFrameCount = SECOND_VIEW.getInt32(0, LITTLE_ENDIAN);
  const isComplete = !isBusy && logFrameCount === checkpointedFrameCount;
  return { isComplete, logFrameCount, checkpointedFrameCount };
}

/** Frames in the `-wal` after which a commit starts a checkpoint by itself; 0 for never. */
export function setAutomaticCheckpoint(connection: Connection, frameCount: number): void {
  const { symbols } = connection.library;
  connection.check(symbols.sqlite3_wal_autocheckpoint(connection.pointer, frameCount));
}

/**
 * A point in the history of a WAL database that other connections can read at, for as long as no
 * checkpoint has passed it (rule V1). Not with a library built without SQLITE_ENABLE_SNAPSHOT.
 */
export class WalSnapshot implements Disposable {
  readonly #connection: Connection;
  /** Null once freed. */
  #pointer: Deno.PointerValue;

  /**
   * Remembers what `connection` sees in its open read transaction.
   * @throws {SqliteError} when there is none, or it holds writes, or nothing was ever written.
   */
  constructor(connection: Connection) {
    const { symbols } = connection.library;
    assert(symbols.sqlite3_snapshot_get !== null, "WalSnapshot: not in this library");
    this.#connection = connection;
    FIRST_VIEW.setBigUint64(0, 0n, LITTLE_ENDIAN);
    connection.check(symbols.sqlite3_snapshot_get(connection.pointer, MAIN_SCHEMA, FIRST));
    this.#pointer = Deno.UnsafePointer.create(FIRST_VIEW.getBigUint64(0, LITTLE_ENDIAN));
  }

  /** Address that may be posted to another thread for `openSnapshot`, while this one is not freed. */
  get address(): bigint {
    return Deno.UnsafePointer.value(this.#pointer);
  }

  /** Negative when this one is older than `other`, 0 when the same, positive when newer. */
  compare(other: WalSnapshot): number {
    const compare = this.#connection.library.symbols.sqlite3_snapshot_cmp;
    assert(compare !== null && this.#pointer !== null, "WalSnapshot: used after free");
    return compare(this.#pointer, other.#pointer);
  }

  /** Gives its memory back; transactions opened on it go on. Again is allowed. */
  free(): void {
    if (this.#pointer === null) return;
    this.#connection.library.symbols.sqlite3_snapshot_free?.(this.#pointer);
    this.#pointer = null;
  }

  [Symbol.dispose](): void {
    this.free();
  }
}

/**
 * Has the transaction that `connection` just began with BEGIN, and did not read in, read at a snapshot.
 * @throws {SqliteError} ERROR_SNAPSHOT (769) when a checkpoint has overwritten it.
 */
export function openSnapshot(connection: Connection, address: bigint): void {
  const { symbols } = connection.library;
  assert(symbols.sqlite3_snapshot_open !== null, "openSnapshot: not in this library");
  const pointer = Deno.UnsafePointer.create(address);
  connection.check(symbols.sqlite3_snapshot_open(connection.pointer, MAIN_SCHEMA, pointer));
}
