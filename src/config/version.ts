/**
 * Which Dust this is. One number for the executable, /status and the shell; CHANGELOG.md says what
 * each brought. Facts of the process (runtime, processor) are passed in, since this is pure.
 */

/** The version of this source tree. */
export const DUST_VERSION = "0.1.0";

/** What the version line shows beside the version; `Deno.build` and `Deno.version` have it all. */
export interface RuntimeFacts {
  readonly os: string;
  readonly arch: string;
  readonly deno: string;
  readonly v8: string;
  readonly sqlite: string;
}

/** One line, in the shape of rqlited's: `dust 0.1.0 linux x86_64 deno2.9.6 sqlite3.53.2 (v8 15.0)`. */
export function versionLine(facts: RuntimeFacts): string {
  const { os, arch, deno, sqlite, v8 } = facts;
  return `dust ${DUST_VERSION} ${os} ${arch} deno${deno} sqlite${sqlite} (v8 ${v8})`;
}
