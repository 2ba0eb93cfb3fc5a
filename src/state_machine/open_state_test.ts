/**
 * Which live file a start uses (rules S2 to S4, D3, D4): the one in memory only when it is ours and of
 * the log's history, otherwise a copy of the generation that the log names.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { FatalError } from "../base/errors.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { TemporaryFolder } from "../sqlite/testing.ts";
import { Logger } from "../telemetry/logger.ts";
import { openStateMachine } from "./open_state.ts";
import type { StateMachine } from "./state_machine.ts";
import { changeBytes, CLUSTER_ID, CONFIGURATION, entry, makeInitialState } from "./testing.ts";

const INCARNATION = Uint8Array.from({ length: 16 }, (_, at) => 100 + at);

interface Opening {
  readonly mode?: "ram" | "disk";
  readonly generation?: number;
  readonly incarnation?: Uint8Array;
  readonly clusterId?: Uint8Array;
  readonly isOwnHistory?: boolean;
  readonly ramDirectory?: string;
}

/** A data directory and a stand-in for tmpfs, both gone after the test. */
class Place implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly dataDirectory: string;
  readonly ramDirectory: string;
  readonly lines: string[] = [];
  /** Of copies, as `onDamagedCopy` hears of them. */
  readonly damages: string[] = [];

  constructor() {
    this.dataDirectory = join(this.#folder.path, "data");
    this.ramDirectory = join(this.#folder.path, "ram");
    Deno.mkdirSync(this.dataDirectory);
    Deno.mkdirSync(this.ramDirectory, { mode: 0o700 });
  }

  async create(): Promise<void> {
    const marker = await makeInitialState(this.dataDirectory);
    strictEqual(marker.generation, 1);
    strictEqual(marker.index, 1);
    match(marker.entryChain, /^[0-9a-f]{16}$/);
  }

  open(options: Opening = {}): Promise<StateMachine> {
    this.lines.length = 0;
    this.damages.length = 0;
    return openStateMachine({
      dataDirectory: this.dataDirectory,
      mode: options.mode ?? "ram",
      ramDirectory: options.ramDirectory ?? this.ramDirectory,
      readers: 1,
      foreignKeys: false,
      sqliteLibrary: undefined,
      clock: new DenoClock(),
      logger: new Logger({
        level: "DEBUG",
        format: "text",
        component: "state",
        sink: (line) => this.lines.push(line),
        wallClockMs: () => 0,
      }),
      identity: {
        clusterId: options.clusterId ?? CLUSTER_ID,
        incarnation: options.incarnation ?? INCARNATION,
      },
      generation: options.generation ?? 1,
      verifyHistory: () => Promise.resolve(options.isOwnHistory ?? true),
      onDamagedCopy: ({ path, damage }) => {
        this.damages.push(`${path}: ${damage}`);
        return Promise.resolve();
      },
      onFatal: (error) => this.lines.push(String(error)),
    });
  }

  /** Opens, lets `work` do something, closes. @returns the applied index. */
  async use(
    options: Opening,
    work: (machine: StateMachine) => Promise<unknown> = () => Promise.resolve(),
  ): Promise<number> {
    const machine = await this.open(options);
    try {
      await work(machine);
      return machine.applied.index;
    } finally {
      await machine.close();
    }
  }

  get generations(): string[] {
    return [...Deno.readDirSync(join(this.dataDirectory, "state"))].map(({ name }) => name).sort();
  }

  get liveFolders(): string[] {
    return [...Deno.readDirSync(this.ramDirectory)].map(({ name }) =>
      join(this.ramDirectory, name)
    );
  }

  /** What is in memory goes. */
  losePower(): void {
    for (const folder of this.liveFolders) Deno.removeSync(folder, { recursive: true });
  }

  logged(pattern: RegExp): boolean {
    return this.lines.some((line) => pattern.test(line));
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

/** Applies entries up to `count` behind the present index. */
function applySome(count: number): (machine: StateMachine) => Promise<void> {
  return async (machine) => {
    for (let at = 0; at < count; at++) {
      const index = machine.applied.index + 1;
      await machine.apply([
        entry(index, ["CREATE TABLE IF NOT EXISTS t(a)", "INSERT INTO t VALUES(1)"]),
      ]);
    }
  };
}

Deno.test("A fresh state holds the genesis and its configuration", async () => {
  using place = new Place();
  await place.create();
  const machine = await place.open();
  deepStrictEqual(machine.applied.configuration, CONFIGURATION);
  deepStrictEqual([machine.applied.index, machine.applied.term, machine.durableIndex], [1, 1, 1]);
  await machine.close();
});

Deno.test("RAM mode finds its file again, and nothing is replayed (S3)", async () => {
  using place = new Place();
  await place.create();
  strictEqual(await place.use({}, applySome(3)), 4);
  strictEqual(await place.use({}), 4);
  ok(place.logged(/State found in memory/));
  const [folder] = place.liveFolders;
  strictEqual((Deno.statSync(folder ?? "").mode ?? 0) & 0o777, 0o700);
});

Deno.test("RAM mode builds anew from the copy what is not of this log, incarnation or user (S3)", async () => {
  using place = new Place();
  await place.create();
  const grow = (): Promise<number> => place.use({}, applySome(2));
  strictEqual(await grow(), 3);
  strictEqual(await place.use({ isOwnHistory: false }), 1);
  ok(place.logged(/not usable/));
  strictEqual(await grow(), 3);
  strictEqual(await place.use({ incarnation: CLUSTER_ID }), 1);
  strictEqual(await grow(), 3, "the other incarnation's file is not ours either");
  const [folder = ""] = place.liveFolders;
  for (const suffix of ["-wal", "-shm"]) Deno.removeSync(join(folder, `db.sqlite${suffix}`));
  Deno.writeTextFileSync(
    join(folder, "db.sqlite"),
    "no database at all, but long enough for a header",
  );
  strictEqual(await place.use({}), 1);
  strictEqual(await grow(), 3);
  Deno.chmodSync(folder, 0o755);
  strictEqual(await place.use({}), 1);
  ok(place.logged(/not this user's alone/));
  Deno.removeSync(folder, { recursive: true });
  Deno.symlinkSync(place.dataDirectory, folder);
  strictEqual(await place.use({}), 1);
  ok(place.logged(/not this user's alone/));
});

Deno.test("RAM mode without memory keeps the file under the data directory, and says so", async () => {
  using place = new Place();
  await place.create();
  const ramDirectory = join(place.ramDirectory, "missing");
  strictEqual(await place.use({ ramDirectory }, applySome(2)), 3);
  ok(place.logged(/rather than in memory.*does not exist/));
  ok(place.generations.includes("live"));
  strictEqual(await place.use({ ramDirectory }), 1, "not synced, so it is rebuilt");
});

Deno.test("RAM mode snapshots into a new generation, which a start builds on (S2, Q15)", async () => {
  using place = new Place();
  await place.create();
  await place.use({}, async (machine) => {
    await applySome(4)(machine);
    const marker = await machine.snapshot();
    deepStrictEqual([marker.index, marker.generation, machine.durableIndex], [5, 2, 5]);
    strictEqual(marker.entryChain, machine.applied.entryChain);
    deepStrictEqual(marker.configuration, CONFIGURATION);
    deepStrictEqual(place.generations, ["1", "2"]);
    await applySome(1)(machine);
    Deno.mkdirSync(join(place.dataDirectory, "state", "10"));
    await machine.releaseGenerations(2);
    deepStrictEqual(place.generations, ["10", "2"], "a newer one may be on its way in");
    strictEqual((await machine.snapshot()).generation, 3);
  });
  deepStrictEqual(place.generations, ["10", "2", "3"]);
  const [folder = ""] = place.liveFolders;
  Deno.removeSync(folder, { recursive: true });
  strictEqual(await place.use({ generation: 2 }), 5);
  deepStrictEqual(place.generations, ["2"], "what the log does not name is gone");
});

Deno.test("A file in memory that is older than the copy is not used", async () => {
  using place = new Place();
  await place.create();
  await place.use({}, applySome(1));
  const [folder = ""] = place.liveFolders;
  const saved = join(place.dataDirectory, "saved");
  for (const suffix of ["", "-wal"]) {
    Deno.copyFileSync(join(folder, `db.sqlite${suffix}`), saved + suffix);
  }
  await place.use({}, async (machine) => {
    await applySome(3)(machine);
    await machine.snapshot();
  });
  for (const suffix of ["", "-wal"]) {
    Deno.copyFileSync(saved + suffix, join(folder, `db.sqlite${suffix}`));
  }
  Deno.removeSync(join(folder, "db.sqlite-shm"));
  strictEqual(await place.use({ generation: 2 }), 5);
});

Deno.test("Files in memory whose data directory is gone give their memory back", async () => {
  using gone = new Place();
  using place = new Place();
  const { ramDirectory } = place;
  await gone.create();
  await place.create();
  await gone.use({ ramDirectory });
  await place.use({});
  Deno.mkdirSync(join(ramDirectory, "dust-0123456789abcdef"), { mode: 0o700 });
  Deno.mkdirSync(join(ramDirectory, "other"));
  strictEqual(place.liveFolders.length, 4);
  Deno.removeSync(gone.dataDirectory, { recursive: true });
  await place.use({});
  ok(place.logged(/State found in memory/));
  strictEqual(place.liveFolders.length, 3);
});

Deno.test("Disk mode opens the generation itself and syncs it (D3)", async () => {
  using place = new Place();
  await place.create();
  await place.use({ mode: "disk" }, async (machine) => {
    await applySome(3)(machine);
    strictEqual(machine.durableIndex, 1, "a commit under NORMAL is not durable");
    deepStrictEqual(await machine.snapshot(), { ...machine.applied, generation: 1 });
    strictEqual(machine.durableIndex, 4);
    await applySome(1)(machine);
  });
  const machine = await place.open({ mode: "disk" });
  deepStrictEqual([machine.applied.index, machine.durableIndex], [5, 5]);
  await machine.close();
  deepStrictEqual(place.liveFolders, []);
});

Deno.test("A state of another cluster, or none at all, ends the start", async () => {
  using place = new Place();
  await place.create();
  await rejects(place.open({ clusterId: INCARNATION, mode: "disk" }), /belongs to another cluster/);
  await rejects(place.open({ generation: 7 }), FatalError);
  await rejects(place.open({ generation: 7, mode: "disk" }), /7\/db.sqlite is missing/);
});

Deno.test("createInitialState() replaces what an unfinished birth has left", async () => {
  using place = new Place();
  const folder = join(place.dataDirectory, "state", "1");
  Deno.mkdirSync(folder, { recursive: true });
  Deno.writeTextFileSync(join(folder, "db.sqlite"), "half");
  await place.create();
  strictEqual(await place.use({}), 1);
});

/** Makes a copy that holds the row "right". @returns its path. */
async function copied(place: Place): Promise<string> {
  await place.create();
  await place.use({}, async (machine) => {
    await machine.apply([entry(2, ["CREATE TABLE t(a)", "INSERT INTO t VALUES('right')"])]);
    strictEqual((await machine.snapshot()).generation, 2);
  });
  return join(place.dataDirectory, "state", "2", "db.sqlite");
}

Deno.test("RAM mode tells of a copy that has changed when it needs it, and not while memory has the state (D2)", async () => {
  using place = new Place();
  const path = await copied(place);
  await place.use({ generation: 2 });
  await changeBytes(path, "right", "wrong");
  await place.use({ generation: 2 });
  deepStrictEqual(place.damages, []);
  place.losePower();
  await place.use({ generation: 2 });
  strictEqual(place.damages.length, 1);
  match(
    place.damages[0] ?? "",
    /\/state\/2\/db\.sqlite: its content has changed: crc32c [0-9a-f]{8} \d+, recorded was crc32c /,
  );
});

Deno.test("RAM mode tells of a checksum that is none; without one a copy is taken as it is", async () => {
  using place = new Place();
  const path = await copied(place);
  const checksum = path.replace("db.sqlite", "checksum");
  await Deno.writeTextFile(checksum, "");
  place.losePower();
  await place.use({ generation: 2 });
  deepStrictEqual(place.damages, [`${path}: ${checksum} is no checksum`]);
  await Deno.remove(checksum);
  place.losePower();
  await place.use({ generation: 2 });
  deepStrictEqual(place.damages, []);
});

Deno.test("a copy that becomes a live file on disk loses its checksum before anything is written to it", async () => {
  using place = new Place();
  const path = await copied(place);
  await place.use({ generation: 2, mode: "disk" }, applySome(1));
  ok(!existsSync(path.replace("db.sqlite", "checksum")));
  place.losePower();
  strictEqual(await place.use({ generation: 2 }), 3);
  deepStrictEqual(place.damages, []);
});
