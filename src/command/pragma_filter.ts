/**
 * Pragmas that fail the whole request before anything runs (the wire contract, section 6.8): they
 * would change how the server itself keeps the file. Only the first statement of a string is looked
 * at, as the wire has it, but behind comments too and in the parenthesised form; the authorizer
 * refuses the rest, statement by statement.
 */

const DISALLOWED =
  /pragma\s+(?:\w+\s*\.\s*)?(?:wal_checkpoint\b|(?:journal_mode|wal_autocheckpoint|synchronous|query_only)\s*[=(])/iy;

/** Whether `sql` begins with a pragma that no client may use. Linear in the length of what it skips. */
export function findDisallowedPragma(sql: string): boolean {
  const at = skipBlankAndComments(sql);
  const first = sql.charCodeAt(at);
  if (first !== 0x70 && first !== 0x50) return false;
  DISALLOWED.lastIndex = at;
  return DISALLOWED.test(sql);
}

/** Where the first token begins. By hand: as one regular expression it would backtrack without bound. */
function skipBlankAndComments(sql: string): number {
  let at = 0;
  while (at < sql.length) {
    const code = sql.charCodeAt(at);
    if (code <= 0x20) at++;
    else if (code === 0x2d && sql.charCodeAt(at + 1) === 0x2d) at = after(sql.indexOf("\n", at), 1);
    else if (code === 0x2f && sql.charCodeAt(at + 1) === 0x2a) {
      at = after(sql.indexOf("*/", at + 2), 2);
    } else return at;
  }
  return sql.length;
}

function after(at: number, length: number): number {
  return at === -1 ? Number.MAX_SAFE_INTEGER : at + length;
}
