/**
 * Bounds of the transport: sizes of what goes over a connection, queues, waits. gRPC receives at most
 * 4 MiB in one message by default, so nothing here may need more (rule N1).
 */

/** Payload bytes of one append past which they follow in pieces rather than inside. */
export const DETACH_BYTES = 256 * 1024;

/** Bytes of one piece of a payload, a snapshot, a request or an answer. */
export const PIECE_BYTES = 256 * 1024;

/** Payload bytes that one append may announce: the largest entry and what may come along. */
export const DETACHED_BYTES_MAX = 160 * 1024 * 1024;

/** Bytes of messages put together into one packet; a single larger one still goes alone. */
export const PACKET_BYTES = 512 * 1024;

/** What gRPC takes in one message. */
export const GRPC_MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

/** Bytes written to a stream and not yet taken by the connection; what waits further is in the queue. */
export const WINDOW_BYTES = 1024 * 1024;

/** Messages and payload bytes that wait for one stream; more are dropped. One that is larger still goes alone. */
export const QUEUE_MESSAGES_MAX = 8192;
export const CONTROL_QUEUE_BYTES_MAX = 1024 * 1024;
export const BULK_QUEUE_BYTES_MAX = 72 * 1024 * 1024;

/** What a message counts in a queue beside its payload. */
export const MESSAGE_OVERHEAD_BYTES = 64;

/** From the begin of a connection to the end of its handshake. */
export const HANDSHAKE_TIMEOUT_MS = 3000;

/** Between two attempts to connect: doubled each time, each drawn from the upper half. */
export const REDIAL_MS_MIN = 50;
export const REDIAL_MS_MAX = 1000;

/** The same after a refusal, which does not pass by itself. */
export const REFUSED_REDIAL_MS = 5000;

/** How often an open stream is asked for a sign of life, and how long it may owe one. */
export const PING_INTERVAL_MS = 1000;
export const CONTROL_SILENCE_MS_MAX = 3000;
export const BULK_SILENCE_MS_MAX = 15_000;

/** Streams that one connection may have open to this node. */
export const GRPC_STREAMS_MAX = 8192;

/** What a connection may have under way before the receiver has read it. */
export const HTTP2_WINDOW_BYTES = 1024 * 1024;

/** How often the certificates' files are read again: who renewed them waits no longer. */
export const TLS_RELOAD_INTERVAL_MS = 10_000;

/** Between the two refused connections that show that a process is gone (rule E2), and between rounds of them. */
export const PROBE_GAP_MS = 20;
export const PROBE_PAUSE_MS = 50;

/** Rounds after which the question is left to the timers; and how long one connection may take. */
export const PROBE_ROUNDS_MAX = 20;
export const PROBE_TIMEOUT_MS = 500;

/** How long an older process with a newcomer's identity has to show that it is alive. */
export const CHALLENGE_TIMEOUT_MS = 1000;

/** Nodes besides the members that may talk to this one: those that joined and are not known here yet. */
export const GUESTS_MAX = 64;

/** Streams that have been opened to this node and are not over. */
export const INBOUND_STREAMS_MAX = 1024;

/** Between two alarms about two processes with one identity. */
export const DUPLICATE_AGAIN_MS = 5000;

/** Clients that watch this node's health. */
export const HEALTH_WATCHERS_MAX = 64;

/** Bytes of a snapshot that were sent and are not written by the receiver. */
export const SNAPSHOT_WINDOW_BYTES = 2 * 1024 * 1024;

/** Bytes of a snapshot after which the receiver syncs what it wrote (rule N3). */
export const SNAPSHOT_SYNC_BYTES = 8 * 1024 * 1024;

/** How long a transfer may stand still; the last bytes may have to be verified and synced. */
export const SNAPSHOT_SILENCE_MS_MAX = 30_000;

/** Calls of others that are being answered, and the bytes of their bodies; more are told to come again. */
export const CALLS_IN_FLIGHT_MAX = 8192;
export const CALL_BODIES_BYTES_MAX = 256 * 1024 * 1024;

/** Bytes of one request's body: an entry's, with room for what is put around it. */
export const CALL_BODY_BYTES_MAX = 160 * 1024 * 1024;

/** Addresses that are called, each with a connection kept open. */
export const CALL_CHANNELS_MAX = 64;

/** Between attempts of a connection for calls to come up again. */
export const CALL_RECONNECT_MS_MIN = 100;
export const CALL_RECONNECT_MS_MAX = 1000;

/** Streams by which others offer snapshots; one at a time is taken. */
export const SNAPSHOT_STREAMS_MAX = 16;

/** Calls by the lanes of one peer without an answer, each way, and the bytes of one; more have a stream each. */
export const LANE_CALLS_MAX = 64;
export const LANE_CALL_BYTES_MAX = 256 * 1024;
