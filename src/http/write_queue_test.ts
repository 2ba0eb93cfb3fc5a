import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { decodeBody, type ExecuteRequest } from "../command/request.ts";
import { Counters } from "./counters.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { FakeDatabase } from "./fake_database.ts";
import { QUEUE_ATTEMPTS_MAX, QUEUE_RETRY_DELAY_MS, QUEUED_REQUEST_BYTES_MAX } from "./limits.ts";
import { WriteQueue, type WriteQueueSettings } from "./write_queue.ts";

interface Setup {
  readonly queue: WriteQueue;
  readonly database: FakeDatabase;
  readonly clock: FakeClock;
  readonly counters: Counters;
  readonly crashes: unknown[];
}

function setUp(settings: Partial<WriteQueueSettings> = {}): Setup {
  const database = new FakeDatabase();
  const clock = new FakeClock();
  clock.advance(1_785_000_000_000);
  const counters = new Counters();
  const crashes: unknown[] = [];
  const queue = new WriteQueue({
    database,
    clock,
    counters,
    settings: { capacity: 8, batchSize: 3, timeoutMs: 50, transaction: false, ...settings },
    crash: (error) => crashes.push(error),
  });
  return { queue, database, clock, counters, crashes };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}

function batches(database: FakeDatabase): string[] {
  return database.calls.map(({ argument }) => decodeBody((argument as ExecuteRequest).body.text));
}

const now = { wait: false, timeoutMs: 30_000 };
const WAITING = { wait: true, timeoutMs: 30_000 };

Deno.test("WriteQueue.submit() numbers from the time in nanoseconds, one by one", async () => {
  const { queue } = setUp();
  const first = await queue.submit({ text: '["a"]', ...now });
  const second = await queue.submit({ text: '["a"]', ...now });
  deepStrictEqual(
    [first.sequenceNumber, second.sequenceNumber],
    [1785000000000000001n, 1785000000000000002n],
  );
});

Deno.test("WriteQueue writes a batch when it is full, else after the delay", async () => {
  const { queue, database, clock, counters } = setUp();
  await queue.submit({ text: ' [ "a", ["b",1] ] ', ...now });
  await queue.submit({ text: '["c"]', ...now });
  await settle();
  deepStrictEqual(batches(database), []);
  await queue.submit({ text: '["d"]', ...now });
  await settle();
  deepStrictEqual(batches(database), ['[ "a", ["b",1] ,"c","d"]']);
  await queue.submit({ text: '["e"]', ...now });
  clock.advance(49);
  await settle();
  strictEqual(database.calls.length, 1);
  clock.advance(1);
  await settle();
  deepStrictEqual(batches(database)[1], '["e"]');
  strictEqual(counters.facts()["queued_executions_ok"], 4);
  deepStrictEqual(queue.facts(), {
    batch_size: 3,
    max_size: 8,
    sequence_number: 1785000000000000004n,
    timeout: "50ms",
  });
});

Deno.test("WriteQueue runs one batch at a time, in order", async () => {
  const { queue, database } = setUp({ batchSize: 1 });
  const first = Promise.withResolvers<{ results: string; raftIndex: number }>();
  database.answer = () => first.promise;
  await queue.submit({ text: '["a"]', ...now });
  await queue.submit({ text: '["b"]', ...now });
  await settle();
  deepStrictEqual(batches(database), ['["a"]']);
  first.resolve({ results: "[]", raftIndex: 1 });
  await settle();
  deepStrictEqual(batches(database), ['["a"]', '["b"]']);
});

Deno.test("WriteQueue hands on its setting for transactions", async () => {
  const { queue, database, clock } = setUp({ transaction: true });
  await queue.submit({ text: '["a"]', ...now });
  clock.advance(50);
  await settle();
  deepStrictEqual(database.calls[0]?.argument, {
    body: { kind: "json", text: '["a"]' },
    transaction: true,
    format: 0,
    timeoutMs: 0,
  });
});

Deno.test("WriteQueue.submit() refuses what could never be written", async () => {
  const { queue } = setUp();
  const refused = (text: string, options: typeof now, expected: RegExp): Promise<void> =>
    rejects(queue.submit({ text, ...options }), expected, text);
  await refused("[]", now, /no statements/);
  await refused("null", now, /invalid request/);
  await refused("{}", WAITING, /invalid request/);
  await refused('["a"', now, /invalid JSON body/);
  await refused('["PRAGMA journal_mode=off"]', now, /disallowed pragma/);
  await refused(`["${"x".repeat(QUEUED_REQUEST_BYTES_MAX)}"]`, now, /over 1048576 bytes/);
});

const isOverloaded = (error: unknown): boolean =>
  error instanceof OperatingError && error.code === "overloaded";

