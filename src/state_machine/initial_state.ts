/**
 * The state of a fresh cluster: generation 1, which contains the genesis (index 1, term 1) and nothing
 * else. It is durable before the log that names it is made. All members of a cluster make the same one.
 */
import { assert } from "../base/assert.ts";
import { entryChainText } from "../base/entry_chain.ts";
import { FatalError } from "../base/errors.ts";
import type { LogIndex, Term } from "../base/ids.ts";
import { encodeGenesis, type Genesis } from "../command/genesis.ts";
import type { LogMarker } from "../node/ports.ts";
import { SqliteError } from "../sqlite/errors.ts";
import { findLibrary } from "../sqlite/loader.ts";
import { createStateFile } from "./state_file.ts";
import { prepareGeneration, syncGeneration } from "./state_folders.ts";

const FIRST_GENERATION = 1;

/** What the first state says. */
export interface InitialStateOptions {
  readonly dataDirectory: string;
  /** The operator's choice of libsqlite3, if any. */
  readonly sqliteLibrary: string | undefined;
  readonly identity: { readonly clusterId: Uint8Array };
  /** Of the genesis: 1 and 1. */
  readonly index: LogIndex;
  readonly term: Term;
  /** The first configuration, members and settings, which whoever joins makes again. */
  readonly genesis: Genesis;
}

/**
 * Makes it, in place of what an unfinished birth has left.
 * @returns the marker to begin the log with.
 * @throws {SqliteError} @throws {FatalError} when the disk refuses.
 */
export function createInitialState(options: InitialStateOptions): Promise<LogMarker> {
  const { dataDirectory, identity, genesis, index, term } = options;
  const { configuration, members, foreignKeys, softLimitSteps } = genesis;
  const place = { dataDirectory, generation: FIRST_GENERATION };
  const { library } = findLibrary({ path: options.sqliteLibrary });
  const first = { clusterId: identity.clusterId, configuration, members };
  const record = refusedByDisk(prepareGeneration(place), (path) =>
    createStateFile(library, {
      path,
      identity: { ...first, genesis: encodeGenesis(genesis) },
      foreignKeys,
      softLimitSteps,
    }));
  assert(record.appliedIndex === index && record.appliedTerm === term, "genesis is not at 1");
  syncGeneration(place);
  const entryChain = entryChainText(record.entryChain);
  return Promise.resolve({ index, term, entryChain, configuration, ...place });
}

/** What SQLite meets while it makes a fresh file is the disk's failure, but for want of room. */
function refusedByDisk<Result>(path: string, make: (path: string) => Result): Result {
  try {
    return make(path);
  } catch (error) {
    if (!(error instanceof SqliteError) || error.class === "full") throw error;
    throw new FatalError(74, `Cannot make state ${path}: ${error.message}`, { cause: error });
  }
}
