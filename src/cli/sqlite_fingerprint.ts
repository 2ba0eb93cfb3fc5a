/**
 * What decides how SQL computes, in a line of text: two nodes of one cluster must have the same (rule Q16).
 * The version of the runtime is part of it, since functions of mathematics are V8's (rule Q2).
 */
import { crc32c } from "../base/crc32c.ts";
import type { Library } from "../sqlite/library.ts";
import { recipeHash } from "../sqlite/pinned_build.ts";

/** The line for a library in this runtime. */
export function sqliteFingerprint(library: Library): string {
  const options = [...library.compileOptions].sort().join("\n");
  const build = library.isPinned ? `pinned ${recipeHash().slice(0, 12)}` : "system";
  const hash = crc32c(new TextEncoder().encode(options)).toString(16).padStart(8, "0");
  return `SQLite ${library.versionNumber} (${build}, options ${hash}), V8 ${Deno.version.v8}`;
}
