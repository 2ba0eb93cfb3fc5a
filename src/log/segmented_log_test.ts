import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { entryChainText, nextEntryChain, startEntryChain } from "../base/entry_chain.ts";
import { OperatingError } from "../base/errors.ts";
import { logIndex, nodeId, term } from "../base/ids.ts";
import type { HardState, LogEntry, LogMarker } from "../node/ports.ts";
import { SimFileSystem } from "../../tests/sim/sim_file_system.ts";
import { FRAME_BODY_BYTES_MAX } from "./limits.ts";
import { type LogOptions, SegmentedLog } from "./segmented_log.ts";

const DIRECTORY = "/log";
const IDENTITY = {
  clusterId: new Uint8Array(16).fill(1),
  nodeId: 1,
  incarnation: new Uint8Array(16).fill(2),
};
const SEGMENT_SIZE_BYTES = 8192;

function state(values: { term?: number; vote?: number; commit?: number } = {}): HardState {
  const { term: at = 1, vote = 0, commit = 0 } = values;
  return { term: term(at), vote: nodeId(vote), commit: logIndex(commit) };
}

function entry(index: number, options: { term?: number; bytes?: number } = {}): LogEntry {
  const payload = new Uint8Array(options.bytes ?? 100).fill(index % 251 + 1);
  return { index: logIndex(index), term: term(options.term ?? 1), kind: "normal", payload };
}

function entries(
  from: number,
  to: number,
  options: { term?: number; bytes?: number } = {},
): LogEntry[] {
  return Array.from({ length: to - from }, (_, at) => entry(from + at, options));
}

function markerAt(index: number, options: { term?: number; entryChain: string }): LogMarker {
  return {
    index: logIndex(index),
    term: term(options.term ?? 1),
    entryChain: options.entryChain,
    configuration: Uint8Array.of(1, 2, 3),
    generation: index + 1,
  };
}

interface Fixture {
  readonly fileSystem: SimFileSystem;
  readonly options: LogOptions & { readonly fileSystem: SimFileSystem };
  log: SegmentedLog;
  reopen(): Promise<void>;
  names(): Promise<readonly string[]>;
}

async function newLog(segmentSizeBytes = SEGMENT_SIZE_BYTES): Promise<Fixture> {
  const fileSystem = new SimFileSystem();
  const options = { fileSystem, directory: DIRECTORY, segmentSizeBytes };
  const fixture: Fixture = {
    fileSystem,
    options,
    log: await SegmentedLog.create({ ...options, identity: IDENTITY }),
    reopen: async () => {
      await fixture.log.close();
      fixture.log = await SegmentedLog.open(options);
    },
    names: async () => {
      const all = await fileSystem.listFiles(DIRECTORY);
      return all.filter((name) => name.endsWith(".log"));
    },
  };
  return fixture;
}

async function readAll(log: SegmentedLog): Promise<readonly LogEntry[]> {
  const to = logIndex(log.lastIndex + 1);
  return await log.read({ from: log.firstIndex, to, sizeBytesMax: 1e9 });
}

function assertBug(work: () => void): void {
  throws(work, { name: "AssertionError" });
}

Deno.test("create() makes an empty log, once; open() needs one", async () => {
  const fixture = await newLog();
  strictEqual(fixture.log.firstIndex, 1);
  strictEqual(fixture.log.lastIndex, 0);
  strictEqual(fixture.log.term(logIndex(0)), 0);
  deepStrictEqual(fixture.log.identity, IDENTITY);
  deepStrictEqual(fixture.log.hardState, state({ term: 0 }));
  const chain = entryChainText(startEntryChain(IDENTITY.clusterId));
  strictEqual(await fixture.log.entryChain(logIndex(0)), chain);
  strictEqual(fixture.log.marker.entryChain, chain);
  ok(await SegmentedLog.exists(fixture.options));
  await rejects(SegmentedLog.create({ ...fixture.options, identity: IDENTITY }), {
    name: "FatalError",
    exitStatus: 1,
  });
  const empty = { ...fixture.options, directory: "/empty" };
  await fixture.fileSystem.makeDirectory("/empty");
  ok(!await SegmentedLog.exists(empty));
  await rejects(SegmentedLog.open(empty), { name: "FatalError", exitStatus: 1 });
  await fixture.reopen();
  deepStrictEqual(fixture.log.identity, IDENTITY);
  await fixture.log.close();
});

