import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { TemporaryFolder } from "../sqlite/testing.ts";
import { BALLAST_BYTES, FREE_BYTES_MIN } from "./limits.ts";
import { freeBytesOf, RoomKeeper } from "./room_keeper.ts";

/** A keeper on a folder whose free bytes are what the test says. */
class Kept implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly keeper: RoomKeeper;
  free = FREE_BYTES_MIN + BALLAST_BYTES;
  total = 100 * FREE_BYTES_MIN;
  wal = 0;
  nowMs = 0;

  constructor(options: { readonly isRam: boolean }) {
    this.keeper = new RoomKeeper({
      directory: this.#folder.path,
      isRam: options.isRam,
      nowMs: () => this.nowMs,
      walBytes: () => this.wal,
      space: () => ({ freeBytes: this.free, totalBytes: this.total }),
    });
  }

  /** Whether there is room, looked at afresh. */
  look(): boolean {
    this.nowMs += 1000;
    return this.keeper.hasRoom();
  }

  get files(): (readonly [string, number])[] {
    return [...Deno.readDirSync(this.#folder.path)].map(({ name }) => [
      name,
      Deno.statSync(`${this.#folder.path}/${name}`).size,
    ]);
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

Deno.test("RoomKeeper refuses writes below its limit and accepts them above, without being asked", () => {
  using kept = new Kept({ isRam: false });
  kept.free = 100 * FREE_BYTES_MIN;
  ok(kept.look());
  kept.free = FREE_BYTES_MIN - 1;
  ok(kept.keeper.hasRoom(), "it does not look at each call");
  ok(!kept.look());
  kept.free = FREE_BYTES_MIN;
  ok(kept.keeper.hasRoom(), "it does when room is scarce");
  kept.free = FREE_BYTES_MIN - 1;
  ok(!kept.keeper.hasRoom());
  kept.free = FREE_BYTES_MIN;
  ok(kept.look());
  deepStrictEqual(kept.files, []);
});

Deno.test("RoomKeeper leaves a share of a small file system, not all that a large one leaves", () => {
  using kept = new Kept({ isRam: false });
  kept.total = 8 * 1024 * 1024;
  kept.free = 1024 * 1024;
  ok(kept.look());
  kept.free -= 1;
  ok(!kept.look());
});

Deno.test("RoomKeeper looks at each call where writes can use up the room between two looks", () => {
  using kept = new Kept({ isRam: false });
  kept.total = 32 * 1024 * 1024;
  kept.free = 31 * 1024 * 1024;
  ok(kept.look());
  kept.free = 1024 * 1024;
  ok(!kept.keeper.hasRoom());
});

Deno.test("RoomKeeper leaves a checkpoint its room on a disk", () => {
  using kept = new Kept({ isRam: false });
  kept.free = 2 * FREE_BYTES_MIN;
  kept.wal = FREE_BYTES_MIN;
  ok(kept.look());
  kept.wal += 1;
  ok(!kept.look());
});

Deno.test("RoomKeeper keeps a ballast in memory, gives it up once, and takes it up again (A3)", () => {
  using kept = new Kept({ isRam: true });
  kept.look();
  deepStrictEqual(kept.files, [["ballast", BALLAST_BYTES]]);
  kept.free = 0;
  kept.keeper.giveUpBallast();
  kept.keeper.giveUpBallast();
  deepStrictEqual(kept.files, []);
  ok(!kept.look());
  kept.free = FREE_BYTES_MIN;
  ok(kept.look());
  deepStrictEqual(kept.files, [], "not at the price of the room that writes need");
  kept.free += BALLAST_BYTES;
  kept.look();
  strictEqual(kept.files.length, 1);
});

Deno.test("freeBytesOf() says what the file system of a folder has left", () => {
  ok(freeBytesOf("/") > 0);
});
