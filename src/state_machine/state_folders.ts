/**
 * Where state lies on the file system; names, folders and their durability, never the content of a
 * database file (rule S1).
 *
 *   DATA_DIR/state/GENERATION/db.sqlite   disk mode: the live file; RAM mode: its newest durable copy
 *   DATA_DIR/state/GENERATION/checksum    RAM mode: of that copy (copy_checksum.ts)
 *   RAM_DIR/dust-HASH/db.sqlite           RAM mode: the live file (ram_folders.ts)
 *   RAM_DIR/dust-HASH/identity            whose it is (rule S4: never in the replicated tables)
 *   DATA_DIR/state/stuck                  the entry that no writer came back from (rule A4b)
 *   DATA_DIR/state/live/db.sqlite         RAM mode without tmpfs: rebuilt at each start
 *   DATA_DIR/state/outgoing/INDEX.sqlite  a copy on its way to another node
 *   DATA_DIR/state/incoming/              what comes from another node, until it is whole
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { userInfo } from "node:os";
import { dirname } from "node:path";
import { FatalError } from "../base/errors.ts";
import { joinPath } from "../os/file_system.ts";

const FILE_NAME = "db.sqlite";
const LIVE_NAME = "live";
const STUCK_NAME = "stuck";
const OUTGOING_NAME = "outgoing";
const INCOMING_NAME = "incoming";
const PRIVATE_MODE = 0o700;
const GENERATION_PATTERN = /^[1-9]\d{0,15}$/;

/** What the system says when the disk has failed (EIO); the runtime gives the error no code. */
const DISK_FAILED = /\(os error 5\)/;

/** Whether the system says that the disk has failed. */
export function isDiskFailure(error: unknown): error is Error {
  return error instanceof Error && DISK_FAILED.test(error.message);
}

/** The file beside a live file in memory that says whose it is, once it is complete. */
export const IDENTITY_NAME = "identity";

/** One generation of one data directory. */
export interface GenerationPlace {
  readonly dataDirectory: string;
  readonly generation: number;
}

/** The state file of a generation. */
export function generationPath(place: GenerationPlace): string {
  return joinPath(generationFolder(place), FILE_NAME);
}

function stateFolder(dataDirectory: string): string {
  return joinPath(dataDirectory, "state");
}

/** The folder of a generation. */
export function generationFolder({ dataDirectory, generation }: GenerationPlace): string {
  return joinPath(stateFolder(dataDirectory), String(generation));
}

/** Makes an empty folder for a generation, in place of what an unfinished try has left. @returns its file's path. */
export function prepareGeneration(place: GenerationPlace): string {
  const folder = generationFolder(place);
  removeGeneration(place);
  mkdirSync(folder, { recursive: true, mode: PRIVATE_MODE });
  return generationPath(place);
}

/** Removes what an unfinished try has left of a generation. */
export function removeGeneration(place: GenerationPlace): void {
  rmSync(generationFolder(place), { recursive: true, force: true });
}

/** Where the copy of entry `index` lies while it is sent to others; its folder is made. */
export function outgoingPath(dataDirectory: string, index: number): string {
  const folder = joinPath(stateFolder(dataDirectory), OUTGOING_NAME);
  mkdirSync(folder, { recursive: true, mode: PRIVATE_MODE });
  const path = joinPath(folder, `${index}.sqlite`);
  rmSync(path, { force: true });
  return path;
}

/** Where what comes from others is kept until it is whole; made where it is missing. */
export function makeIncoming(dataDirectory: string): string {
  const folder = joinPath(stateFolder(dataDirectory), INCOMING_NAME);
  mkdirSync(folder, { recursive: true, mode: PRIVATE_MODE });
  return folder;
}

/** Removes a file that is in no use; one that is gone is fine. */
export function removeUnused(path: string): void {
  rmSync(path, { force: true });
}

/** For a start: nobody goes on with what an earlier process sent or received. */
export function removeTransfers(dataDirectory: string): void {
  for (const name of [OUTGOING_NAME, INCOMING_NAME]) {
    rmSync(joinPath(stateFolder(dataDirectory), name), { recursive: true, force: true });
  }
}

/** Makes a generation of a file that came whole; it is moved. @returns its path. */
export function adoptFile(from: string, place: GenerationPlace): string {
  const path = prepareGeneration(place);
  renameSync(from, path);
  return path;
}

