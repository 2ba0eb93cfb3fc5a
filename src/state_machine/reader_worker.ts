/**
 * A reader thread's entry point: batches of queries in, answers out (reader_messages.ts).
 *
 * One query at a time, to its end, also when its answer is a stream: then the thread sleeps until the
 * client has taken what was sent, because the connection's snapshot belongs to that query alone.
 * The main thread ends a query by `sqlite3_interrupt`, naming it in shared memory first (rule Q12).
 */
import { assert, AssertionError, unreachable } from "../base/assert.ts";
import { type ErrorCode, OperatingError } from "../base/errors.ts";
import { type BodyText, decodeBody, type RequestBody } from "../command/request.ts";
import { encodeExecuteBody } from "../command/execute_body.ts";
import { parseStatements } from "../command/statement_parser.ts";
import { SqliteError } from "../sqlite/errors.ts";
import { openLibrary } from "../sqlite/loader.ts";
import { fatalReply, sqliteFailed } from "./fatal_reply.ts";
import { JsonWriter } from "./json_writer.ts";
import {
  READ_GATE_MS_MAX,
  STREAM_BYTES_MIN,
  STREAM_CHUNKS_IN_FLIGHT_MAX,
  STREAM_STALL_MS_MAX,
} from "./limits.ts";
import { type QueryHost, QueryRunner, QueryStopped } from "./query_runner.ts";
import { ReadGate } from "./read_gate.ts";
import { openReader } from "./reader.ts";
import {
  CELL,
  FORMAT_SHIFT,
  QUERY_FIELDS,
  QUERY_FLAG,
  type ReaderReply,
  type ReaderRequest,
  STOP,
} from "./reader_messages.ts";
import type { SqlSession } from "./sql_session.ts";

const CREDIT_POLL_MS = 1000;

/** What this thread has once it was told to open. */
interface Opened {
  readonly session: SqlSession;
  readonly runner: QueryRunner;
  readonly cells: Int32Array<SharedArrayBuffer>;
  readonly gate: ReadGate;
}

/** Answers that wait for the end of their batch. */
class AnswerBatch {
  #tickets: number[] = [];
  #lengths: number[] = [];
  #indexes: number[] = [];
  #parts: string[] = [];

  add(ticket: number, text: string, index: number): void {
    this.#tickets.push(ticket);
    this.#lengths.push(text.length);
    this.#indexes.push(index);
    this.#parts.push(text);
  }