Deno.test("create() may continue a state: its marker is where the log begins", async () => {
  const { options } = await newLog();
  const marker = markerAt(70, { term: 4, entryChain: "00000000000000ab" });
  const other = { ...options, directory: "/other" };
  let log = await SegmentedLog.create({ ...other, identity: IDENTITY, marker });
  log.append({ entries: [entry(71, { term: 4 })], hardState: state({ term: 4, commit: 70 }) });
  await log.sync();
  await log.close();
  log = await SegmentedLog.open(other);
  deepStrictEqual(log.marker, marker);
  deepStrictEqual([log.firstIndex, log.lastIndex, log.term(logIndex(70))], [71, 71, 4]);
  const chain = nextEntryChain({ high: 0, low: 0xab }, entry(71, { term: 4 }));
  strictEqual(await log.entryChain(logIndex(71)), entryChainText(chain));
  await log.close();
});

Deno.test("append() is there at once, and after sync() for good", async () => {
  const fixture = await newLog();
  fixture.log.append({ entries: entries(1, 5), hardState: state({ vote: 2 }) });
  strictEqual(fixture.log.lastIndex, 4);
  deepStrictEqual(await readAll(fixture.log), entries(1, 5));
  await fixture.log.sync();
  await fixture.reopen();
  deepStrictEqual(await readAll(fixture.log), entries(1, 5));
  deepStrictEqual(fixture.log.hardState, state({ vote: 2 }));
  await fixture.log.close();
});

Deno.test("append() while a sync is in flight is a bug (rule D6)", async () => {
  const { log } = await newLog();
  log.append({ entries: entries(1, 3), hardState: state() });
  const syncing = log.sync();
  assertBug(() => log.append({ entries: [entry(3)], hardState: state() }));
  await rejects(log.sync(), { name: "AssertionError" });
  const marker = markerAt(0, { entryChain: log.marker.entryChain });
  await rejects(log.saveMarker({ marker, hardState: state() }), { name: "AssertionError" });
  await rejects(log.close(), { name: "AssertionError" });
  await syncing;
  strictEqual(log.lastIndex, 2);
  log.append({ entries: [entry(3)], hardState: state() });
  await log.close();
});

Deno.test("append() refuses what Raft never asks for, and nothing has changed then", async () => {
  const { log } = await newLog();
  log.append({
    entries: entries(1, 5, { term: 2 }),
    hardState: state({ term: 2, vote: 1, commit: 3 }),
  });
  const good = state({ term: 2, vote: 1, commit: 3 });
  assertBug(() => log.append({ entries: [entry(6, { term: 2 })], hardState: good }));
  assertBug(() => log.append({ entries: [entry(3, { term: 2 })], hardState: good }));
  assertBug(() => log.append({ entries: [entry(5, { term: 1 })], hardState: good }));
  assertBug(() =>
    log.append({ entries: [entry(5, { term: 2 }), entry(7, { term: 2 })], hardState: good })
  );
  assertBug(() => log.append({ entries: [], hardState: state({ term: 2, vote: 1, commit: 5 }) }));
  assertBug(() => log.append({ entries: [], hardState: state({ term: 2, vote: 1, commit: 2 }) }));
  assertBug(() => log.append({ entries: [], hardState: state({ term: 2, vote: 2, commit: 3 }) }));
  assertBug(() => log.append({ entries: [], hardState: state({ term: 1, vote: 1, commit: 3 }) }));
  deepStrictEqual([log.lastIndex, log.hardState], [4, good]);
  log.append({ entries: entries(4, 6, { term: 3 }), hardState: state({ term: 3, commit: 5 }) });
  deepStrictEqual([log.lastIndex, log.term(logIndex(3)), log.term(logIndex(4))], [5, 2, 3]);
  await log.close();
});

