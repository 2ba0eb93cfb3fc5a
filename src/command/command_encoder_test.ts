import { deepStrictEqual, notStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { AssertionError } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { ENTRY_SIZE_BYTES_MAX } from "../base/limits.ts";
import type { Command, ExecuteCommand } from "./command.ts";
import { decodeCommand } from "./command_decoder.ts";
import { CommandEncoder, encodeCommand, stampCommand } from "./command_encoder.ts";
import { ELAPSED_MS_MAX, HEADER_BYTES, NOW_MS_END } from "./command_format.ts";
import { checkCommand, CommandReader } from "./command_reader.ts";
import { ENCODER_SLAB_BYTES } from "./limits.ts";
import type { RetryName } from "./retry.ts";
import { Real, type Value } from "./value.ts";

const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.constantFrom("", "\ufeffmark", "a\0b", "\u{1f600}".repeat(10)),
).filter((text) => text.isWellFormed());

const anyValue: fc.Arbitrary<Value> = fc.oneof(
  fc.constant(null),
  fc.integer(),
  fc.maxSafeInteger().map((value) => Object.is(value, -0) ? 0 : value),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
  fc.constantFrom(0, -1, 2 ** 31, -(2 ** 31) - 1, 2 ** 32, -(2 ** 32), Number.MIN_SAFE_INTEGER),
  fc.double().map((value) => new Real(value)),
  anyText,
  fc.uint8Array(),
);

const anyStatement = fc.record({
  sql: anyText,
  positional: fc.array(anyValue),
  named: fc.array(fc.record({ name: anyText, value: anyValue }), { maxLength: 3 }),
});

const anyUint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

const anyRetryName: fc.Arbitrary<RetryName> = fc.oneof(
  fc.record({ kind: fc.constant("key" as const), user: anyText, key: anyText, format: fc.nat() }, {
    noNullPrototype: true,
  }),
  fc.tuple(fc.maxSafeNat(), anyUint64, fc.maxSafeNat(), fc.nat(100), fc.nat()).map(
    ([nodeId, bootNonce, sequence, waiting, format]): RetryName => ({
      kind: "session",
      nodeId,
      bootNonce,
      sequence,
      lowestOutstanding: Math.max(sequence - waiting, 0),
      format,
    }),
  ),
);

const anyExecute: fc.Arbitrary<ExecuteCommand> = fc.record({
  kind: fc.constant("execute" as const),
  options: fc.record({
    transaction: fc.boolean(),
    rows: fc.boolean(),
    timeoutMs: fc.nat(),
    lastWriteIndexMax: fc.maxSafeNat(),
  }, { requiredKeys: ["transaction", "rows", "timeoutMs"] }),
  nowMs: fc.maxSafeNat().map((value) => value % NOW_MS_END),
  elapsedMs: fc.nat(ELAPSED_MS_MAX),
  seed: anyUint64,
  statements: fc.array(anyStatement, { maxLength: 4 }),
  retry: anyRetryName,
}, {
  noNullPrototype: true,
  requiredKeys: ["kind", "options", "nowMs", "elapsedMs", "seed", "statements"],
});

const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  anyExecute,
  fc.constant<Command>({ kind: "barrier" }),
  fc.record({
    kind: fc.constant("verdict" as const),
    index: fc.maxSafeNat(),
    verdict: fc.constantFrom("run" as const, "void" as const),
    reason: anyText,
  }, { noNullPrototype: true }),
  fc.record({
    kind: fc.constant("open_session" as const),
    nodeId: fc.maxSafeNat(),
    bootNonce: anyUint64,
    seenIndex: fc.maxSafeNat(),
  }, { noNullPrototype: true }),
  fc.constant({ kind: "compare" as const }),
  fc.record(
    { kind: fc.constant("set_time" as const), nowMs: fc.nat({ max: NOW_MS_END - 1 }) },
    { noNullPrototype: true },
  ),
  fc.record(
    { kind: fc.constant("raise_level" as const), level: fc.nat({ max: 0xffffffff }) },
    { noNullPrototype: true },
  ),
  fc.record({
    kind: fc.constant("digest_verdict" as const),
    index: fc.maxSafeNat(),
    digests: fc.array(
      fc.record({ nodeId: fc.maxSafeNat(), digest: anyText }, { noNullPrototype: true }),
      { maxLength: 5 },
    ),
  }, { noNullPrototype: true }),
);

