/**
 * Commands from bytes; the layout is in command_format.ts. `CommandReader` walks them and allocates
 * nothing, so that SQLite can be given ranges of the batch's own buffer.
 *
 * The bytes may come from a peer or a disk: every length is checked against the end of the command
 * before it is used, and what does not fit is refused with `bad_request`. `checkCommand` does that for
 * a whole command, so that one which passed it can later be walked without surprise.
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import {
  APPLY_VERSION,
  FLAG,
  FLAGS_KNOWN,
  FORMAT_VERSION,
  FORMAT_VERSION_MIN,
  HEADER_BYTES,
  KIND,
  LITTLE_ENDIAN,
  OFFSET,
  STATEMENT_BYTES_MIN,
  TAG,
  VERDICT,
} from "./command_format.ts";

const TWO_TO_32 = 2 ** 32;

/**
 * A cursor over one command. `open` it, then for an `execute` command call `nextStatement` until it
 * says false, and after each of them `nextPositional` and then `nextNamed` until they say false; the
 * fields tell what was reached. What is not read of a statement is skipped by the next `nextStatement`.
 * All offsets count from the start of the buffer's view that was given to `use`.
 */
export class CommandReader {
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #at = 0;
  #to = 0;
  #statementsLeft = 0;
  #positionalLeft = 0;
  #namedLeft = 0;
  #digestsLeft = 0;

  /** One of `KIND`. */
  kind = 0;
  /** Execute: bits of `FLAG`. */
  flags = 0;
  /** Any kind: milliseconds on the proposer's clock since its last entry; bound it (rule T1). */
  elapsedMs = 0;
  /** Execute: proposed wall time in milliseconds since 1970. */
  nowMs = 0;
  /** Execute: the seed's lower and upper 32 bits. */
  seedLow = 0;
  seedHigh = 0;
  /** Execute: milliseconds, 0 for none. */
  timeoutMs = 0;
  /** Execute: how many statements there are. */
  statementCount = 0;
  /** Execute: the precondition, or undefined. */
  lastWriteIndexMax: number | undefined = undefined;
  /** Execute: the statements are the bytes `[bodyFrom, bodyTo)`. */
  bodyFrom = 0;
  bodyTo = 0;
  /** Execute with a name (retry.ts): how its answer is written. */
  retryFormat = 0;
  /** Execute with `FLAG.key`: user and key are the bytes `[userFrom, userTo)`, `[keyFrom, keyTo)`. */
  userFrom = 0;
  userTo = 0;
  keyFrom = 0;
  keyTo = 0;
  /** Execute with `FLAG.session`, and an opening of one. The nonce's eight bytes begin at `nonceFrom`. */
  sessionNodeId = 0;
  nonceFrom = 0;
  sequence = 0;
  lowestOutstanding = 0;
  /** Opening of a session: what its node had seen applied. */
  seenIndex = 0;
  /** Raise of the feature level. */
  featureLevel = 0;
  /** Verdict: the entry it is about, and one of `VERDICT`. Its reason is the bytes `[from, to)`. */
  verdictIndex = 0;
  verdict = 0;
  /** Verdict on digests, which is about `verdictIndex`: a member; its digest's text is the bytes `[from, to)`. */
  memberId = 0;

  /** Statement: its SQL is the bytes `[sqlFrom, sqlTo)`; how many values it has. */
  sqlFrom = 0;
  sqlTo = 0;
  positionalCount = 0;
  namedCount = 0;
  /** Named value: its name is the bytes `[nameFrom, nameTo)`. */
  nameFrom = 0;
  nameTo = 0;
  /** Value: one of `TAG`. Text and blob are the bytes `[from, to)`, as is an `int64`'s own encoding. */
  tag = 0;
  from = 0;
  to = 0;
  /**
   * Value of an `int32`, an `int64` or a `real`. An `int64` outside the safe range is rounded here:
   * see `isSafe`, and `int64()` for the exact one.
   */
  number = 0;
  /** Value of an `int64`: whether `number` is exact. True for all others. */
  isSafe = true;

