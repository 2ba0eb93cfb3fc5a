/**
 * How a cluster began: all that makes its first state, entry 1 of term 1. Each state keeps it, so that
 * whoever joins makes the very same first state and continues the log from there.
 *
 *   u8 version = 1 | u8 flags (1: foreign keys) | f64 soft limit in steps |
 *   u32 length, the engine's configuration | the rest: the member table
 *
 * Little-endian. Frozen: it is in states and goes between nodes.
 */
import { LITTLE_ENDIAN } from "./command_format.ts";
import { decodeMemberTable, encodeMemberTable, type MemberTable } from "./member_table.ts";

/** The first state's content beside the cluster id. */
export interface Genesis {
  /** The engine's configuration, in its own encoding. */
  readonly configuration: Uint8Array;
  readonly members: MemberTable;
  /** Replicated settings, as they were then. */
  readonly foreignKeys: boolean;
  readonly softLimitSteps: number;
}

const VERSION = 1;
const HEAD_BYTES = 14;
const FLAG_FOREIGN_KEYS = 1;

/** The bytes of a genesis. */
export function encodeGenesis(genesis: Genesis): Uint8Array<ArrayBuffer> {
  const { configuration } = genesis;
  const members = encodeMemberTable(genesis.members);
  const bytes = new Uint8Array(HEAD_BYTES + configuration.length + members.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = VERSION;
  bytes[1] = genesis.foreignKeys ? FLAG_FOREIGN_KEYS : 0;
  view.setFloat64(2, genesis.softLimitSteps, LITTLE_ENDIAN);
  view.setUint32(10, configuration.length, LITTLE_ENDIAN);
  bytes.set(configuration, HEAD_BYTES);
  bytes.set(members, HEAD_BYTES + configuration.length);
  return bytes;
}

/** The genesis in `bytes`; undefined when they are not one of this version. */
export function decodeGenesis(bytes: Uint8Array): Genesis | undefined {
  if (bytes.length < HEAD_BYTES || bytes[0] !== VERSION) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const softLimitSteps = view.getFloat64(2, LITTLE_ENDIAN);
  const end = HEAD_BYTES + view.getUint32(10, LITTLE_ENDIAN);
  if (end > bytes.length || !Number.isSafeInteger(softLimitSteps)) return undefined;
  const members = decodeMemberTable(bytes.subarray(end));
  if (members === undefined) return undefined;
  const foreignKeys = bytes[1] === FLAG_FOREIGN_KEYS;
  return { configuration: bytes.slice(HEAD_BYTES, end), members, foreignKeys, softLimitSteps };
}
