/**
 * Folders in memory: who gets one, and which are given back. A folder that is pulled away from a
 * running node is the one failure that matters; the rest is memory.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { DenoClock } from "../os/deno_clock.ts";
import { tryHoldFolder } from "../os/deno_folder_hold.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { TemporaryFolder } from "../sqlite/testing.ts";
import {
  holdRamFolder,
  ownerText,
  prepareRamFolder,
  ramFolder,
  sweepRamFolders,
} from "./ram_folders.ts";
import { writeLiveIdentity } from "./state_folders.ts";

const IDENTITY = { clusterId: new Uint8Array(16).fill(1), incarnation: new Uint8Array(16).fill(2) };

/** Data directories with a folder in memory each. */
class Place implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly ramDirectory = this.#folder.file("ram");
  readonly clock = new DenoClock();

  constructor() {
    Deno.mkdirSync(this.ramDirectory);
  }

  dataDirectory(name: string): string {
    return this.#folder.file(name);
  }

  /** A data directory whose node was killed: its folder in memory is complete, and nobody holds it. */
  async add(name: string): Promise<string> {
    const dataDirectory = this.dataDirectory(name);
    Deno.mkdirSync(join(dataDirectory, "state"), { recursive: true });
    const folder = ramFolder({ ramDirectory: this.ramDirectory, dataDirectory });
    const hold = await holdRamFolder(folder, this.clock);
    const owner = ownerText({ ...IDENTITY, dataDirectory });
    await prepareRamFolder(folder, owner);
    Deno.writeTextFileSync(join(folder, "ballast"), "x");
    writeLiveIdentity(folder, owner);
    hold?.release();
    return folder;
  }

  /** As `add`, and then somebody deletes the data directory. */
  async addGone(name: string): Promise<string> {
    const folder = await this.add(name);
    Deno.removeSync(this.dataDirectory(name), { recursive: true });
    return folder;
  }

  async sweep(unused?: string): Promise<readonly string[]> {
    const { ramDirectory, clock } = this;
    return (await sweepRamFolders({ ramDirectory, clock, unused })).toSorted();
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

/** A second passes whenever somebody looks. */
class HurryingClock extends FakeClock {
  override monotonicMs(): number {
    this.advance(1_000);
    return super.monotonicMs();
  }
}

Deno.test("sweepRamFolders() removes what belongs to no data directory, and nothing else", async () => {
  using place = new Place();
  await place.add("kept");
  const gone = [await place.addGone("gone"), await place.addGone("line\nbreak")];
  const emptied = await place.add("emptied");
  Deno.removeSync(join(place.dataDirectory("emptied"), "state"), { recursive: true });
  const others = await place.addGone("others");
  Deno.chmodSync(others, 0o755);
  const copied = await place.addGone("copied");
  Deno.renameSync(copied, join(place.ramDirectory, "dust-0123456789abcdef"));
  const unsaid = await place.addGone("unsaid");
  Deno.removeSync(join(unsaid, "owner"));
  const linked = await place.addGone("linked");
  Deno.renameSync(linked, join(place.ramDirectory, "elsewhere"));
  Deno.symlinkSync(join(place.ramDirectory, "elsewhere"), linked);
  deepStrictEqual(await place.sweep(), [...gone, emptied].toSorted());
  deepStrictEqual(await place.sweep(), []);
  strictEqual([...Deno.readDirSync(place.ramDirectory)].length, 6);
});

Deno.test("sweepRamFolders() leaves what a node holds, whose data directory was deleted under it", async () => {
  using place = new Place();
  const folder = await place.addGone("gone");
  const hold = await holdRamFolder(folder, place.clock);
  deepStrictEqual(await place.sweep(), []);
  hold?.release();
  deepStrictEqual(await place.sweep(), [folder]);
});

Deno.test("sweepRamFolders() removes the folder of a data directory that is on disk now", async () => {
  using place = new Place();
  const folder = await place.add("a");
  await place.add("b");
  deepStrictEqual(await place.sweep(place.dataDirectory("a")), [folder]);
});

Deno.test("sweepRamFolders() finishes what was cut short, and begins nothing when its time is over", async () => {
  using place = new Place();
  const folder = await place.addGone("gone");
  Deno.removeSync(join(folder, "identity"));
  const { ramDirectory } = place;
  const clock = new HurryingClock();
  deepStrictEqual(await sweepRamFolders({ ramDirectory, clock, unused: undefined }), []);
  deepStrictEqual(await place.sweep(), [folder]);
});

Deno.test("prepareRamFolder() keeps the folder that is held, and says whose it is", async () => {
  using place = new Place();
  const folder = await place.add("a");
  const { ino } = Deno.statSync(folder);
  await prepareRamFolder(folder, "owner\n");
  strictEqual(Deno.statSync(folder).ino, ino);
  deepStrictEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["owner"]);
});

Deno.test("holdRamFolder() waits while a folder is being removed, and makes it anew", async () => {
  using place = new Place();
  const folder = await place.add("a");
  const removing = tryHoldFolder(folder, "exclusive");
  ok(removing.kind === "held");
  const waiting = holdRamFolder(folder, place.clock);
  Deno.removeSync(folder, { recursive: true });
  removing.hold.release();
  const hold = await waiting;
  ok(hold !== undefined);
  strictEqual(tryHoldFolder(folder, "exclusive").kind, "busy");
  hold.release();
  const { mode } = Deno.statSync(folder);
  strictEqual((mode ?? 0) & 0o777, 0o700);
});
