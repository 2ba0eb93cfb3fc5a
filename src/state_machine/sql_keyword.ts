/**
 * The first word of a statement, past blanks, comments and semicolons. By hand and linear: a regular
 * expression over comments would backtrack. It only sorts statements that SQLite has already parsed,
 * or refused; nothing is allowed because of it.
 */

/** First words of statements that change rows. */
export const DML_KEYWORDS: ReadonlySet<string> = new Set([
  "INSERT",
  "UPDATE",
  "DELETE",
  "REPLACE",
  "WITH",
]);

const WORD = /[A-Za-z]{1,16}/y;

/** In upper case; empty when the text begins with something else. */
export function firstKeyword(sql: string): string {
  WORD.lastIndex = skipBlank(sql);
  return WORD.exec(sql)?.[0].toUpperCase() ?? "";
}

function skipBlank(sql: string): number {
  let at = 0;
  while (at < sql.length) {
    const code = sql.charCodeAt(at);
    if (code <= 0x20 || code === 0x3b || code === 0xfeff) at++;
    else if (sql.startsWith("--", at)) at = behind(sql, sql.indexOf("\n", at), 1);
    else if (sql.startsWith("/*", at)) at = behind(sql, sql.indexOf("*/", at + 2), 2);
    else return at;
  }
  return at;
}

function behind(sql: string, found: number, length: number): number {
  return found < 0 ? sql.length : found + length;
}