Deno.test("append() at an index discards what was behind it (Raft figure 7), across segments too", async () => {
  const fixture = await newLog();
  for (let index = 1; index <= 200; index += 10) {
    const commit = Math.min(15, index - 1);
    fixture.log.append({ entries: entries(index, index + 10), hardState: state({ commit }) });
    await fixture.log.sync();
  }
  ok((await fixture.names()).length > 3);
  fixture.log.append({
    entries: entries(20, 25, { term: 2 }),
    hardState: state({ term: 2, commit: 15 }),
  });
  const expected = [...entries(1, 20), ...entries(20, 25, { term: 2 })];
  deepStrictEqual(await readAll(fixture.log), expected);
  await fixture.log.sync();
  await fixture.reopen();
  deepStrictEqual(await readAll(fixture.log), expected);
  let chain = startEntryChain(IDENTITY.clusterId);
  for (const each of expected) {
    chain = nextEntryChain(chain, each);
    strictEqual(await fixture.log.entryChain(each.index), entryChainText(chain));
  }
  strictEqual(await fixture.log.entryChain(logIndex(25)), undefined);
  strictEqual(fixture.log.term(logIndex(25)), undefined);
  await fixture.log.close();
});

Deno.test("a new segment repeats hard state, marker and point, so that older ones may go", async () => {
  const fixture = await newLog();
  const { log } = fixture;
  log.append({ entries: entries(1, 11), hardState: state({ vote: 3, commit: 10 }) });
  const entryChain = await log.entryChain(logIndex(10)) ?? "";
  const marker = markerAt(10, { entryChain });
  await log.saveMarker({ marker, hardState: state({ vote: 3, commit: 10 }) });
  let index = 11;
  while ((await fixture.names()).length < 4) {
    log.append({ entries: [entry(index)], hardState: state({ vote: 3, commit: index }) });
    await log.sync();
    index += 1;
  }
  await log.purge(logIndex(index - 1));
  const names = await fixture.names();
  strictEqual(names.length, 1);
  strictEqual(parseInt(names[0]?.slice(17, 33) ?? "", 16), log.firstIndex);
  ok(log.firstIndex > 80);
  const before = {
    first: log.firstIndex,
    chain: await log.entryChain(logIndex(log.firstIndex - 1)),
  };
  ok(before.chain !== undefined);
  await fixture.reopen();
  strictEqual(fixture.log.firstIndex, before.first);
  strictEqual(await fixture.log.entryChain(logIndex(before.first - 1)), before.chain);
  strictEqual(fixture.log.term(logIndex(before.first - 1)), 1);
  strictEqual(fixture.log.term(logIndex(before.first - 2)), undefined);
  deepStrictEqual(fixture.log.marker, marker);
  deepStrictEqual(fixture.log.hardState, state({ vote: 3, commit: index - 1 }));
  deepStrictEqual(await readAll(fixture.log), entries(before.first, index));
  await fixture.log.close();
});

Deno.test("purge() deletes a segment when its successor begins right behind the index, not before", async () => {
  const fixture = await newLog();
  const { log } = fixture;
  let index = 1;
  while ((await fixture.names()).length < 3) {
    log.append({ entries: [entry(index)], hardState: state({ commit: index - 1 }) });
    await log.sync();
    index += 1;
  }
  log.append({ entries: [], hardState: state({ commit: index - 1 }) });
  await log.sync();
  const names = await fixture.names();
  const secondFirst = parseInt(names[1]?.slice(17, 33) ?? "", 16);
  await log.purge(logIndex(secondFirst - 2));
  deepStrictEqual(await fixture.names(), names);
  strictEqual(log.firstIndex, 1);
  await log.purge(logIndex(secondFirst - 1));
  deepStrictEqual(await fixture.names(), names.slice(1));
  strictEqual(log.firstIndex, secondFirst);
  deepStrictEqual(await log.read({ from: logIndex(1), to: logIndex(9), sizeBytesMax: 9 }), []);
  deepStrictEqual(await readAll(log), entries(secondFirst, index));
  await rejects(log.purge(logIndex(index)), { name: "AssertionError" });
  await log.close();
});