function execute(statements: ExecuteCommand["statements"]): ExecuteCommand {
  const options = { transaction: false, rows: false, timeoutMs: 0 };
  return { kind: "execute", options, nowMs: 0, elapsedMs: 0, seed: 0n, statements };
}

/** fast-check's records have no prototype; commands are compared by content only. */
function plain(command: Command): Command {
  return structuredClone(command.kind === "execute" ? { ...command, statements: [] } : command);
}

function assertSame(actual: Command, expected: Command): void {
  deepStrictEqual(plain(actual), plain(expected));
  if (actual.kind !== "execute" || expected.kind !== "execute") return;
  const content = (command: ExecuteCommand): unknown[] =>
    command.statements.map((each) => [
      each.sql,
      [...each.positional],
      each.named.map(({ name, value }) => [name, value]),
    ]);
  deepStrictEqual(content(actual), content(expected));
}

Deno.test("encodeCommand() and decodeCommand() are inverse", () => {
  fc.assert(
    fc.property(
      anyCommand,
      (command) => assertSame(decodeCommand(encodeCommand(command)), command),
    ),
    { numRuns: 500 },
  );
});

Deno.test("CommandEncoder.encode() leaves the commands before it untouched", () => {
  fc.assert(
    fc.property(fc.array(anyCommand, { minLength: 1, maxLength: 30 }), (commands) => {
      const encoder = new CommandEncoder();
      const payloads = commands.map((command) => encoder.encode(command));
      payloads.forEach((payload, at) =>
        assertSame(decodeCommand(payload), commands[at] as Command)
      );
    }),
  );
});

Deno.test("CommandEncoder.encode() shares slabs, and gives large commands buffers of their own", () => {
  const encoder = new CommandEncoder();
  const small = execute([{ sql: "SELECT 1", positional: [], named: [] }]);
  const first = encoder.encode(small);
  strictEqual(encoder.encode(small).buffer, first.buffer);
  for (const size of [ENCODER_SLAB_BYTES - 100, ENCODER_SLAB_BYTES, 1_000_000]) {
    const large = execute([
      {
        sql: "é".repeat(size),
        positional: [new Uint8Array(size).fill(7), "x".repeat(size)],
        named: [],
      },
    ]);
    const payload = encoder.encode(large);
    strictEqual(payload.length, payload.buffer.byteLength);
    assertSame(decodeCommand(payload), large);
    notStrictEqual(encoder.encode(small).buffer, payload.buffer);
  }
  assertSame(decodeCommand(first), small);
});

Deno.test("CommandEncoder.encode() knows the size of a large ASCII command beforehand", () => {
  const text = fc.string({ maxLength: 50 });
  const value = fc.oneof(
    fc.constant(null),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.uint8Array(),
    text,
  )
    .map((each) => Object.is(each, -0) ? 0 : each);
  fc.assert(
    fc.property(fc.array(fc.tuple(text, value)), (extra) => {
      const encoder = new CommandEncoder();
      const command = execute([
        {
          sql: "x".repeat(2 * ENCODER_SLAB_BYTES),
          positional: extra.map(([, each]) => each),
          named: extra.map(([name, each]) => ({ name, value: each })),
        },
      ]);
      const payload = encoder.encode({
        ...command,
        options: { ...command.options, lastWriteIndexMax: 5 },
      });
      // Exactly as long as its buffer was made: any estimate that is off would show as a copy or a rest.
      strictEqual(payload.byteOffset, 0);
      strictEqual(payload.length, payload.buffer.byteLength);
      assertSame(decodeCommand(encoder.encode(command)), command);
    }),
  );
});

Deno.test("CommandEncoder.encode() refuses what would not fit into an entry, and goes on", () => {
  const encoder = new CommandEncoder();
  const blob = new Uint8Array(ENTRY_SIZE_BYTES_MAX);
  throws(
    () => encoder.encode(execute([{ sql: "", positional: [blob], named: [] }])),
    (error) => error instanceof OperatingError && error.code === "too_large",
  );
  assertSame(decodeCommand(encoder.encode({ kind: "barrier" })), { kind: "barrier" });
});

Deno.test("CommandEncoder.encode() asserts that integers fit", () => {
  for (const value of [2n ** 63n, -(2n ** 63n) - 1n, 1.5, 2 ** 53]) {
    throws(
      () => encodeCommand(execute([{ sql: "", positional: [value], named: [] }])),
      AssertionError,
    );
  }
});

