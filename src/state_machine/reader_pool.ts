/**
 * Gives queries to reader threads, in batches, and their answers back.
 *
 * Threads are started when they are needed. One that has been busy with the same batch for a while is
 * held up by a long query: what waits behind that query is given to another thread, at need to an extra
 * one, and whoever answers first counts. Queues are bounded: full means refuse now.
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import type { BodyText, QueryRequest, RequestBody } from "../command/request.ts";
import type { QueryOutcome } from "../node/ports.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { FileReserve } from "../os/deno_file_reserve.ts";
import { errorOfReply } from "./fatal_reply.ts";
import {
  QUERIES_WAITING_MAX,
  QUERY_BATCH_CHARACTERS_MAX,
  QUERY_BATCH_COUNT_MAX,
  READER_BATCHES_IN_FLIGHT_MAX,
  READER_HELD_UP_MS,
  READER_IDLE_MS_MAX,
  READERS_EXTRA_MAX,
  WAL_GATE_MS_MAX,
} from "./limits.ts";
import { PendingQuery } from "./pending_query.ts";
import { QueryPace } from "./query_pace.ts";
import { FORMAT_SHIFT, QUERY_FLAG, type ReaderReply, STOP } from "./reader_messages.ts";
import { type ReaderSetup, ReaderThread } from "./reader_thread.ts";

const CLOSE_POLL_MS = 2;
const TICKET_MAX = 0x7fff_ffff;

/** What the pool is made of. */
export interface ReaderPoolOptions {
  readonly setup: ReaderSetup;
  /** Threads in normal times, at least 1. */
  readonly readers: number;
  readonly clock: Clock;
  /** What a thread needs while it starts. */
  readonly files: FileReserve;
  readonly onFatal: (error: Error) => void;
}

/** See the file's header. One per state machine, on the main thread. */
export class ReaderPool {
  readonly #options: ReaderPoolOptions;
  readonly #threads: ReaderThread[] = [];
  readonly #pace = new QueryPace();
  readonly #waiting: PendingQuery[] = [];
  /** Every query that is not settled, by ticket; streams until their end. */
  readonly #byTicket = new Map<number, PendingQuery>();
  readonly #byId = new Map<number, PendingQuery>();
  /** Which thread a query was given to last. */
  readonly #owners = new Map<number, ReaderThread>();
  readonly #deadlines = new Map<number, Timer>();
  /** Stops that did not find their query running yet. */
  readonly #stops = new Map<number, number>();
  #nextTicket = 1;
  #isFlushing = false;
  #isClosed = false;
  #timer: Timer | undefined;

  constructor(options: ReaderPoolOptions) {
    assert(options.readers >= 1, "ReaderPool: no readers");
    this.#options = options;
  }

  /** Threads that run. */
  get readers(): number {
    return this.#threads.length;
  }

  /** Queries without an answer. */
  get inFlight(): number {
    return this.#byTicket.size;
  }

  /** Runs a read; on `/db/request` it may turn out to be a write. */
  query(
    request: QueryRequest,
    options: { readonly unified: boolean },
  ): Promise<QueryOutcome> {
    let flags = flagsOf(request.body) | request.format << FORMAT_SHIFT;
    if (request.transaction) flags |= QUERY_FLAG.transaction;
    if (options.unified) flags |= QUERY_FLAG.unified;
    const { id, timeoutMs, body } = request;
    return this.#add({ id, flags, timeoutMs, text: body.text });
  }

  /** Parses a body to the payload of a log entry; undefined when there is nothing to run. */
  async encode(options: {
    readonly body: RequestBody;
    readonly transaction: boolean;
    readonly rows: boolean;
    readonly timeoutMs: number;
  }): Promise<Uint8Array | undefined> {
    let flags = flagsOf(options.body) | QUERY_FLAG.encode;
    if (options.transaction) flags |= QUERY_FLAG.transaction;
    if (options.rows) flags |= QUERY_FLAG.rows;
    const { timeoutMs } = options;
    const outcome = await this.#add({ id: undefined, flags, timeoutMs, text: options.body.text });
    assert(outcome.kind === "write", "ReaderPool: encoding gave an answer");
    return outcome.payload.length === 0 ? undefined : outcome.payload;
  }

  /** Ends a query whose client is gone; unknown ids are ignored. */
  cancel(id: number): void {
    const query = this.#byId.get(id);
    if (query !== undefined) this.#stop(query, STOP.canceled);
  }

  /** Ends the reads that have held up the `-wal` for so long that it cannot be emptied (rule D3). */
  interruptOldest(): void {
    for (const thread of this.#threads) {
      const query = this.#byTicket.get(thread.currentTicket);
      if (query !== undefined && thread.heldUpMs >= WAL_GATE_MS_MAX) {
        this.#stop(query, STOP.inTheWay);
      }
    }
  }

