/**
 * A copy of a state becomes the first of another cluster (rule M3): its data, index and history stay, its
 * cluster id, configuration and members are new. For a file that nobody has open.
 */
import { encodeGenesis, type Genesis } from "../command/genesis.ts";
import { Connection } from "../sqlite/connection.ts";
import { findLibrary } from "../sqlite/loader.ts";
import { createMembers } from "./member_record.ts";
import { generationPath, prepareGeneration, syncGeneration } from "./state_folders.ts";
import { copyState } from "./state_file.ts";

/** What a state is made anew from. */
export interface RefoundOptions {
  /** The copy of the old state. */
  readonly from: string;
  /** Where the new one's generation 1 goes. */
  readonly dataDirectory: string;
  /** The operator's choice of libsqlite3, if any. */
  readonly sqliteLibrary: string | undefined;
  readonly clusterId: Uint8Array;
  readonly genesis: Genesis;
}

/** Makes generation 1 of the new cluster, durable. @throws {SqliteError} @throws {FatalError} */
export function refoundState(options: RefoundOptions): void {
  const { from, dataDirectory, clusterId, genesis } = options;
  const place = { dataDirectory, generation: 1 };
  const { library } = findLibrary({ path: options.sqliteLibrary });
  prepareGeneration(place);
  const path = generationPath(place);
  copyState(library, { from, to: path, isDurable: true });
  {
    using connection = Connection.open(library, { path, mode: "readwrite", noFollow: true });
    connection.exec("PRAGMA synchronous=FULL; BEGIN IMMEDIATE; DELETE FROM sqlite_dust_member");
    connection.query(
      `UPDATE sqlite_dust_state SET cluster_id=?, genesis=?, configuration=?, next_node_id=?`,
      clusterId,
      encodeGenesis(genesis),
      genesis.configuration,
      genesis.members.nextNodeId,
    );
    createMembers(connection, genesis.members.members);
    connection.exec("COMMIT");
  }
  syncGeneration(place);
}
