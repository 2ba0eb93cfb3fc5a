/**
 * Bounds of this room. Those that change what a statement computes are the same on every node: they
 * are constants of the program or stand in the replicated settings (state_record.ts), never flags.
 */

// --- replicated: the same statement must fail on every node, or on none ---------------------------

/** Steps of SQLite's virtual machine after which an entry needs a verdict (rule A4), unless set otherwise. */
export const SOFT_LIMIT_STEPS_DEFAULT = 100_000_000;

/** How many steps a client's millisecond of `db_timeout` is worth (rule A4). */
export const STEPS_PER_TIMEOUT_MS = 10_000;

/** The hard limit is the soft one times this (rule A4). */
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

// --- of this node ---------------------------------------------------------------------------------

/** Prepared statements kept by each connection. */
export const STATEMENTS_CACHED_MAX = 256;

/** Steps between two looks at the limits while a statement runs. */
export const PROGRESS_STEPS = 10_000;

/** A result that is longer leaves as a stream. */
export const STREAM_BYTES_MIN = 256 * 1024;

/** Size of the pieces of a stream, about. */
export const STREAM_CHUNK_BYTES = 64 * 1024;

/** Pieces of a stream that may be under way to a client who does not read. */
export const STREAM_CHUNKS_IN_FLIGHT_MAX = 8;

/** A stream whose reader takes nothing for so long is ended (fault L5). */
export const STREAM_STALL_MS_MAX = 30_000;

/** Queries that wait for a reader thread; one more is refused. */
export const QUERIES_WAITING_MAX = 16_384;

/** Queries and characters in one message to a reader thread; one longer query still goes alone. */
export const QUERY_BATCH_COUNT_MAX = 64;
export const QUERY_BATCH_CHARACTERS_MAX = 1024 * 1024;

/** Reader threads beyond the configured ones, for when all of those are held up by long queries. */
export const READERS_EXTRA_MAX = 6;

/** A reader that has been on one query for so long is held up: what waits behind it goes elsewhere. */
export const READER_HELD_UP_MS = 25;

/** Pages that each connection caches, in KiB. */
export const WRITER_CACHE_KIB = 4 * 1024;
export const READER_CACHE_KIB = 4 * 1024;

/** Pages written since the last checkpoint that call for the next one, between batches. */
export const WAL_CHECKPOINT_PAGES = 2048;

/** Size of the `-wal` from which new reads wait until it has been emptied (rule D3). */
export const WAL_GATE_BYTES = 64 * 1024 * 1024;

/** How long reads may hold up that emptying before they are interrupted. */
export const WAL_GATE_MS_MAX = 2_000;

/**
 * Free bytes below which new writes are refused before they are proposed (rule A3): those under way find
 * room. Of a small disk the share, if that is less.
 */
export const FREE_BYTES_MIN = 32 * 1024 * 1024;
export const FREE_SHARE_MIN = 1 / 8;

/** How often the room is looked at while it is short, though no batch comes. */
export const ROOM_LOOK_MS = 300;

/**
 * How often the writer is looked at, and how many looks in which it has not got on within an entry end the
 * process (rule A4b): steps that are counted take a millisecond or two between two beats.
 */
export const STUCK_LOOK_MS = 1_000;
export const STUCK_LOOKS_MAX = 60;

/** A file on tmpfs that is given up when it is full, so that DELETE and checkpoint can work (rule A3). */
export const BALLAST_BYTES = 8 * 1024 * 1024;

/** How long SQLite itself waits for a lock, and how long we do before we ask again (rule A3). */
export const BUSY_TIMEOUT_MS = 5_000;
export const BUSY_PAUSE_MS = 5;

/** How often the writer tries to empty the `-wal` behind the closed gate when it has nothing to apply. */
export const WAL_GATE_RETRY_MS = 20;

/** How long a read waits at most while the `-wal` is emptied (rule D3). */
export const READ_GATE_MS_MAX = 3_000;

/** Batches with one reader thread that are not answered yet: one runs while the next waits. */
export const READER_BATCHES_IN_FLIGHT_MAX = 2;

/** An extra reader thread that has had nothing to do for so long is ended. */
export const READER_IDLE_MS_MAX = 10_000;

/** A live file goes to memory only when there is room for this many times its copy. */
export const RAM_GROWTH_FACTOR = 2;

/** Folders in memory that a start looks at, whether they can be given back, and for how long. */
export const SWEEP_FOLDERS_MAX = 1_024;
export const SWEEP_MS_MAX = 300;

/** How often, and how far apart, a start tries to take its folder in memory from one who removes it. */
export const HOLD_ATTEMPTS_MAX = 50;
export const HOLD_PAUSE_MS = 20;
