/**
 * Bounds of this room on one node: they may differ between nodes and builds, as no result depends on
 * them. Those that change what a statement computes are in replicated_limits.ts.
 */

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

/** A query that takes a reader no longer than this costs less than its message: so many go together. */
export const QUICK_QUERY_MS = 0.1;
export const QUERIES_TOGETHER_MIN = 8;

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

/**
 * Behind a few small batches in a row the writer waits a moment for the next to be given to it
 * (writer_mailbox.ts), but its event loop has a turn now and then. Large ones go as messages: their cost
 * is small beside that of what is in them.
 */
export const MAILBOX_BATCH_BYTES_MAX = 64 * 1024;
export const SMALL_BATCHES_MIN = 4;
export const MAILBOX_WAIT_MS = 2;
export const GIVEN_IN_A_ROW_MAX = 256;

/** Bytes of values that the digest thread takes in before it looks whether it is in somebody's way. */
export const DIGEST_SLICE_BYTES = 4 * 1024 * 1024;

/** How long it rests behind each slice, as a multiple of what the slice took. */
export const DIGEST_REST_FACTOR = 0.5;

/**
 * A state file is read again (state_scan_worker.ts) in slices of about so many milliseconds, between which it
 * rests, as a multiple of what the slice took: a tenth of a core. So often it is looked whether it is time,
 * in steps of SQLite's. Of a table that cannot be read in so many attempts, as writers are in the way, the
 * last one takes no rest.
 */
export const SCAN_SLICE_MS = 10;
export const SCAN_REST_FACTOR = 9;
export const SCAN_STEPS = 1_000;
export const SCAN_ATTEMPTS_MAX = 4;
