/**
 * A snapshot on its way in, as a file: `snapshot-INDEX-TERM-SIZE-CHECKSUM.part`, so that the name says which
 * content it has the beginning of, and a transfer that was cut goes on where it was (rule N3). Complete and
 * verified it loses the `.part`. Of other contents nothing is kept.
 * Invariant: a file without `.part` is whole, has its checksum, and is durable.
 */
import { crc32c } from "../base/crc32c.ts";
import { OperatingError } from "../base/errors.ts";
import { type File, type FileSystem, joinPath } from "../os/file_system.ts";
import { SNAPSHOT_SYNC_BYTES } from "./limits.ts";
import type { SnapshotOffer, SnapshotSink } from "./peer_services.ts";
import { checksumOf } from "./snapshot_sender.ts";

const PREFIX = "snapshot-";
const PART = ".part";

/** Where one comes in. */
export interface SnapshotFileOptions {
  readonly fileSystem: FileSystem;
  /** Exists, holds nothing else of these names, and is used by one transfer at a time. */
  readonly directory: string;
  readonly offer: SnapshotOffer;
  /** Called by `commit` with the complete file. */
  readonly onComplete: (path: string) => void;
}

/** The sink of an offer: goes on with what is there of the same content. @throws {OperatingError} `disk_full` */
export async function openSnapshotFile(options: SnapshotFileOptions): Promise<SnapshotSink> {
  const { fileSystem, directory, offer } = options;
  const name = nameOf(offer);
  const names = await fileSystem.listFiles(directory);
  for (const other of names) {
    const isOurs = other.startsWith(PREFIX) && other.endsWith(PART);
    if (isOurs && other !== name + PART) await fileSystem.remove(joinPath(directory, other));
  }
  const path = joinPath(directory, name + PART);
  const isThere = names.includes(name + PART);
  const file = isThere ? fileSystem.openSync(path, "write") : fileSystem.createSync(path);
  try {
    const size = file.sizeSync();
    const resumeOffset = size > offer.sizeBytes ? 0 : size;
    const crc = await checksumOf(file, resumeOffset);
    return new SnapshotFile({ ...options, file, name, resumeOffset, crc });
  } catch (error) {
    file.close();
    throw error;
  }
}

function nameOf({ message, sizeBytes, checksum }: SnapshotOffer): string {
  const { index, term } = message.snapshot;
  return `${PREFIX}${index}-${term}-${sizeBytes}-${checksum.toString(16).padStart(8, "0")}`;
}

interface OpenFile extends SnapshotFileOptions {
  readonly file: File;
  readonly name: string;
  readonly resumeOffset: number;
  /** Of what is there. */
  readonly crc: number;
}

class SnapshotFile implements SnapshotSink {
  readonly resumeOffset: number;
  readonly #open: OpenFile;
  #crc: number;
  #unsynced = 0;

  constructor(open: OpenFile) {
    this.#open = open;
    this.resumeOffset = open.resumeOffset;
    this.#crc = open.crc;
  }

  async write(chunk: Uint8Array, position: number): Promise<void> {
    const { file } = this.#open;
    await file.write(chunk, position);
    this.#crc = crc32c(chunk, this.#crc);
    this.#unsynced += chunk.length;
    if (this.#unsynced < SNAPSHOT_SYNC_BYTES) return;
    this.#unsynced = 0;
    await file.syncData();
  }

  async commit(): Promise<void> {
    const { file, fileSystem, directory, offer, name, onComplete } = this.#open;
    const part = joinPath(directory, name + PART);
    const whole = joinPath(directory, name);
    if (file.sizeSync() > offer.sizeBytes) file.truncateSync(offer.sizeBytes);
    await file.sync();
    file.close();
    if (this.#crc !== offer.checksum) {
      // Damaged here, or never the same content: from the beginning, then.
      await fileSystem.remove(part);
      throw new OperatingError("conflict", "Cannot use a snapshot: its checksum is another");
    }
    await fileSystem.rename(part, whole);
    await fileSystem.syncDirectory(directory);
    onComplete(whole);
  }

  abort(): Promise<void> {
    this.#open.file.close();
    return Promise.resolve();
  }
}
