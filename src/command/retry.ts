/**
 * What makes a write happen once however often it is sent: its name, which goes with the command into
 * the log (rules X1, X2). The section stands where command_format.ts says:
 *
 *   key       u32 format | u32 length, user | u32 length, key
 *   session   u32 format | u64 node id | u64 boot nonce | u64 sequence | u64 lowest outstanding
 *
 * The format of the answer is part of it, because every replica keeps the answer in that form.
 * Not here: what the state remembers (state_machine/retry_ledger.ts).
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { ENTRY_SIZE_BYTES_MAX } from "../base/limits.ts";
import { FLAG, FORMAT_VERSION, HEADER_BYTES, LITTLE_ENDIAN, OFFSET } from "./command_format.ts";
import { IDEMPOTENCY_KEY_LENGTH_MAX } from "./limits.ts";
import type { ResultFormat } from "./request.ts";

/** A client's own name for a write: the header `Idempotency-Key`, with who sent it. */
export interface ClientKey {
  readonly kind: "key";
  /** Empty without authentication. */
  readonly user: string;
  /** See `checkIdempotencyKey`. */
  readonly key: string;
  /** How the answer is written, now and when it is repeated. */
  readonly format: ResultFormat;
}

/** A forwarding node's name for a write (rule X1). Numbers are safe integers of at least 0. */
export interface ForwardingSession {
  readonly kind: "session";
  /** The forwarder's Raft id. */
  readonly nodeId: number;
  /** Of its process: unsigned 64 bits. */
  readonly bootNonce: bigint;
  readonly sequence: number;
  /** Whoever waits for an answer has this sequence or a higher one; at most `sequence`. */
  readonly lowestOutstanding: number;
  readonly format: ResultFormat;
}

/** At most one of them goes with a command. */
export type RetryName = ClientKey | ForwardingSession;

/** Bytes of a session's section. */
export const SESSION_BYTES = 36;

/** Bytes of a key's section without its texts. */
export const KEY_BYTES_MIN = 12;

/** Visible ASCII without the comma, by which HTTP joins headers that were sent twice. */
const KEY_PATTERN = /^[\x21-\x2b\x2d-\x7e]+$/;
const UTF8 = new TextEncoder();

/** A client's key, as it may go into the log. @throws {OperatingError} `bad_request`. */
export function checkIdempotencyKey(key: string): void {
  if (key.length === 0) {
    throw new OperatingError("bad_request", "Cannot take Idempotency-Key: it is empty");
  }
  if (key.length > IDEMPOTENCY_KEY_LENGTH_MAX) {
    const message = `it has over ${IDEMPOTENCY_KEY_LENGTH_MAX} characters`;
    throw new OperatingError("bad_request", `Cannot take Idempotency-Key: ${message}`);
  }
  if (!KEY_PATTERN.test(key)) {
    const message = "it has other characters than visible ASCII without comma, or was sent twice";
    throw new OperatingError("bad_request", `Cannot take Idempotency-Key: ${message}`);
  }
}

/** The bit that announces a section. */
export function retryFlag(name: RetryName): number {
  return name.kind === "key" ? FLAG.key : FLAG.session;
}

/** The bytes of a section. */
export function encodeRetryName(name: RetryName): Uint8Array<ArrayBuffer> {
  if (name.kind === "session") return encodeSession(name);
  const user = UTF8.encode(name.user);
  const key = UTF8.encode(name.key);
  const bytes = new Uint8Array(KEY_BYTES_MIN + user.length + key.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, name.format, LITTLE_ENDIAN);
  view.setUint32(4, user.length, LITTLE_ENDIAN);
  bytes.set(user, 8);
  view.setUint32(8 + user.length, key.length, LITTLE_ENDIAN);
  bytes.set(key, KEY_BYTES_MIN + user.length);
  return bytes;
}

function encodeSession(name: ForwardingSession): Uint8Array<ArrayBuffer> {
  const { nodeId, sequence, lowestOutstanding } = name;
  assert(lowestOutstanding <= sequence, "encodeRetryName: lowest outstanding is past the sequence");
  const bytes = new Uint8Array(SESSION_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, name.format, LITTLE_ENDIAN);
  view.setBigUint64(4, BigInt(nodeId), LITTLE_ENDIAN);
  view.setBigUint64(12, name.bootNonce, LITTLE_ENDIAN);
  view.setBigUint64(20, BigInt(sequence), LITTLE_ENDIAN);
  view.setBigUint64(28, BigInt(lowestOutstanding), LITTLE_ENDIAN);
  return bytes;
}

/**
 * An encoded execute command with a name, which it must not have yet. The bytes given stay as they are.
 * @throws {OperatingError} `too_large` when they would pass ENTRY_SIZE_BYTES_MAX.
 */
export function attachRetryName(payload: Uint8Array, name: RetryName): Uint8Array<ArrayBuffer> {
  const flags = payload[OFFSET.flags] ?? 0;
  assert(payload[OFFSET.formatVersion] === FORMAT_VERSION, "attachRetryName: another format");
  assert((flags & (FLAG.key | FLAG.session)) === 0, "attachRetryName: it has a name");
  const section = encodeRetryName(name);
  const size = payload.length + section.length;
  if (size > ENTRY_SIZE_BYTES_MAX) {
    throw new OperatingError(
      "too_large",
      `Cannot take request: it needs over ${ENTRY_SIZE_BYTES_MAX} bytes of the log`,
    );
  }
  const at = HEADER_BYTES + ((flags & FLAG.lastWriteIndexMax) === 0 ? 0 : 8);
  const bytes = new Uint8Array(size);
  bytes.set(payload.subarray(0, at));
  bytes.set(section, at);
  bytes.set(payload.subarray(at), at + section.length);
  bytes[OFFSET.flags] = flags | retryFlag(name);
  return bytes;
}
