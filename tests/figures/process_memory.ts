/**
 * What a process and a folder take up, from /proc and the file system. For figures, on Linux only; what
 * goes away between two looks counts as nothing.
 */

const MB = 1_000_000;

/** Resident memory of a process in MB (10^6 bytes), with and without what it shares with files. */
export function residentMb(pid: number): { readonly all: number; readonly own: number } {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  const read = (name: string): number =>
    Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024 / MB);
  return { all: read("VmRSS"), own: read("RssAnon") };
}

/** Bytes of a folder's files that are on disk, in MB (10^6 bytes). */
export function folderMb(path: string): number {
  let bytes = 0;
  const visit = (folder: string): void => {
    for (const { name, isDirectory } of Deno.readDirSync(folder)) {
      const child = `${folder}/${name}`;
      if (isDirectory) visit(child);
      else bytes += blocksBytes(child);
    }
  };
  visit(path);
  return Math.round(bytes / MB);
}

/** Looks at something now and then until it is told to stop. */
export class Sampler<Sample> {
  readonly #samples: Sample[] = [];
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(look: () => Sample, everyMs: number) {
    this.#timer = setInterval(() => this.#samples.push(look()), everyMs);
  }

  /** All samples, oldest first. */
  stop(): readonly Sample[] {
    clearInterval(this.#timer);
    return this.#samples;
  }
}

/** A file that goes away meanwhile has none. */
function blocksBytes(path: string): number {
  try {
    return (Deno.statSync(path).blocks ?? 0) * 512;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
