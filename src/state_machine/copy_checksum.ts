/**
 * The checksum of the durable copy of a state in memory. SQLite's pages have none: a row that a disk changes
 * within a page is a row like any other to it, and would be the state after the next power cut (fault D2).
 *
 *   state/GENERATION/checksum: "crc32c CHECKSUM SIZE\n", of all of db.sqlite; 8 hexadecimal digits, bytes.
 *
 * Nobody writes to a copy once it is made. A live file on disk has none, nor does the state of a birth, which
 * is made before the mode is known and holds no rows. File calls here are on files that no connection of
 * this process has open (rule S1).
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { assert } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import { joinPath } from "../os/file_system.ts";
import {
  generationFolder,
  generationPath,
  type GenerationPlace,
  isDiskFailure,
  syncFolder,
} from "./state_folders.ts";

const NAME = "checksum";
const PATTERN = /^crc32c ([0-9a-f]{8}) (\d{1,16})\n$/;
const READ_BYTES = 1024 * 1024;

/** Records the checksum of a copy that was made, durably but for the folder's sync. @throws {Error} of the system. */
export function writeCopyChecksum(place: GenerationPlace): void {
  const text = checksumText(generationPath(place));
  assert(text !== undefined, "writeCopyChecksum: nobody has ended it");
  const file = openSync(checksumPath(place), "w", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Reads a copy as a whole; `mayGoOn` is asked between two reads.
 * @returns what is damaged; undefined when nothing is, nothing was recorded, or it was not to go on.
 * @throws {Error} of the system, when it refuses for another reason than a disk that has failed.
 */
export function findCopyDamage(place: GenerationPlace, mayGoOn = always): string | undefined {
  const path = checksumPath(place);
  if (!existsSync(path)) return undefined;
  const recorded = readFileSync(path, "utf8");
  if (!PATTERN.test(recorded)) return `${path} is no checksum`;
  let found: string | undefined;
  try {
    found = checksumText(generationPath(place), mayGoOn);
  } catch (error) {
    if (!isDiskFailure(error)) throw error;
    return `it cannot be read: ${error.message}`;
  }
  if (found === undefined || found === recorded) return undefined;
  return `its content has changed: ${found.trimEnd()}, recorded was ${recorded.trimEnd()}`;
}

/** For a file that becomes a live one, before anybody writes to it: what it was is of no use any more. */
export function removeCopyChecksum(place: GenerationPlace): void {
  if (!existsSync(checksumPath(place))) return;
  rmSync(checksumPath(place));
  syncFolder(generationFolder(place));
}

function always(): boolean {
  return true;
}

function checksumPath(place: GenerationPlace): string {
  return joinPath(generationFolder(place), NAME);
}

function checksumText(path: string, mayGoOn = always): string | undefined {
  const bytes = new Uint8Array(READ_BYTES);
  const file = openSync(path, "r");
  try {
    let [checksum, sizeBytes] = [0, 0];
    for (let read = readSync(file, bytes); read > 0; read = readSync(file, bytes)) {
      checksum = crc32c(bytes, checksum, 0, read);
      sizeBytes += read;
      if (!mayGoOn()) return undefined;
    }
    return `crc32c ${checksum.toString(16).padStart(8, "0")} ${sizeBytes}\n`;
  } finally {
    closeSync(file);
  }
}
