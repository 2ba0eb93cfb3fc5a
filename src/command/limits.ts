/**
 * Bounds on what one request may hold. They are checked where the request is read, before anything
 * is proposed, and they are constants of the program: every node refuses the same requests (faults
 * L8, S30).
 */

/** Statements in one request. */
export const STATEMENTS_MAX = 1_000_000;

/** Parameters in one request, over all its statements; the bytes of a byte array do not count. */
export const PARAMETERS_MAX = 4_000_000;

/** Characters of a client's `Idempotency-Key`. */
export const IDEMPOTENCY_KEY_LENGTH_MAX = 255;

/** Characters of a number that an error message repeats. */
export const QUOTED_NUMBER_LENGTH_MAX = 64;

/**
 * Characters of a refused body that are read to the end, to tell broken JSON from JSON that says
 * something else. Bounded, because a refusal must not cost more than an answer.
 */
export const REFUSED_BODY_CHECK_LENGTH_MAX = 65_536;

/** Bytes that an encoder takes from the heap at once, and shares between small commands. */
export const ENCODER_SLAB_BYTES = 65_536;

/** A command that may need more than this gets a buffer of its own. */
export const ENCODER_SHARED_BYTES_MAX = 8_192;
