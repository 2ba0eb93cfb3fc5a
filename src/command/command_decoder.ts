/**
 * Commands from bytes as plain values: for tests, tools and rare kinds. What is hot walks the bytes
 * with `CommandReader` itself.
 */
import { unreachable } from "../base/assert.ts";
import type { Command, DigestVerdictCommand, MemberDigest, Statement } from "./command.ts";
import { FLAG, KIND, TAG, VERDICT } from "./command_format.ts";
import { CommandReader, undecodable } from "./command_reader.ts";
import type { RetryName } from "./retry.ts";
import { type NamedValue, Real, type Value } from "./value.ts";

// A byte order mark is a character of the text like any other; by default it would be dropped.
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The command that `payload` encodes; its BLOBs are copies.
 * @throws {OperatingError} `bad_request` when the bytes are not one, or text in it is not UTF-8.
 */
export function decodeCommand(payload: Uint8Array): Command {
  const reader = new CommandReader();
  reader.use(payload);
  reader.open({ from: 0, to: payload.length });
  switch (reader.kind) {
    case KIND.barrier:
      return { kind: "barrier" };
    case KIND.verdict:
      return {
        kind: "verdict",
        index: reader.verdictIndex,
        verdict: reader.verdict === VERDICT.run ? "run" : "void",
        reason: decodeText(payload, reader),
      };
    case KIND.openSession:
      return {
        kind: "open_session",
        nodeId: reader.sessionNodeId,
        bootNonce: reader.bootNonce(),
        seenIndex: reader.seenIndex,
      };
    case KIND.compare:
      return { kind: "compare" };
    case KIND.digestVerdict:
      return decodeDigestVerdict(payload, reader);
    case KIND.setTime:
      return { kind: "set_time", nowMs: reader.nowMs };
    case KIND.raiseLevel:
      return { kind: "raise_level", level: reader.featureLevel };
    default:
      return decodeExecute(payload, reader);
  }
}

function decodeDigestVerdict(payload: Uint8Array, reader: CommandReader): DigestVerdictCommand {
  const digests: MemberDigest[] = [];
  while (reader.nextDigest()) {
    digests.push({ nodeId: reader.memberId, digest: decodeText(payload, reader) });
  }
  return { kind: "digest_verdict", index: reader.verdictIndex, digests };
}

function decodeExecute(payload: Uint8Array, reader: CommandReader): Command {
  const { nowMs, elapsedMs, lastWriteIndexMax, timeoutMs, flags } = reader;
  const seed = reader.seed();
  const retry = decodeRetryName(payload, reader);
  const statements: Statement[] = [];
  while (reader.nextStatement()) statements.push(decodeStatement(payload, reader));
  return {
    kind: "execute",
    options: {
      transaction: (flags & FLAG.transaction) !== 0,
      rows: (flags & FLAG.rows) !== 0,
      timeoutMs,
      ...(lastWriteIndexMax === undefined ? {} : { lastWriteIndexMax }),
    },
    nowMs,
    elapsedMs,
    seed,
    statements,
    ...(retry === undefined ? {} : { retry }),
  };
}

function decodeRetryName(payload: Uint8Array, reader: CommandReader): RetryName | undefined {
  const { flags, retryFormat: format } = reader;
  if ((flags & FLAG.key) !== 0) {
    const user = decodeText(payload, { from: reader.userFrom, to: reader.userTo });
    const key = decodeText(payload, { from: reader.keyFrom, to: reader.keyTo });
    return { kind: "key", user, key, format };
  }
  if ((flags & FLAG.session) === 0) return undefined;
  const { sessionNodeId: nodeId, sequence, lowestOutstanding } = reader;
  const bootNonce = reader.bootNonce();
  return { kind: "session", nodeId, bootNonce, sequence, lowestOutstanding, format };
}

function decodeStatement(payload: Uint8Array, reader: CommandReader): Statement {
  const sql = decodeText(payload, reader);
  const positional: Value[] = [];
  const named: NamedValue[] = [];
  while (reader.nextPositional()) positional.push(decodeValue(payload, reader));
  while (reader.nextNamed()) {
    const name = decodeText(payload, { from: reader.nameFrom, to: reader.nameTo });
    named.push({ name, value: decodeValue(payload, reader) });
  }
  return { sql, positional, named };
}

function decodeValue(payload: Uint8Array, reader: CommandReader): Value {
  const tag = Object.values(TAG).find((known) => known === reader.tag);
  switch (tag) {
    case TAG.null:
      return null;
    case TAG.int32:
      return reader.number;
    case TAG.int64:
      return reader.isSafe ? reader.number : reader.int64();
    case TAG.real:
      return new Real(reader.number);
    case TAG.text:
      return decodeText(payload, reader);
    case TAG.blob:
      return payload.slice(reader.from, reader.to);
    case undefined:
      throw undecodable("unknown value tag");
    default:
      return unreachable(tag);
  }
}

function decodeText(
  payload: Uint8Array,
  range: { readonly from: number; readonly to: number },
): string {
  try {
    return UTF8.decode(payload.subarray(range.from, range.to));
  } catch (error) {
    if (error instanceof TypeError) throw undecodable("text in it is not UTF-8");
    throw error;
  }
}
