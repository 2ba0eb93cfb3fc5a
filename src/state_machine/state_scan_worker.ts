/**
 * A thread for one scan: reads all b-trees of a state file, tables and indexes, and ends. A table at a time, each
 * in a read of its own, slowly; between two steps it gives way to a writer who waits for readers to end
 * (rule D3), and takes the same table again afterwards. A durable copy is read byte by byte before.
 */
import { Connection } from "../sqlite/connection.ts";
import { SqliteError } from "../sqlite/errors.ts";
import { type LibraryLocation, openLibrary } from "../sqlite/loader.ts";
import { setProgressHandler } from "../sqlite/progress_handler.ts";
import { findCopyDamage } from "./copy_checksum.ts";
import { freezeForChecks, scanTable, tablesToScan } from "./database_check.ts";
import { type FatalReply, fatalReply } from "./fatal_reply.ts";
import {
  BUSY_TIMEOUT_MS,
  READ_GATE_MS_MAX,
  READER_CACHE_KIB,
  SCAN_ATTEMPTS_MAX,
  SCAN_REST_FACTOR,
  SCAN_SLICE_MS,
  SCAN_STEPS,
} from "./limits.ts";
import { ReadGate } from "./read_gate.ts";
import type { GenerationPlace } from "./state_folders.ts";

/** What to do. */
export interface ScanRequest {
  readonly library: LibraryLocation;
  readonly path: string;
  /** Of which generation it is the durable copy; undefined for a live file. */
  readonly copy: GenerationPlace | undefined;
  /** The gate before each read (read_gate.ts). */
  readonly gate: SharedArrayBuffer;
  /** One cell: 1 ends the scan. */
  readonly stop: SharedArrayBuffer;
}

/** What came of it. */
export type ScanReply =
  | {
    readonly kind: "scanned";
    /** The first that was found, in SQLite's words. */
    readonly damage: string | undefined;
    /** Whether all was read. */
    readonly isComplete: boolean;
  }
  | FatalReply;

const RUNNING = 0;

/** When a scan goes on, rests and ends. */
class Pace {
  readonly gate: ReadGate;
  /** Without rests: what it reads is too much to be read between two checkpoints otherwise. */
  isHurried = false;
  readonly #stop: Int32Array;
  #sinceMs = performance.now();

  constructor({ gate, stop }: ScanRequest) {
    this.gate = new ReadGate(gate);
    this.#stop = new Int32Array(stop);
  }

  get isStopped(): boolean {
    return Atomics.load(this.#stop, 0) !== RUNNING;
  }

  /** Rests when it is time to. @returns whether the scan goes on. */
  rest(): boolean {
    const tookMs = performance.now() - this.#sinceMs;
    if (!this.isHurried && tookMs >= SCAN_SLICE_MS) {
      Atomics.wait(this.#stop, 0, RUNNING, tookMs * SCAN_REST_FACTOR);
      this.#sinceMs = performance.now();
    }
    return !this.isStopped;
  }

  /** As `rest`. @returns whether the read goes on, too. */
  mayGoOn(): boolean {
    return this.rest() && !this.gate.isClosed;
  }
}

function scan(request: ScanRequest): ScanReply {
  const pace = new Pace(request);
  const changed = changeOf(request, pace);
  if (changed !== undefined) return { kind: "scanned", damage: changed, isComplete: false };
  try {
    using connection = Connection.open(openLibrary(request.library), {
      path: request.path,
      mode: "readonly",
      noFollow: true,
    });
    connection.setBusyTimeoutMs(BUSY_TIMEOUT_MS);
    connection.exec(`PRAGMA cache_size=-${READER_CACHE_KIB}`);
    freezeForChecks(connection);
    setProgressHandler(connection, SCAN_STEPS, () => pace.mayGoOn());
    let isComplete = true;
    for (const table of tablesToScan(connection)) {
      const scanned = scanInTurns(connection, { table, pace });
      if (scanned?.damage !== undefined || pace.isStopped) {
        return { kind: "scanned", damage: scanned?.damage, isComplete: false };
      }
      if (scanned === undefined) isComplete = false;
    }
    return { kind: "scanned", damage: undefined, isComplete };
  } catch (error) {
    if (!(error instanceof SqliteError)) throw error;
    const damage = error.isUnreadable ? error.message : undefined;
    return { kind: "scanned", damage, isComplete: false };
  }
}

/** What of a copy is not as it was made. One that is gone is in no use. Before SQLite has it open (rule S1). */
function changeOf({ copy }: ScanRequest, pace: Pace): string | undefined {
  if (copy === undefined) return undefined;
  try {
    return findCopyDamage(copy, () => pace.rest());
  } catch (error) {
    // What the system refuses otherwise it refuses SQLite too.
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

/** @returns what is damaged, if anything; undefined when it had to give way each time. */
function scanInTurns(
  connection: Connection,
  { table, pace }: { readonly table: string; readonly pace: Pace },
): { readonly damage: string | undefined } | undefined {
  for (let attempt = 1; attempt <= SCAN_ATTEMPTS_MAX && !pace.isStopped; attempt++) {
    pace.gate.pass(READ_GATE_MS_MAX);
    pace.isHurried = attempt === SCAN_ATTEMPTS_MAX;
    try {
      return { damage: scanTable(connection, table) };
    } catch (error) {
      if (!(error instanceof SqliteError) || error.class !== "interrupted") throw error;
    } finally {
      pace.mayGoOn();
    }
  }
  return undefined;
}

self.onmessage = (event: MessageEvent<ScanRequest>) => {
  let reply: ScanReply;
  try {
    reply = scan(event.data);
  } catch (error) {
    reply = fatalReply(error);
  }
  self.postMessage(reply);
  self.close();
};
