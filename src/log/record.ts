/**
 * Records: what a frame's body says, back to back. Format 1, little-endian. All begin with
 * kind u8 | detail u8 | zero u16 | bytes of the variable part u32; "point" is index u64, term u64,
 * entry chain high u32, low u32 (rule S3). Numbers of 8 bytes are safe integers.
 *
 *     1 entry       detail: 0 normal, 1 conf_change | point of the entry | payload
 *     2 hard state  term, vote, commit, each u64
 *     3 truncate    point of the entry that is the last one from now on
 *     4 marker      detail: 1 = all entries are gone, the log goes on behind it | point |
 *                   generation u64 | configuration
 *     5 head        detail: format version | cluster id 16 bytes | incarnation 16 bytes |
 *                   node id u64 | size of the file u64 | point before the segment
 *     6 sealed      nothing: the next segment exists
 *
 * A segment's first frame is head, hard state, marker; 6 is the last of a segment. Not here: whether a
 * record fits to the ones before it (log_contents.ts).
 */
import { unreachable } from "../base/assert.ts";
import type { EntryChain } from "../base/entry_chain.ts";
import { type LogIndex, logIndex, nodeId, type Term, term } from "../base/ids.ts";
import type { EntryKind, HardState } from "../node/ports.ts";
import type { ByteView } from "./byte_view.ts";
import { LogDamageError, type LogPlace } from "./damage.ts";

/** The version that is written, and the only one that is read. */
export const FORMAT_VERSION = 1;
/** Bytes of cluster ids and incarnations. */
export const ID_BYTES = 16;

/** An entry's place in a history: equal points mean equal logs up to them. */
export interface LogPoint {
  readonly index: LogIndex;
  readonly term: Term;
  readonly chain: EntryChain;
}

/** Whose log it is. Every segment repeats it. */
export interface LogIdentity {
  /** 16 bytes. */
  readonly clusterId: Uint8Array;
  /** The engine's number of the node (rule M1). */
  readonly nodeId: number;
  /** 16 random bytes, born with the data directory. */
  readonly incarnation: Uint8Array;
}

/** An entry, its chain value and its bytes. */
export type EntryRecord = {
  readonly kind: "entry";
  readonly point: LogPoint;
  readonly entryKind: EntryKind;
  /** Decoded, it is a view of the bytes that were read. */
  readonly payload: Uint8Array;
};
/** Where a state and the log meet (rule S2). */
export type MarkerRecord = {
  readonly kind: "marker";
  /** True when all entries were discarded and the log goes on behind the marker. */
  readonly isReset: boolean;
  readonly point: LogPoint;
  readonly generation: number;
  readonly configuration: Uint8Array;
};
/** What a segment says of itself and of the point before it. */
export type HeadRecord = {
  readonly kind: "head";
  readonly identity: LogIdentity;
  /** The file's size from its birth on: a shorter one has lost something. */
  readonly sizeBytes: number;
  readonly previous: LogPoint;
};
/** One record; see the file's header. */
export type LogRecord =
  | EntryRecord
  | MarkerRecord
  | HeadRecord
  | { readonly kind: "hard_state"; readonly hardState: HardState }
  | { readonly kind: "truncate"; readonly point: LogPoint }
  | { readonly kind: "sealed" };

const KIND_BYTES = { entry: 1, hard_state: 2, truncate: 3, marker: 4, head: 5, sealed: 6 } as const;
const ENTRY_KINDS: readonly EntryKind[] = ["normal", "conf_change"];
const PREFIX_BYTES = 8;
const POINT_BYTES = 24;
/** Bytes of each record kind before its variable part. */
const FIXED_BYTES = {
  entry: PREFIX_BYTES + POINT_BYTES,
  hard_state: PREFIX_BYTES + 24,
  truncate: PREFIX_BYTES + POINT_BYTES,
  marker: PREFIX_BYTES + POINT_BYTES + 8,
  head: PREFIX_BYTES + 2 * ID_BYTES + 16 + POINT_BYTES,
  sealed: PREFIX_BYTES,
} as const satisfies Record<LogRecord["kind"], number>;

/** Bytes of a record in a body. */
export function recordBytes(record: LogRecord): number {
  return FIXED_BYTES[record.kind] + variablePart(record).length;
}

const NOTHING = new Uint8Array(0);

function variablePart(record: LogRecord): Uint8Array {
  if (record.kind === "entry") return record.payload;
  return record.kind === "marker" ? record.configuration : NOTHING;
}

/** Writes a record at `bytes[at]`; returns the place behind it. */
export function encodeRecord(data: ByteView, at: number, record: LogRecord): number {
  const variable = variablePart(record);
  const variableAt = encodeFixedPart(data, at, record);
  data.bytes.set(variable, variableAt);
  return variableAt + variable.length;
}

