/** Which reads share a round of questions to the leader, what a lost one costs, and what ends their wait. */
import { deepStrictEqual, ok } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { logIndex } from "../base/ids.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { READ_RETRY_MS, READ_ROUND_MS, READ_ROUNDS_MAX } from "./limits.ts";
import { ReadConfirmations } from "./read_confirmations.ts";
import { settle } from "./testing.ts";

interface Tested {
  readonly reads: ReadConfirmations;
  readonly asked: number[];
  /** Begins a read; its name is in `done` once it may run, with the reason where it may not. */
  readonly begin: (name: string) => Promise<void>;
  readonly done: string[];
  readonly applied: number[];
  /** So much time passes, and a tick. */
  readonly pass: (ms: number) => Promise<void>;
}

function make(onAsk: (reads: ReadConfirmations, round: number) => void = () => {}): Tested {
  const clock = new FakeClock();
  const asked: number[] = [];
  const done: string[] = [];
  const applied: number[] = [];
  const reads: ReadConfirmations = new ReadConfirmations({
    clock,
    ask: (round) => {
      asked.push(round);
      onAsk(reads, round);
    },
    untilApplied: (index) => {
      applied.push(index);
      return Promise.resolve();
    },
  });
  const begin = async (name: string): Promise<void> => {
    reads.confirm(1_000).then(
      () => done.push(name),
      (error) => done.push(`${name}: ${error.code}`),
    );
    await settle();
  };
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    reads.tick(clock.monotonicMs());
    await settle();
  };
  return { reads, asked, begin, done, applied, pass };
}

Deno.test("ReadConfirmations asks once for what comes in one turn, and once for what comes until the answer", async () => {
  const { reads, asked, begin, done } = make();
  const turn = [begin("a"), begin("b")];
  await Promise.all(turn);
  deepStrictEqual(asked, [1]);
  await begin("c");
  await begin("d");
  deepStrictEqual(asked, [1]);
  reads.settle(1, logIndex(5));
  await settle();
  deepStrictEqual([done, asked], [["a", "b"], [1, 2]]);
  reads.settle(2, logIndex(5));
  await settle();
  deepStrictEqual(done, ["a", "b", "c", "d"]);
});

Deno.test("ReadConfirmations never answers a read with a round that was asked before it came (thesis 6.4)", async () => {
  const { reads, begin, done, applied } = make();
  await begin("a");
  await begin("late");
  reads.settle(1, logIndex(5));
  reads.settle(1, logIndex(5));
  await settle();
  deepStrictEqual([done, applied], [["a"], [5]]);
  reads.settle(2, logIndex(9));
  await settle();
  deepStrictEqual([done, applied], [["a", "late"], [5, 9]]);
});

Deno.test("ReadConfirmations lets a round answer for all that came before it, and earlier ones for nothing else", async () => {
  const { reads, asked, begin, done, pass } = make();
  await begin("a");
  await begin("b");
  await pass(READ_ROUND_MS);
  deepStrictEqual(asked, [1, 2]);
  reads.settle(2, logIndex(5));
  await settle();
  deepStrictEqual(done, ["a", "b"]);
  await begin("c");
  reads.settle(1, logIndex(5));
  await settle();
  deepStrictEqual([done, asked], [["a", "b"], [1, 2, 3]]);
});

Deno.test("ReadConfirmations asks again when a round is lost, and has few under way however long it lasts", async () => {
  const lone = make();
  await lone.begin("a");
  await lone.pass(READ_RETRY_MS - 1);
  deepStrictEqual(lone.asked, [1]);
  await lone.pass(1);
  deepStrictEqual(lone.asked, [1, 2]);
  lone.reads.settle(2, logIndex(5));
  await settle();
  deepStrictEqual(lone.done, ["a"]);
  await lone.pass(10 * READ_RETRY_MS);
  deepStrictEqual(lone.asked, [1, 2]);

  const many = make();
  for (let ms = 0; ms < 20_000; ms += READ_ROUND_MS) {
    await many.begin("x");
    await many.pass(READ_ROUND_MS);
  }
  ok(many.asked.length <= READ_ROUNDS_MAX + 20_000 / READ_RETRY_MS, `${many.asked.length}`);
  ok(many.done.length > 900 && many.done.every((fate) => fate === "x: timeout"));
  await many.begin("last");
  await many.pass(READ_RETRY_MS);
  many.reads.settle(many.asked.at(-1) ?? 0, logIndex(5));
  await settle();
  deepStrictEqual(many.done.at(-1), "last");
});

Deno.test("ReadConfirmations tells of a round that was given up, and asks the next", async () => {
  const { reads, asked, begin, done } = make();
  await begin("a");
  await begin("b");
  reads.settle(1, undefined);
  await settle();
  deepStrictEqual([done, asked], [["a: not_leader"], [1, 2]]);
  reads.settle(2, logIndex(5));
  await settle();
  deepStrictEqual(done, ["a: not_leader", "b"]);
});

Deno.test("ReadConfirmations does not spin when each round is given up at once", async () => {
  const { asked, begin, done } = make((reads, round) => reads.settle(round, undefined));
  await begin("a");
  await begin("b");
  deepStrictEqual([done, asked], [["a: not_leader", "b: not_leader"], [1, 2]]);
});

Deno.test("ReadConfirmations refuses the reads of a round that was not taken, not those of earlier ones", async () => {
  const overloaded = new OperatingError("overloaded", "Too many");
  const { reads, begin, done, pass } = make((refusing, round) => {
    if (round === 2) refusing.refuse(round, overloaded);
  });
  await begin("a");
  await begin("b");
  await pass(READ_ROUND_MS);
  deepStrictEqual(done, ["b: overloaded"]);
  reads.settle(1, logIndex(5));
  await settle();
  deepStrictEqual(done, ["b: overloaded", "a"]);
});

Deno.test("ReadConfirmations.stop() ends what was asked, what waits, and what comes later", async () => {
  const { reads, asked, begin, done, pass } = make();
  await begin("a");
  await begin("b");
  reads.stop(new OperatingError("not_ready", "raft is already shutdown"));
  await begin("c");
  deepStrictEqual(done, ["a: not_ready", "b: not_ready", "c: not_ready"]);
  reads.settle(1, logIndex(5));
  await pass(10_000);
  deepStrictEqual([done.length, asked], [3, [1]]);
});
