/**
 * Bounds of this folder. They bound memory only; what bounds SQL itself is replicated and set by
 * state_machine/ through settings.ts.
 */

/** SQL longer than this, in UTF-16 units, is parsed each time: it is bulk, and not sent twice. */
export const CACHED_SQL_LENGTH_MAX = 16 * 1024;

/** Text up to this many UTF-16 units passes through the scratch buffer, longer text on its own. */
export const SCRATCH_TEXT_LENGTH_MAX = 64 * 1024;

/** A scratch buffer that grew past this for one value is given back. */
export const SCRATCH_SIZE_BYTES_MAX = 1024 * 1024;
