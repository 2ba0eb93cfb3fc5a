/**
 * Commands to bytes; the layout is in command_format.ts.
 *
 * Small commands share slabs, since a buffer of its own costs a command more than writing it does.
 * Invariant: bytes below `#at` in the slab belong to commands already handed out and are never
 * written again by the encoder.
 */
import { assert, unreachable } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { ENTRY_SIZE_BYTES_MAX } from "../base/limits.ts";
import type {
  Command,
  DigestVerdictCommand,
  ExecuteCommand,
  OpenSessionCommand,
  RaiseLevelCommand,
  Statement,
  VerdictCommand,
} from "./command.ts";
import {
  APPLY_VERSION,
  ELAPSED_MS_MAX,
  FLAG,
  FORMAT_VERSION,
  HEADER_BYTES,
  KIND,
  LITTLE_ENDIAN,
  NOW_MS_END,
  OFFSET,
  STATEMENT_BYTES_MIN,
  TAG,
  VERDICT,
} from "./command_format.ts";
import { ENCODER_SHARED_BYTES_MAX, ENCODER_SLAB_BYTES } from "./limits.ts";
import { encodeRetryName, KEY_BYTES_MIN, retryFlag, SESSION_BYTES } from "./retry.ts";
import { Real, type Value } from "./value.ts";

/** Up to here a loop over characters is faster than the call into the runtime's encoder. */
const LOOP_LENGTH_MAX = 24;

const UTF8 = new TextEncoder();
const TWO_TO_32 = 2 ** 32;

/** Encodes commands one after the other. One per thread; reuse it, since it shares buffers. */
export class CommandEncoder {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #view: DataView<ArrayBuffer> = new DataView(this.#bytes.buffer);
  /** Where the next byte goes. */
  #at = 0;
  /** Where the command that is being written began. */
  #from = 0;
  /** The command that is being written: asked for its size when it outgrows the slab. */
  #command: Command = { kind: "barrier" };

  /**
   * The bytes of `command`. They are the caller's to patch with `stampCommand`. A small command shares
   * its buffer with others: transfer it only if `byteLength` is that of its buffer.
   * @throws {OperatingError} `too_large` when they would pass ENTRY_SIZE_BYTES_MAX.
   */
  encode(command: Command): Uint8Array<ArrayBuffer> {
    this.#begin(command);
    switch (command.kind) {
      case "execute":
        this.#execute(command);
        break;
      case "barrier":
        this.#header({ kind: KIND.barrier, flags: 0 });
        break;
      case "verdict":
        this.#verdict(command);
        break;
      case "open_session":
        this.#openSession(command);
        break;
      case "compare":
        this.#header({ kind: KIND.compare, flags: 0 });
        break;
      case "digest_verdict":
        this.#digestVerdict(command);
        break;
      case "set_time":
        this.#header({ kind: KIND.setTime, flags: 0 });
        setUint64(this.#view, this.#from + OFFSET.nowMs, command.nowMs);
        break;
      case "raise_level":
        this.#raiseLevel(command);
        break;
      default:
        unreachable(command);
    }
    return this.#finish();
  }

  #begin(command: Command): void {
    this.#command = command;
    if (this.#bytes.length - this.#at < ENCODER_SHARED_BYTES_MAX) {
      this.#use(new Uint8Array(ENCODER_SLAB_BYTES));
      this.#at = 0;
    }
    this.#from = this.#at;
  }

  #finish(): Uint8Array<ArrayBuffer> {
    const size = this.#at - this.#from;
    assert(size >= HEADER_BYTES, "CommandEncoder: no header");
    if (size > ENTRY_SIZE_BYTES_MAX) throw tooLarge();
    if (this.#bytes.length <= ENCODER_SLAB_BYTES) return this.#bytes.subarray(this.#from, this.#at);
    // A large command outgrew the slab, into a buffer that is not kept; ASCII fits into it exactly.
    const bytes = size === this.#bytes.length
      ? this.#bytes
      : this.#bytes.slice(this.#from, this.#at);
    this.#use(new Uint8Array(0));
    this.#at = 0;
    return bytes;
  }

