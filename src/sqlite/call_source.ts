/**
 * C for the calls of SQLite that come back into JavaScript: to functions, the authorizer, the progress handler.
 *
 * V8 ends the process ("Lazy deopt after a fast API call with return value is unsupported", denoland/deno
 * #31122) when what such a callback does takes away what the calling function was optimized on, and the call
 * has a result to give back to it. So these give nothing back: the result goes to memory.
 */

/** Goes behind the amalgamation. */
export const CALL_SOURCE = `
void dust_step(sqlite3_stmt *pStmt, int *pCode){
  *pCode = sqlite3_step(pStmt);
}

void dust_prepare(sqlite3 *db, const char *zSql, int nByte, unsigned int flags,
                  sqlite3_stmt **ppStmt, const char **pzTail, int *pCode){
  *pCode = sqlite3_prepare_v3(db, zSql, nByte, flags, ppStmt, pzTail);
}
`;
