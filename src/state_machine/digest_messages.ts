/**
 * What the main thread and the digest thread say to each other. Of each `pin` there is one `pinned`, and then
 * one `digested`; `stop` in shared memory ends what is under way.
 */
import type { LibraryLocation } from "../sqlite/loader.ts";

/** To the digest thread. */
export type DigestRequest =
  | {
    readonly kind: "open";
    readonly library: LibraryLocation;
    readonly path: string;
    /** The gate before each read (read_gate.ts). */
    readonly gate: SharedArrayBuffer;
    /** One cell: the index of the newest `pin`, by its lower 32 bits, or `STOPPED`. */
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
  | { readonly kind: "fatal"; readonly message: string; readonly exitStatus: 70 | 74 };

/** What the cell says while `index` is wanted. */
export function cellOf(index: number): number {
  return index % 2 ** 31;
}