  /** Ends what is under way and closes all connections. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    for (const query of this.#byTicket.values()) {
      this.#stop(query, STOP.canceled);
      query.fail(new OperatingError("not_ready", "store not open"));
    }
    // A connection can only be interrupted until it is told to close (rule Q12): first all must end.
    while (this.#threads.some(({ batches }) => batches.length > 0)) {
      for (const thread of this.#threads) thread.stop(thread.currentTicket, STOP.canceled);
      await this.#options.clock.sleep(CLOSE_POLL_MS);
    }
    await Promise.all(this.#threads.map((thread) => thread.close()));
    this.#threads.length = 0;
  }

  #add(options: {
    readonly id: number | undefined;
    readonly flags: number;
    readonly timeoutMs: number;
    readonly text: BodyText;
  }): Promise<QueryOutcome> {
    if (this.#isClosed) throw new OperatingError("not_ready", "store not open");
    if (this.#waiting.length >= QUERIES_WAITING_MAX) {
      throw new OperatingError("overloaded", "Cannot take query: too many are waiting");
    }
    const ticket = this.#nextTicket;
    this.#nextTicket = ticket === TICKET_MAX ? 1 : ticket + 1;
    const isEncoding = (options.flags & QUERY_FLAG.encode) !== 0;
    const query = new PendingQuery({ ticket, ...options });
    this.#byTicket.set(ticket, query);
    if (query.id !== undefined) this.#byId.set(query.id, query);
    if (query.timeoutMs > 0 && !isEncoding) {
      const timer = this.#options.clock.startTimer(
        query.timeoutMs,
        () => this.#stop(query, STOP.timeout),
      );
      this.#deadlines.set(ticket, timer);
    }
    this.#waiting.push(query);
    this.#flushSoon();
    return query.outcome;
  }

  /** What comes in one turn of the loop goes out together. */
  #flushSoon(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#isClosed) return;
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const thread = this.#choose(first);
      if (thread === undefined) break;
      const batch = this.#takeBatch();
      for (const { ticket } of batch) this.#owners.set(ticket, thread);
      thread.post(batch);
    }
    if (this.#byTicket.size > 0) this.#startTimer();
  }

  /** The least busy thread that is not held up; a new one when there may be one more. */
  #choose(query: PendingQuery): ReaderThread | undefined {
    let best: ReaderThread | undefined;
    for (const thread of this.#threads) {
      if (thread.heldUpMs > 0) continue;
      if (best === undefined || thread.batches.length < best.batches.length) best = thread;
    }
    if (best !== undefined && best.batches.length === 0) return best;
    const { readers } = this.#options;
    const countMax = best === undefined ? readers + READERS_EXTRA_MAX : readers;
    if (this.#threads.length < countMax) return this.#startThread();
    const isEnough = !query.isAlone && this.#waiting.length >= this.#pace.togetherMin;
    const batchesMax = isEnough ? READER_BATCHES_IN_FLIGHT_MAX : 1;
    return best !== undefined && best.batches.length < batchesMax ? best : undefined;
  }

  #startThread(): ReaderThread {
    const { setup, files, onFatal } = this.#options;
    const listener = { onReply: (reply: ReaderReply) => this.#onReply(thread, reply), onFatal };
    const start = (): ReaderThread => new ReaderThread(setup, listener);
    const thread = files.lend(start, ({ opened }) => opened);
    this.#threads.push(thread);
    return thread;
  }

  #takeBatch(): PendingQuery[] {
    let characters = 0;
    let count = 0;
    // An even share for each thread, so that a burst does not queue up behind one of them.
    const even = Math.ceil(this.#waiting.length / this.#options.readers);
    const share = Math.max(even, this.#pace.togetherMin);
    for (const { text, isAlone } of this.#waiting) {
      if (isAlone && count > 0) break;
      characters += text.length;
      if (count > 0 && characters > QUERY_BATCH_CHARACTERS_MAX) break;
      if (++count >= Math.min(share, QUERY_BATCH_COUNT_MAX) || isAlone) break;
    }
    return this.#waiting.splice(0, count);
  }

  #onReply(thread: ReaderThread, reply: ReaderReply): void {
    switch (reply.kind) {
      case "opened":
      case "closed":
        return;
      case "answers":
        return this.#onAnswers(thread, reply);
      case "failed":
        this.#take(reply.ticket)?.fail(new OperatingError(reply.code, reply.message));
        return;
      case "write":
        this.#take(reply.ticket)?.write(reply.payload);
        return;
      case "piece":
        return this.#onPiece(thread, reply);
      case "fatal":
        this.#options.onFatal(errorOfReply(reply));
    }
  }

  #onAnswers(thread: ReaderThread, reply: ReaderReply & { readonly kind: "answers" }): void {
    const { tickets, lengths, indexes, text, batchMs } = reply;
    let at = 0;
    for (let index = 0; index < tickets.length; index++) {
      const end = at + (lengths[index] ?? 0);
      this.#take(tickets[index] ?? 0)?.answer(text.substring(at, end), indexes[index] ?? 0);
      at = end;
    }
    if (batchMs === undefined) return;
    this.#pace.took(batchMs, thread.batches.shift()?.length ?? 0);
    if (thread.batches.length === 0) thread.idleSinceMs = this.#options.clock.monotonicMs();
    if (this.#waiting.length > 0) this.#flushSoon();
  }

  #onPiece(thread: ReaderThread, reply: ReaderReply & { readonly kind: "piece" }): void {
    const { ticket, bytes, index, isLast } = reply;
    const query = this.#byTicket.get(ticket);
    // Two threads may have it: only the one whose piece came first goes on.
    if (query?.isStreaming === true && this.#owners.get(ticket) !== thread) {
      thread.stop(ticket, STOP.canceled);
      return;
    }
    if (query === undefined) {
      thread.stop(ticket, STOP.canceled);
      return;
    }
    this.#owners.set(ticket, thread);
    let isDone = isLast;
    query.piece(bytes, {
      index,
      isLast,
      host: {
        onTaken: () => {
          if (!isDone) thread.addCredit();
        },
        onCanceled: () => {
          isDone = true;
          // Its last piece may have come: then nobody would forget that it was to be stopped.
          if (this.#byTicket.has(ticket)) this.#stop(query, STOP.canceled);
        },
      },
    });
    if (isLast) this.#take(ticket);
  }

  /** Forgets a query that is being settled. */
  #take(ticket: number): PendingQuery | undefined {
    const query = this.#byTicket.get(ticket);
    if (query === undefined) return undefined;
    this.#byTicket.delete(ticket);
    this.#owners.delete(ticket);
    this.#stops.delete(ticket);
    if (query.id !== undefined) this.#byId.delete(query.id);
    const deadline = this.#deadlines.get(ticket);
    if (deadline !== undefined) {
      deadline.cancel();
      this.#deadlines.delete(ticket);
    }
    return query;
  }

  /** Ends a query: at once when it waits or runs, otherwise as soon as a thread comes to it. */
  #stop(query: PendingQuery, reason: number): void {
    const { ticket } = query;
    const at = this.#waiting.indexOf(query);
    if (at >= 0) {
      this.#waiting.splice(at, 1);
      this.#take(ticket)?.fail(stopError(reason));
      return;
    }
    this.#stops.set(ticket, reason);
    this.#owners.get(ticket)?.stop(ticket, reason);
    this.#startTimer();
  }

  #startTimer(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = this.#options.clock.startTimer(READER_HELD_UP_MS, () => {
      this.#timer = undefined;
      this.#look();
    });
  }

  /** Now and then while there is work, or an extra thread: who is held up, who is to be stopped? */
  #look(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const thread of this.#threads) {
      this.#stopOn(thread);
      thread.look(READER_HELD_UP_MS);
      if (thread.heldUpMs > 0) this.#takeBack(thread);
    }
    this.#retire(nowMs);
    if (this.#waiting.length > 0) this.#flush();
    const isExtra = this.#threads.length > this.#options.readers;
    if (this.#byTicket.size > 0 || isExtra) this.#startTimer();
  }

  /** An interrupt between two statements is lost, so it is sent until the query has ended. */
  #stopOn(thread: ReaderThread): void {
    const ticket = thread.currentTicket;
    if (ticket === 0) return;
    const reason = this.#byTicket.has(ticket) ? this.#stops.get(ticket) : STOP.canceled;
    if (reason !== undefined) thread.stop(ticket, reason);
  }

  /** What stands behind a long query waits again, for another thread. */
  #takeBack(thread: ReaderThread): void {
    const current = thread.currentTicket;
    if (current === 0) return;
    for (const queries of thread.batches) {
      for (const query of queries) {
        const { ticket } = query;
        if (ticket === current || query.isStreaming || !this.#byTicket.has(ticket)) continue;
        if (query.isAlone) continue;
        if (this.#owners.get(ticket) !== thread) continue;
        this.#owners.delete(ticket);
        this.#waiting.push(query);
      }
    }
  }

  #retire(nowMs: number): void {
    if (this.#threads.length <= this.#options.readers || this.#waiting.length > 0) return;
    const index = this.#threads.findIndex(({ idleSinceMs }) =>
      idleSinceMs !== undefined && nowMs - idleSinceMs > READER_IDLE_MS_MAX
    );
    const [thread] = index < 0 ? [] : this.#threads.splice(index, 1);
    thread?.close().then(undefined, this.#options.onFatal);
  }
}

function flagsOf(body: RequestBody): number {
  return body.kind === "sql" ? QUERY_FLAG.isSql : 0;
}

function stopError(reason: number): OperatingError {
  return reason === STOP.timeout
    ? new OperatingError("timeout", "context deadline exceeded")
    : new OperatingError("canceled", "context canceled");
}