Deno.test("encodeCommand() writes U+FFFD for a lone surrogate, by either way of writing", () => {
  for (const text of ["a\ud800b", `${"x".repeat(100)}\udc00`]) {
    const command = decodeCommand(
      encodeCommand(execute([{ sql: text, positional: [], named: [] }])),
    );
    ok(command.kind === "execute");
    strictEqual(command.statements[0]?.sql, text.toWellFormed());
  }
});

Deno.test("stampCommand() changes times and seed and nothing else", () => {
  fc.assert(
    fc.property(
      anyExecute,
      fc.maxSafeNat().map((value) => value % NOW_MS_END),
      fc.nat(ELAPSED_MS_MAX),
      anyUint64,
      (command, nowMs, elapsedMs, seed) => {
        const payload = new CommandEncoder().encode(command);
        stampCommand(payload, { nowMs, elapsedMs, seed });
        assertSame(decodeCommand(payload), { ...command, nowMs, elapsedMs, seed });
      },
    ),
  );
});

Deno.test("CommandReader gives the ranges of text and blobs in the buffer it walks", () => {
  const payload = encodeCommand(execute([
    {
      sql: "ab",
      positional: ["x", 2 ** 40, new Real(0.5)],
      named: [{ name: "n", value: Uint8Array.of(9) }],
    },
    { sql: "c", positional: [], named: [] },
  ]));
  const batch = new Uint8Array(payload.length + 20);
  batch.set(payload, 10);
  const text = (from: number, to: number): string =>
    new TextDecoder().decode(batch.subarray(from, to));
  const reader = new CommandReader();
  reader.use(batch);
  reader.open({ from: 10, to: 10 + payload.length });
  ok(reader.nextStatement());
  strictEqual(text(reader.sqlFrom, reader.sqlTo), "ab");
  deepStrictEqual([reader.positionalCount, reader.namedCount], [3, 1]);
  ok(reader.nextPositional());
  strictEqual(text(reader.from, reader.to), "x");
  ok(reader.nextPositional());
  deepStrictEqual([reader.number, reader.isSafe, reader.int64()], [2 ** 40, true, 2n ** 40n]);
  ok(reader.nextPositional());
  strictEqual(reader.number, 0.5);
  ok(!reader.nextPositional());
  ok(reader.nextNamed());
  strictEqual(text(reader.nameFrom, reader.nameTo), "n");
  deepStrictEqual([...batch.subarray(reader.from, reader.to)], [9]);
  ok(reader.nextStatement());
  strictEqual(text(reader.sqlFrom, reader.sqlTo), "c");
  ok(!reader.nextStatement());
});

Deno.test("checkCommand() refuses every truncation and every extension", () => {
  fc.assert(
    fc.property(anyCommand, fc.nat(), (command, cut) => {
      const payload = encodeCommand(command);
      checkCommand(payload);
      throws(() => checkCommand(payload.subarray(0, cut % payload.length)), OperatingError);
      const longer = new Uint8Array(payload.length + 1);
      longer.set(payload);
      throws(() => checkCommand(longer), OperatingError);
    }),
  );
});

Deno.test("checkCommand() and decodeCommand() meet hostile bytes with an OperatingError, quickly", () => {
  const damaged = fc.tuple(anyCommand, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
    .map(([command, edits]) => {
      const payload = encodeCommand(command);
      for (const [place, value] of edits) payload[place % payload.length] = value;
      return payload;
    });
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 80 })), (payload) => {
      for (const read of [checkCommand, decodeCommand]) {
        try {
          read(payload);
        } catch (error) {
          ok(error instanceof OperatingError, String(error));
        }
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("checkCommand() refuses counts that the bytes cannot hold before it walks them", () => {
  const payload = encodeCommand(execute([]));
  new DataView(payload.buffer).setUint32(HEADER_BYTES - 4, 0xffffffff);
  throws(() => checkCommand(payload), /no room for 4294967295 statements/);
});

Deno.test("checkCommand() refuses versions, kinds and flags of newer builds", () => {
  for (const offset of [0, 1, 2, 3, 4, HEADER_BYTES]) {
    const payload = encodeCommand(execute([{ sql: "", positional: [], named: [] }]));
    payload[offset] = 0x80;
    throws(() => checkCommand(payload), /Cannot decode command/, `offset ${offset}`);
  }
});
