/**
 * A thread for one copy of the state (rules Q15, S1): copying and its fsyncs must not hold up the
 * writer or a reader. One request, one reply, and the thread has ended.
 */
import { entryChainText } from "../base/entry_chain.ts";
import { encodeMemberTable } from "../command/member_table.ts";
import { type LibraryLocation, openLibrary } from "../sqlite/loader.ts";
import { SqliteError } from "../sqlite/errors.ts";
import { checkDatabase } from "./database_check.ts";
import { prepareGeneration, removeGeneration, syncGeneration } from "./state_folders.ts";
import { copyState } from "./state_file.ts";

/** What to copy where. */
export interface CopyRequest {
  readonly library: LibraryLocation;
  readonly from: string;
  readonly dataDirectory: string;
  readonly generation: number;
}

/** What came of it. */
export type CopyReply =
  | {
    readonly kind: "copied";
    readonly index: number;
    readonly term: number;
    readonly entryChain: string;
    readonly configuration: Uint8Array;
    readonly members: Uint8Array;
  }
  | { readonly kind: "disk_full"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string };

function copy(request: CopyRequest): CopyReply {
  const { dataDirectory, generation, from } = request;
  const to = prepareGeneration({ dataDirectory, generation });
  const library = openLibrary(request.library);
  const { record, identity } = copyState(library, { from, to, isDurable: true });
  // The log's entries will go on the strength of this copy.
  checkDatabase(library, { path: to, origin: "state" });
  syncGeneration({ dataDirectory, generation });
  return {
    kind: "copied",
    index: record.appliedIndex,
    term: record.appliedTerm,
    entryChain: entryChainText(record.entryChain),
    configuration: identity.configuration,
    members: encodeMemberTable(identity.members),
  };
}

/** What there is of the copy goes: on a full disk it would take the last room. */
function failure(request: CopyRequest, error: unknown): CopyReply {
  removeGeneration(request);
  const message = error instanceof Error ? error.message : String(error);
  return { kind: isFull(error) ? "disk_full" : "failed", message };
}

function isFull(error: unknown): boolean {
  if (error instanceof SqliteError) return error.class === "full";
  return error instanceof Error && "code" in error &&
    (error.code === "ENOSPC" || error.code === "EDQUOT");
}

self.onmessage = (event: MessageEvent<CopyRequest>) => {
  let reply: CopyReply;
  try {
    reply = copy(event.data);
  } catch (error) {
    reply = failure(event.data, error);
  }
  self.postMessage(reply);
  self.close();
};