  /** Reads from `bytes` from now on; they must not change while they are walked. */
  use(bytes: Uint8Array): void {
    if (bytes === this.#bytes) return;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#to = 0;
  }

  /**
   * Reads the head of the command at `[from, to)`.
   * @throws {OperatingError} `bad_request` when it is none, or one of a newer build.
   */
  open(range: { readonly from: number; readonly to: number }): void {
    const { from, to } = range;
    assert(from >= 0 && from <= to && to <= this.#bytes.length, "CommandReader: range outside");
    if (to - from < HEADER_BYTES) throw undecodable("it is shorter than a header");
    const view = this.#view;
    const formatVersion = view.getUint8(from + OFFSET.formatVersion);
    const applyVersion = view.getUint8(from + OFFSET.applyVersion);
    const isKnown = formatVersion >= FORMAT_VERSION_MIN && formatVersion <= FORMAT_VERSION;
    if (!isKnown || applyVersion !== APPLY_VERSION) {
      throw undecodable(`format ${formatVersion}, apply version ${applyVersion} are not known`);
    }
    if (view.getUint32(from + OFFSET.databaseId, LITTLE_ENDIAN) !== 0) {
      throw undecodable("unknown database");
    }
    this.kind = view.getUint8(from + OFFSET.kind);
    this.flags = view.getUint8(from + OFFSET.flags);
    this.elapsedMs = view.getUint16(from + OFFSET.elapsedMs, LITTLE_ENDIAN);
    this.#at = from + HEADER_BYTES;
    this.#to = to;
    this.#statementsLeft =
      this.#positionalLeft =
      this.#namedLeft =
      this.#digestsLeft =
        0;
    switch (this.kind) {
      case KIND.execute:
        return this.#openExecute(from);
      case KIND.barrier:
        return this.#expectPlainHead();
      case KIND.verdict:
        return this.#openVerdict();
      case KIND.openSession:
        return this.#openOpening();
      case KIND.compare:
        this.#expectPlainHead();
        return this.#expectEnd();
      case KIND.digestVerdict:
        return this.#openDigestVerdict();
      case KIND.setTime:
        this.#expectPlainHead();
        this.#readTime(from);
        return this.#expectEnd();
      case KIND.raiseLevel:
        this.#expectPlainHead();
        this.featureLevel = this.#view.getUint32(this.#take(4), LITTLE_ENDIAN);
        return this.#expectEnd();
      default:
        throw undecodable(`kind ${this.kind} is not known`);
    }
  }

  #openExecute(from: number): void {
    const view = this.#view;
    if ((this.flags & ~FLAGS_KNOWN) !== 0) throw undecodable(`flags ${this.flags} are not known`);
    this.#readTime(from);
    this.seedLow = view.getUint32(from + OFFSET.seed, LITTLE_ENDIAN);
    this.seedHigh = view.getUint32(from + OFFSET.seed + 4, LITTLE_ENDIAN);
    this.timeoutMs = view.getUint32(from + OFFSET.timeoutMs, LITTLE_ENDIAN);
    this.lastWriteIndexMax = undefined;
    if ((this.flags & FLAG.lastWriteIndexMax) !== 0) {
      this.lastWriteIndexMax = this.#safe(this.#take(8));
    }
    if ((this.flags & (FLAG.key | FLAG.session)) !== 0) this.#openName();
    this.bodyFrom = this.#at;
    this.bodyTo = this.#to;
    this.statementCount = view.getUint32(from + OFFSET.statementCount, LITTLE_ENDIAN);
    if (this.statementCount * STATEMENT_BYTES_MIN > this.#to - this.#at) {
      throw undecodable(`it has no room for ${this.statementCount} statements`);
    }
    this.#statementsLeft = this.statementCount;
  }

  #readTime(from: number): void {
    this.nowMs = this.#view.getUint32(from + OFFSET.nowMs, LITTLE_ENDIAN) +
      this.#view.getUint16(from + OFFSET.nowMs + 4, LITTLE_ENDIAN) * TWO_TO_32;
  }

