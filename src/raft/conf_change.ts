/**
 * A change of the configuration as a log entry says it, and its bytes (the payload of `conf_change`).
 * Bytes: version u8 = 1 | form u8 | transition u8 | count u16 LE | count x (type u8, node id u64 LE) |
 * context (all that is left). Frozen: they are in logs. What a change does: configuration_changer.ts.
 */
import { assert } from "../base/assert.ts";
import { type NodeId, nodeId } from "../base/ids.ts";

/** `update` changes nothing in the engine; it carries a context through the log. */
export type ConfChangeType = "add_voter" | "add_learner" | "remove" | "update";

/** One member's change. Id 0 is ignored. Applied in order; repeating one has no effect. */
export interface ConfChangeSingle {
  readonly type: ConfChangeType;
  readonly nodeId: NodeId;
}

/**
 * How a joint configuration is entered and left. `auto`: only if more than one member changes, and left
 * by the leader itself; `implicit`: always entered, left by the leader; `explicit`: left by an empty change.
 */
export type ConfChangeTransition = "auto" | "implicit" | "explicit";

/** A change as a whole. All that concerns members happens at once when its entry is applied. */
export interface ConfChange {
  /** `single` is the older form with exactly one member; both do the same. Dust writes `joint`. */
  readonly form: "single" | "joint";
  readonly transition: ConfChangeTransition;
  /** Empty, with `auto`: leave the joint configuration. */
  readonly changes: readonly ConfChangeSingle[];
  /** The driver's own bytes, such as names and addresses of the members. Not read by the engine. */
  readonly context: Uint8Array;
}

const NO_CONTEXT = new Uint8Array(0);

/** The change that leaves a joint configuration. */
export const LEAVE_JOINT: ConfChange = {
  form: "joint",
  transition: "auto",
  changes: [],
  context: NO_CONTEXT,
};

/** Whether `change` leaves a joint configuration. */
export function isLeaveJoint(change: ConfChange): boolean {
  return change.changes.length === 0 && change.transition === "auto";
}

/** Whether `change` passes through a joint configuration, rather than changing one member at once. */
export function isEnterJoint(change: ConfChange): boolean {
  return change.transition !== "auto" || change.changes.length > 1;
}

/** Whether the joint configuration that `change` enters is left by the leader itself. */
export function isAutoLeave(change: ConfChange): boolean {
  return isEnterJoint(change) && change.transition !== "explicit";
}

const VERSION = 1;
const LITTLE_ENDIAN = true;
const HEAD_BYTES = 5;
const SINGLE_BYTES = 9;
const CHANGES_MAX = 65_535;
// Positions are codes on disk: never reorder.
const FORMS = ["joint", "single"] as const;
const TRANSITIONS = ["auto", "implicit", "explicit"] as const;
const TYPES = ["add_voter", "add_learner", "remove", "update"] as const;

/** The bytes of a change. */
export function encodeConfChange(change: ConfChange): Uint8Array {
  const { changes, context } = change;
  assert(changes.length <= CHANGES_MAX, "encodeConfChange: too many changes");
  const contextAt = HEAD_BYTES + changes.length * SINGLE_BYTES;
  const bytes = new Uint8Array(contextAt + context.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = VERSION;
  bytes[1] = FORMS.indexOf(change.form);
  bytes[2] = TRANSITIONS.indexOf(change.transition);
  view.setUint16(3, changes.length, LITTLE_ENDIAN);
  changes.forEach((single, i) => {
    bytes[HEAD_BYTES + i * SINGLE_BYTES] = TYPES.indexOf(single.type);
    view.setBigUint64(HEAD_BYTES + i * SINGLE_BYTES + 1, BigInt(single.nodeId), LITTLE_ENDIAN);
  });
  bytes.set(context, contextAt);
  return bytes;
}

/** The change in `bytes`, its context a view of them; undefined when they are not a change of this version. */
export function decodeConfChange(bytes: Uint8Array): ConfChange | undefined {
  if (bytes.length < HEAD_BYTES || bytes[0] !== VERSION) return undefined;
  const form = FORMS[bytes[1] as number];
  const transition = TRANSITIONS[bytes[2] as number];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const contextAt = HEAD_BYTES + view.getUint16(3, LITTLE_ENDIAN) * SINGLE_BYTES;
  if (form === undefined || transition === undefined || bytes.length < contextAt) return undefined;
  const changes: ConfChangeSingle[] = [];
  for (let at = HEAD_BYTES; at < contextAt; at += SINGLE_BYTES) {
    const type = TYPES[bytes[at] as number];
    const id = Number(view.getBigUint64(at + 1, LITTLE_ENDIAN));
    if (type === undefined || !Number.isSafeInteger(id)) return undefined;
    changes.push({ type, nodeId: nodeId(id) });
  }
  return { form, transition, changes, context: bytes.subarray(contextAt) };
}
