/**
 * The digest thread's entry point (rule V1): reads the state as it is behind one entry, in a transaction that
 * begins before the next entry is applied, while the writer goes on.
 *
 * It gives way: to a newer comparison, and to the writer whose `-wal` has grown and who waits for readers
 * to end (rule D3). It looks for both between two slices, and rests after each.
 */
import { assert, unreachable } from "../base/assert.ts";
import { Connection } from "../sqlite/connection.ts";
import { SqliteError } from "../sqlite/errors.ts";
import { openLibrary } from "../sqlite/loader.ts";
import { cellOf, type DigestReply, type DigestRequest } from "./digest_messages.ts";
import { fatalReply } from "./fatal_reply.ts";
import {
  BUSY_TIMEOUT_MS,
  DIGEST_REST_FACTOR,
  DIGEST_SLICE_BYTES,
  READER_CACHE_KIB,
} from "./limits.ts";
import { ReadGate } from "./read_gate.ts";
import { digestState } from "./state_digest.ts";

const STATE = "SELECT applied_index, result_chain FROM sqlite_dust_state";

interface Opened {
  readonly connection: Connection;
  readonly gate: ReadGate;
  readonly wanted: Int32Array<SharedArrayBuffer>;
}

let opened: Opened | undefined;

function reply(message: DigestReply): void {
  self.postMessage(message);
}

function handle(request: DigestRequest): void {
  switch (request.kind) {
    case "open":
      return open(request);
    case "pin":
      return compare(request.index);
    case "close":
      opened?.connection.close();
      opened = undefined;
      return reply({ kind: "closed" });
    default:
      return unreachable(request);
  }
}

function open(request: DigestRequest & { readonly kind: "open" }): void {
  const { path } = request;
  const connection = Connection.open(openLibrary(request.library), {
    path,
    mode: "readonly",
    noFollow: true,
  });
  connection.setBusyTimeoutMs(BUSY_TIMEOUT_MS);
  connection.exec(`PRAGMA cache_size=-${READER_CACHE_KIB}; PRAGMA temp_store=MEMORY`);
  opened = {
    connection,
    gate: new ReadGate(request.gate),
    wanted: new Int32Array(request.wanted),
  };
}

function compare(index: number): void {
  assert(opened !== undefined, "digest_worker: not open");
  let isPinned = false;
  let digest: (DigestReply & { readonly kind: "digested" })["digest"];
  try {
    digest = take(opened, index, () => {
      isPinned = true;
      reply({ kind: "pinned", index });
    });
  } catch (error) {
    if (!(error instanceof SqliteError)) throw error;
    digest = failed(error);
  } finally {
    if (!opened.connection.isAutocommit) opened.connection.exec("ROLLBACK");
  }
  if (!isPinned) reply({ kind: "pinned", index });
  reply({ kind: "digested", index, digest });
}

function take(
  { connection, gate, wanted }: Opened,
  index: number,
  onPinned: () => void,
): { readonly resultChain: string; readonly content: string } | undefined {
  const isInTheWay = (): boolean => gate.isClosed || Atomics.load(wanted, 0) !== cellOf(index);
  if (isInTheWay()) return undefined;
  connection.exec("BEGIN");
  const [[appliedIndex, resultChain] = []] = connection.query(STATE);
  assert(appliedIndex === index, "digest_worker: the state is not that behind the entry");
  onPinned();
  const slices = digestState(connection, { sliceBytes: DIGEST_SLICE_BYTES });
  for (;;) {
    const startMs = performance.now();
    const slice = slices.next();
    if (slice.done === true) return { resultChain: String(resultChain), content: slice.value };
    if (isInTheWay()) break;
    const restMs = (performance.now() - startMs) * DIGEST_REST_FACTOR;
    Atomics.wait(wanted, 0, cellOf(index), restMs);
  }
  slices.return("");
  return undefined;
}

/** A file that cannot be read is a state that differs from all others, also from another such one. */
function failed(error: SqliteError): ReturnType<typeof take> {
  if (!error.isUnreadable) return undefined;
  return { resultChain: "", content: `unreadable ${crypto.randomUUID()}: ${error.message}` };
}

self.onmessage = (event: MessageEvent<DigestRequest>) => {
  try {
    handle(event.data);
  } catch (error) {
    reply(fatalReply(error));
  }
};