  #openName(): void {
    this.retryFormat = this.#view.getUint32(this.#take(4), LITTLE_ENDIAN);
    if ((this.flags & FLAG.session) === 0) {
      this.#takeRange();
      this.userFrom = this.from;
      this.userTo = this.to;
      this.#takeRange();
      this.keyFrom = this.from;
      this.keyTo = this.to;
      return;
    }
    if ((this.flags & FLAG.key) !== 0) throw undecodable("it has both a key and a session");
    this.sessionNodeId = this.#safe(this.#take(8));
    this.nonceFrom = this.#take(8);
    this.sequence = this.#safe(this.#take(8));
    this.lowestOutstanding = this.#safe(this.#take(8));
    if (this.lowestOutstanding > this.sequence) {
      throw undecodable("its lowest outstanding sequence is past its own");
    }
  }

  #openOpening(): void {
    this.#expectPlainHead();
    this.sessionNodeId = this.#safe(this.#take(8));
    this.nonceFrom = this.#take(8);
    this.seenIndex = this.#safe(this.#take(8));
    this.#expectEnd();
  }

  #openDigestVerdict(): void {
    this.#expectPlainHead();
    this.verdictIndex = this.#safe(this.#take(8));
    this.#digestsLeft = this.#view.getUint32(this.#take(4), LITTLE_ENDIAN);
    if (this.#digestsLeft === 0) this.#expectEnd();
  }

  /** Moves on to the next member of a verdict on digests. @throws {OperatingError} `bad_request`. */
  nextDigest(): boolean {
    if (this.#digestsLeft === 0) return false;
    this.#digestsLeft--;
    this.memberId = this.#safe(this.#take(8));
    this.#takeRange();
    if (this.#digestsLeft === 0) this.#expectEnd();
    return true;
  }

  #openVerdict(): void {
    this.#expectPlainHead();
    this.verdictIndex = this.#safe(this.#take(8));
    this.verdict = this.#view.getUint8(this.#take(1));
    if (this.verdict !== VERDICT.run && this.verdict !== VERDICT.void) {
      throw undecodable(`verdict ${this.verdict} is not known`);
    }
    this.#takeRange();
    this.#expectEnd();
  }

  #expectPlainHead(): void {
    if (this.flags !== 0) throw undecodable(`flags ${this.flags} are not known`);
    if (this.kind === KIND.barrier) this.#expectEnd();
  }

  #expectEnd(): void {
    if (this.#at !== this.#to) throw undecodable(`${this.#to - this.#at} bytes are left over`);
  }

  /** Moves to the next statement, past values that were not read. @throws {OperatingError} `bad_request` */
  nextStatement(): boolean {
    while (this.nextPositional());
    while (this.nextNamed());
    if (this.#statementsLeft === 0) {
      if (this.kind === KIND.execute) this.#expectEnd();
      return false;
    }
    this.#statementsLeft--;
    const flags = this.#view.getUint8(this.#take(1));
    if (flags !== 0) throw undecodable(`statement flags ${flags} are not known`);
    this.#takeRange();
    this.sqlFrom = this.from;
    this.sqlTo = this.to;
    this.positionalCount = this.#view.getUint32(this.#take(4), LITTLE_ENDIAN);
    this.namedCount = this.#view.getUint32(this.#take(4), LITTLE_ENDIAN);
    // A positional value takes a byte at least, a named one five.
    if (this.positionalCount + 5 * this.namedCount > this.#to - this.#at) {
      throw undecodable("it has no room for its values");
    }
    this.#positionalLeft = this.positionalCount;
    this.#namedLeft = this.namedCount;
    return true;
  }

  /** Moves to the statement's next positional value. @throws {OperatingError} `bad_request` */
  nextPositional(): boolean {
    if (this.#positionalLeft === 0) return false;
    this.#positionalLeft--;
    this.#value();
    return true;
  }

  /** Moves to the statement's next named value. @throws {OperatingError} `bad_request` */
  nextNamed(): boolean {
    if (this.#namedLeft === 0) return false;
    assert(this.#positionalLeft === 0, "CommandReader: positional values come first");
    this.#namedLeft--;
    this.#takeRange();
    this.nameFrom = this.from;
    this.nameTo = this.to;
    this.#value();
    return true;
  }

  /** The value of the `int64` at hand, exactly. */
  int64(): bigint {
    assert(this.tag === TAG.int64, "CommandReader: no int64 at hand");
    return this.#view.getBigInt64(this.from, LITTLE_ENDIAN);
  }

  /** The nonce of a session, or of an opening. */
  bootNonce(): bigint {
    return this.#view.getBigUint64(this.nonceFrom, LITTLE_ENDIAN);
  }

  /** The seed as one number. */
  seed(): bigint {
    return (BigInt(this.seedHigh) << 32n) | BigInt(this.seedLow);
  }

  #value(): void {
    const view = this.#view;
    this.tag = view.getUint8(this.#take(1));
    this.isSafe = true;
    switch (this.tag) {
      case TAG.text:
      case TAG.blob:
        return this.#takeRange();
      case TAG.int32:
        this.number = view.getInt32(this.#take(4), LITTLE_ENDIAN);
        return;
      case TAG.null:
        return;
      case TAG.real:
        this.number = view.getFloat64(this.#take(8), LITTLE_ENDIAN);
        return;
      case TAG.int64:
        this.from = this.#take(8);
        this.to = this.#at;
        this.number = view.getInt32(this.from + 4, LITTLE_ENDIAN) * TWO_TO_32 +
          view.getUint32(this.from, LITTLE_ENDIAN);
        this.isSafe = Number.isSafeInteger(this.number);
        return;
      default:
        throw undecodable(`value tag ${this.tag} is not known`);
    }
  }

  /** Passes `size` bytes and returns where they began. */
  #take(size: number): number {
    const at = this.#at;
    if (size > this.#to - at) throw undecodable("it ends too early");
    this.#at = at + size;
    return at;
  }

  /** Passes a length and as many bytes, which become `[from, to)`. */
  #takeRange(): void {
    const size = this.#view.getUint32(this.#take(4), LITTLE_ENDIAN);
    this.from = this.#take(size);
    this.to = this.#at;
  }

  #safe(at: number): number {
    const value = this.#view.getUint32(at + 4, LITTLE_ENDIAN) * TWO_TO_32 +
      this.#view.getUint32(at, LITTLE_ENDIAN);
    if (!Number.isSafeInteger(value)) throw undecodable("a number is out of range");
    return value;
  }
}

/**
 * Walks all of a command, as its bytes come from somewhere else.
 * @throws {OperatingError} `bad_request` when any of it cannot be decoded.
 */
export function checkCommand(payload: Uint8Array): void {
  const reader = new CommandReader();
  reader.use(payload);
  reader.open({ from: 0, to: payload.length });
  while (reader.nextStatement());
  while (reader.nextDigest());
}

/** Why a command is refused. */
export function undecodable(reason: string): OperatingError {
  return new OperatingError("bad_request", `Cannot decode command: ${reason}`);
}
