/**
 * A thread for one copy of the state, or one look at a copy that came from elsewhere (rules Q15, S1):
 * copying, checks and their fsyncs must not hold up the writer or a reader. One request, one reply, and
 * the thread has ended.
 */
import { entryChainText } from "../base/entry_chain.ts";
import { OperatingError } from "../base/errors.ts";
import { encodeMemberTable } from "../command/member_table.ts";
import { Connection } from "../sqlite/connection.ts";
import { SqliteError } from "../sqlite/errors.ts";
import type { Library } from "../sqlite/library.ts";
import { type LibraryLocation, openLibrary } from "../sqlite/loader.ts";
import { writeCopyChecksum } from "./copy_checksum.ts";
import { checkDatabase } from "./database_check.ts";
import {
  type GenerationPlace,
  prepareGeneration,
  removeGeneration,
  removeUnused,
  syncGeneration,
} from "./state_folders.ts";
import { copyState } from "./state_file.ts";
import { readState, type StateIdentity, type StateRecord } from "./state_record.ts";

/** What to do. */
export type CopyRequest = { readonly library: LibraryLocation; readonly from: string } & CopyTarget;

/** Where a copy goes. */
export type CopyTarget =
  /** A new generation: checked, durable. */
  | ({ readonly to: "generation" } & GenerationPlace)
  /** A file to be sent, or a live file that need not survive a power cut. It must not exist. */
  | { readonly to: "file"; readonly path: string; readonly isDurable: boolean }
  /** Nowhere: `from` is a generation's file that came from elsewhere, to be checked and synced. */
  | ({
    readonly to: "nowhere";
    /** Whether it is to be a durable copy of a state in memory, rather than a live file. */
    readonly isCopy: boolean;
  } & GenerationPlace);

/** What came of it. */
export type CopyReply =
  | {
    readonly kind: "copied";
    readonly index: number;
    readonly term: number;
    readonly entryChain: string;
    readonly configuration: Uint8Array;
    readonly members: Uint8Array;
    readonly featureLevel: number;
    readonly timeMs: number;
    readonly clusterId: Uint8Array;
  }
  | { readonly kind: "disk_full"; readonly message: string }
  | {
    readonly kind: "failed";
    readonly message: string;
    /** Whether it is the state that was copied, and can be read no more. */
    readonly isStateDamaged: boolean;
  };

interface State {
  readonly record: StateRecord;
  readonly identity: StateIdentity;
}

function carryOut(request: CopyRequest): CopyReply {
  const { record, identity } = run(openLibrary(request.library), request);
  return {
    kind: "copied",
    index: record.appliedIndex,
    term: record.appliedTerm,
    entryChain: entryChainText(record.entryChain),
    configuration: identity.configuration,
    members: encodeMemberTable(identity.members),
    featureLevel: record.featureLevel,
    timeMs: record.lastTimeMs,
    clusterId: identity.clusterId,
  };
}

function run(library: Library, request: CopyRequest): State {
  const { from } = request;
  switch (request.to) {
    case "generation": {
      const to = prepareGeneration(request);
      const state = copyState(library, { from, to, isDurable: true });
      // The log's entries will go on the strength of this copy.
      checkDatabase(library, { path: to, origin: "state" });
      writeCopyChecksum(request);
      syncGeneration(request);
      return state;
    }
    case "file":
      return copyState(library, { from, to: request.path, isDurable: request.isDurable });
    case "nowhere": {
      checkDatabase(library, { path: from, origin: "state" });
      const state = stateOf(library, from);
      if (request.isCopy) writeCopyChecksum(request);
      syncGeneration(request);
      return state;
    }
  }
}

function stateOf(library: Library, path: string): State {
  using connection = Connection.open(library, { path, mode: "readwrite", noFollow: true });
  return readState(connection);
}

/** What there is of the copy goes: on a full disk it would take the last room. */
function failure(request: CopyRequest, error: unknown): CopyReply {
  if (request.to === "file") removeUnused(request.path);
  else removeGeneration(request);
  const message = error instanceof Error ? error.message : String(error);
  if (isFull(error)) return { kind: "disk_full", message };
  return {
    kind: "failed",
    message,
    isStateDamaged: request.to === "generation" && isDamage(error),
  };
}

/** In SQLite's words, or in those of `checkDatabase`. */
function isDamage(error: unknown): boolean {
  return error instanceof SqliteError ? error.isDamage : error instanceof OperatingError;
}

function isFull(error: unknown): boolean {
  if (error instanceof SqliteError) return error.class === "full";
  return error instanceof Error && "code" in error &&
    (error.code === "ENOSPC" || error.code === "EDQUOT");
}

self.onmessage = (event: MessageEvent<CopyRequest>) => {
  let reply: CopyReply;
  try {
    reply = carryOut(event.data);
  } catch (error) {
    reply = failure(event.data, error);
  }
  self.postMessage(reply);
  self.close();
};
