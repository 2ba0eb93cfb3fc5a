/**
 * `dust --version`: the version line of this very process.
 */
import { versionLine } from "../config/version.ts";
import { SOURCE } from "../sqlite/pinned_build.ts";

/** Without a newline. The SQLite named is the pinned one, which a node says when it runs on another. */
export function processVersion(): string {
  return versionLine({
    os: Deno.build.os,
    arch: Deno.build.arch,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    sqlite: SOURCE.sqliteVersion,
  });
}
