/**
 * What SQL means to this build besides SQLite itself, as one digest: the bounds of replicated_limits.ts,
 * the policy for functions, pragmas, modules and actions, the functions that are replaced, the version
 * of apply. Nodes compare it in the handshake (rule Q16): where it differs, the same entry can have
 * another result, and no flag of theirs makes that safe.
 */
import { createHash } from "node:crypto";
import { APPLY_VERSION, ELAPSED_MS_MAX } from "../command/command_format.ts";
import { FROZEN_NAMES } from "./frozen_functions.ts";
import * as limits from "./replicated_limits.ts";
import {
  ACTION_RULES,
  ALLOWED_MODULES,
  FUNCTION_RULES,
  LOCAL_MODULES,
  PRAGMA_RULES,
} from "./sql_policy.ts";

const DIGEST_LENGTH = 12;

/** All that the digest covers, by name. */
export const MEANING: Readonly<Record<string, unknown>> = {
  applyVersion: APPLY_VERSION,
  elapsedMsMax: ELAPSED_MS_MAX,
  // All exports, so that a new bound cannot be forgotten.
  limits: { ...limits },
  functions: Object.fromEntries(FUNCTION_RULES),
  pragmas: Object.fromEntries(PRAGMA_RULES),
  actions: ACTION_RULES,
  allowedModules: [...ALLOWED_MODULES].sort(),
  localModules: [...LOCAL_MODULES].sort(),
  replaced: [...FROZEN_NAMES].sort(),
};

/** 12 hexadecimal digits; the same for equal content, in whatever order it is written down. */
export function meaningDigest(meaning: Readonly<Record<string, unknown>> = MEANING): string {
  const text = JSON.stringify(meaning, (_, value: unknown) => sortedByName(value));
  return createHash("sha256").update(text).digest("hex").slice(0, DIGEST_LENGTH);
}

function sortedByName(value: unknown): unknown {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.sort(([one], [other]) => one < other ? -1 : 1));
}