  #use(bytes: Uint8Array<ArrayBuffer>): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  /** Makes room for `size` bytes more, moving the command that is being written when it must. */
  #reserve(size: number): void {
    if (this.#at + size <= this.#bytes.length) return;
    const written = this.#at - this.#from;
    if (written > ENTRY_SIZE_BYTES_MAX) throw tooLarge();
    const leavesSlab = this.#bytes.length <= ENCODER_SLAB_BYTES;
    const capacity = leavesSlab
      ? Math.max(ENCODER_SLAB_BYTES + 1, written + size, sizeOfAscii(this.#command))
      : Math.max(2 * written, written + size);
    const grown = new Uint8Array(capacity);
    grown.set(this.#bytes.subarray(this.#from, this.#at));
    this.#use(grown);
    this.#from = 0;
    this.#at = written;
  }

  #header(options: { readonly kind: number; readonly flags: number }): void {
    this.#reserve(HEADER_BYTES);
    const bytes = this.#bytes;
    const at = this.#at;
    bytes.fill(0, at, at + HEADER_BYTES);
    bytes[at + OFFSET.formatVersion] = FORMAT_VERSION;
    bytes[at + OFFSET.applyVersion] = APPLY_VERSION;
    bytes[at + OFFSET.kind] = options.kind;
    bytes[at + OFFSET.flags] = options.flags;
    this.#at = at + HEADER_BYTES;
  }

  #execute(command: ExecuteCommand): void {
    const { options, statements, retry } = command;
    const precondition = options.lastWriteIndexMax;
    let flags = 0;
    if (options.transaction) flags |= FLAG.transaction;
    if (options.rows) flags |= FLAG.rows;
    if (precondition !== undefined) flags |= FLAG.lastWriteIndexMax;
    if (retry !== undefined) flags |= retryFlag(retry);
    const from = this.#at;
    this.#header({ kind: KIND.execute, flags });
    setTimes(this.#view, from, command);
    this.#view.setBigUint64(from + OFFSET.seed, command.seed, LITTLE_ENDIAN);
    this.#view.setUint32(from + OFFSET.timeoutMs, options.timeoutMs, LITTLE_ENDIAN);
    this.#view.setUint32(from + OFFSET.statementCount, statements.length, LITTLE_ENDIAN);
    if (precondition !== undefined) this.#uint64(precondition);
    if (retry !== undefined) this.#raw(encodeRetryName(retry));
    for (const statement of statements) this.#statement(statement);
  }

  #statement(statement: Statement): void {
    const { positional, named } = statement;
    this.#byte(0);
    this.#text(statement.sql);
    this.#uint32(positional.length);
    this.#uint32(named.length);
    for (const value of positional) this.#value(value);
    for (const { name, value } of named) {
      this.#text(name);
      this.#value(value);
    }
  }

  #verdict(command: VerdictCommand): void {
    this.#header({ kind: KIND.verdict, flags: 0 });
    this.#uint64(command.index);
    this.#byte(VERDICT[command.verdict]);
    this.#text(command.reason);
  }

  #openSession(command: OpenSessionCommand): void {
    this.#header({ kind: KIND.openSession, flags: 0 });
    this.#uint64(command.nodeId);
    this.#reserve(8);
    this.#view.setBigUint64(this.#at, command.bootNonce, LITTLE_ENDIAN);
    this.#at += 8;
    this.#uint64(command.seenIndex);
  }

  #raiseLevel(command: RaiseLevelCommand): void {
    this.#header({ kind: KIND.raiseLevel, flags: 0 });
    this.#uint32(command.level);
  }

  #digestVerdict(command: DigestVerdictCommand): void {
    this.#header({ kind: KIND.digestVerdict, flags: 0 });
    this.#uint64(command.index);
    this.#uint32(command.digests.length);
    for (const { nodeId, digest } of command.digests) {
      this.#uint64(nodeId);
      this.#text(digest);
    }
  }

  #value(value: Value): void {
    if (typeof value === "string") {
      this.#byte(TAG.text);
      this.#text(value);
    } else if (typeof value === "number") {
      this.#integer(value);
    } else if (value === null) {
      this.#byte(TAG.null);
    } else if (value instanceof Real) {
      this.#byte(TAG.real);
      this.#reserve(8);
      this.#view.setFloat64(this.#at, value.value, LITTLE_ENDIAN);
      this.#at += 8;
    } else if (typeof value === "bigint") {
      assert(BigInt.asIntN(64, value) === value, "CommandEncoder: integer past 64 bits");
      this.#byte(TAG.int64);
      this.#reserve(8);
      this.#view.setBigInt64(this.#at, value, LITTLE_ENDIAN);
      this.#at += 8;
    } else {
      this.#byte(TAG.blob);
      this.#blob(value);
    }
  }

  #integer(value: number): void {
    this.#reserve(9);
    if ((value | 0) === value) {
      this.#byte(TAG.int32);
      this.#view.setInt32(this.#at, value, LITTLE_ENDIAN);
      this.#at += 4;
      return;
    }
    assert(Number.isSafeInteger(value), "CommandEncoder: number that is no safe integer");
    this.#byte(TAG.int64);
    this.#view.setUint32(this.#at, value % TWO_TO_32, LITTLE_ENDIAN);
    this.#view.setInt32(this.#at + 4, Math.floor(value / TWO_TO_32), LITTLE_ENDIAN);
    this.#at += 8;
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
  }

  #uint32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#at, value, LITTLE_ENDIAN);
    this.#at += 4;
  }

  #uint64(value: number): void {
    this.#reserve(8);
    setUint64(this.#view, this.#at, value);
    this.#at += 8;
  }

  #blob(value: Uint8Array): void {
    this.#uint32(value.length);
    this.#raw(value);
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** UTF-8 behind its length; a lone surrogate becomes U+FFFD. */
  #text(text: string): void {
    this.#reserve(4 + text.length);
    const lengthOffset = this.#at - this.#from;
    this.#at += 4;
    if (text.length > LOOP_LENGTH_MAX || !this.#ascii(text)) this.#utf8(text);
    const lengthAt = this.#from + lengthOffset;
    this.#view.setUint32(lengthAt, this.#at - lengthAt - 4, LITTLE_ENDIAN);
  }

  #utf8(text: string): void {
    // Room for ASCII is there; what does not fit takes at most three bytes for a UTF-16 unit.
    const first = UTF8.encodeInto(text, this.#bytes.subarray(this.#at));
    this.#at += first.written;
    if (first.read === text.length) return;
    const rest = text.substring(first.read);
    this.#reserve(3 * rest.length);
    this.#at += UTF8.encodeInto(rest, this.#bytes.subarray(this.#at)).written;
  }

  /** Writes `text` and returns true if it is ASCII. */
  #ascii(text: string): boolean {
    const bytes = this.#bytes;
    const at = this.#at;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) return false;
      bytes[at + index] = code;
    }
    this.#at = at + text.length;
    return true;
  }
}

