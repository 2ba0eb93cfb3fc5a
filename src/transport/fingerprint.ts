/**
 * The line of text by which a node says how it computes, and which lines fit (rule Q16):
 * `SQLite 3.53.2 (...), V8 15.0; rules 0123456789ab`. What stands before the semicolon the operator can
 * let differ (`--allow-unpinned-sqlite`); Dust's own rules and limits behind it never, since entries then
 * have other results on other members.
 */

const RULES = "; rules ";

/** The line for an engine, in words, and the digest of what Dust adds to it. */
export function makeFingerprint(
  parts: { readonly engine: string; readonly rules: string },
): string {
  return `${parts.engine}${RULES}${parts.rules}`;
}

/** Whether nodes with these two lines may work on one log. */
export function isFittingFingerprint(
  theirs: string,
  options: { readonly ours: string; readonly allowsOtherSqlite: boolean },
): boolean {
  const { ours, allowsOtherSqlite } = options;
  return theirs === ours || (allowsOtherSqlite && rulesOf(theirs) === rulesOf(ours));
}

/** What to do about lines that do not fit. */
export function fingerprintRemedy(theirs: string, ours: string): string {
  return rulesOf(theirs) === rulesOf(ours)
    ? "run the same build, or all with --allow-unpinned-sqlite"
    : "run the same build of Dust on all nodes";
}

function rulesOf(fingerprint: string): string | undefined {
  const at = fingerprint.lastIndexOf(RULES);
  return at < 0 ? undefined : fingerprint.slice(at + RULES.length);
}