Deno.test("WriteQueue.submit() waits for a place, and numbers in the order of places", async () => {
  const { queue, database } = setUp({ capacity: 2, batchSize: 2 });
  const first = Promise.withResolvers<{ results: string; raftIndex: number }>();
  database.answer = () => first.promise;
  const submitted = ["a", "b", "c", "d", "e", "f"].map((sql) =>
    queue.submit({ text: `["${sql}"]`, ...now })
  );
  await settle();
  deepStrictEqual(batches(database), ['["a","b"]']);
  await rejects(queue.submit({ text: '["g"]', ...now }), isOverloaded);
  first.resolve({ results: "[]", raftIndex: 1 });
  const numbers = (await Promise.all(submitted)).map(({ sequenceNumber }) => sequenceNumber);
  deepStrictEqual(numbers, numbers.toSorted());
  await settle();
  deepStrictEqual(batches(database), ['["a","b"]', '["c","d"]', '["e","f"]']);
});

Deno.test("WriteQueue.submit() gives up waiting for a place after its timeout", async () => {
  const { queue, database, clock } = setUp({ capacity: 1, batchSize: 100, timeoutMs: 5000 });
  await queue.submit({ text: '["a"]', ...now });
  const late = rejects(queue.submit({ text: '["b"]', wait: false, timeoutMs: 1000 }), isOverloaded);
  clock.advance(1000);
  await late;
  clock.advance(4000);
  await settle();
  deepStrictEqual(batches(database), ['["a"]']);
  await queue.submit({ text: '["c"]', ...now });
  clock.advance(5000);
  await settle();
  deepStrictEqual(batches(database), ['["a"]', '["c"]']);
});

Deno.test("WriteQueue.written() says when all before a marker is written", async () => {
  for (const marker of ["[]", "null", " [ ] "]) {
    const { queue, database, clock } = setUp();
    await queue.submit({ text: '["a"]', ...now });
    const outcome = queue.written(await queue.submit({ text: marker, ...WAITING }), {
      timeoutMs: 1000,
    });
    clock.advance(50);
    ok(await outcome);
    deepStrictEqual(batches(database), ['["a"]']);
  }
  const { queue, database, clock } = setUp();
  const alone = queue.written(await queue.submit({ text: "[]", ...WAITING }), { timeoutMs: 1000 });
  clock.advance(50);
  ok(await alone);
  deepStrictEqual(batches(database), []);
});

Deno.test("WriteQueue.written() gives up after its timeout, and the write goes on", async () => {
  const { queue, database, clock } = setUp({ timeoutMs: 5000 });
  const queued = await queue.submit({ text: '["a"]', ...WAITING });
  const outcome = queue.written(queued, { timeoutMs: 1000 });
  clock.advance(1000);
  ok(!await outcome);
  clock.advance(4000);
  await settle();
  deepStrictEqual(batches(database), ['["a"]']);
});

Deno.test("WriteQueue tries again while nothing has happened", async () => {
  const { queue, database, clock } = setUp({ batchSize: 1 });
  database.answer = new OperatingError("not_leader", "leader not found");
  const outcome = queue.written(await queue.submit({ text: '["a"]', ...WAITING }), {
    timeoutMs: 90_000,
  });
  await settle();
  clock.advance(QUEUE_RETRY_DELAY_MS);
  await settle();
  strictEqual(database.calls.length, 2);
  database.answer = { results: "[]", raftIndex: 1 };
  clock.advance(QUEUE_RETRY_DELAY_MS);
  ok(await outcome);
  strictEqual(database.calls.length, 3);
});

Deno.test("WriteQueue ends a batch that keeps being refused", async () => {
  const { queue, database, clock, counters } = setUp({ batchSize: 1 });
  database.answer = new OperatingError("disk_full", "no room");
  const queued = await queue.submit({ text: '["a"]', ...WAITING });
  const outcome = rejects(queue.written(queued, { timeoutMs: 1e9 }), /no room/);
  for (let attempt = 0; attempt < QUEUE_ATTEMPTS_MAX; attempt++) {
    await settle();
    clock.advance(QUEUE_RETRY_DELAY_MS);
  }
  await outcome;
  strictEqual(database.calls.length, QUEUE_ATTEMPTS_MAX);
  strictEqual(counters.facts()["queued_executions_failed"], 1);
});

Deno.test("WriteQueue does not repeat what may have happened, and goes on behind it", async () => {
  const { queue, database } = setUp({ batchSize: 1 });
  database.answer = new OperatingError("outcome_unknown", "leadership lost");
  const queued = await queue.submit({ text: '["a"]', ...WAITING });
  await rejects(queue.written(queued, { timeoutMs: 1000 }), /leadership lost/);
  database.answer = { results: "[]", raftIndex: 1 };
  ok(await queue.written(await queue.submit({ text: '["b"]', ...WAITING }), { timeoutMs: 1000 }));
  deepStrictEqual(batches(database), ['["a"]', '["b"]']);
});

Deno.test("WriteQueue passes a bug on to the crash handler", async () => {
  const { queue, database, crashes } = setUp({ batchSize: 1 });
  database.answer = new Error("bug");
  await queue.submit({ text: '["a"]', ...now });
  await settle();
  deepStrictEqual(crashes, [database.answer]);
});
