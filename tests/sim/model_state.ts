/**
 * The model of a replicated database: a register per key, and a digest over everything applied, so that two
 * states that differ anywhere differ in it. Also its bytes, with a checksum, and the bytes of commands.
 *
 * Command = header of a real one (command_format.ts), so that the node stamps and tells it apart | key
 * u32 | id u32 | weight u8 | fails u8 | padding. Ids are never used twice.
 */
import { assert } from "../../src/base/assert.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import { type EntryChain, entryChainText, nextEntryChain } from "../../src/base/entry_chain.ts";
import { type LogIndex, logIndex, type Term, term } from "../../src/base/ids.ts";
import { FORMAT_VERSION, HEADER_BYTES, KIND, OFFSET } from "../../src/command/command_format.ts";
import type { ApplyEntry, LogEntry } from "../../src/node/ports.ts";

/** What a register holds, and since which entry. */
export interface Register {
  readonly id: number;
  readonly index: LogIndex;
}

/** A state. Immutable but for `values`, which `applyEntry` copies on write. */
export interface ModelState {
  readonly index: LogIndex;
  readonly term: Term;
  readonly chain: EntryChain;
  /** The engine's configuration, encoded. */
  readonly configuration: Uint8Array;
  readonly digest: number;
  readonly values: ReadonlyMap<number, Register>;
  /** What has happened to it that no entry says: 0 for nothing. It goes where the state goes. */
  readonly taint: number;
}

/** How much work a command is: `heavy` ones may pass the soft limit, `endless` ones the hard one too. */
export type Weight = "light" | "heavy" | "endless";

const WEIGHTS: readonly Weight[] = ["light", "heavy", "endless"];

/** A write. */
export interface ModelCommand {
  readonly key: number;
  readonly id: number;
  readonly weight: Weight;
  /** Whether it ends in an error, which is a result like any other. */
  readonly fails: boolean;
}

const BODY_BYTES = 10;
const LITTLE_ENDIAN = true;

/** The bytes of a command, with `padding` bytes behind it. */
export function encodeModelCommand(command: ModelCommand, padding: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + BODY_BYTES + padding);
  const view = new DataView(bytes.buffer);
  bytes[OFFSET.formatVersion] = FORMAT_VERSION;
  bytes[OFFSET.kind] = KIND.execute;
  view.setUint32(HEADER_BYTES, command.key, LITTLE_ENDIAN);
  view.setUint32(HEADER_BYTES + 4, command.id, LITTLE_ENDIAN);
  bytes[HEADER_BYTES + 8] = WEIGHTS.indexOf(command.weight);
  bytes[HEADER_BYTES + 9] = command.fails ? 1 : 0;
  return bytes;
}

/** The command in an entry; undefined for all other entries. */
export function decodeModelCommand(
  entry: Pick<LogEntry, "kind" | "payload">,
): ModelCommand | undefined {
  const { kind, payload } = entry;
  if (kind !== "normal" || payload.length < HEADER_BYTES + BODY_BYTES) return undefined;
  if (payload[OFFSET.kind] !== KIND.execute) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  if (view.getUint32(OFFSET.statementCount, LITTLE_ENDIAN) > 0) {
    // One in SQL (sql_commands.ts).
    const id = view.getUint32(payload.length - 4, LITTLE_ENDIAN);
    return { key: 0, id, weight: "light", fails: false };
  }
  return {
    key: view.getUint32(HEADER_BYTES, LITTLE_ENDIAN),
    id: view.getUint32(HEADER_BYTES + 4, LITTLE_ENDIAN),
    weight: WEIGHTS[payload[HEADER_BYTES + 8] as number] ?? "light",
    fails: payload[HEADER_BYTES + 9] === 1,
  };
}

