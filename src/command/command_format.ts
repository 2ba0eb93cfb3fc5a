/**
 * The bytes of a command, little-endian; every replica reads them for ever (rules F1, F2).
 *
 *    0  u8   format version       8  u48  now, milliseconds since 1970
 *    1  u8   apply version       14  u16  elapsed, milliseconds (0 in format 1)
 *    2  u8   kind                16  u64  seed
 *    3  u8   flags               24  u32  timeout, milliseconds
 *    4  u32  database id         28  u32  count of statements
 *                                32  what the flags announce, in the order of their bits, then the body
 *
 *   execute   per statement: u8 flags (0) | u32 length, SQL | u32 count of positional values |
 *             u32 count of named values | the values | per named value: u32 length, name | value
 *   value     u8 tag, then: null nothing | i32 | i64 | f64 | u32 length, UTF-8 | u32 length, bytes
 *   names     of a write that is sent again: see retry.ts
 *   barrier   nothing
 *   verdict   u64 index | u8 1 run, 2 void | u32 length, reason
 *   open_session   u64 node id | u64 boot nonce | u64 seen index
 *   compare   nothing
 *   digest_verdict   u64 index | u32 count | per member: u64 node id | u32 length, digest
 *   set_time   nothing; its `now` is what counts
 *   raise_level   u32 feature level
 *
 * A flag that this build does not know means a command of a newer one, and is refused. Bits set aside
 * by rule F2: expected digest; in a statement's flags, its own time and seed.
 */

/** The byte order, as DataView wants it. */
export const LITTLE_ENDIAN = true;

/** Raised when a byte changes its place or meaning. */
export const FORMAT_VERSION = 2;

/** The oldest that is read as it is: what has come since was zero in it. */
export const FORMAT_VERSION_MIN = 1;

/** Raised when the same bytes would compute something else. */
export const APPLY_VERSION = 1;

/** The byte at `OFFSET.kind`. */
export const KIND = {
  execute: 1,
  barrier: 2,
  verdict: 3,
  openSession: 4,
  compare: 5,
  digestVerdict: 6,
  setTime: 7,
  raiseLevel: 8,
} as const;

/**
 * Bits of the byte at `OFFSET.flags`; `lastWriteIndexMax` puts a u64 behind the header, `key` or
 * `session` a name, and never both.
 */
export const FLAG = { transaction: 1, rows: 2, lastWriteIndexMax: 4, key: 8, session: 16 } as const;

/** All flags that this build knows. */
export const FLAGS_KNOWN = FLAG.transaction | FLAG.rows | FLAG.lastWriteIndexMax | FLAG.key |
  FLAG.session;

/** The byte before a value. */
export const TAG = { null: 0, int32: 1, int64: 2, real: 3, text: 4, blob: 5 } as const;

/** The byte of a verdict. */
export const VERDICT = { run: 1, void: 2 } as const;

/** Places in the header. */
export const OFFSET = {
  formatVersion: 0,
  applyVersion: 1,
  kind: 2,
  flags: 3,
  databaseId: 4,
  nowMs: 8,
  elapsedMs: 14,
  seed: 16,
  timeoutMs: 24,
  statementCount: 28,
} as const;

/** Past the end of `now`. */
export const NOW_MS_END = 2 ** 48;

/** The most that one entry moves the log's own clock (rule T1). */
export const ELAPSED_MS_MAX = 10_000;

/** Bytes of the header; no command is shorter. */
export const HEADER_BYTES = 32;

/** The byte of a command's kind, without reading the rest; undefined for what is too short to be one. */
export function kindByteOf(payload: Uint8Array): number | undefined {
  return payload.length < HEADER_BYTES ? undefined : payload[OFFSET.kind];
}

/** Bytes of a statement without its SQL and values. */
export const STATEMENT_BYTES_MIN = 13;
