/**
 * What the main thread and the writer thread say to each other. Every request with an `id` gets one
 * reply with that id, in order; `fatal` ends the conversation.
 * Results travel as one string with a table of lengths: a clone of many small strings costs more than
 * the work.
 */
import type { EntryResult } from "../node/ports.ts";
import type { LibraryLocation } from "../sqlite/loader.ts";
import type { Verdict } from "./batch_runner.ts";
import type { FatalReply } from "./fatal_reply.ts";
import type { Synchronous } from "./writer.ts";

/** To the writer. */
export type WriterRequest =
  | {
    readonly kind: "open";
    readonly id: number;
    readonly library: LibraryLocation;
    readonly path: string;
    readonly synchronous: Synchronous;
    /** Whether the file lies in memory. */
    readonly isRam: boolean;
    /** The gate before each read (read_gate.ts). */
    readonly gate: SharedArrayBuffer;
    /** Shows whether entries get on (entry_watch.ts). */
    readonly watch: SharedArrayBuffer;
    /** Where small batches are given and answered (writer_mailbox.ts). */
    readonly mailbox: SharedArrayBuffer;
    /** The entry from which an earlier process did not come back, 0 for none (rule A4b). */
    readonly stuckIndex: number;
  }
  /** A packed batch, transferred. */
  | { readonly kind: "apply"; readonly id: number; readonly batch: ArrayBuffer }
  | { readonly kind: "try"; readonly id: number; readonly index: number }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "sync"; readonly id: number }
  | { readonly kind: "stats"; readonly id: number }
  | { readonly kind: "close"; readonly id: number };

/** Where the state stands, as it was last committed. */
export interface WriterState {
  readonly index: number;
  readonly term: number;
  readonly entryChain: string;
  /** Set when it is not what the last reply said. */
  readonly configuration: Uint8Array | undefined;
  /** The member table, likewise. */
  readonly members: Uint8Array | undefined;
  /** The cluster's feature level (rule F1), likewise. */
  readonly featureLevel: number | undefined;
  /** Of the last entry, milliseconds since 1970 (rule T1). */
  readonly timeMs: number;
}

/** From the writer. */
export type WriterReply =
  | { readonly kind: "opened"; readonly id: number; readonly state: WriterState }
  | {
    readonly kind: "applied";
    readonly id: number;
    readonly state: WriterState;
    readonly answers: PackedAnswers;
    readonly parked: { readonly index: number; readonly timeoutMs: number } | undefined;
    readonly isDiskFull: boolean;
    /** False when there is little room left for more (rule A3). */
    readonly hasRoom: boolean;
  }
  | { readonly kind: "tried"; readonly id: number; readonly isEnded: boolean }
  /** The durable index; undefined when the disk is full. */
  | { readonly kind: "synced"; readonly id: number; readonly index: number | undefined }
  | { readonly kind: "stats"; readonly id: number; readonly stats: WriterStats }
  | { readonly kind: "closed"; readonly id: number }
  /** Reads have held up the emptying of the `-wal` for too long: interrupt the oldest ones. */
  | { readonly kind: "readers_in_the_way" }
  | FatalReply;

/** The answer to a batch. */
export type AppliedReply = WriterReply & { readonly kind: "applied" };

/** Facts that only the writer knows. */
export interface WriterStats {
  readonly databaseBytes: number;
  readonly walBytes: number;
  readonly lastWriteIndex: number;
  readonly foreignKeys: boolean;
  readonly resultChain: string;
  readonly lastTimeMs: number;
  /** As with each batch. */
  readonly hasRoom: boolean;
}

/** Answers as one text and a length per entry; what is rare goes by itself. */
export interface PackedAnswers {
  readonly text: string;
  /** Length of each answer's text, or `NO_TEXT`. */
  readonly lengths: Int32Array<ArrayBuffer>;
  /** Answers that are no text, with their places. */
  readonly others: readonly (readonly [place: number, answer: EntryResult])[];
}

const NO_TEXT = -1;
const NO_OTHERS: PackedAnswers["others"] = [];

/** Answers to text and lengths. */
export function packAnswers(answers: readonly (EntryResult | undefined)[]): PackedAnswers {
  const lengths = new Int32Array(answers.length);
  const parts: string[] = [];
  let others: [number, EntryResult][] | undefined;
  for (let at = 0; at < answers.length; at++) {
    const answer = answers[at];
    if (typeof answer === "string") {
      lengths[at] = answer.length;
      parts.push(answer);
      continue;
    }
    lengths[at] = NO_TEXT;
    if (answer !== undefined) (others ??= []).push([at, answer]);
  }
  const text = parts.length === 1 ? parts[0] ?? "" : parts.join("");
  return { text, lengths, others: others ?? NO_OTHERS };
}

/** The answers that were packed. */
export function unpackAnswers(packed: PackedAnswers): (EntryResult | undefined)[] {
  const { text, lengths, others } = packed;
  const answers: (EntryResult | undefined)[] = new Array(lengths.length);
  let at = 0;
  for (let entry = 0; entry < lengths.length; entry++) {
    const length = lengths[entry] as number;
    answers[entry] = length === NO_TEXT ? undefined : text.substring(at, at + length);
    if (length !== NO_TEXT) at += length;
  }
  for (const [place, answer] of others) answers[place] = answer;
  return answers;
}

const NOTHING_RARE = { configuration: undefined, members: undefined, featureLevel: undefined };

/** The first line; the answers are behind it. */
type PlainHead = readonly [
  index: number,
  term: number,
  entryChain: string,
  timeMs: number,
  lengths: readonly number[],
];

/** The answer to a batch as text, for the mailbox; undefined when it says anything that is rare. */
export function writePlainReply(reply: AppliedReply): string | undefined {
  const { state, answers, parked, isDiskFull, hasRoom } = reply;
  const { index, term, entryChain, timeMs, configuration, members, featureLevel } = state;
  const isPlain = configuration === undefined && members === undefined &&
    featureLevel === undefined && hasRoom &&
    answers.others.length === 0 && parked === undefined && !isDiskFull;
  if (!isPlain) return undefined;
  const { text, lengths } = answers;
  const head: PlainHead = [index, term, entryChain, timeMs, [...lengths]];
  return `${JSON.stringify(head)}\n${text}`;
}

/** What `writePlainReply` wrote about the batch `id`. */
export function readPlainReply(id: number, plain: string): AppliedReply {
  const headEnd = plain.indexOf("\n");
  const text = plain.slice(headEnd + 1);
  const [index, term, entryChain, timeMs, lengths] = JSON.parse(
    plain.slice(0, headEnd),
  ) as PlainHead;
  return {
    kind: "applied",
    id,
    state: { index, term, entryChain, timeMs, ...NOTHING_RARE },
    answers: { text, lengths: Int32Array.from(lengths), others: NO_OTHERS },
    parked: undefined,
    isDiskFull: false,
    hasRoom: true,
  };
}
