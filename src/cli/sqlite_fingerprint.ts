/**
 * What decides how SQL computes, in a line of text: two nodes of one cluster must have the same (rule Q16).
 * The version of the runtime is part of it, since functions of mathematics are V8's (rule Q2), and so are
 * our own limits and policy, which are constants of the build (fault S30).
 */
import { crc32c } from "../base/crc32c.ts";
import type { Library } from "../sqlite/library.ts";
import { recipeHash } from "../sqlite/pinned_build.ts";
import { meaningDigest } from "../state_machine/meaning.ts";
import { makeFingerprint } from "../transport/fingerprint.ts";

/** The line for a library in this runtime. */
export function sqliteFingerprint(library: Library): string {
  const options = [...library.compileOptions].sort().join("\n");
  const build = library.isPinned ? `pinned ${recipeHash().slice(0, 12)}` : "system";
  const hash = crc32c(new TextEncoder().encode(options)).toString(16).padStart(8, "0");
  const sqlite = `SQLite ${library.versionNumber} (${build}, options ${hash})`;
  return makeFingerprint({ engine: `${sqlite}, V8 ${Deno.version.v8}`, rules: meaningDigest() });
}
