/**
 * Bounds inside the engine. What the driver may set is in config.ts.
 */

/** Reads that wait for confirmation, here or at the leader; more are refused. */
export const READS_PENDING_MAX = 65_536;

/** Bytes of entries looked through at a time for configuration changes that are not applied yet. */
export const CONF_CHANGE_SCAN_BYTES = 1024 * 1024;
