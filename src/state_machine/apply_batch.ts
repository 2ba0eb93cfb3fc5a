/**
 * A batch of log entries on its way to the writer thread: one buffer, transferred, not cloned.
 *
 *    0  f64  count of entries
 *    8  per entry ten f64: index | term | is it a command | format (-1: nobody waits) |
 *       payload from | to | configuration from | to | member table from | to (both 0: none)
 *    behind them the bytes that these offsets point at, from the start of the buffer
 *
 * It never leaves the process, so the byte order is the machine's, and nothing is checked but by
 * assertion.
 */
import { assert } from "../base/assert.ts";
import { LARGE_PIECE_BYTES } from "../base/limits.ts";
import type { ApplyEntry } from "../node/ports.ts";

const FIELDS = 10;
const FIELD_BYTES = 8;
const HEAD_FIELDS = 1;
const FIELD = {
  index: 0,
  term: 1,
  isCommand: 2,
  format: 3,
  from: 4,
  to: 5,
  configurationFrom: 6,
  configurationTo: 7,
  membersFrom: 8,
  membersTo: 9,
} as const;
const NOBODY = -1;
const NOTHING = new Uint8Array(0);

/** Packs entries; their bytes are copied. @returns a buffer to transfer. */
export function packBatch(entries: readonly ApplyEntry[]): ArrayBuffer {
  let size = (HEAD_FIELDS + entries.length * FIELDS) * FIELD_BYTES;
  const contentFrom = size;
  for (const { payload, configuration, members } of entries) {
    size += payload.length + (configuration?.length ?? 0) + (members?.length ?? 0);
  }
  const buffer = new ArrayBuffer(size);
  const fields = new Float64Array(buffer, 0, contentFrom / FIELD_BYTES);
  const bytes = new Uint8Array(buffer);
  fields[0] = entries.length;
  let at = contentFrom;
  let field = HEAD_FIELDS;
  for (const entry of entries) {
    const { payload, configuration, members } = entry;
    bytes.set(payload, at);
    fields[field + FIELD.index] = entry.index;
    fields[field + FIELD.term] = entry.term;
    fields[field + FIELD.isCommand] = entry.kind === "normal" && payload.length > 0 ? 1 : 0;
    fields[field + FIELD.format] = entry.format ?? NOBODY;
    fields[field + FIELD.from] = at;
    fields[field + FIELD.to] = at + payload.length;
    at += payload.length;
    if (configuration !== undefined) {
      bytes.set(configuration, at);
      fields[field + FIELD.configurationFrom] = at;
      fields[field + FIELD.configurationTo] = at + configuration.length;
      at += configuration.length;
    }
    if (members !== undefined) {
      bytes.set(members, at);
      fields[field + FIELD.membersFrom] = at;
      fields[field + FIELD.membersTo] = at + members.length;
      at += members.length;
    }
    field += FIELDS;
  }
  return buffer;
}

/** As `packBatch`, for one large entry: copied in pieces, with a `pause` behind each. */
export async function packLargeEntry(
  entry: ApplyEntry,
  pause: () => Promise<void>,
): Promise<ArrayBuffer> {
  const { payload } = entry;
  const head = new Uint8Array(packBatch([{ ...entry, payload: NOTHING }]));
  const buffer = new ArrayBuffer(head.length + payload.length);
  const bytes = new Uint8Array(buffer);
  bytes.set(head);
  const fields = new Float64Array(buffer, 0, HEAD_FIELDS + FIELDS);
  fields[HEAD_FIELDS + FIELD.isCommand] = entry.kind === "normal" ? 1 : 0;
  fields[HEAD_FIELDS + FIELD.from] = head.length;
  fields[HEAD_FIELDS + FIELD.to] = buffer.byteLength;
  for (let from = 0; from < payload.length; from += LARGE_PIECE_BYTES) {
    bytes.set(payload.subarray(from, from + LARGE_PIECE_BYTES), head.length + from);
    await pause();
  }
  return buffer;
}

/** A packed batch as the writer reads it. Entries are numbered from 0. */
export class ApplyBatch {
  readonly count: number;
  /** All of the buffer, which payload ranges point into. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #fields: Float64Array;

  constructor(buffer: ArrayBuffer) {
    this.bytes = new Uint8Array(buffer);
    this.count = new Float64Array(buffer, 0, HEAD_FIELDS)[0] ?? 0;
    this.#fields = new Float64Array(buffer, 0, HEAD_FIELDS + this.count * FIELDS);
  }

  index(entry: number): number {
    return this.#field(entry, FIELD.index);
  }

  term(entry: number): number {
    return this.#field(entry, FIELD.term);
  }

  /** False for a leader's no-op and for a change of the configuration. */
  isCommand(entry: number): boolean {
    return this.#field(entry, FIELD.isCommand) === 1;
  }

  /** Undefined when nobody waits. */
  format(entry: number): number | undefined {
    const format = this.#field(entry, FIELD.format);
    return format === NOBODY ? undefined : format;
  }

  /** The payload is the bytes `[from, to)`. */
  from(entry: number): number {
    return this.#field(entry, FIELD.from);
  }

  to(entry: number): number {
    return this.#field(entry, FIELD.to);
  }

  /** A view, or undefined when there is none. */
  configuration(entry: number): Uint8Array | undefined {
    const from = this.#field(entry, FIELD.configurationFrom);
    return from === 0
      ? undefined
      : this.bytes.subarray(from, this.#field(entry, FIELD.configurationTo));
  }

  /** The member table behind the entry: a view, or undefined when there is none. */
  members(entry: number): Uint8Array | undefined {
    const from = this.#field(entry, FIELD.membersFrom);
    return from === 0 ? undefined : this.bytes.subarray(from, this.#field(entry, FIELD.membersTo));
  }

  #field(entry: number, field: number): number {
    const value = this.#fields[HEAD_FIELDS + entry * FIELDS + field];
    assert(value !== undefined, "ApplyBatch: no such entry");
    return value;
  }
}
