/**
 * Making and copying state files, through SQLite only (rules S1, Q15). A finished copy is one file in
 * rollback mode, complete in itself, synced; it becomes a live file by being copied again.
 * Not here: which folder (state_folders.ts), the directory's sync.
 */
import { assert } from "../base/assert.ts";
import { type EntryChain, nextEntryChain, startEntryChain } from "../base/entry_chain.ts";
import { FEATURE_LEVEL_FIRST } from "../command/feature_level.ts";
import { Backup } from "../sqlite/backup.ts";
import { Connection } from "../sqlite/connection.ts";
import type { Library } from "../sqlite/library.ts";
import { BUSY_TIMEOUT_MS } from "./limits.ts";
import { SOFT_LIMIT_STEPS_DEFAULT } from "./replicated_limits.ts";
import {
  createState,
  type FirstIdentity,
  readState,
  type StateIdentity,
  type StateRecord,
} from "./state_record.ts";

/** The index and term of the genesis, which the first state already contains. */
const GENESIS = 1;

/** Makes the state of a fresh cluster. @returns what it says. */
export function createStateFile(
  library: Library,
  options: {
    readonly path: string;
    readonly identity: FirstIdentity;
    readonly foreignKeys: boolean;
    /** SOFT_LIMIT_STEPS_DEFAULT unless the cluster began with another. */
    readonly softLimitSteps?: number;
  },
): StateRecord {
  const { identity } = options;
  using connection = Connection.open(library, { path: options.path, mode: "create" });
  connection.exec("PRAGMA synchronous=FULL");
  const record: StateRecord = {
    appliedIndex: GENESIS,
    appliedTerm: GENESIS,
    entryChain: genesisChain(identity),
    resultChain: startEntryChain(identity.clusterId),
    lastTimeMs: 0,
    lastInsertId: 0,
    rowsAffected: 0,
    lastWriteIndex: 0,
    foreignKeys: options.foreignKeys,
    softLimitSteps: options.softLimitSteps ?? SOFT_LIMIT_STEPS_DEFAULT,
    logClockMs: 0,
    featureLevel: FEATURE_LEVEL_FIRST,
  };
  createState(connection, { record, identity });
  return record;
}

function genesisChain(identity: FirstIdentity): EntryChain {
  return nextEntryChain(startEntryChain(identity.clusterId), {
    index: GENESIS,
    term: GENESIS,
    payload: identity.configuration,
  });
}

/**
 * Copies one point in time of a database that may be in use. The target must not exist.
 * @returns what the copy's state says.
 * @throws {SqliteError} FULL when there is no room; the target is then worth nothing.
 */
export function copyState(
  library: Library,
  options: {
    readonly from: string;
    readonly to: string;
    /** Whether the copy must survive a power cut; its folder is the caller's to sync. */
    readonly isDurable: boolean;
  },
): { readonly record: StateRecord; readonly identity: StateIdentity } {
  using source = Connection.open(library, { path: options.from, mode: "readwrite" });
  source.setBusyTimeoutMs(BUSY_TIMEOUT_MS);
  source.exec("PRAGMA query_only=ON");
  using target = Connection.open(library, { path: options.to, mode: "create" });
  target.exec(`PRAGMA synchronous=${options.isDurable ? "FULL" : "OFF"}`);
  source.exec("BEGIN");
  // The read that fixes the point in time.
  const state = readState(source);
  using backup = new Backup({ source, target });
  const step = backup.step(-1);
  assert(step === "done", "copyState: the copy was held up");
  backup.finish();
  source.exec("COMMIT");
  if (options.isDurable) {
    const [[mode] = []] = target.query("PRAGMA journal_mode=DELETE");
    assert(mode === "delete", "copyState: the copy is not in rollback mode");
  }
  return state;
}