Deno.test("purge() waits for the commit index to be durable, or a crash would begin behind it", async () => {
  const fixture = await newLog();
  const { log } = fixture;
  for (let index = 1; index <= 200; index += 1) {
    log.append({ entries: [entry(index)], hardState: state({ commit: 20 < index ? 20 : 0 }) });
    await log.sync();
  }
  log.append({ entries: [], hardState: state({ commit: 200 }) });
  await log.purge(logIndex(200));
  strictEqual(log.firstIndex, 1);
  await log.sync();
  await log.purge(logIndex(200));
  ok(log.firstIndex > 100);
  await log.close();
});

Deno.test("saveMarker() within the log keeps the entries behind it", async () => {
  const fixture = await newLog();
  fixture.log.append({ entries: entries(1, 9), hardState: state({ commit: 6 }) });
  const entryChain = await fixture.log.entryChain(logIndex(5)) ?? "";
  const marker = markerAt(5, { entryChain });
  await fixture.log.saveMarker({ marker, hardState: state({ commit: 7 }) });
  await fixture.reopen();
  deepStrictEqual(fixture.log.marker, marker);
  deepStrictEqual(fixture.log.hardState, state({ commit: 7 }));
  deepStrictEqual(await readAll(fixture.log), entries(1, 9));
  await fixture.log.close();
});

Deno.test("saveMarker() past the log, or of another term, starts it anew behind the marker (rule S2)", async () => {
  for (const index of [8, 5]) {
    const fixture = await newLog();
    fixture.log.append({ entries: entries(1, 7), hardState: state({ commit: 4 }) });
    const marker = markerAt(index, { term: 3, entryChain: "0123456789abcdef" });
    const hardState = state({ term: 3, commit: index });
    await fixture.log.saveMarker({ marker, hardState });
    for (const round of ["before", "after"]) {
      deepStrictEqual([fixture.log.firstIndex, fixture.log.lastIndex], [index + 1, index], round);
      strictEqual(fixture.log.term(logIndex(index)), 3);
      strictEqual(fixture.log.term(logIndex(index - 1)), undefined);
      strictEqual(await fixture.log.entryChain(logIndex(index)), "0123456789abcdef");
      deepStrictEqual(fixture.log.hardState, hardState);
      await fixture.reopen();
    }
    fixture.log.append({ entries: [entry(index + 1, { term: 3 })], hardState });
    deepStrictEqual(await readAll(fixture.log), [entry(index + 1, { term: 3 })]);
    await fixture.log.close();
  }
});

Deno.test("saveMarker() refuses a marker of another history, and to discard what is committed", async () => {
  const { log } = await newLog();
  log.append({ entries: entries(1, 7), hardState: state({ commit: 4 }) });
  const wrong = markerAt(5, { entryChain: "0123456789abcdef" });
  await rejects(log.saveMarker({ marker: wrong, hardState: state({ commit: 5 }) }), {
    name: "FatalError",
    exitStatus: 65,
  });
  const early = markerAt(3, { term: 2, entryChain: "0123456789abcdef" });
  await rejects(log.saveMarker({ marker: early, hardState: state({ term: 2, commit: 4 }) }), {
    name: "AssertionError",
  });
  deepStrictEqual([log.lastIndex, log.marker.index], [6, 0]);
  await log.close();
});

