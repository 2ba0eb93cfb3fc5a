/**
 * The whole room behind the node's port, with its threads: answers come back to those who asked, large
 * ones as streams in bounded memory; long queries end when they are told to, and hold up nobody.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { logIndex } from "../base/ids.ts";
import { APPLY_BATCH_BYTES_MAX } from "../base/limits.ts";
import { decodeCommand } from "../command/command_decoder.ts";
import type { QueryRequest } from "../command/request.ts";
import type { ApplyEntry, QueryOutcome } from "../node/ports.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { TemporaryFolder } from "../sqlite/testing.ts";
import { StateMachine } from "./state_machine.ts";
import {
  createTestState,
  entry,
  type EntrySettings,
  type ShortStatement,
  testLiveState,
} from "./testing.ts";

const ENDLESS =
  "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT max(x) FROM n";
const LARGE =
  "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n LIMIT 300000) SELECT x, 'some text' AS t FROM n";

/** A started state machine, and short ways to speak to it. */
class MachineTest {
  readonly machine: StateMachine;
  readonly failures: unknown[];
  #nextId = 1;

  constructor(machine: StateMachine, failures: unknown[]) {
    this.machine = machine;
    this.failures = failures;
  }

  apply(...batch: readonly (readonly [readonly ShortStatement[], EntrySettings?])[]): ReturnType<
    StateMachine["apply"]
  > {
    return this.machine.apply(this.entries(...batch));
  }

  entries(
    ...batch: readonly (readonly [readonly ShortStatement[], EntrySettings?])[]
  ): ApplyEntry[] {
    const first = this.machine.applied.index + 1;
    return batch.map(([statements, settings], at) => entry(first + at, statements, settings));
  }

  request(sql: string, options: Partial<QueryRequest> = {}): QueryRequest {
    return {
      id: this.#nextId++,
      body: { kind: "json", text: JSON.stringify([sql]) },
      transaction: false,
      format: 0,
      timeoutMs: 0,
      level: "none",
      freshnessMs: 0,
      freshnessStrict: false,
      linearizableTimeoutMs: 0,
      ...options,
    };
  }

  async text(sql: string, options: Partial<QueryRequest> = {}): Promise<string> {
    return await textOf(await this.machine.query(this.request(sql, options), { unified: false }));
  }
}

async function textOf(outcome: QueryOutcome): Promise<string> {
  if (outcome.kind !== "answer") throw new TypeError("a query turned into a write");
  const { results } = outcome;
  return typeof results === "string" ? results : await new Response(results).text();
}

/** Runs a test on a fresh state machine, and closes it. */
async function withMachine(
  work: (test: MachineTest) => Promise<void>,
  options: { readonly readers?: number; readonly mode?: "ram" | "disk" } = {},
): Promise<void> {
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  createTestState(path);
  const failures: unknown[] = [];
  const machine = await StateMachine.start({
    live: testLiveState({ path, dataDirectory: folder.path, mode: options.mode ?? "ram" }),
    readers: options.readers ?? 1,
    clock: new DenoClock(),
    onFatal: (error) => failures.push(error),
  });
  try {
    await work(new MachineTest(machine, failures));
    deepStrictEqual(failures, []);
  } finally {
    await machine.close();
  }
}

Deno.test("apply() and query() meet: what is applied is seen", async () => {
  await withMachine(async (test) => {
    strictEqual(test.machine.applied.index, 1);
    const outcome = await test.apply(
      [["CREATE TABLE t(a)"]],
      [["INSERT INTO t VALUES(1)"]],
      [["nonsense"]],
      [["INSERT INTO t VALUES(2)"], { format: undefined }],
    );
    deepStrictEqual(outcome.results, [
      "[{}]",
      '[{"last_insert_id":1,"rows_affected":1}]',
      '[{"error":"near \\"nonsense\\": syntax error"}]',
      undefined,
    ]);
    strictEqual(outcome.appliedIndex, 5);
    strictEqual(test.machine.applied.index, 5);
    match(await test.text("SELECT count(*) AS n FROM t"), /\[\[2\]\]/);
    const stats = await test.machine.stats();
    strictEqual(stats.lastWriteIndex, 5);
    ok(stats.sqlitePinned);
  });
});

