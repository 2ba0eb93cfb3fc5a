/**
 * What the main thread and the digest thread say to each other. Of each `pin` there is one `pinned`, and then
 * one `digested`; a cell in shared memory says which of them is wanted, and what is not ends.
 */
import type { LibraryLocation } from "../sqlite/loader.ts";
import type { FatalReply } from "./fatal_reply.ts";

/** To the digest thread. */
export type DigestRequest =
  | {
    readonly kind: "open";
    readonly library: LibraryLocation;
    readonly path: string;
    /** The gate before each read (read_gate.ts). */
    readonly gate: SharedArrayBuffer;
    /** One cell: `cellOf` the newest `pin`, or `STOPPED`. */
    readonly wanted: SharedArrayBuffer;
  }
  /** Nothing is applied until `pinned`: the state is that behind the entry at `index`. */
  | { readonly kind: "pin"; readonly index: number }
  | { readonly kind: "close" };

/** In the cell: nobody wants a digest any more. */
export const STOPPED = -1;

/** From the digest thread. */
export type DigestReply =
  | { readonly kind: "pinned"; readonly index: number }
  | {
    readonly kind: "digested";
    readonly index: number;
    /** Undefined: it was given up. */
    readonly digest: { readonly resultChain: string; readonly content: string } | undefined;
  }
  | { readonly kind: "closed" }
  | FatalReply;

/** What the cell says while `index` is wanted: its lower 31 bits, never `STOPPED`. */
export function cellOf(index: number): number {
  return index % 2 ** 31;
}
