/**
 * A configuration in the form that the engine asks questions of, its text, and its bytes.
 * Bytes: version u8 = 1 | autoLeave u8 | for voters, outgoing, learners, learners-next: count u16 LE,
 * count x id u64 LE. Frozen: they are in snapshots and log markers.
 * Invariants: lists ascend without repeats; no learner is an incoming voter; learners-next are outgoing voters.
 */
import { assert } from "../base/assert.ts";
import { type NodeId, nodeId } from "../base/ids.ts";
import type { ConfState } from "./types.ts";

/** A configuration without anybody. */
export const EMPTY_CONFIGURATION: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** A configuration of voters alone. */
export function votersOnly(ids: readonly number[]): ConfState {
  return { ...EMPTY_CONFIGURATION, voters: ascending(ids.map(nodeId)) };
}

/** Whether two majorities have to agree. */
export function isJoint(configuration: ConfState): boolean {
  return configuration.votersOutgoing.length > 0;
}

/** Whether `id` votes, in either half. */
export function isVoter(configuration: ConfState, id: NodeId): boolean {
  return configuration.voters.includes(id) || configuration.votersOutgoing.includes(id);
}

/** Voters of both halves, ascending. */
export function allVoters(configuration: ConfState): readonly NodeId[] {
  return ascending([...configuration.voters, ...configuration.votersOutgoing]);
}

/** All who receive the log, ascending. */
export function allMembers(configuration: ConfState): readonly NodeId[] {
  const { voters, votersOutgoing, learners, learnersNext } = configuration;
  return ascending([...voters, ...votersOutgoing, ...learners, ...learnersNext]);
}

/** The ids in order, each once. */
export function ascending(ids: Iterable<NodeId>): readonly NodeId[] {
  return [...new Set(ids)].sort((left, right) => left - right);
}

/** @throws {AssertionError} when lists contradict each other. */
export function assertConfiguration(configuration: ConfState): void {
  const { voters, votersOutgoing, learners, learnersNext } = configuration;
  for (const list of [voters, votersOutgoing, learners, learnersNext]) {
    assert(
      list.every((id, i) => id > 0 && (i === 0 || id > (list[i - 1] as NodeId))),
      "assertConfiguration: ids are not ascending",
    );
  }
  assert(
    !learners.some((id) => isVoter(configuration, id)),
    "assertConfiguration: a learner is a voter",
  );
  assert(
    learnersNext.every((id) => votersOutgoing.includes(id) && !voters.includes(id)),
    "assertConfiguration: a next learner is no outgoing voter",
  );
  assert(
    isJoint(configuration) || !configuration.autoLeave,
    "assertConfiguration: autoLeave without a joint configuration",
  );
}

/** Such as `voters=(1 2 4)&&(1 2 3) learners=(5) learners_next=(3) autoleave`; ids in hex. */
export function configurationText(configuration: ConfState): string {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = configuration;
  let text = `voters=${listText(voters)}`;
  if (isJoint(configuration)) text += `&&${listText(votersOutgoing)}`;
  if (learners.length > 0) text += ` learners=${listText(learners)}`;
  if (learnersNext.length > 0) text += ` learners_next=${listText(learnersNext)}`;
  return autoLeave ? `${text} autoleave` : text;
}

function listText(ids: readonly NodeId[]): string {
  return `(${ids.map((id) => id.toString(16)).join(" ")})`;
}

const VERSION = 1;
const LITTLE_ENDIAN = true;

/** The bytes of a configuration. */
export function encodeConfiguration(configuration: ConfState): Uint8Array {
  const { voters, votersOutgoing, learners, learnersNext } = configuration;
  const lists = [voters, votersOutgoing, learners, learnersNext];
  const bytes = new Uint8Array(lists.reduce((size, list) => size + 2 + list.length * 8, 2));
  const view = new DataView(bytes.buffer);
  bytes[0] = VERSION;
  bytes[1] = configuration.autoLeave ? 1 : 0;
  let at = 2;
  for (const list of lists) {
    view.setUint16(at, list.length, LITTLE_ENDIAN);
    at += 2;
    for (const id of list) {
      view.setBigUint64(at, BigInt(id), LITTLE_ENDIAN);
      at += 8;
    }
  }
  return bytes;
}

/** The configuration in `bytes`; undefined when they are not one of this version, or contradict themselves. */
export function decodeConfiguration(bytes: Uint8Array): ConfState | undefined {
  if (bytes.length < 2 || bytes[0] !== VERSION || (bytes[1] as number) > 1) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lists: NodeId[][] = [];
  let at = 2;
  for (let list = 0; list < 4; list++) {
    if (at + 2 > bytes.length) return undefined;
    const count = view.getUint16(at, LITTLE_ENDIAN);
    at += 2;
    if (at + count * 8 > bytes.length) return undefined;
    const ids: NodeId[] = [];
    for (const end = at + count * 8; at < end; at += 8) {
      const id = Number(view.getBigUint64(at, LITTLE_ENDIAN));
      if (!Number.isSafeInteger(id) || id <= (ids.at(-1) ?? 0)) return undefined;
      ids.push(nodeId(id));
    }
    lists.push(ids);
  }
  if (at !== bytes.length) return undefined;
  const [voters = [], votersOutgoing = [], learners = [], learnersNext = []] = lists;
  return { voters, votersOutgoing, learners, learnersNext, autoLeave: bytes[1] === 1 };
}