Deno.test("apply() of one entry after another answers the same by mailbox and by message", async () => {
  await withMachine(async (test) => {
    await test.apply([["CREATE TABLE t(id INTEGER PRIMARY KEY, a)"]]);
    const long = "é".repeat(3000);
    for (let id = 1; id <= 40; id++) {
      const inserted = await test.apply([[["INSERT INTO t(a) VALUES(?)", long]]]);
      deepStrictEqual(inserted.results, [`[{"last_insert_id":${id},"rows_affected":1}]`]);
      // What fits into the mailbox and what does not.
      const column = id % 3 === 0 ? "a" : "id";
      const read = `SELECT ${column} AS x FROM t WHERE id=${id}`;
      const { results: [answer] } = await test.apply([[read], { rows: true }]);
      const value = column === "a" ? `"${long}"` : id;
      ok(typeof answer === "string" && answer.includes(`[[${value}]]`));
      // Two under way at once, and something else behind them.
      const next = test.machine.applied.index + 1;
      const both = [next, next + 1].map((index) =>
        test.machine.apply([entry(index, ["SELECT 1"])])
      );
      if (id % 5 === 0) strictEqual((await test.machine.stats()).mode, "ram");
      const indexes = (await Promise.all(both)).map(({ appliedIndex }) => appliedIndex);
      deepStrictEqual(indexes, [next, next + 1]);
    }
  });
});

Deno.test("An entry that parks behind small ones gets its verdict before it comes again (A4)", async () => {
  await withMachine(async (test) => {
    await test.apply([["CREATE TABLE t(a)"]]);
    for (let round = 0; round < 5; round++) {
      for (let count = 0; count < 10; count++) await test.apply([["INSERT INTO t VALUES(1)"]]);
      const [parked] = test.entries([[`INSERT INTO t ${ENDLESS}`], { timeoutMs: 5 }]);
      ok(parked !== undefined);
      const { index } = parked;
      deepStrictEqual((await test.machine.apply([parked])).parked, { index, timeoutMs: 5 });
      test.machine.verdict({ index, verdict: "void", reason: "execute timeout" });
      const { results } = await test.machine.apply([parked]);
      deepStrictEqual(results, ['[{"error":"execute timeout"}]']);
    }
  });
});

Deno.test("apply() keeps the order of batches although a large entry is packed in pieces", async () => {
  await withMachine(async (test) => {
    await test.apply([["CREATE TABLE t(a)"]]);
    const value = "z".repeat(3 * APPLY_BATCH_BYTES_MAX);
    const insert = (a: string): ShortStatement => ["INSERT INTO t VALUES(?)", a];
    const batches = test.entries([[insert(value)]], [[insert("b")]], [[insert(value)]], [[
      insert("d"),
    ]]);
    for (let at = 0; at < batches.length; at += 2) {
      const outcomes = await Promise.all(
        batches.slice(at, at + 2).map((each) => test.machine.apply([each])),
      );
      deepStrictEqual(outcomes.map(({ appliedIndex }) => appliedIndex), [3 + at, 4 + at]);
    }
    match(
      await test.text(
        "SELECT group_concat(length(a)) AS n, sum(a = printf('%.*c', length(a), 'z')) AS m FROM t",
      ),
      /\["12582912,1,12582912,1",2\]/,
    );
  });
});

Deno.test("A body of bytes is parsed where its bytes go, for reads and writes, by an idle reader", async () => {
  await withMachine(async (test) => {
    const text = JSON.stringify([["SELECT length(?), ?", "é".repeat(100_000), "ü"]]);
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => {
        const bytes = new TextEncoder().encode(text);
        return test.text("", { body: { kind: "json", text: bytes } });
      }),
    );
    for (const answer of answers) match(answer, /\[\[100000,"ü"\]\]/);
    const bytes = new TextEncoder().encode(text);
    const options = { transaction: false, rows: false, timeoutMs: 0 };
    const body = { kind: "json", text: bytes } as const;
    const payload = await test.machine.encodeExecute({ body, ...options });
    deepStrictEqual(bytes.length, 0, "not copied");
    const command = decodeCommand(payload ?? new Uint8Array());
    ok(command.kind === "execute");
    strictEqual(command.statements[0]?.positional[1], "ü");
  });
});

