/**
 * Bounds of the HTTP room. Full means: refuse now, with a status that says so. The sizes of header
 * and URL are bounded by the runtime's own parser (some 400 KiB and 64 KiB, then 400 or 414), and so
 * are conflicting lengths and folded headers (faults X10).
 */
import { ENTRY_SIZE_BYTES_MAX } from "../base/limits.ts";

/** Bytes of a request's body at most, however configured; one log entry must be able to hold what it says. */
export const BODY_BYTES_MAX = ENTRY_SIZE_BYTES_MAX;

/** Bodies that announce at most so many bytes are read in one go; longer ones piece by piece. */
export const BODY_BYTES_AT_ONCE_MAX = 65_536;

/** Requests that are being read or answered at once, unless configured lower; past it, 503. */
export const REQUESTS_IN_FLIGHT_MAX = 16_384;

/** Bytes of bodies announced, or read so far, by all requests in flight; past it, 503. */
export const BODIES_IN_FLIGHT_BYTES_MAX = 4 * BODY_BYTES_MAX;

/** What of that the bodies may hold that are not read in one go: the others keep getting through. */
export const LARGE_BODIES_IN_FLIGHT_BYTES_MAX = 3 * BODY_BYTES_MAX;

/** How long a client may take over a small body, or over each BODY_PACE_BYTES of a large one. */
export const BODY_IDLE_MS_MAX = 30_000;

/** What of a large body has to come within BODY_IDLE_MS_MAX. */
export const BODY_PACE_BYTES = 1024 * 1024;

/** How long a client may leave a streamed answer unread before it is cut off. */
export const ANSWER_STALL_MS_MAX = 30_000;

/** An answer up to here is sent as one text, a longer one as a stream of pieces. Both in characters. */
export const ANSWER_TEXT_CHARACTERS_MAX = 1024 * 1024;
export const ANSWER_PIECE_CHARACTERS = 256 * 1024;

/** A request that runs for this long is watched for the departure of its client. */
export const DISCONNECT_WATCH_DELAY_MS = 25;

/** Query strings whose parsed form is kept, and how long each may be. */
export const QUERY_STRINGS_KEPT_MAX = 64;
export const QUERY_STRING_KEPT_LENGTH_MAX = 256;

/** The wire's default for waits on other nodes and on the queue. */
export const TIMEOUT_MS_DEFAULT = 30_000;

/** The wire's limits for a linearizable read's wait: on /db/query unless told, and on /db/request. */
export const LINEARIZABLE_TIMEOUT_MS_DEFAULT = 10_000;
export const LINEARIZABLE_TIMEOUT_MS_ON_REQUEST = 1_000;

/** The longest wait that a client can ask for: half of what timers and gRPC's deadlines take, 12 days. */
export const DURATION_MS_MAX = 2 ** 30;

/** Bytes of one queued request, and of the requests that the queue puts into one log entry. */
export const QUEUED_REQUEST_BYTES_MAX = 1024 * 1024;
export const QUEUE_BATCH_BYTES_MAX = 8 * 1024 * 1024;

/** How often, and how far apart, the queue tries a batch again that was refused. */
export const QUEUE_ATTEMPTS_MAX = 60;
export const QUEUE_RETRY_DELAY_MS = 1_000;
