/**
 * What the log says when it cannot be trusted. The node must not vote or acknowledge from such a log
 * (rule D5), and nothing repairs it: it may be the only trace of acknowledged entries.
 */
import { FatalError } from "../base/errors.ts";

/** A byte in a file of the log. */
export interface LogPlace {
  readonly file: string;
  /** From the file's beginning. */
  readonly offset: number;
}

/**
 * `damaged`: bytes that were durable have changed. `missing`: records or files that were durable are
 * gone, so the node has forgotten what it promised (amnesia). `foreign`: files of another node or cluster.
 */
export type LogDamageKind = "damaged" | "missing" | "foreign";

/** The log on disk is not what was made durable. Exit status 65; the message names file and offset. */
export class LogDamageError extends FatalError {
  readonly kind: LogDamageKind;
  readonly place: LogPlace;

  constructor(kind: LogDamageKind, place: LogPlace, reason: string) {
    super(65, `Cannot use log file ${place.file} at offset ${place.offset}: ${reason}`);
    this.kind = kind;
    this.place = place;
  }
}