  /** Sends what there is; at the end of the batch, also how long it took. */
  flush(batchMs?: number): void {
    if (this.#tickets.length === 0 && batchMs === undefined) return;
    reply({
      kind: "answers",
      tickets: this.#tickets,
      lengths: this.#lengths,
      indexes: this.#indexes,
      text: this.#parts.join(""),
      batchMs,
    });
    this.#tickets = [];
    this.#lengths = [];
    this.#indexes = [];
    this.#parts = [];
  }
}

const json = new JsonWriter();
const answers = new AnswerBatch();
let opened: Opened | undefined;
let ticket = 0;
let hasSent = false;
let isBroken = false;

function reply(message: ReaderReply, transfer: Transferable[] = []): void {
  self.postMessage(message, { transfer });
}

const host: QueryHost = {
  onChunk(): void {
    if (!hasSent && json.size < STREAM_BYTES_MIN) return;
    sendPiece({ isLast: false });
  },
  get hasSent(): boolean {
    return hasSent;
  },
  stopMessage,
  nowMs: () => performance.now(),
};

function stopMessage(): string | undefined {
  const { cells } = require();
  if (Atomics.load(cells, CELL.stopped) !== ticket) return undefined;
  switch (Atomics.load(cells, CELL.stopReason)) {
    case STOP.timeout:
      return "query timeout";
    case STOP.inTheWay:
      return "query interrupted: it held up the write-ahead log";
    default:
      throw new QueryStopped("canceled");
  }
}

/** Sends the document so far; waits while the client has enough to read. @throws {QueryStopped} */
function sendPiece(options: { readonly isLast: boolean }): void {
  const { cells, runner } = require();
  if (!hasSent) answers.flush();
  hasSent = true;
  for (let waitedMs = 0; Atomics.load(cells, CELL.credits) <= 0; waitedMs += CREDIT_POLL_MS) {
    if (Atomics.load(cells, CELL.stopped) === ticket) throw new QueryStopped("stopped");
    if (waitedMs >= STREAM_STALL_MS_MAX) throw new QueryStopped("the client takes nothing");
    Atomics.wait(cells, CELL.credits, 0, CREDIT_POLL_MS);
  }
  Atomics.sub(cells, CELL.credits, 1);
  const bytes = json.copy();
  json.clear();
  const { isLast } = options;
  reply({ kind: "piece", ticket, bytes, index: runner.stateIndex, isLast }, [bytes.buffer]);
}

function handle(request: ReaderRequest): void {
  switch (request.kind) {
    case "open":
      return handleOpen(request);
    case "queries":
      return handleQueries(request.list);
    case "close":
      opened?.session.connection.close();
      opened = undefined;
      reply({ kind: "closed" });
      return self.close();
    default:
      return unreachable(request);
  }
}

function handleOpen(request: ReaderRequest & { readonly kind: "open" }): void {
  const session = openReader(openLibrary(request.library), request);
  const runner = new QueryRunner(session, json, host);
  const cells = new Int32Array(request.cells);
  opened = { session, runner, cells, gate: new ReadGate(request.gate) };
  reply({ kind: "opened", address: session.connection.address });
}

function handleQueries(list: readonly (number | BodyText)[]): void {
  const { cells } = require();
  const startedMs = performance.now();
  for (let at = 0; at < list.length; at += QUERY_FIELDS) {
    const [number, flags, timeoutMs, body] = list.slice(at, at + QUERY_FIELDS);
    assert(typeof number === "number" && typeof flags === "number", "reader_worker: bad query");
    assert(typeof timeoutMs === "number", "reader_worker: bad query");
    assert(body !== undefined && typeof body !== "number", "reader_worker: bad query");
    ticket = number;
    hasSent = false;
    json.clear();
    Atomics.store(cells, CELL.credits, STREAM_CHUNKS_IN_FLIGHT_MAX);
    try {
      const isStopped = Atomics.load(cells, CELL.stopped) === ticket;
      if (!isStopped) handleQuery({ flags, timeoutMs, text: takeText(body) });
      else if (Atomics.load(cells, CELL.stopReason) === STOP.timeout) deadlineExceeded();
    } catch (error) {
      fail(error);
    } finally {
      Atomics.store(cells, CELL.current, 0);
    }
  }
  answers.flush(performance.now() - startedMs);
}

function handleQuery(
  query: { readonly flags: number; readonly timeoutMs: number; readonly text: string },
): void {
  const { flags, timeoutMs, text } = query;
  const { cells, runner, gate } = require();
  const body: RequestBody = { kind: (flags & QUERY_FLAG.isSql) === 0 ? "json" : "sql", text };
  const transaction = (flags & QUERY_FLAG.transaction) !== 0;
  const rows = (flags & QUERY_FLAG.rows) !== 0;
  if ((flags & QUERY_FLAG.encode) !== 0) {
    return replyWrite(encodeExecuteBody({ body, transaction, rows, timeoutMs }));
  }
  const statements = parseStatements(body);
  if ((flags & QUERY_FLAG.unified) !== 0 && !runner.isRead(statements)) {
    return replyWrite(encodeExecuteBody({ body, transaction, rows: true, timeoutMs }));
  }
  gate.pass(READ_GATE_MS_MAX);
  Atomics.store(cells, CELL.current, ticket);
  runner.run(statements, { format: flags >> FORMAT_SHIFT });
  if (hasSent) sendPiece({ isLast: true });
  else answers.add(ticket, json.text(), runner.stateIndex);
}

/** The text of a body. Its bytes are given back at once: the parser needs as much again. */
function takeText(body: BodyText): string {
  const text = decodeBody(body);
  if (typeof body !== "string") body.buffer.transfer(0);
  return text;
}

/** What shares the encoder's buffer goes as a copy; what is large has a buffer of its own. */
function replyWrite(payload: Uint8Array<ArrayBuffer> = new Uint8Array(0)): void {
  const isOwn = payload.byteLength === payload.buffer.byteLength;
  const bytes = isOwn ? payload : payload.slice();
  reply({ kind: "write", ticket, payload: bytes }, [bytes.buffer]);
}

function deadlineExceeded(): void {
  reply({ kind: "failed", ticket, code: "timeout", message: "context deadline exceeded" });
}

function fail(error: unknown): void {
  if (error instanceof QueryStopped) {
    return reply({ kind: "failed", ticket, code: "canceled", message: error.message });
  }
  if (error instanceof SqliteError && error.isDamage) throw sqliteFailed("read", error);
  if (!(error instanceof OperatingError)) throw error;
  const { message } = error;
  const code: ErrorCode = error.code;
  reply({ kind: "failed", ticket, code, message });
}

function require(): Opened {
  if (opened === undefined) throw new AssertionError("reader_worker: not open");
  return opened;
}

self.onmessage = (event: MessageEvent<ReaderRequest>) => {
  if (isBroken) return;
  try {
    handle(event.data);
  } catch (error) {
    isBroken = true;
    reply(fatalReply(error));
  }
};
