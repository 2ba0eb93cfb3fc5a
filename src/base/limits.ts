/**
 * Bounds of queues, batches, bodies and waits that more than one room must agree on. A room's own
 * bounds stand in its own limits.ts. Full means: refuse now, with a clear error.
 */

/** Bytes of SQL, parameters and overhead in one log entry; below gRPC's and V8's own limits. */
export const ENTRY_SIZE_BYTES_MAX = 128 * 1024 * 1024;

/** Bytes of a request's body unless configured otherwise. In its course a body takes up to five times its size. */
export const BODY_BYTES_DEFAULT = 32 * 1024 * 1024;

/** Writes accepted and not yet answered, over all clients. */
export const PROPOSALS_IN_FLIGHT_MAX = 65_536;

/** Bytes of those writes. */
export const PROPOSALS_IN_FLIGHT_BYTES_MAX = 256 * 1024 * 1024;

/** Bytes of one batch that the log writes and syncs at once. A single larger entry still goes alone. */
export const APPEND_BATCH_BYTES_MAX = 8 * 1024 * 1024;

/** Entries and bytes in one batch for the writer thread; one larger entry still goes alone. */
export const APPLY_BATCH_ENTRIES_MAX = 4096;
export const APPLY_BATCH_BYTES_MAX = 4 * 1024 * 1024;

/** Batches handed to the writer thread and not yet answered: one runs while the next waits. */
export const APPLY_BATCHES_IN_FLIGHT_MAX = 2;

/** Entries that wait for apply in memory; past it they are read back from the log. */
export const APPLY_BACKLOG_BYTES_MAX = 64 * 1024 * 1024;

/** An entry from here on is checked, written and copied in pieces: at once it would hold up everything else. */
export const LARGE_ENTRY_BYTES = 2 * 1024 * 1024;

/** What of a large entry is worked on before others have their turn: a millisecond or two. */
export const LARGE_PIECE_BYTES = 1024 * 1024;

/** Bodies longer than this are parsed on a reader thread: a megabyte takes the main thread milliseconds. */
export const LARGE_BODY_CHARACTERS = 64 * 1024;