Deno.test("an entry larger than a segment gets one of its own", async () => {
  const fixture = await newLog();
  const large = entry(2, { bytes: 5 * SEGMENT_SIZE_BYTES });
  fixture.log.append({ entries: [entry(1), large, entry(3)], hardState: state() });
  fixture.log.append({
    entries: [entry(4, { bytes: 3 * SEGMENT_SIZE_BYTES })],
    hardState: state(),
  });
  fixture.log.append({ entries: [entry(5)], hardState: state() });
  const expected = [
    entry(1),
    large,
    entry(3),
    entry(4, { bytes: 3 * SEGMENT_SIZE_BYTES }),
    entry(5),
  ];
  deepStrictEqual(await readAll(fixture.log), expected);
  await fixture.log.sync();
  await fixture.reopen();
  deepStrictEqual(await readAll(fixture.log), expected);
  await fixture.log.close();
});

Deno.test("a batch of several frames that is torn keeps whole frames, and not the hard state behind", async () => {
  const fixture = await newLog(8 * FRAME_BODY_BYTES_MAX);
  fixture.log.append({ entries: [entry(1)], hardState: state() });
  await fixture.log.sync();
  const size = FRAME_BODY_BYTES_MAX / 2;
  fixture.log.append({ entries: entries(2, 6, { bytes: size }), hardState: state({ commit: 5 }) });
  const disk = fixture.fileSystem.clone().afterPowerCut((count) => count - 1);
  const path = `${DIRECTORY}/${(await fixture.names())[0]}`;
  const content = disk.contentOf(path);
  // A sector in the third frame of the batch.
  content.fill(0, 2 * FRAME_BODY_BYTES_MAX, 2 * FRAME_BODY_BYTES_MAX + 512);
  disk.replaceContent(path, content);
  const log = await SegmentedLog.open({ ...fixture.options, fileSystem: disk });
  ok(log.lastIndex >= 2 && log.lastIndex < 5, `last index ${log.lastIndex}`);
  deepStrictEqual(log.hardState, state());
  await log.close();
});

Deno.test("read() gives at least one entry, then stops before the limit", async () => {
  const { log } = await newLog();
  log.append({ entries: entries(1, 21), hardState: state() });
  const count = async (from: number, to: number, sizeBytesMax: number): Promise<number> =>
    (await log.read({ from: logIndex(from), to: logIndex(to), sizeBytesMax })).length;
  deepStrictEqual(
    [
      await count(1, 21, 0),
      await count(1, 21, 199),
      await count(1, 21, 200),
      await count(5, 8, 1e9),
    ],
    [1, 1, 2, 3],
  );
  deepStrictEqual([await count(5, 5, 100), await count(20, 21, 100)], [0, 1]);
  await rejects(log.read({ from: logIndex(3), to: logIndex(22), sizeBytesMax: 1 }), {
    name: "AssertionError",
  });
  await log.close();
});

Deno.test("read() never mixes entries with those that replace them meanwhile", async () => {
  for (let turns = 0; turns < 40; turns++) {
    const { log } = await newLog(64 * 1024);
    for (let index = 1; index <= 900; index += 100) {
      log.append({ entries: entries(index, index + 100, { bytes: 400 }), hardState: state() });
    }
    const reading = readAll(log);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    const replacement = entries(100, 901, { term: 2, bytes: 400 });
    log.append({ entries: replacement, hardState: state({ term: 2 }) });
    const terms = (await reading).map((each) => each.term);
    const replacedCount = terms.filter((each) => each === 2).length;
    ok(replacedCount === 0 || replacedCount === 801, `${replacedCount} of 801 after ${turns}`);
    await log.close();
  }
});

