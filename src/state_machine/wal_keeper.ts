/**
 * Keeps the `-wal` small (rule D3). Between batches, and from a size on, a passive checkpoint copies
 * what readers allow; when it has grown past a limit all the same, the gate before new reads is closed
 * and the file emptied as soon as those under way have ended. Slow ones are reported, to be interrupted.
 *
 * Nothing here makes anything durable, and nothing relies on what a checkpoint returns. A full disk, on
 * which the database file cannot grow, puts the work off and opens the gate: reads need no room.
 */
import type { Connection } from "../sqlite/connection.ts";
import { SqliteError } from "../sqlite/errors.ts";
import { readCounter } from "../sqlite/settings.ts";
import { checkpoint, type CheckpointMode } from "../sqlite/wal.ts";
import {
  BUSY_TIMEOUT_MS,
  WAL_CHECKPOINT_PAGES,
  WAL_GATE_BYTES,
  WAL_GATE_MS_MAX,
} from "./limits.ts";
import type { ReadGate } from "./read_gate.ts";

/** How often the emptying is tried while the gate is closed, and for how long between two batches. */
const POLL_MS = 2;
const TURN_MS = 20;

/** What the keeper works with. */
export interface WalKeeperOptions {
  readonly connection: Connection;
  readonly gate: ReadGate;
  /** Size of the `-wal` in bytes, 0 when there is none. */
  readonly walBytes: () => number;
  readonly nowMs: () => number;
  readonly sleepMs: (durationMs: number) => void;
  /** Reads have been in the way for too long. */
  readonly onReadersInTheWay: () => void;
}

/** See the file's header. One per writer; `tidy` it after each batch. */
export class WalKeeper {
  readonly #options: WalKeeperOptions;
  /** The connection's count of pages written when the last checkpoint was made. */
  #pagesBefore = 0;
  /** When the gate was closed; undefined while it is open. */
  #closedAtMs: number | undefined;
  /** When reads were last said to be in the way. */
  #complainedAtMs = 0;

  constructor(options: WalKeeperOptions) {
    this.#options = options;
  }

  /** True while the gate is closed: call `tidy` again soon, batch or not. */
  get isWaiting(): boolean {
    return this.#closedAtMs !== undefined;
  }

  /** Called without a transaction. */
  tidy(): void {
    if (this.#closedAtMs !== undefined) return this.#empty();
    const { connection, gate, nowMs, walBytes } = this.#options;
    // The size of the file says little: after a complete checkpoint it is written anew from its start.
    const pages = readCounter(connection, "cacheWriteCount");
    if (pages - this.#pagesBefore < WAL_CHECKPOINT_PAGES) return;
    if (checkpointIfRoom(connection, "passive") === "full") return;
    this.#pagesBefore = pages;
    if (walBytes() < WAL_GATE_BYTES) return;
    this.#closedAtMs = nowMs();
    gate.close();
    this.#empty();
  }

  #empty(): void {
    const { connection, gate, nowMs, sleepMs } = this.#options;
    const closedAtMs = this.#closedAtMs ?? nowMs();
    const turnEndMs = nowMs() + TURN_MS;
    // SQLite's own waiting for readers would block this thread for seconds.
    connection.setBusyTimeoutMs(0);
    try {
      for (;;) {
        if (checkpointIfRoom(connection, "truncate") !== "held_up") {
          this.#closedAtMs = undefined;
          return gate.open();
        }
        if (nowMs() >= turnEndMs) break;
        sleepMs(POLL_MS);
      }
    } finally {
      connection.setBusyTimeoutMs(BUSY_TIMEOUT_MS);
    }
    const sinceMs = Math.max(closedAtMs, this.#complainedAtMs);
    if (nowMs() - sinceMs < WAL_GATE_MS_MAX) return;
    this.#complainedAtMs = nowMs();
    this.#options.onReadersInTheWay();
  }
}

/** A checkpoint, and how far it came. @throws {SqliteError} for anything but lack of room. */
function checkpointIfRoom(
  connection: Connection,
  mode: CheckpointMode,
): "complete" | "held_up" | "full" {
  try {
    return checkpoint(connection, mode).isComplete ? "complete" : "held_up";
  } catch (error) {
    if (error instanceof SqliteError && error.class === "full") return "full";
    throw error;
  }
}
