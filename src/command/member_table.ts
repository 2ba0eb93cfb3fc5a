/**
 * The members of a cluster as rows: who has which number, under which name and where (rule M1). The
 * context of a configuration change holds the rows that it puts; with the state goes the table as a whole.
 *
 *   u8 version = 1 | u64 next node id (0 in a context) | u16 count | per row, ids ascending:
 *   u64 node id | u8 flags (1: read only) | 16 bytes incarnation | name, Raft address, API URL,
 *   each u16 length and UTF-8
 *
 * Little-endian. Frozen: it is in logs and states. Not here: who votes (raft/configuration.ts).
 */
import { assert } from "../base/assert.ts";
import { LITTLE_ENDIAN } from "./command_format.ts";

/** One member. */
export interface MemberRow {
  /** The engine's number, at least 1, never reused. */
  readonly nodeId: number;
  /** 16 bytes, born with the member's data directory: a wiped or copied directory is told by it. */
  readonly incarnation: Uint8Array;
  /** `--node-id`; a label, unique among the members. */
  readonly name: string;
  /** `host:port` for peers. */
  readonly raftAddress: string;
  /** `http://host:port` for clients. */
  readonly apiUrl: string;
  /** Whether it stays a learner (`--raft-non-voter`). */
  readonly isReadOnly: boolean;
}

/** All members, ids ascending. */
export interface MemberTable {
  /** What the next joiner gets; past all ids that were ever given. */
  readonly nextNodeId: number;
  readonly members: readonly MemberRow[];
}

/** Bytes of an incarnation, and of a cluster id. */
export const INCARNATION_BYTES = 16;

/** Nobody yet. */
export const NO_MEMBERS: MemberTable = { nextNodeId: 1, members: [] };

const VERSION = 1;
const HEAD_BYTES = 11;
const ROW_BYTES_MIN = 8 + 1 + INCARNATION_BYTES + 3 * 2;
const FLAG_READ_ONLY = 1;
const TEXT_BYTES_MAX = 65_535;
const UTF8 = new TextEncoder();

/** The bytes of a table. */
export function encodeMemberTable({ nextNodeId, members }: MemberTable): Uint8Array<ArrayBuffer> {
  const texts = members.map((row) =>
    [row.name, row.raftAddress, row.apiUrl].map((text) => UTF8.encode(text))
  );
  const textBytes = texts.flat().reduce((size, text) => size + text.length, 0);
  const bytes = new Uint8Array(HEAD_BYTES + members.length * ROW_BYTES_MIN + textBytes);
  const view = new DataView(bytes.buffer);
  bytes[0] = VERSION;
  view.setBigUint64(1, BigInt(nextNodeId), LITTLE_ENDIAN);
  view.setUint16(9, members.length, LITTLE_ENDIAN);
  let at = HEAD_BYTES;
  members.forEach((row, place) => {
    assert(row.incarnation.length === INCARNATION_BYTES, "encodeMemberTable: incarnation");
    view.setBigUint64(at, BigInt(row.nodeId), LITTLE_ENDIAN);
    bytes[at + 8] = row.isReadOnly ? FLAG_READ_ONLY : 0;
    bytes.set(row.incarnation, at + 9);
    at += 9 + INCARNATION_BYTES;
    for (const text of texts[place] ?? []) {
      assert(text.length <= TEXT_BYTES_MAX, "encodeMemberTable: a text is too long");
      view.setUint16(at, text.length, LITTLE_ENDIAN);
      bytes.set(text, at + 2);
      at += 2 + text.length;
    }
  });
  return bytes;
}

/** The table in `bytes`, nothing of it shared; undefined when they are not one of this version. */
export function decodeMemberTable(bytes: Uint8Array): MemberTable | undefined {
  if (bytes.length < HEAD_BYTES || bytes[0] !== VERSION) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const nextNodeId = Number(view.getBigUint64(1, LITTLE_ENDIAN));
  const count = view.getUint16(9, LITTLE_ENDIAN);
  if (!Number.isSafeInteger(nextNodeId)) return undefined;
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const members: MemberRow[] = [];
  let at = HEAD_BYTES;
  const text = (): string => {
    const size = view.getUint16(at, LITTLE_ENDIAN);
    const end = at + 2 + size;
    if (end > bytes.length) throw new RangeError("text");
    const decoded = utf8.decode(bytes.subarray(at + 2, end));
    at = end;
    return decoded;
  };
  try {
    for (let place = 0; place < count; place++) {
      const nodeId = Number(view.getBigUint64(at, LITTLE_ENDIAN));
      if (!Number.isSafeInteger(nodeId) || nodeId <= (members.at(-1)?.nodeId ?? 0)) {
        return undefined;
      }
      const isReadOnly = view.getUint8(at + 8) === FLAG_READ_ONLY;
      const incarnation = bytes.slice(at + 9, at + 9 + INCARNATION_BYTES);
      at += 9 + INCARNATION_BYTES;
      const [name, raftAddress, apiUrl] = [text(), text(), text()];
      members.push({ nodeId, incarnation, name, raftAddress, apiUrl, isReadOnly });
    }
  } catch (error) {
    // Shorter than it says, or not UTF-8.
    if (error instanceof RangeError || error instanceof TypeError) return undefined;
    throw error;
  }
  return at === bytes.length ? { nextNodeId, members } : undefined;
}

/** The table behind a change: rows put, rows of those who are no members any more gone. */
export function changeMembers(
  table: MemberTable,
  change: { readonly put: readonly MemberRow[]; readonly memberIds: readonly number[] },
): MemberTable {
  const ids = new Set(change.memberIds);
  const rows = new Map(table.members.map((row) => [row.nodeId, row]));
  for (const row of change.put) rows.set(row.nodeId, row);
  const members = [...rows.values()].filter(({ nodeId }) => ids.has(nodeId))
    .sort((left, right) => left.nodeId - right.nodeId);
  const highest = Math.max(0, ...change.memberIds, ...change.put.map(({ nodeId }) => nodeId));
  return { nextNodeId: Math.max(table.nextNodeId, highest + 1), members };
}

/** Whether two ids of 16 bytes are the same. */
export function isSameIdentity(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}