Deno.test("Many queries at once are all answered, each with its own answer", async () => {
  await withMachine(async (test) => {
    const answers = await Promise.all(
      Array.from({ length: 500 }, (_, at) => test.text(`SELECT ${at} AS a`)),
    );
    for (const [at, answer] of answers.entries()) match(answer, new RegExp(`\\[\\[${at}\\]\\]`));
  }, { readers: 3 });
});

Deno.test("A malformed body fails its own request", async () => {
  await withMachine(async (test) => {
    const broken = test.request("", { body: { kind: "json", text: "[" } });
    const [failed, fine] = await Promise.allSettled([
      test.machine.query(broken, { unified: false }),
      test.text("SELECT 1 AS a"),
    ]);
    strictEqual(failed.status, "rejected");
    if (failed.status === "rejected") match(String(failed.reason), /invalid JSON body/);
    strictEqual(fine.status, "fulfilled");
  });
});

Deno.test("query() on /db/request gives the command of a write, and answers reads", async () => {
  await withMachine(async (test) => {
    const read = await test.machine.query(test.request("SELECT 1 AS a"), { unified: true });
    strictEqual(read.kind, "answer");
    const request = test.request("INSERT INTO t VALUES(?)", {
      body: { kind: "json", text: '["SELECT 1", ["INSERT INTO t VALUES(?)", 7]]' },
      transaction: true,
      timeoutMs: 5000,
    });
    const write = await test.machine.query(request, { unified: true });
    ok(write.kind === "write");
    const command = decodeCommand(write.payload);
    ok(command.kind === "execute");
    deepStrictEqual(command.options, { transaction: true, rows: true, timeoutMs: 5000 });
    deepStrictEqual(command.statements.map(({ sql }) => sql), [
      "SELECT 1",
      "INSERT INTO t VALUES(?)",
    ]);
  });
});

Deno.test("encodeExecute() parses elsewhere what execute bodies hold", async () => {
  await withMachine(async (test) => {
    const options = { transaction: false, rows: false, timeoutMs: 0 };
    const body = { kind: "json", text: '[["INSERT INTO t VALUES(?)", 1.0]]' } as const;
    const payload = await test.machine.encodeExecute({ body, ...options });
    ok(payload !== undefined);
    strictEqual(decodeCommand(payload).kind, "execute");
    strictEqual(
      await test.machine.encodeExecute({ body: { kind: "sql", text: "" }, ...options }),
      undefined,
    );
    await rejects(
      test.machine.encodeExecute({ body: { kind: "json", text: "{}" }, ...options }),
      { code: "bad_request", message: "invalid request" },
    );
  });
});

Deno.test("A large answer is a stream, whole and in order", async () => {
  await withMachine(async (test) => {
    const outcome = await test.machine.query(test.request(LARGE), { unified: false });
    ok(outcome.kind === "answer" && typeof outcome.results !== "string");
    const [result] = JSON.parse(await textOf(outcome));
    strictEqual(result.values.length, 300_000);
    deepStrictEqual(result.values[299_999], [300_000, "some text"]);
    match(await test.text("SELECT 1 AS a"), /\[\[1\]\]/);
  });
});

Deno.test("A stream that nobody reads waits, others go on, and its end frees the thread (L5)", async () => {
  await withMachine(async (test) => {
    const outcome = await test.machine.query(test.request(LARGE), { unified: false });
    ok(outcome.kind === "answer" && typeof outcome.results !== "string");
    match(await test.text("SELECT 1 AS a"), /\[\[1\]\]/);
    await outcome.results.cancel();
    match(await test.text("SELECT 2 AS a"), /\[\[2\]\]/);
  });
});

Deno.test("A query ends at its deadline with the wire's error, and the thread lives on (6.10, L1)", async () => {
  await withMachine(async (test) => {
    strictEqual(await test.text(ENDLESS, { timeoutMs: 100 }), '[{"error":"query timeout"}]');
    match(await test.text("SELECT 1 AS a"), /\[\[1\]\]/);
  });
});

