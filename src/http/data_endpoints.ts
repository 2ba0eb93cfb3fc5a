/**
 * /db/execute, /db/query and /db/request (the wire contract, sections 3.1 to 3.3): from body and
 * options to a request of the database port, and from its answer or failure to a response.
 * Not here: reading statements, which happens behind the port (architecture, section 4), except for
 * queued writes.
 */
import { OperatingError } from "../base/errors.ts";
import { LARGE_BODY_CHARACTERS } from "../base/limits.ts";
import type { Answer, BodyText, QueryRequest, ReadLevel, RequestBody } from "../command/request.ts";
import { checkIdempotencyKey } from "../command/retry.ts";
import { parseStatements } from "../command/statement_parser.ts";
import type { Clock } from "../os/clock.ts";
import { answerStream, textStream } from "./answer_stream.ts";
import type { Counters } from "./counters.ts";
import type { DatabasePort } from "./database_port.ts";
import { DelayedCalls } from "./delayed_calls.ts";
import { DisconnectWatch } from "./disconnect_watch.ts";
import { ENVELOPE_HEAD, envelopeTail } from "./envelope.ts";
import { dataErrorAnswer } from "./error_response.ts";
import type { Exchange } from "./exchange.ts";
import {
  ANSWER_STALL_MS_MAX,
  ANSWER_TEXT_CHARACTERS_MAX,
  DISCONNECT_WATCH_DELAY_MS,
  LINEARIZABLE_TIMEOUT_MS_ON_REQUEST,
  TIMEOUT_MS_DEFAULT,
} from "./limits.ts";
import { prettyJson } from "./pretty_json.ts";
import { READ_LEVELS, type RequestOptions } from "./query_string.ts";
import type { BodyReader } from "./request_body.ts";
import type { Responses } from "./responses.ts";
import type { WriteQueue } from "./write_queue.ts";

/** The endpoints that run SQL. */
export class DataEndpoints {
  readonly #database: DatabasePort;
  readonly #clock: Clock;
  readonly #responses: Responses;
  readonly #bodies: BodyReader;
  readonly #counters: Counters;
  readonly #queue: WriteQueue;
  readonly #servedBy: string;
  readonly #stalls: DelayedCalls;
  readonly #disconnects: DelayedCalls;
  #lastQueryId = 0;

  constructor(options: {
    readonly database: DatabasePort;
    readonly clock: Clock;
    readonly responses: Responses;
    readonly bodies: BodyReader;
    readonly counters: Counters;
    readonly queue: WriteQueue;
    /** The value of `X-RQLITE-SERVED-BY`: this node's advertised HTTP address. */
    readonly servedBy: string;
  }) {
    const { clock } = options;
    this.#database = options.database;
    this.#clock = clock;
    this.#responses = options.responses;
    this.#bodies = options.bodies;
    this.#counters = options.counters;
    this.#queue = options.queue;
    this.#servedBy = options.servedBy;
    this.#stalls = new DelayedCalls({ clock, delayMs: ANSWER_STALL_MS_MAX });
    this.#disconnects = new DelayedCalls({ clock, delayMs: DISCONNECT_WATCH_DELAY_MS });
  }