/** Writes what comes before a record's variable part; returns the place behind it. */
export function encodeFixedPart(data: ByteView, at: number, record: LogRecord): number {
  data.setU32(at, KIND_BYTES[record.kind] | detailOf(record) << 8);
  data.setU32(at + 4, variablePart(record).length);
  const fixedAt = at + PREFIX_BYTES;
  switch (record.kind) {
    case "entry":
    case "truncate":
      writePoint(data, fixedAt, record.point);
      break;
    case "hard_state":
      data.setU53(fixedAt, record.hardState.term);
      data.setU53(fixedAt + 8, record.hardState.vote);
      data.setU53(fixedAt + 16, record.hardState.commit);
      break;
    case "marker":
      writePoint(data, fixedAt, record.point);
      data.setU53(fixedAt + POINT_BYTES, record.generation);
      break;
    case "head":
      data.bytes.set(record.identity.clusterId, fixedAt);
      data.bytes.set(record.identity.incarnation, fixedAt + ID_BYTES);
      data.setU53(fixedAt + 2 * ID_BYTES, record.identity.nodeId);
      data.setU53(fixedAt + 2 * ID_BYTES + 8, record.sizeBytes);
      writePoint(data, fixedAt + 2 * ID_BYTES + 16, record.previous);
      break;
    case "sealed":
      break;
    default:
      unreachable(record);
  }
  return at + FIXED_BYTES[record.kind];
}

function detailOf(record: LogRecord): number {
  if (record.kind === "entry") return ENTRY_KINDS.indexOf(record.entryKind);
  if (record.kind === "marker") return record.isReset ? 1 : 0;
  return record.kind === "head" ? FORMAT_VERSION : 0;
}

/**
 * The records in `[from, to)`; payloads and configurations are views.
 * @throws {LogDamageError} for what this version never wrote, although its checksum matched.
 */
export function decodeRecords(
  data: ByteView,
  range: { readonly from: number; readonly to: number },
  place: LogPlace,
): readonly LogRecord[] {
  const records: LogRecord[] = [];
  let at = range.from;
  while (at < range.to) {
    const kind = at + PREFIX_BYTES <= range.to ? RECORD_KINDS[data.bytes[at] as number] : undefined;
    if (kind === undefined) throw new LogDamageError("damaged", place, "unknown kind of record");
    const variableAt = at + FIXED_BYTES[kind];
    const end = variableAt + data.u32(at + 4);
    if (end > range.to) {
      throw new LogDamageError("damaged", place, "a record passes its frame's end");
    }
    const record = decodeRecord(data, { kind, at, variableAt, end });
    if (typeof record === "string") throw new LogDamageError("damaged", place, record);
    records.push(record);
    at = end;
  }
  return records;
}

const RECORD_KINDS: readonly (LogRecord["kind"] | undefined)[] = [
  undefined,
  "entry",
  "hard_state",
  "truncate",
  "marker",
  "head",
  "sealed",
];

/** Returns the record, or what is wrong with it. */
function decodeRecord(
  data: ByteView,
  range: {
    readonly kind: LogRecord["kind"];
    readonly at: number;
    readonly variableAt: number;
    readonly end: number;
  },
): LogRecord | string {
  const detail = data.bytes[range.at + 1] as number;
  const fixedAt = range.at + PREFIX_BYTES;
  switch (range.kind) {
    case "entry": {
      const entryKind = ENTRY_KINDS[detail];
      if (entryKind === undefined) return `unknown kind of entry: ${detail}`;
      const payload = data.bytes.subarray(range.variableAt, range.end);
      return { kind: "entry", point: readPoint(data, fixedAt), entryKind, payload };
    }
    case "hard_state": {
      const vote = nodeId(data.u53(fixedAt + 8));
      const commit = logIndex(data.u53(fixedAt + 16));
      return {
        kind: "hard_state",
        hardState: { term: term(data.u53(fixedAt)), vote, commit },
      };
    }
    case "truncate":
      return { kind: "truncate", point: readPoint(data, fixedAt) };
    case "marker":
      return {
        kind: "marker",
        isReset: detail === 1,
        point: readPoint(data, fixedAt),
        generation: data.u53(fixedAt + POINT_BYTES),
        // Kept for long: a view would hold the whole segment in memory.
        configuration: data.bytes.slice(range.variableAt, range.end),
      };
    case "head":
      if (detail !== FORMAT_VERSION) return `format version ${detail}, this is ${FORMAT_VERSION}`;
      return decodeHead(data, fixedAt);
    case "sealed":
      return { kind: "sealed" };
    default:
      return unreachable(range.kind);
  }
}

function decodeHead(
  data: ByteView,
  at: number,
): HeadRecord {
  const identity = {
    clusterId: data.bytes.slice(at, at + ID_BYTES),
    incarnation: data.bytes.slice(at + ID_BYTES, at + 2 * ID_BYTES),
    nodeId: data.u53(at + 2 * ID_BYTES),
  };
  const sizeBytes = data.u53(at + 2 * ID_BYTES + 8);
  return { kind: "head", identity, sizeBytes, previous: readPoint(data, at + 2 * ID_BYTES + 16) };
}

function writePoint(data: ByteView, at: number, point: LogPoint): void {
  data.setU53(at, point.index);
  data.setU53(at + 8, point.term);
  data.setU32(at + 16, point.chain.high);
  data.setU32(at + 20, point.chain.low);
}

function readPoint(data: ByteView, at: number): LogPoint {
  const index = logIndex(data.u53(at));
  const chain = { high: data.u32(at + 16), low: data.u32(at + 20) };
  return { index, term: term(data.u53(at + 8)), chain };
}