Deno.test("purge() waits for a read that is running, and a later read finds nothing", async () => {
  for (let turns = 0; turns < 30; turns++) {
    const { log } = await newLog();
    for (let index = 1; index <= 200; index += 1) {
      log.append({ entries: [entry(index)], hardState: state({ commit: index - 1 }) });
      await log.sync();
    }
    const reading = readAll(log);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    const purging = log.purge(logIndex(199));
    deepStrictEqual(await reading, entries(1, 201));
    await purging;
    deepStrictEqual(await log.read({ from: logIndex(1), to: logIndex(5), sizeBytesMax: 1e6 }), []);
    await log.close();
  }
});

Deno.test("purge() does not let the log begin at an entry that was replaced since", async () => {
  const fixture = await newLog();
  const { log } = fixture;
  let index = 1;
  while ((await fixture.names()).length < 3) {
    log.append({ entries: [entry(index)], hardState: state() });
    await log.sync();
    index += 1;
  }
  const third = parseInt((await fixture.names())[2]?.slice(17, 33) ?? "", 16);
  // The third segment's head tells of entry third - 1 in term 1; it gets another one here.
  const replacement = entries(third - 3, third + 3, { term: 2 });
  log.append({ entries: replacement, hardState: state({ term: 2, commit: third + 2 }) });
  await log.sync();
  const chains = new Map<number, string | undefined>();
  for (let at = 1; at <= log.lastIndex; at++) chains.set(at, await log.entryChain(logIndex(at)));
  await log.purge(logIndex(third + 2));
  for (const round of ["before", "after"]) {
    const at = logIndex(fixture.log.firstIndex - 1);
    strictEqual(fixture.log.term(at), at >= third - 3 ? 2 : 1, round);
    strictEqual(await fixture.log.entryChain(at), chains.get(at) ?? fixture.log.marker.entryChain);
    deepStrictEqual((await readAll(fixture.log)).slice(-6), replacement);
    await fixture.reopen();
  }
  await fixture.log.close();
});

Deno.test("read() works while a sync is slow, during rotation too", async () => {
  const { log, fileSystem } = await newLog();
  log.append({ entries: entries(1, 30), hardState: state() });
  log.append({ entries: entries(30, 90), hardState: state() });
  const release = Promise.withResolvers<void>();
  fileSystem.delay = () => release.promise;
  const syncing = log.sync();
  deepStrictEqual(await readAll(log), entries(1, 90));
  release.resolve();
  await syncing;
  deepStrictEqual(await readAll(log), entries(1, 90));
  await log.close();
});

Deno.test("appends do not wait for the next segment to be prepared", async () => {
  const { log, fileSystem } = await newLog();
  const never = new Promise<void>(() => {});
  fileSystem.delay = ({ path }) => path.endsWith("prepared.tmp") ? never : Promise.resolve();
  for (let index = 1; index <= 300; index++) {
    log.append({ entries: [entry(index)], hardState: state() });
    await log.sync();
  }
  deepStrictEqual(await readAll(log), entries(1, 301));
});

Deno.test("a full disk is told before anything is written; votes go on; room that returns is used", async () => {
  const { log, fileSystem } = await newLog();
  await log.sync();
  fileSystem.capacityBytes = 3 * SEGMENT_SIZE_BYTES;
  let index = 1;
  const fill = async (): Promise<void> => {
    for (;; index++) {
      log.append({ entries: [entry(index)], hardState: state({ commit: index - 1 }) });
      await log.sync();
    }
  };
  const isDiskFull = (error: unknown): boolean =>
    error instanceof OperatingError && error.code === "disk_full";
  await rejects(fill(), isDiskFull);
  ok(index > 80, `full at entry ${index} already`);
  ok(log.roomBytes < 200);
  strictEqual(log.lastIndex, index - 1);
  const votes = { term: 2, commit: index - 1 };
  for (let vote = 1; vote <= 3; vote++) {
    log.append({ entries: [], hardState: state({ ...votes, term: 1 + vote, vote }) });
    await log.sync();
  }
  deepStrictEqual(await readAll(log), entries(1, index));
  const entryChain = await log.entryChain(logIndex(index - 1)) ?? "";
  const hardState = state({ term: 4, vote: 3, commit: index - 1 });
  await log.saveMarker({ marker: markerAt(index - 1, { entryChain }), hardState });
  throws(() => log.append({ entries: [entry(index, { term: 4 })], hardState }), isDiskFull);
  await log.purge(logIndex(index - 1));
  for (let round = 0; round < 30; round++) {
    log.append({ entries: [entry(index, { term: 4 })], hardState });
    await log.sync();
    index += 1;
  }
  strictEqual(log.lastIndex, index - 1);
  await log.close();
});

