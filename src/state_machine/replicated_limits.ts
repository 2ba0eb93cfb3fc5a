/**
 * Bounds that are part of what an entry means: the same statement must fail on every node, or on none.
 * Constants of the program, never flags; what can be set stands in the replicated settings
 * (state_record.ts). Whatever this file exports is in the digest that nodes compare (meaning.ts), so
 * that two builds of which one has another bound do not work together.
 */

/** Steps of SQLite's virtual machine after which an entry needs a verdict (rule A4), unless set otherwise. */
export const SOFT_LIMIT_STEPS_DEFAULT = 100_000_000;

/** How many steps a client's millisecond of `db_timeout` is worth (rule A4). */
export const STEPS_PER_TIMEOUT_MS = 10_000;

/**
 * Steps that an entry may take without a verdict, however short its `db_timeout` (rule A4): what replicas count
 * differently for one entry, 10,000 for each statement inside of an FTS5 table, must be little beside it.
 */
export const TIMEOUT_STEPS_MIN = 1_000_000;

/** Nothing is voided before it took the steps that need a verdict times this; so no replica went on without (rule A4). */
export const HARD_LIMIT_FACTOR = 4;

/** Bytes of one text, blob or row (rule A4b, fault S30). */
export const VALUE_BYTES_MAX = 128 * 1024 * 1024;

/** Limits of SQLite itself, on every connection of every node (fault S30, X16). */
export const SQL_LIMITS = {
  length: VALUE_BYTES_MAX,
  sqlLength: VALUE_BYTES_MAX,
  columnCount: 2000,
  expressionDepth: 1000,
  compoundSelectCount: 500,
  functionArgumentCount: 127,
  likePatternLength: 50_000,
  parameterCount: 32_766,
  triggerDepth: 1000,
  attachedCount: 1,
} as const;

/** Bytes of the values in all rows that one entry answers with (rule A3: memory is fenced). */
export const ENTRY_RESULT_BYTES_MAX = 64 * 1024 * 1024;

/** Product of the lengths of two arguments of a search that cannot be interrupted (rule A4b). */
export const SEARCH_PRODUCT_MAX = 2 ** 30;

/** Bytes of an answer that is kept for a write that may be sent again (rule X2). */
export const KEPT_ANSWER_BYTES_MAX = 64 * 1024;

/** How long an idempotency key is remembered, on the log's own clock (rule T1). */
export const KEY_AGE_MS_MAX = 10 * 60 * 1000;

/** Idempotency keys that are remembered, and the bytes of them and their answers; then 429. */
export const KEYS_COUNT_MAX = 1_000_000;
export const KEYS_BYTES_MAX = 256 * 1024 * 1024;

/** Bytes of a remembered key besides its texts and its answer, about. */
export const KEY_OVERHEAD_BYTES = 64;

/** Expired keys that go with each new one. */
export const KEYS_EXPIRED_AT_ONCE = 8;

/** Forwarding sessions, one for each member; the idlest goes for one more (rule X1). */
export const SESSIONS_MAX = 256;

/** Forwarded writes from the lowest outstanding one on. */
export const SESSION_OUTSTANDING_MAX = 65_536;
