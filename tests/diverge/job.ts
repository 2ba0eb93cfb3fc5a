/**
 * What the parent asks of a replica's process and what it answers, each a line of JSON.
 */
import type { ContentHashes } from "./content_hash.ts";

/** An entry that is applied, and which of its statements, by number. */
export interface Kept {
  readonly number: number;
  readonly statements: readonly number[];
}

/** A log to apply: all of it, or what is kept. */
export interface Job {
  readonly seed: number;
  readonly statementCount: number;
  readonly kept?: readonly Kept[];
  /** Compare after so many entries, and at the end. */
  readonly every: number;
  /** Rows of this table at the end are wanted. */
  readonly table?: string;
}

/** A state machine's state behind an entry. */
export interface Checkpoint {
  readonly number: number;
  readonly appliedIndex: number;
  readonly entryChain: string;
  readonly resultChain: string;
  readonly hashes: ContentHashes;
}

/** How often a function or construct was used with success and in vain. */
export type Counts = Readonly<Record<string, readonly [ok: number, failed: number]>>;

/** What came of a job. */
export interface Report {
  readonly checkpoints: readonly Checkpoint[];
  /** Of SQLite's own check at the end. */
  readonly faults: readonly string[];
  /** Why the state machine broke, if it did. */
  readonly error?: string;
  readonly entryCount: number;
  readonly statementCount: number;
  /** Of the manner whose answers are plain; otherwise empty. */
  readonly counts: Counts;
  /** What was done between entries, by kind. */
  readonly deeds: readonly string[];
  readonly rows?: readonly string[];
}