  /** POST /db/execute. */
  async execute(exchange: Exchange): Promise<Response> {
    const { options, request } = exchange;
    this.#counters.add("executions");
    const name = idempotencyKey(request);
    if (options.queue && name !== undefined) {
      throw new OperatingError("bad_request", "Cannot queue a write that has an Idempotency-Key");
    }
    const body = await this.#bodies.read(request);
    try {
      if (options.queue) return await this.#enqueue(exchange, body.text);
      const statements = statementsBody(request, body.text);
      const elsewhere = this.#elsewhere(exchange, { body: statements, level: undefined });
      if (elsewhere !== undefined) return elsewhere;
      const answer = await this.#database.execute({
        body: statements,
        transaction: options.transaction,
        format: options.format,
        timeoutMs: options.dbTimeoutMs,
        ...leaderTimeout(options),
        ...name,
      });
      return this.#respond(exchange, answer);
    } catch (error) {
      return this.#refuse(exchange, error);
    } finally {
      this.#bodies.release(body.sizeBytes);
    }
  }

  /** GET and POST /db/query. */
  async query(exchange: Exchange): Promise<Response> {
    const { options, request } = exchange;
    this.#counters.add("queries");
    if (request.method === "GET") {
      const query = this.#queryRequest(exchange, { kind: "sql", text: options.q ?? "" });
      return await this.#run(exchange, { query, start: () => this.#database.query(query) });
    }
    const body = await this.#bodies.read(request);
    try {
      const query = this.#queryRequest(exchange, statementsBody(request, body.text));
      return await this.#run(exchange, { query, start: () => this.#database.query(query) });
    } finally {
      this.#bodies.release(body.sizeBytes);
    }
  }

  /** POST /db/request. */
  async request(exchange: Exchange): Promise<Response> {
    this.#counters.add("requests");
    const name = idempotencyKey(exchange.request);
    const body = await this.#bodies.read(exchange.request);
    try {
      const query = {
        ...name,
        ...this.#queryRequest(exchange, jsonBody(body.text)),
        linearizableTimeoutMs: LINEARIZABLE_TIMEOUT_MS_ON_REQUEST,
      };
      return await this.#run(exchange, { query, start: () => this.#database.request(query) });
    } finally {
      this.#bodies.release(body.sizeBytes);
    }
  }

  #queryRequest(exchange: Exchange, body: RequestBody): QueryRequest {
    const { options } = exchange;
    if (options.level === undefined) {
      throw new OperatingError(
        "bad_request",
        `Unknown level: it is one of ${READ_LEVELS.join(", ")}`,
      );
    }
    this.#lastQueryId = this.#lastQueryId === Number.MAX_SAFE_INTEGER ? 1 : this.#lastQueryId + 1;
    return {
      id: this.#lastQueryId,
      body,
      transaction: options.transaction,
      format: options.format,
      timeoutMs: options.dbTimeoutMs,
      level: options.level,
      freshnessMs: options.freshnessMs,
      freshnessStrict: options.freshnessStrict,
      linearizableTimeoutMs: options.linearizableTimeoutMs,
      ...(options.minIndex > 0
        ? { minIndex: { index: options.minIndex, timeoutMs: options.timeoutMs } }
        : undefined),
      ...leaderTimeout(options),
    };
  }

  /**
   * Whoever asks for it is sent to the leader with what only the leader can do; not with what nobody can.
   * `level` is undefined for a write. @throws {OperatingError} as `parseStatements`; `not_leader`.
   */
  #elsewhere(exchange: Exchange, work: {
    readonly body: RequestBody;
    readonly level: ReadLevel | undefined;
  }): Response | undefined {
    if (!exchange.options.redirect) return undefined;
    if (work.body.text.length <= LARGE_BODY_CHARACTERS) parseStatements(work.body);
    const leaderUrl = this.#database.elsewhere(work.level);
    return leaderUrl === undefined ? undefined : this.#responses.toLeader(leaderUrl, exchange);
  }

  /** Runs something that may take long, and cancels it when its client goes away. */
  async #run(
    exchange: Exchange,
    work: { readonly query: QueryRequest; readonly start: () => Promise<Answer> },
  ): Promise<Response> {
    const watch = new DisconnectWatch({
      delays: this.#disconnects,
      request: exchange.request,
      onDisconnect: () => {
        this.#counters.add("clients_gone");
        this.#database.cancel(work.query.id);
      },
    });
    try {
      const elsewhere = this.#elsewhere(exchange, work.query);
      if (elsewhere !== undefined) return elsewhere;
      return this.#respond(exchange, await work.start());
    } catch (error) {
      return this.#refuse(exchange, error);
    } finally {
      watch.end();
    }
  }

  async #enqueue(exchange: Exchange, text: BodyText): Promise<Response> {
    const { wait, noLeader, timeoutMs } = exchange.options;
    this.#counters.add("queued_executions");
    if (!noLeader && !(await this.#database.hasLeader())) {
      throw new OperatingError("not_leader", "leader not found");
    }
    const queued = await this.#queue.submit({ text, wait, timeoutMs });
    if (wait) {
      this.#counters.add("queued_executions_wait");
      if (!(await this.#queue.written(queued, { timeoutMs }))) {
        this.#counters.add("queued_executions_wait_timeout");
        return this.#responses.error({ status: 408, message: "queue wait timeout" });
      }
    }
    return this.#envelope(exchange, { results: "[]", sequenceNumber: queued.sequenceNumber });
  }

  #respond(exchange: Exchange, answer: Answer): Response {
    const response = this.#envelope(exchange, {
      results: answer.results,
      raftIndex: exchange.options.raftIndex ? answer.raftIndex : undefined,
    });
    response.headers.append("X-RQLITE-SERVED-BY", this.#servedBy);
    const index = answer.stateIndex ?? answer.raftIndex;
    if (index > 0) response.headers.append("Dust-Raft-Index", String(index));
    return response;
  }

  #envelope(exchange: Exchange, members: {
    readonly results: Answer["results"];
    readonly error?: string;
    readonly sequenceNumber?: bigint;
    readonly raftIndex?: number | undefined;
  }): Response {
    const { pretty, timings } = exchange.options;
    const { results, error, sequenceNumber, raftIndex } = members;
    const durationMs = timings ? this.#clock.monotonicMs() - exchange.startedMs : undefined;
    const tail = envelopeTail({ error, durationMs, sequenceNumber, raftIndex });
    if (typeof results === "string" && results.length <= ANSWER_TEXT_CHARACTERS_MAX) {
      const text = ENVELOPE_HEAD + results + tail;
      return this.#responses.json(pretty ? prettyJson(text) : text);
    }
    const stalls = this.#stalls;
    const stream = typeof results === "string" ? textStream(results) : results;
    return this.#responses.json(
      answerStream({ head: ENVELOPE_HEAD, results: stream, tail, pretty, stalls }),
    );
  }

  #refuse(exchange: Exchange, error: unknown): Response {
    if (!(error instanceof OperatingError)) throw error;
    if (error.code === "not_leader") this.#counters.add("leader_not_found");
    const answer = dataErrorAnswer(error);
    if (answer.kind === "text") return this.#responses.error(answer);
    return this.#envelope(exchange, { results: "[]", error: answer.message });
  }
}

/** The client's name for its write, as the request to the database has it. @throws {OperatingError} */
function idempotencyKey(request: Request): { readonly idempotencyKey: string } | undefined {
  const key = request.headers.get("idempotency-key");
  if (key === null) return undefined;
  checkIdempotencyKey(key);
  return { idempotencyKey: key };
}

function isPlainText(request: Request): boolean {
  return request.headers.get("content-type")?.startsWith("text/plain") ?? false;
}

/** What /db/execute and /db/query take. */
function statementsBody(request: Request, text: BodyText): RequestBody {
  return isPlainText(request) ? { kind: "sql", text } : jsonBody(text);
}

function jsonBody(text: BodyText): RequestBody {
  return { kind: "json", text };
}

/** What is not said is the node's own default. */
function leaderTimeout({ timeoutMs }: RequestOptions): { readonly leaderTimeoutMs?: number } {
  return timeoutMs === TIMEOUT_MS_DEFAULT ? {} : { leaderTimeoutMs: timeoutMs };
}
