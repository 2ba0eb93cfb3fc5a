/**
 * Holds on folders: many processes may hold one folder `shared`, or one alone `exclusive`.
 *
 * A hold is a lock (flock) on the folder itself, so nothing needs to be written into it, and the
 * kernel ends it with the process, whatever kills it and whichever container it runs in. A hold that is
 * given is one on the folder that has the name at that moment, not on one that was removed meanwhile.
 */

/** A hold that was given. */
export interface FolderHold {
  /** Gives it back; a second call does nothing. */
  release(): void;
}

/** A hold; or why there is none: nobody has that folder, or somebody else holds it. */
export type FolderHoldOutcome =
  | { readonly kind: "held"; readonly hold: FolderHold }
  | { readonly kind: "missing" }
  | { readonly kind: "busy" };

/** Takes a hold without waiting. @throws errors of the system other than that there is no such folder. */
export function tryHoldFolder(path: string, mode: "shared" | "exclusive"): FolderHoldOutcome {
  const folder = unlessMissing(() => Deno.openSync(path, { read: true }));
  if (folder === undefined) return { kind: "missing" };
  let isKept = false;
  try {
    if (!folder.tryLockSync(mode === "exclusive")) return { kind: "busy" };
    const locked = folder.statSync();
    const named = unlessMissing(() => Deno.lstatSync(path));
    if (named?.ino !== locked.ino || named.dev !== locked.dev) return { kind: "missing" };
    isKept = true;
    return { kind: "held", hold: new DenoFolderHold(folder) };
  } finally {
    if (!isKept) folder.close();
  }
}

class DenoFolderHold implements FolderHold {
  #folder: Deno.FsFile | undefined;

  constructor(folder: Deno.FsFile) {
    this.#folder = folder;
  }

  release(): void {
    this.#folder?.close();
    this.#folder = undefined;
  }
}

function unlessMissing<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
