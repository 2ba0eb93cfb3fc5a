/**
 * One reader thread as the main thread sees it: its Worker, the memory shared with it, the batches it
 * has not answered yet, and the address by which a query of its can be interrupted (rule Q12).
 */
import { FatalError } from "../base/errors.ts";
import type { BodyText } from "../command/request.ts";
import { interruptConnection } from "../sqlite/connection.ts";
import type { Library } from "../sqlite/library.ts";
import type { LibraryLocation } from "../sqlite/loader.ts";
import type { PendingQuery } from "./pending_query.ts";
import { CELL, CELL_COUNT, type ReaderReply, type ReaderRequest } from "./reader_messages.ts";

/** What all readers have in common. */
export interface ReaderSetup {
  readonly library: Library;
  readonly location: LibraryLocation;
  readonly path: string;
  readonly foreignKeys: boolean;
  readonly gate: SharedArrayBuffer;
}

/** See the file's header. */
export class ReaderThread {
  /** Posted and not answered to the end, oldest first. */
  readonly batches: (readonly PendingQuery[])[] = [];
  /** Since when it has had nothing to do; undefined while it has. */
  idleSinceMs: number | undefined;
  #seenTicket = 0;
  #heldUpMs = 0;
  readonly #worker: Worker;
  readonly #library: Library;
  readonly #cells: Int32Array<SharedArrayBuffer>;
  /** Of its connection; undefined before it is open and from the moment that it is to close. */
  #address: bigint | undefined;
  readonly #opened = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();

  constructor(
    setup: ReaderSetup,
    listener: {
      readonly onReply: (reply: ReaderReply) => void;
      readonly onFatal: (error: Error) => void;
    },
  ) {
    this.#library = setup.library;
    const cells = new SharedArrayBuffer(4 * CELL_COUNT);
    this.#cells = new Int32Array(cells);
    this.#worker = new Worker(new URL("./reader_worker.ts", import.meta.url), {
      type: "module",
      name: "dust-reader",
    });
    this.#worker.onmessage = ({ data }: MessageEvent<ReaderReply>) => {
      if (data.kind === "opened") {
        this.#address = data.address;
        this.#opened.resolve();
      }
      if (data.kind === "closed") this.#closed.resolve();
      listener.onReply(data);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      listener.onFatal(new FatalError(74, `A reader thread has ended: ${event.message}`));
    };
    const { location: library, path, foreignKeys, gate } = setup;
    this.#post({ kind: "open", library, path, foreignKeys, cells, gate });
  }

  /** Resolves once it is ready for queries. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /** Ticket of the query that it runs now, 0 for none. */
  get currentTicket(): number {
    return Atomics.load(this.#cells, CELL.current);
  }

  /** How long the query has been running that it was on at the last look, 0 for none. */
  get heldUpMs(): number {
    return this.#heldUpMs;
  }

  /** Looks which query runs; one that ran at the last look too is long, whatever else keeps the machine busy. */
  look(elapsedMs: number): void {
    const ticket = this.currentTicket;
    const isSame = ticket !== 0 && ticket === this.#seenTicket;
    this.#heldUpMs = isSame ? this.#heldUpMs + elapsedMs : 0;
    this.#seenTicket = ticket;
  }

  /** Hands it a batch. */
  post(queries: readonly PendingQuery[]): void {
    this.batches.push(queries);
    this.idleSinceMs = undefined;
    const list: (number | BodyText)[] = [];
    const transfer: Transferable[] = [];
    for (const { ticket, flags, timeoutMs, text } of queries) {
      list.push(ticket, flags, timeoutMs, text);
      if (typeof text !== "string") transfer.push(text.buffer);
    }
    this.#post({ kind: "queries", list }, transfer);
  }

  /** Has a query end if it runs here now. @returns whether it does. */
  stop(ticket: number, reason: number): boolean {
    if (ticket === 0 || this.currentTicket !== ticket) return false;
    if (this.#address === undefined) return false;
    Atomics.store(this.#cells, CELL.stopReason, reason);
    Atomics.store(this.#cells, CELL.stopped, ticket);
    interruptConnection(this.#library, this.#address);
    Atomics.notify(this.#cells, CELL.credits);
    return true;
  }

  /** The client has taken a piece of the stream that is under way. */
  addCredit(): void {
    Atomics.add(this.#cells, CELL.credits, 1);
    Atomics.notify(this.#cells, CELL.credits);
  }

  /** Has it close its connection, once it is through with what it has. */
  close(): Promise<void> {
    this.#address = undefined;
    this.#post({ kind: "close" });
    return this.#closed.promise;
  }

  #post(request: ReaderRequest, transfer: Transferable[] = []): void {
    this.#worker.postMessage(request, { transfer });
  }
}