Deno.test("A streamed answer that is cut off by its deadline is still JSON, and says so", async () => {
  await withMachine(async (test) => {
    const endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT x FROM n";
    // The reader's thread has begun by then, so the time is the answer's own.
    match(await test.text("SELECT 1 AS a"), /\[\[1\]\]/);
    const [result] = JSON.parse(await test.text(endless, { timeoutMs: 1_000 }));
    strictEqual(result.error, "query timeout");
    ok(result.values.length > 1000);
  });
});

Deno.test("A canceled query ends, running or waiting; unknown ids are ignored", async () => {
  await withMachine(async (test) => {
    const running = test.request(ENDLESS);
    const query = test.machine.query(running, { unified: false });
    const outcome = rejects(query, { code: "canceled" });
    match(await test.text("SELECT 1 AS a"), /\[\[1\]\]/);
    test.machine.cancelQuery(running.id);
    test.machine.cancelQuery(123_456);
    await outcome;
    const waiting = test.request("SELECT 2");
    const second = rejects(test.machine.query(waiting, { unified: false }), { code: "canceled" });
    test.machine.cancelQuery(waiting.id);
    await second;
    match(await test.text("SELECT 3 AS a"), /\[\[3\]\]/);
  });
});

Deno.test("Long queries hold up nobody: what waits behind them goes to other threads", async () => {
  await withMachine(async (test) => {
    const long = [1, 2, 3].map(() => test.request(ENDLESS));
    const ended = long.map((request) =>
      rejects(test.machine.query(request, { unified: false }), { code: "canceled" })
    );
    const answers = await Promise.all([4, 5, 6, 7].map((at) => test.text(`SELECT ${at} AS a`)));
    deepStrictEqual(answers.map((text) => /\[\[(\d)\]\]/.exec(text)?.[1]), ["4", "5", "6", "7"]);
    ok((await test.machine.stats()).readers > 1);
    for (const { id } of long) test.machine.cancelQuery(id);
    await Promise.all(ended);
    strictEqual((await test.machine.stats()).queriesInFlight, 0);
  });
});

Deno.test("A parked entry waits for its verdict; batches behind it come back untouched (A4)", async () => {
  await withMachine(async (test) => {
    await test.apply([["CREATE TABLE t(a)"]]);
    const [parked, behind] = test.entries(
      [[`INSERT INTO t ${ENDLESS}`], { timeoutMs: 20 }],
      [["INSERT INTO t VALUES(2)"]],
    );
    ok(parked !== undefined && behind !== undefined);
    const first = test.machine.apply([parked]);
    const second = test.machine.apply([behind]);
    const expected = {
      appliedIndex: 2,
      results: [],
      parked: { index: 3, timeoutMs: 20 },
      diskFull: false,
    };
    deepStrictEqual(await first, expected);
    deepStrictEqual(await second, expected);
    deepStrictEqual(await test.machine.tryParked(logIndex(3)), {
      ended: false,
      reason: "execute timeout",
    });
    test.machine.verdict({ index: logIndex(3), verdict: "void", reason: "execute timeout" });
    const outcome = await test.machine.apply([parked, behind]);
    deepStrictEqual(outcome.results, [
      '[{"error":"execute timeout"}]',
      '[{"last_insert_id":1,"rows_affected":1}]',
    ]);
  });
});

Deno.test("A writer that cannot go on says so, and nothing pretends that it did (Q11)", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  createTestState(path);
  const failed = Promise.withResolvers<unknown>();
  const machine = await StateMachine.start({
    live: testLiveState({ path, dataDirectory: folder.path }),
    readers: 1,
    clock: new DenoClock(),
    onFatal: failed.resolve,
  });
  const item = entry(2, ["SELECT 1"]);
  const payload = item.payload.slice();
  payload[0] = 77;
  let isAnswered = false;
  machine.apply([{ ...item, payload }]).then(() => {
    isAnswered = true;
  }, failed.reject);
  match(String(await failed.promise), /FatalError: Cannot apply entry 2/);
  ok(!isAnswered);
  await machine.abandon();
});
