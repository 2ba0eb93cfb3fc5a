/**
 * Real folders in memory, one for each machine of a run with real SQLite: the only thing of a run that
 * lies outside of the simulation. Nothing in a run depends on their names. Gone with the run.
 */

/** Where folders in memory are, on every Linux. */
const PARENT = "/dev/shm";

/** See the file's header. Makes nothing before it is asked. */
export class RealFolders implements Disposable {
  #root: string | undefined;
  readonly #made = new Set<number>();

  /** The folder of machine `id`. */
  of(id: number): string {
    this.#root ??= Deno.makeTempDirSync({ dir: PARENT, prefix: "dust-sim-" });
    const path = `${this.#root}/${id}`;
    if (!this.#made.has(id)) Deno.mkdirSync(path);
    this.#made.add(id);
    return path;
  }

  [Symbol.dispose](): void {
    if (this.#root !== undefined) Deno.removeSync(this.#root, { recursive: true });
    this.#root = undefined;
  }
}
