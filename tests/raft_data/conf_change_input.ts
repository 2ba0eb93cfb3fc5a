/**
 * Configuration changes as the files write them: tokens such as `v3 l4 r1 u2`.
 */
import { nodeId } from "../../src/base/ids.ts";
import type {
  ConfChange,
  ConfChangeSingle,
  ConfChangeTransition,
  ConfChangeType,
} from "../../src/raft/conf_change.ts";
import { OutputError } from "./ready_handling.ts";
import { type Argument, parseBoolean, parseNumber, ScriptError } from "./script.ts";

const TYPES: Readonly<Record<string, ConfChangeType>> = {
  v: "add_voter",
  l: "add_learner",
  r: "remove",
  u: "update",
};

const TRANSITIONS: Readonly<Record<string, ConfChangeTransition>> = {
  auto: "auto",
  implicit: "implicit",
  explicit: "explicit",
};

/** The changes in `input`. @throws {OutputError} for a token that is none. */
export function parseChanges(input: string): readonly ConfChangeSingle[] {
  if (input === "") return [];
  return input.split(" ").map((token) => {
    if (token.length < 2) throw new OutputError(`unknown token ${token}`);
    const type = TYPES[token[0] as string];
    if (type === undefined) throw new OutputError(`unknown input: ${token}`);
    return { type, nodeId: nodeId(parseNumber(token.slice(1))) };
  });
}

/** The change of a `propose-conf-change` command. @throws {OutputError} as the files expect. */
export function parseConfChange(args: readonly Argument[], input: string): ConfChange {
  let form: ConfChange["form"] = "joint";
  let transition: ConfChangeTransition = "auto";
  for (const { key, values } of args) {
    const value = values[0];
    if (key === "v1") form = parseBoolean(value) ? "single" : "joint";
    else if (key === "transition") transition = parseTransition(value);
    else throw new OutputError(`unknown command ${key}`);
  }
  const changes = parseChanges(input);
  if (form === "single" && (changes.length !== 1 || transition !== "auto")) {
    throw new OutputError("v1 conf change can only have one operation and no transition");
  }
  return { form, transition, changes, context: new Uint8Array(0) };
}

function parseTransition(value: string | undefined): ConfChangeTransition {
  if (value === undefined) throw new ScriptError("transition needs a value");
  const transition = TRANSITIONS[value];
  if (transition === undefined) throw new OutputError(`unknown transition ${value}`);
  return transition;
}