/** What comes of an entry. `isVoid`: the log's verdict was to leave it out. */
export function applyEntry(
  state: ModelState,
  entry: Pick<ApplyEntry, "index" | "term" | "kind" | "payload" | "configuration">,
  options: { readonly isVoid: boolean },
): ModelState {
  const { index, term, payload } = entry;
  assert(index === state.index + 1, "applyEntry: not the next entry");
  const command = decodeModelCommand(entry);
  const chain = nextEntryChain(state.chain, { index, term, payload });
  let digest = Math.imul(state.digest ^ index, 0x01000193) ^ state.digest >>> 13;
  digest = Math.imul(digest ^ chain.low, 0x85ebca6b) ^ (options.isVoid ? 1 : 0);
  let { values } = state;
  if (command !== undefined && !command.fails && !options.isVoid) {
    const next = new Map(values);
    const old = next.get(command.key);
    digest = Math.imul(digest ^ command.id ^ (old?.id ?? 0) << 7, 0x01000193);
    next.set(command.key, { id: command.id, index });
    values = next;
  }
  const configuration = entry.configuration ?? state.configuration;
  return { index, term, chain, configuration, digest: digest >>> 0, values, taint: state.taint };
}

const HEAD_BYTES = 48;

/** The bytes of a state: CRC-32C u32 over the rest | length u32 | fields. Multiple of 512. */
export function encodeState(state: ModelState): Uint8Array {
  const { values, configuration, chain } = state;
  const length = HEAD_BYTES + configuration.length + values.size * 16;
  const bytes = new Uint8Array(Math.ceil(length / 512) * 512);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, length);
  view.setFloat64(8, state.index);
  view.setFloat64(16, state.term);
  view.setUint32(24, chain.high);
  view.setUint32(28, chain.low);
  view.setUint32(32, state.digest);
  view.setUint32(36, configuration.length);
  view.setUint32(40, values.size);
  view.setUint32(44, state.taint);
  bytes.set(configuration, HEAD_BYTES);
  let at = HEAD_BYTES + configuration.length;
  for (const [key, { id, index }] of values) {
    view.setUint32(at, key);
    view.setUint32(at + 4, id);
    view.setFloat64(at + 8, index);
    at += 16;
  }
  view.setUint32(0, crc32c(bytes, 0, 4, bytes.length));
  return bytes;
}

/** The state at `bytes[at]` and the bytes it takes; undefined when there is no whole one. */
export function decodeState(
  bytes: Uint8Array,
  at: number,
): { readonly state: ModelState; readonly sizeBytes: number } | undefined {
  if (at + 512 > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
  const length = view.getUint32(4);
  const sizeBytes = Math.ceil(length / 512) * 512;
  if (length < HEAD_BYTES || at + sizeBytes > bytes.length) return undefined;
  if (crc32c(bytes, 0, at + 4, at + sizeBytes) !== view.getUint32(0)) return undefined;
  const values = new Map<number, Register>();
  const configurationEnd = HEAD_BYTES + view.getUint32(36);
  for (let i = 0, place = configurationEnd; i < view.getUint32(40); i++, place += 16) {
    const index = logIndex(view.getFloat64(place + 8));
    values.set(view.getUint32(place), { id: view.getUint32(place + 4), index });
  }
  const state = {
    index: logIndex(view.getFloat64(8)),
    term: term(view.getFloat64(16)),
    chain: { high: view.getUint32(24), low: view.getUint32(28) },
    digest: view.getUint32(32),
    configuration: bytes.slice(at + HEAD_BYTES, at + configurationEnd),
    values,
    taint: view.getUint32(44),
  };
  return { state, sizeBytes };
}

/** Whether an entry says that a digest is to be taken behind it (rule V1). */
export function isCompareEntry({ kind, payload }: Pick<LogEntry, "kind" | "payload">): boolean {
  return kind === "normal" && payload.length >= HEADER_BYTES &&
    payload[OFFSET.kind] === KIND.compare;
}

/** As the ports want it. */
export function appliedOf(state: ModelState): {
  readonly index: LogIndex;
  readonly term: Term;
  readonly entryChain: string;
  readonly configuration: Uint8Array;
} {
  const { index, term, configuration } = state;
  return { index, term, entryChain: entryChainText(state.chain), configuration };
}
