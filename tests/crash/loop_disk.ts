/**
 * A small ext4 file system of its own, in a file behind a loop device: the disk that a test may fill
 * to the last byte. Disposing of it unmounts, frees the device and removes the file, whatever happened.
 */

/** How often unmounting is tried: a process that has just ended may hold it for a moment. */
const UNMOUNT_TRIES_MAX = 50;
const UNMOUNT_PAUSE_MS = 100;

const FILL_NAME = "fill";
const FILL_PIECE_BYTES = 4096;

/** Why no such disk can be made here; undefined when it can. */
export async function reasonAgainstLoopDisk(): Promise<string | undefined> {
  try {
    const disk = await LoopDisk.make(8);
    await disk[Symbol.asyncDispose]();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** A mounted disk. */
export class LoopDisk implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  readonly #parent: string;

  constructor(parent: string) {
    this.#parent = parent;
    this.path = `${parent}/disk`;
  }

  /** @throws {Error} where that is not permitted or the tools are missing. */
  static async make(sizeMebibytes: number): Promise<LoopDisk> {
    const parent = await Deno.makeTempDir({ prefix: "dust-disk-" });
    const disk = new LoopDisk(parent);
    const image = `${parent}/image`;
    try {
      await Deno.mkdir(disk.path);
      await Deno.writeFile(image, new Uint8Array(0));
      await Deno.truncate(image, sizeMebibytes * 1024 * 1024);
      // Blocks as on usual disks: with smaller ones SQLite meets SIGBUS in its shared memory. A journal
      // would take half of the disk.
      await run("mkfs.ext4", ["-q", "-F", "-b", "4096", "-O", "^has_journal", "-m", "0", image]);
      // The device is freed with the unmounting.
      await run("mount", ["-o", "loop", image, disk.path]);
      return disk;
    } catch (error) {
      await Deno.remove(parent, { recursive: true });
      throw error;
    }
  }

  /** Takes space with a file, all that is left when no size is given. */
  fill(sizeBytes = Infinity): void {
    using file = Deno.openSync(`${this.path}/${FILL_NAME}`, { create: true, append: true });
    const piece = new Uint8Array(FILL_PIECE_BYTES).fill(1);
    try {
      for (let done = 0; done < sizeBytes; done += file.writeSync(piece));
    } catch (error) {
      if (!(error instanceof Error && error.message.includes("os error 28"))) throw error;
    }
  }

  /** Gives back what `fill` has taken. */
  empty(): void {
    Deno.removeSync(`${this.path}/${FILL_NAME}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let tries = 1;; tries++) {
      try {
        await run("umount", [this.path]);
        break;
      } catch (error) {
        if (tries === UNMOUNT_TRIES_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, UNMOUNT_PAUSE_MS));
      }
    }
    await Deno.remove(this.#parent, { recursive: true });
  }
}

async function run(command: string, args: readonly string[]): Promise<void> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(command, { args: [...args], stdout: "null", stderr: "piped" })
      .output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Error(`${command} is not installed`);
    throw error;
  }
  if (output.success) return;
  const text = new TextDecoder().decode(output.stderr).trim();
  throw new Error(`${command} fails: ${text}`);
}