Deno.test("sync() that fails is final: the log refuses everything from then on (fault D7)", async () => {
  const { log, fileSystem } = await newLog();
  log.append({ entries: [entry(1)], hardState: state() });
  fileSystem.onOperation = ({ kind }) => kind === "syncData" ? "EIO" : undefined;
  await rejects(log.sync(), { name: "FatalError", exitStatus: 74 });
  fileSystem.onOperation = () => undefined;
  throws(() => log.append({ entries: [], hardState: state() }), { name: "FatalError" });
  await rejects(log.sync(), { name: "FatalError" });
  await log.close();
});

Deno.test("close() leaves no temporary files, and a second call does nothing", async () => {
  const fixture = await newLog();
  await fixture.log.close();
  await fixture.log.close();
  deepStrictEqual(await fixture.fileSystem.listFiles(DIRECTORY), await fixture.names());
  assertBug(() => fixture.log.append({ entries: [], hardState: state() }));
});

Deno.test("verify() finds a damaged entry, and the log goes on until that is purged (fault D2)", async () => {
  const { log, fileSystem, names, reopen } = await newLog();
  for (let from = 1; from < 200; from += 20) {
    const to = Math.min(200, from + 20);
    log.append({ entries: entries(from, to), hardState: state({ commit: to - 1 }) });
    await log.sync();
  }
  const whole = { from: logIndex(1), to: logIndex(200), sizeBytesMax: 1_000_000 };
  deepStrictEqual(await log.verify(whole), { to: logIndex(200), damage: undefined });
  const [first = ""] = await names();
  const file = fileSystem.openSync(`${DIRECTORY}/${first}`, "write");
  file.writeSync(Uint8Array.of(0xff), 3_000);
  file.close();
  const { to, damage } = await log.verify(whole);
  strictEqual(to, 1);
  ok(damage !== undefined && damage.includes(first), String(damage));
  const behind = { ...whole, from: logIndex(150) };
  strictEqual((await log.verify(behind)).damage, undefined);
  log.append({ entries: entries(200, 202), hardState: state({ commit: 201 }) });
  await log.sync();
  const marker = markerAt(190, { entryChain: await log.entryChain(logIndex(190)) ?? "" });
  await log.saveMarker({ marker, hardState: state({ commit: 201 }) });
  await log.purge(logIndex(190));
  strictEqual((await log.verify({ ...whole, from: log.firstIndex })).damage, undefined);
  await reopen();
});

Deno.test("cut() lets the segment that is written to be purged, too, and a crash at any moment leaves a log", async () => {
  const { log, fileSystem, names, reopen } = await newLog();
  log.append({ entries: entries(1, 20), hardState: state({ commit: 19 }) });
  await log.sync();
  const [only = ""] = await names();
  const file = fileSystem.openSync(`${DIRECTORY}/${only}`, "write");
  file.writeSync(Uint8Array.of(0xff), 1_000);
  file.close();
  const whole = { from: logIndex(1), to: logIndex(20), sizeBytesMax: 1_000_000 };
  ok((await log.verify(whole)).damage !== undefined);
  log.cut();
  const marker = markerAt(19, { entryChain: await log.entryChain(logIndex(19)) ?? "" });
  await log.saveMarker({ marker, hardState: state({ commit: 19 }) });
  await log.purge(logIndex(19));
  ok(!(await names()).includes(only));
  await reopen();
  strictEqual(log.lastIndex, 19);
});