/** Makes the names of a generation durable; its file's content is SQLite's to sync. */
export function syncGeneration(place: GenerationPlace): void {
  syncFolder(generationFolder(place));
  syncFolder(stateFolder(place.dataDirectory));
  syncFolder(place.dataDirectory);
}

/** Makes the names in a folder durable. @throws {FatalError} when the disk has failed. */
export function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } catch (error) {
    // Nobody knows now what of it is on the disk (rule A3); a full disk is the caller's to judge.
    if (!isDiskFailure(error)) throw error;
    throw new FatalError(74, `Cannot sync ${path}: ${error.message}`, { cause: error });
  } finally {
    closeSync(folder);
  }
}

/**
 * Deletes all generations but the one that the log names (rule S2): for a start, when nobody is making
 * one. None of them may be open.
 */
export function keepGeneration(place: GenerationPlace): void {
  removeGenerations(place, (generation) => generation !== place.generation);
}

/** Deletes the generations before this one; a newer one may be on its way in from a peer (rule S2). */
export function removeOlderGenerations(place: GenerationPlace): void {
  removeGenerations(place, (generation) => generation < place.generation);
}

function removeGenerations(
  { dataDirectory }: GenerationPlace,
  isToGo: (generation: number) => boolean,
): void {
  const folder = stateFolder(dataDirectory);
  for (const name of readdirSync(folder)) {
    if (!GENERATION_PATTERN.test(name) || !isToGo(Number(name))) continue;
    rmSync(joinPath(folder, name), { recursive: true, force: true });
  }
}

/** The entry from which a process did not come back; 0 when none is on record. */
export function readStuckIndex(dataDirectory: string): number {
  const path = stuckPath(dataDirectory);
  const index = existsSync(path) ? Number(readFileSync(path, "utf8")) : 0;
  return Number.isSafeInteger(index) ? index : 0;
}

/** Records it durably. */
export function writeStuckIndex(dataDirectory: string, index: number): void {
  const file = openSync(stuckPath(dataDirectory), "w", 0o600);
  try {
    writeSync(file, String(index));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  syncFolder(stateFolder(dataDirectory));
}

/** Forgets it. A record that comes back after a crash is of an entry that was applied, and means nothing. */
export function removeStuckIndex(dataDirectory: string): void {
  rmSync(stuckPath(dataDirectory), { force: true });
}

function stuckPath(dataDirectory: string): string {
  return joinPath(stateFolder(dataDirectory), STUCK_NAME);
}

/** Size of a file in bytes. @throws {FatalError} when it is missing: the log names it. */
export function requireFile(path: string): number {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) throw new FatalError(65, `Cannot start: ${path} is missing`);
  return facts.size;
}

/** The folder for a live file that finds no room in memory. */
export function fallbackFolder(dataDirectory: string): string {
  return joinPath(stateFolder(dataDirectory), LIVE_NAME);
}

/** The live file in a folder. */
export function livePath(folder: string): string {
  return joinPath(folder, FILE_NAME);
}

/**
 * Whether a folder is ours alone: made by this user, for nobody else, and no link (rule S3).
 * @returns "missing" when there is none.
 */
export function inspectFolder(folder: string): "ours" | "missing" | "foreign" {
  const facts = lstatSync(folder, { throwIfNoEntry: false });
  if (facts === undefined) return "missing";
  const isOurs = facts.isDirectory() && facts.uid === userInfo().uid &&
    (facts.mode & 0o077) === 0;
  return isOurs ? "ours" : "foreign";
}

/** Whether a folder holds a live file of this identity. */
export function isLiveFolderOf(folder: string, identity: string): boolean {
  const path = joinPath(folder, IDENTITY_NAME);
  if (!existsSync(path) || !existsSync(livePath(folder))) return false;
  return readFileSync(path, "utf8") === identity;
}

/** Makes an empty folder for a live file on disk, in place of what is there. */
export function makeLiveFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: PRIVATE_MODE });
}

/** Says whose a live file is, once it is complete: an unfinished one is nobody's. */
export function writeLiveIdentity(folder: string, identity: string): void {
  writeFileSync(joinPath(folder, IDENTITY_NAME), identity, { mode: 0o600 });
}

/** A live file in memory is nobody's from now on: it is damaged. */
export function removeLiveIdentity(path: string): void {
  rmSync(joinPath(dirname(path), IDENTITY_NAME), { force: true });
}
