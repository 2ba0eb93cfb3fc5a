import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { logIndex, nodeId } from "../base/ids.ts";
import { decodeCommand } from "../command/command_decoder.ts";
import { encodeCommand } from "../command/command_encoder.ts";
import { ELAPSED_MS_MAX } from "../command/command_format.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { EntryStamps, type TimeFacts } from "./entry_stamps.ts";
import type { Proposal } from "./proposals.ts";

const ALONE: TimeFacts = {
  others: [],
  stateMs: 0,
  appliedIndex: logIndex(0),
  lastIndex: logIndex(0),
};

function makeStamps(): { readonly stamps: EntryStamps; readonly clock: FakeClock } {
  const clock = new FakeClock();
  const entropy = { bytes: (count: number) => new Uint8Array(count).fill(9), below: () => 0 };
  return { stamps: new EntryStamps({ clock, entropy }), clock };
}

function proposal(): Proposal {
  const options = { transaction: false, rows: false, timeoutMs: 0 };
  const times = { nowMs: 0, elapsedMs: 0, seed: 0n };
  const statements = [{ sql: "INSERT INTO t VALUES(1)", positional: [], named: [] }];
  return {
    payload: encodeCommand({ kind: "execute", options, ...times, statements }),
    format: 0,
    queueDeadlineMs: 0,
    deadlineMs: 0,
    resolve: () => {},
    reject: () => {},
  };
}

function stampsOf(
  batch: readonly Proposal[],
): readonly { nowMs: number; elapsedMs: number; seed: bigint }[] {
  return batch.map(({ payload }) => {
    const command = decodeCommand(payload);
    ok(command.kind === "execute");
    const { nowMs, elapsedMs, seed } = command;
    return { nowMs, elapsedMs, seed };
  });
}

Deno.test("EntryStamps gives a batch one time, the log's clock to its first, and each its own seed", () => {
  const { stamps, clock } = makeStamps();
  clock.advance(250);
  const batch = [proposal(), proposal(), proposal()];
  stamps.stamp(batch, ALONE);
  const written = stampsOf(batch);
  deepStrictEqual(written.map(({ nowMs, elapsedMs }) => [nowMs, elapsedMs]), [
    [250, 250],
    [250, 0],
    [250, 0],
  ]);
  strictEqual(new Set(written.map(({ seed }) => seed)).size, 3);
  clock.advance(10 * ELAPSED_MS_MAX);
  stamps.stamp(batch, ALONE);
  strictEqual(stampsOf(batch)[0]?.elapsedMs, ELAPSED_MS_MAX);
});

Deno.test("EntryStamps proposes the median of the clocks that it heard, until the node follows (T1)", () => {
  const { stamps, clock } = makeStamps();
  clock.advance(1000);
  const facts = { ...ALONE, others: [nodeId(2), nodeId(3)] };
  stamps.heard(nodeId(2), 900);
  stamps.heard(nodeId(3), 5_000_000);
  const batch = [proposal()];
  stamps.stamp(batch, facts);
  strictEqual(stampsOf(batch)[0]?.nowMs, 1000);
  stamps.heard(nodeId(3), 700);
  strictEqual(stamps.aheadMs({ ...facts, stateMs: 1000 }), 100);
  stamps.reset();
  strictEqual(stamps.aheadMs({ ...facts, stateMs: 1000 }), 0);
});

Deno.test("EntryStamps goes by the voters' clocks alone behind an entry that sets the time, until it is applied (T1)", () => {
  const { stamps, clock } = makeStamps();
  const ahead = { ...ALONE, stateMs: 9_000_000, appliedIndex: logIndex(5), lastIndex: logIndex(5) };
  const nowMsOf = (facts: TimeFacts, batch = [proposal()]): number | undefined => {
    stamps.stamp(batch, facts);
    return stampsOf(batch.slice(0, 1))[0]?.nowMs;
  };
  clock.advance(1000);
  strictEqual(nowMsOf(ahead), 9_000_000);
  const setTime = { ...proposal(), payload: encodeCommand({ kind: "set_time", nowMs: 0 }) };
  strictEqual(nowMsOf(ahead, [proposal(), setTime]), 1000);
  deepStrictEqual(decodeCommand(setTime.payload), { kind: "set_time", nowMs: 1000 });
  clock.advance(10);
  strictEqual(nowMsOf({ ...ahead, lastIndex: logIndex(7) }), 1010, "not the state's, which is old");
  const before = { ...ahead, appliedIndex: logIndex(6), lastIndex: logIndex(8) };
  strictEqual(nowMsOf(before), 1010, "the entry is the seventh");
  const applied = { ...before, stateMs: 2000, appliedIndex: logIndex(7) };
  strictEqual(nowMsOf(applied), 2000, "the state counts again");
});

Deno.test("EntryStamps of a new leader goes by no state that its log may set back (T1)", () => {
  const { stamps, clock } = makeStamps();
  clock.advance(1000);
  const facts = { ...ALONE, stateMs: 9_000_000, appliedIndex: logIndex(5), lastIndex: logIndex(8) };
  stamps.lead(facts.lastIndex);
  const batch = [proposal()];
  stamps.stamp(batch, facts);
  strictEqual(stampsOf(batch)[0]?.nowMs, 1000);
  stamps.stamp(batch, { ...facts, appliedIndex: logIndex(8) });
  strictEqual(stampsOf(batch)[0]?.nowMs, 9_000_000);
});