/** One command to bytes of its own; see `CommandEncoder`, which is faster for many. */
export function encodeCommand(command: Command): Uint8Array<ArrayBuffer> {
  return new CommandEncoder().encode(command).slice();
}

/**
 * Sets times and seed of an encoded command in place: the leader's last act before it proposes it.
 * `nowMs` is an integer from 0 to below `NOW_MS_END`, `elapsedMs` from 0 to `ELAPSED_MS_MAX`, `seed` an
 * unsigned 64-bit number.
 */
export function stampCommand(
  payload: Uint8Array,
  stamp: { readonly nowMs: number; readonly elapsedMs: number; readonly seed: bigint },
): void {
  assert(payload.length >= HEADER_BYTES, "stampCommand: no command");
  const view = new DataView(payload.buffer, payload.byteOffset, HEADER_BYTES);
  setTimes(view, 0, stamp);
  view.setBigUint64(OFFSET.seed, stamp.seed, LITTLE_ENDIAN);
}

/** How many bytes `command` takes if all its text is ASCII. */
function sizeOfAscii(command: Command): number {
  if (command.kind === "barrier") return HEADER_BYTES;
  if (command.kind === "verdict") return HEADER_BYTES + 13 + command.reason.length;
  if (command.kind === "open_session") return HEADER_BYTES + 24;
  if (command.kind === "raise_level") return HEADER_BYTES + 4;
  if (command.kind === "compare" || command.kind === "set_time") return HEADER_BYTES;
  if (command.kind === "digest_verdict") {
    return command.digests.reduce(
      (size, { digest }) => size + 12 + digest.length,
      HEADER_BYTES + 12,
    );
  }
  const { retry } = command;
  let size = HEADER_BYTES + (command.options.lastWriteIndexMax === undefined ? 0 : 8);
  if (retry?.kind === "session") size += SESSION_BYTES;
  if (retry?.kind === "key") size += KEY_BYTES_MIN + retry.user.length + retry.key.length;
  for (const { sql, positional, named } of command.statements) {
    size += STATEMENT_BYTES_MIN + sql.length;
    for (const value of positional) size += sizeOfAsciiValue(value);
    for (const { name, value } of named) size += 4 + name.length + sizeOfAsciiValue(value);
  }
  return size;
}

function sizeOfAsciiValue(value: Value): number {
  if (value === null) return 1;
  if (typeof value === "string" || value instanceof Uint8Array) return 5 + value.length;
  return typeof value === "number" && (value | 0) === value ? 5 : 9;
}

/** Both into eight bytes, the upper two of which no time needs. */
function setTimes(
  view: DataView,
  from: number,
  times: { readonly nowMs: number; readonly elapsedMs: number },
): void {
  const { nowMs, elapsedMs } = times;
  assert(nowMs < NOW_MS_END, "setTimes: now is past its end");
  assert(elapsedMs >= 0 && elapsedMs <= ELAPSED_MS_MAX, "setTimes: elapsed is out of bounds");
  setUint64(view, from + OFFSET.nowMs, nowMs);
  view.setUint16(from + OFFSET.elapsedMs, elapsedMs, LITTLE_ENDIAN);
}

function setUint64(view: DataView, at: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, "setUint64: not a safe integer of at least 0");
  view.setUint32(at, value % TWO_TO_32, LITTLE_ENDIAN);
  view.setUint32(at + 4, Math.floor(value / TWO_TO_32), LITTLE_ENDIAN);
}

function tooLarge(): OperatingError {
  return new OperatingError(
    "too_large",
    `Cannot take request: it needs over ${ENTRY_SIZE_BYTES_MAX} bytes of the log`,
  );
}
