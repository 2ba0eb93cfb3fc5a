/**
 * The one repair of the log: what a crash left of the last, never synced group of frames is kept in
 * `NAME.broken` and then overwritten with zeros, so that later frames do not run into it.
 * Only recovery calls this, and only for a tail that has the shape of a tear (recovery.ts decides).
 * Here too: making durable what is whole.
 * Idempotent: a crash in the middle leaves a tail that is judged and repaired in the same way.
 */
import { FatalError, OperatingError } from "../base/errors.ts";
import { type File, type FileSystem, joinPath } from "../os/file_system.ts";
import { ByteView } from "./byte_view.ts";
import { TEMPORARY_SUFFIX } from "./segment_preparer.ts";

/** Added to a segment's name, for the copy made before a repair. */
export const BROKEN_SUFFIX = ".broken";

/** Which bytes of which file to clear. */
export interface TornTail {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  /** The segment's name. */
  readonly name: string;
  /** End of the last whole frame. */
  readonly from: number;
  /** End of the last byte that is not zero. */
  readonly to: number;
}

/**
 * Copies the file's content up to `to`, then clears `[from, to)` and syncs.
 * @returns whether there was room for the copy; the repair is done without it, too.
 * @throws {FatalError} when the disk refuses, or does not return the zeros.
 */
export async function repairTornTail(tail: TornTail): Promise<{ readonly hasCopy: boolean }> {
  const hasCopy = await maybeCopy(tail);
  const file = tail.fileSystem.openSync(joinPath(tail.directory, tail.name), "write");
  try {
    await file.write(new Uint8Array(tail.to - tail.from), tail.from);
    await file.syncData();
    const check = new ByteView(new Uint8Array(tail.to - tail.from));
    const count = await file.read(check.bytes, tail.from);
    if (count !== check.bytes.length || !check.isZero(0, count)) {
      throw new FatalError(
        74,
        `Cannot repair ${file.path}: offset ${tail.from} does not stay zero`,
      );
    }
  } finally {
    file.close();
  }
  return { hasCopy };
}

/**
 * Makes `[from, to)` durable, which a dead process had written and perhaps not synced. Writes the same
 * bytes again first: after a sync that failed, the page cache shows them although the disk never got
 * them, and counts them as clean, so that a sync alone would save nothing. @throws {FatalError}
 */
export async function makeTailDurable(
  file: File,
  range: { readonly from: number; readonly to: number },
): Promise<void> {
  const bytes = new Uint8Array(range.to - range.from);
  const count = await file.read(bytes, range.from);
  if (count > 0) await file.write(bytes.subarray(0, count), range.from);
  await file.syncData();
}

async function maybeCopy(tail: TornTail): Promise<boolean> {
  const { fileSystem, directory } = tail;
  const copyPath = joinPath(directory, tail.name + BROKEN_SUFFIX);
  const temporaryPath = copyPath + TEMPORARY_SUFFIX;
  const source = fileSystem.openSync(joinPath(directory, tail.name), "read");
  try {
    const bytes = new Uint8Array(tail.to);
    await source.read(bytes, 0);
    const copy = fileSystem.createSync(temporaryPath);
    try {
      await copy.write(bytes, 0);
      await copy.sync();
    } finally {
      copy.close();
    }
    await fileSystem.rename(temporaryPath, copyPath);
    await fileSystem.syncDirectory(directory);
    return true;
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    if (await fileSystem.exists(temporaryPath)) await fileSystem.remove(temporaryPath);
    return false;
  } finally {
    source.close();
  }
}
