import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { AssertionError } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import type { Command, ExecuteCommand } from "./command.ts";
import { decodeCommand } from "./command_decoder.ts";
import { encodeCommand } from "./command_encoder.ts";
import { FLAG, HEADER_BYTES, OFFSET } from "./command_format.ts";
import { checkCommand } from "./command_reader.ts";
import { IDEMPOTENCY_KEY_LENGTH_MAX } from "./limits.ts";
import { attachRetryName, checkIdempotencyKey, type RetryName } from "./retry.ts";

const KEY: RetryName = { kind: "key", user: "bob", key: "a-1", format: 4 };
const SESSION: RetryName = {
  kind: "session",
  nodeId: 3,
  bootNonce: 0x0102030405060708n,
  sequence: 260,
  lowestOutstanding: 258,
  format: 1,
};

function command(more: Partial<ExecuteCommand> = {}): ExecuteCommand {
  return {
    kind: "execute",
    options: { transaction: true, rows: false, timeoutMs: 7 },
    nowMs: 0x0102030405,
    elapsedMs: 0x0605,
    seed: 0x1122334455667788n,
    statements: [{ sql: "x", positional: [1], named: [] }],
    ...more,
  };
}

Deno.test("encodeCommand() writes the bytes that logs hold, for ever", () => {
  const head = "0504030201000506" + "8877665544332211" + "07000000" + "01000000";
  const body = "00" + "0100000078" + "01000000" + "00000000" + "0101000000";
  const expected: [Command, string][] = [
    [command(), "02010101" + "00000000" + head + body],
    [
      command({ retry: KEY }),
      "02010109" + "00000000" + head + "04000000" + "03000000626f62" + "03000000612d31" + body,
    ],
    [
      command({ retry: SESSION }),
      "02010111" + "00000000" + head + "01000000" + "0300000000000000" + "0807060504030201" +
      "0401000000000000" + "0201000000000000" + body,
    ],
    [
      { kind: "open_session", nodeId: 3, bootNonce: 0x0102030405060708n, seenIndex: 9 },
      "02010400" + "00".repeat(28) + "0300000000000000" + "0807060504030201" + "0900000000000000",
    ],
  ];
  for (const [each, hex] of expected) strictEqual(encodeCommand(each).toHex(), hex);
});

Deno.test("attachRetryName() gives the bytes that the encoder writes, with a precondition too", () => {
  const options = { ...command().options, lastWriteIndexMax: 5 };
  const names: readonly RetryName[] = [KEY, SESSION];
  for (const plain of [command(), command({ options })]) {
    for (const retry of names) {
      const payload = encodeCommand(plain);
      const before = payload.slice();
      deepStrictEqual(attachRetryName(payload, retry), encodeCommand({ ...plain, retry }));
      deepStrictEqual(payload, before);
    }
  }
});

Deno.test("attachRetryName() takes no command that has a name", () => {
  const named = encodeCommand(command({ retry: KEY }));
  throws(() => attachRetryName(named, SESSION), AssertionError);
});

Deno.test("checkCommand() refuses a command with two names, and a session that waits for what is to come", () => {
  const both = encodeCommand(command({ retry: SESSION }));
  both[OFFSET.flags] = (both[OFFSET.flags] ?? 0) | FLAG.key;
  throws(() => checkCommand(both), /both a key and a session/);
  const ahead = encodeCommand(command({ retry: SESSION }));
  ahead[HEADER_BYTES + 28 + 4] = 9;
  throws(() => checkCommand(ahead), /past its own/);
});

Deno.test("decodeCommand() reads format 1, in which no time had elapsed", () => {
  const payload = encodeCommand(command({ elapsedMs: 0 }));
  payload[OFFSET.formatVersion] = 1;
  deepStrictEqual(decodeCommand(payload), command({ elapsedMs: 0 }));
});

Deno.test("checkIdempotencyKey() takes 1 to 255 visible characters without comma", () => {
  const good = ["a", "!~", '"8e03978e"', "x".repeat(IDEMPOTENCY_KEY_LENGTH_MAX)];
  for (const key of good) checkIdempotencyKey(key);
  const bad: [string, RegExp][] = [
    ["", /is empty/],
    ["x".repeat(IDEMPOTENCY_KEY_LENGTH_MAX + 1), /over 255/],
    ["a b", /visible ASCII/],
    ["a,b", /visible ASCII/],
    ["a, b", /sent twice/],
    ["é", /visible ASCII/],
    ["a\0", /visible ASCII/],
  ];
  for (const [key, message] of bad) {
    throws(() => checkIdempotencyKey(key), (error) => {
      ok(error instanceof OperatingError && error.code === "bad_request");
      return message.test(error.message);
    });
  }
});
