/**
 * The object around the results of execute, query and request (the wire contract, section 5.1):
 * results, error, time, sequence_number, raft_index, in this order. The results come as JSON text,
 * whole or as a stream; here they are only put between a head and a tail.
 */
import { goSeconds, goString } from "./go_json.ts";

/** What stands before the results. */
export const ENVELOPE_HEAD = '{"results":';

/** Members of the envelope besides the results; undefined for those that are not there. */
export interface EnvelopeTail {
  readonly error?: string | undefined;
  /** The whole request's duration in milliseconds. */
  readonly durationMs?: number | undefined;
  readonly sequenceNumber?: bigint | undefined;
  /** Left out when 0. */
  readonly raftIndex?: number | undefined;
}

/** What stands behind the results. */
export function envelopeTail(tail: EnvelopeTail): string {
  let text = "";
  if (tail.error !== undefined) text += `,"error":${goString(tail.error)}`;
  if (tail.durationMs !== undefined) text += `,"time":${goSeconds(tail.durationMs)}`;
  if (tail.sequenceNumber !== undefined) text += `,"sequence_number":${tail.sequenceNumber}`;
  if (tail.raftIndex) text += `,"raft_index":${tail.raftIndex}`;
  return `${text}}`;
}
