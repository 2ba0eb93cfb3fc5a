/**
 * Folders for live files in memory, one for each data directory, and giving back the memory of those
 * that nobody needs any more.
 *
 *   RAM_DIR/dust-HASH/owner      whose it is, from the first moment on: a line of cluster id and
 *                                incarnation, a line of DATA_DIR's real path; HASH is of that path
 *   RAM_DIR/dust-HASH/identity   the same, once db.sqlite is complete (rules S3, S4)
 *
 * A live file is rebuilt from copy and log when it is missing, so removing one is never a loss, not
 * even when the data directory is only unmounted for now; it must only not be pulled away from a running
 * node. Hence a node holds its folder for life, `shared`, and it is removed under an `exclusive` hold. The
 * kernel keeps that account: it cannot be fooled by a data directory that was deleted under a running
 * node, by process ids of another container, or by a crash. A removal that is cut short leaves
 * `owner`, so that the next one finds the rest.
 */
import { createHash } from "node:crypto";
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { lstat, readdir, readFile, rm, rmdir } from "node:fs/promises";
import type { Clock } from "../os/clock.ts";
import { type FolderHold, tryHoldFolder } from "../os/deno_folder_hold.ts";
import { joinPath } from "../os/file_system.ts";
import { HOLD_ATTEMPTS_MAX, HOLD_PAUSE_MS, SWEEP_FOLDERS_MAX, SWEEP_MS_MAX } from "./limits.ts";
import { IDENTITY_NAME, inspectFolder } from "./state_folders.ts";

const NAME_PATTERN = /^dust-[0-9a-f]{16}$/;
const OWNER_NAME = "owner";
const OWNER_PATTERN = /^[0-9a-f]+ [0-9a-f]+\n(\/.*)\n$/s;
const PRIVATE_MODE = 0o700;

/** The folder in memory for the live file of a data directory, which must exist. */
export function ramFolder(options: {
  readonly ramDirectory: string;
  readonly dataDirectory: string;
}): string {
  return joinPath(options.ramDirectory, folderName(realpathSync(options.dataDirectory)));
}

function folderName(realPath: string): string {
  return `dust-${createHash("sha256").update(realPath).digest("hex").slice(0, 16)}`;
}

/** What `owner` and `identity` say. */
export function ownerText(owner: {
  readonly clusterId: Uint8Array;
  readonly incarnation: Uint8Array;
  readonly dataDirectory: string;
}): string {
  const { clusterId, incarnation, dataDirectory } = owner;
  return `${clusterId.toHex()} ${incarnation.toHex()}\n${realpathSync(dataDirectory)}\n`;
}

/**
 * Takes a folder for this process's use, and makes it where it is missing.
 * @returns undefined when somebody is removing it and does not come to an end.
 */
export async function holdRamFolder(
  folder: string,
  clock: Clock,
): Promise<FolderHold | undefined> {
  for (let attempt = 0; attempt < HOLD_ATTEMPTS_MAX; attempt++) {
    mkdirSync(folder, { recursive: true, mode: PRIVATE_MODE });
    const outcome = tryHoldFolder(folder, "shared");
    if (outcome.kind === "held") return outcome.hold;
    if (outcome.kind === "busy") await clock.sleep(HOLD_PAUSE_MS);
  }
  return undefined;
}

/** Empties a folder for a new live file, and says whose it is. The caller holds it. */
export async function prepareRamFolder(folder: string, owner: string): Promise<void> {
  writeFileSync(joinPath(folder, OWNER_NAME), owner, { mode: 0o600 });
  await removeLiveFile(folder);
}

/**
 * Removes the folders of this user whose data directory is gone, or is `unused`, and that no process
 * holds. Looks at SWEEP_FOLDERS_MAX of them and begins none after SWEEP_MS_MAX; the next start goes on.
 * @returns their paths. @throws errors of the system; what was removed stays removed.
 */
export async function sweepRamFolders(options: {
  readonly ramDirectory: string;
  readonly clock: Clock;
  /** A data directory whose live file is no longer in memory; undefined for none. */
  readonly unused: string | undefined;
}): Promise<readonly string[]> {
  const { ramDirectory, clock } = options;
  const unused = options.unused === undefined ? undefined : realpathSync(options.unused);
  const deadlineMs = clock.monotonicMs() + SWEEP_MS_MAX;
  const names = (await readdir(ramDirectory)).filter((name) => NAME_PATTERN.test(name));
  const removed: string[] = [];
  for (const name of names.slice(0, SWEEP_FOLDERS_MAX)) {
    if (clock.monotonicMs() >= deadlineMs) break;
    const folder = joinPath(ramDirectory, name);
    const dataDirectory = await ownerOf(folder);
    // A folder that was copied or made by hand says something else than its name.
    if (dataDirectory === undefined || folderName(dataDirectory) !== name) continue;
    if (dataDirectory !== unused && await hasState(dataDirectory)) continue;
    if (await maybeRemove(folder)) removed.push(folder);
  }
  return removed;
}

/** The data directory that a folder of ours belongs to, if it says so. */
async function ownerOf(folder: string): Promise<string | undefined> {
  if (inspectFolder(folder) !== "ours") return undefined;
  const path = joinPath(folder, OWNER_NAME);
  const text = await unlessMissing(readFile(path, "utf8"));
  return text === undefined ? undefined : OWNER_PATTERN.exec(text)?.[1];
}

/** Whether there is a data directory, not merely a folder of that name. */
async function hasState(dataDirectory: string): Promise<boolean> {
  return await unlessMissing(lstat(joinPath(dataDirectory, "state"))) !== undefined;
}

async function maybeRemove(folder: string): Promise<boolean> {
  const outcome = tryHoldFolder(folder, "exclusive");
  if (outcome.kind !== "held") return false;
  try {
    await removeLiveFile(folder);
    await rm(joinPath(folder, OWNER_NAME));
    await rmdir(folder);
    return true;
  } finally {
    outcome.hold.release();
  }
}

/** `identity` goes first: what is left of a live file after a crash must not pass for a whole one. */
async function removeLiveFile(folder: string): Promise<void> {
  await rm(joinPath(folder, IDENTITY_NAME), { force: true });
  for (const name of await readdir(folder)) {
    if (name !== OWNER_NAME) await rm(joinPath(folder, name), { recursive: true });
  }
}

async function unlessMissing<T>(outcome: Promise<T>): Promise<T | undefined> {
  try {
    return await outcome;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
