/**
 * What the main thread and a reader thread say to each other, and the memory that they share.
 *
 * Queries come in batches, flat, because a message costs more than a point read. Answers of a batch
 * come back together, as one string and a table of lengths, but for what is rare: failures of whole
 * requests, requests that turn out to be writes, and large results, which come in pieces.
 */
import type { ErrorCode } from "../base/errors.ts";
import type { BodyText } from "../command/request.ts";
import type { LibraryLocation } from "../sqlite/loader.ts";
import type { FatalReply } from "./fatal_reply.ts";

/** Cells of the shared memory, one Int32 each. */
export const CELL = {
  /** Ticket of the query that runs now, 0 for none (rule Q12). Written by the reader. */
  current: 0,
  /** Ticket of the query that is to end, and why (`STOP`). Written by the main thread. */
  stopped: 1,
  stopReason: 2,
  /** Pieces of a stream that may still be sent. The main thread adds, the reader takes. */
  credits: 3,
} as const;
export const CELL_COUNT = 4;

/** Why a query is ended. */
export const STOP = { timeout: 1, canceled: 2, inTheWay: 3 } as const;

/** Bits of a query's flags; the result's format stands above them. */
export const QUERY_FLAG = { isSql: 1, transaction: 2, unified: 4, encode: 8, rows: 16 } as const;
export const FORMAT_SHIFT = 8;

/** Members of the flat list for each query. */
export const QUERY_FIELDS = 4;

/** To a reader. */
export type ReaderRequest =
  | {
    readonly kind: "open";
    readonly library: LibraryLocation;
    readonly path: string;
    readonly foreignKeys: boolean;
    readonly cells: SharedArrayBuffer;
    readonly gate: SharedArrayBuffer;
  }
  /** For each query: ticket, flags, timeout in milliseconds, the body's text, transferred when it is bytes. */
  | { readonly kind: "queries"; readonly list: readonly (number | BodyText)[] }
  | { readonly kind: "close" };

/** From a reader. */
export type ReaderReply =
  /** `address` is the connection's, for `interruptConnection`, until `closed`. */
  | { readonly kind: "opened"; readonly address: bigint }
  | {
    readonly kind: "answers";
    readonly tickets: readonly number[];
    readonly lengths: readonly number[];
    /** For each the last entry whose effects it shows. */
    readonly indexes: readonly number[];
    readonly text: string;
    /** How long all of the batch has taken, in milliseconds; undefined while it is not at its end. */
    readonly batchMs: number | undefined;
  }
  | {
    readonly kind: "failed";
    readonly ticket: number;
    readonly code: ErrorCode;
    readonly message: string;
  }
  /** `payload` is empty when there is nothing to run. */
  | { readonly kind: "write"; readonly ticket: number; readonly payload: Uint8Array<ArrayBuffer> }
  | {
    readonly kind: "piece";
    readonly ticket: number;
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly index: number;
    readonly isLast: boolean;
  }
  | { readonly kind: "closed" }
  | FatalReply;
