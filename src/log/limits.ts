/**
 * Bounds and sizes of the log. All are bytes unless the name says otherwise.
 */

/** A segment file. Large enough that rotation (four syncs) is rare, small enough to be filled with zeros unnoticed. */
export const SEGMENT_SIZE_BYTES = 16 * 1024 * 1024;

/** A segment that somebody waits for (the first one, or when none is prepared): ready in milliseconds. */
export const SEGMENT_SIZE_BYTES_URGENT = 1024 * 1024;

/** Past this a file is no segment of ours: read whole at start, it would take the memory. */
export const SEGMENT_SIZE_BYTES_MAX = 1024 * 1024 * 1024;

/** Zeros written at once while the next segment is prepared, so that appends' syncs get their turn. */
export const PREPARE_PIECE_BYTES = 256 * 1024;

/** A frame's body: what must be read and checked to get at one entry. A larger entry has a frame to itself. */
export const FRAME_BODY_BYTES_MAX = 256 * 1024;

/** At most so far apart are the places in a segment from which reading may start. */
export const POSITION_SPACING_BYTES = 64 * 1024;

/** Room at a segment's end for votes and markers when the disk is full: entries leave it alone. */
export const RESERVE_BYTES = 128 * 1024;

/** A configuration in a marker. With its marker it fits into the reserve. */
export const CONFIGURATION_BYTES_MAX = 64 * 1024;

/** Entry chains kept in memory for entries at or below the commit index; those above it are all kept. */
export const CHAINS_KEPT_COUNT = 4096;
