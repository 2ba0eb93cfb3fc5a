/**
 * What the pinned libsqlite3 is made of: its source, our compile options, our patches, our digest.
 * `scripts/sqlite.ts` compiles it; the loader compares what it finds with `recipeHash`.
 *
 * Everything here changes what a statement computes, so everything here is in the hash. A patch that
 * does not match its source exactly once fails the build: an update of SQLite must look at each again.
 */
import { createHash } from "node:crypto";
import { FatalError } from "../base/errors.ts";
import { CALL_SOURCE } from "./call_source.ts";
import { DIGEST_SOURCE } from "./digest_source.ts";

/** Where the amalgamation comes from. The npm package is only the carrier: none of its code runs. */
export const SOURCE = {
  /** Name in the import map of deno.json, which pins the version. */
  package: "better-sqlite3",
  /** Path of the amalgamation inside the package. */
  file: "deps/sqlite3/sqlite3.c",
  sqliteVersion: "3.53.2",
  sha256: "60d2f39a3726cd6b9021da6f4e868608d66fbb6528a9f513dc8ffcc640493422",
} as const;

/** The compiler's options that can change results; `scripts/sqlite.ts` adds those of the platform. */
export const COMPILER_OPTIONS: readonly string[] = [
  "-O2",
  // A fused multiply-add rounds once where two operations round twice: replicas would differ by build.
  "-ffp-contract=off",
];

/**
 * Options of SQLite. Not set on purpose: STAT4 (plans would follow sampled data), STMTVTAB, foreign
 * keys by default (rqlite leaves them off), UPDATE_DELETE_LIMIT (rqlite refuses that syntax).
 *
 * `load_extension()` stays compiled in, because rqlite's `--extensions-path` is part of its interface;
 * SQLite keeps it off on each connection until the binding is asked for it.
 */
export const SQLITE_OPTIONS: readonly string[] = [
  "NDEBUG",
  "HAVE_FDATASYNC=1",
  "HAVE_GMTIME_R=1",
  "HAVE_LOCALTIME_R=1",
  "HAVE_USLEEP=1",
  // One connection per thread, and `sqlite3_interrupt` from another: needs no mutex on the connection.
  "SQLITE_THREADSAFE=2",
  // No lock around every allocation; memory is fenced by limits, not by heap limits (rule A3).
  "SQLITE_DEFAULT_MEMSTATUS=0",
  // Clients of rqlite write "fiona" for a string (fault S25).
  "SQLITE_DQS=3",
  // Temporary tables, sorters and statement journals never reach a disk (rule Q14).
  "SQLITE_TEMP_STORE=2",
  "SQLITE_MAX_WORKER_THREADS=0",
  "SQLITE_OMIT_SHARED_CACHE",
  "SQLITE_ENABLE_COLUMN_METADATA",
  "SQLITE_ENABLE_DBSTAT_VTAB",
  "SQLITE_ENABLE_FTS3",
  "SQLITE_ENABLE_FTS3_PARENTHESIS",
  "SQLITE_ENABLE_FTS4",
  "SQLITE_ENABLE_FTS5",
  "SQLITE_ENABLE_GEOPOLY",
  "SQLITE_ENABLE_MATH_FUNCTIONS",
  "SQLITE_ENABLE_PREUPDATE_HOOK",
  "SQLITE_ENABLE_RTREE",
  "SQLITE_ENABLE_SESSION",
  "SQLITE_ENABLE_SNAPSHOT",
];

/** One edit of the amalgamation: `before` must stand in it exactly once. */
export interface Patch {
  readonly name: string;
  readonly before: string;
  readonly after: string;
}

/** The four sites of rule Q1, what tells of foreign keys, and FTS5's logarithm. */
export const PATCHES: readonly Patch[] = [
  {
    // Children without parents, from when foreign keys were off, let the count of violations put off
    // become negative. COMMIT refuses that, so whoever asks must be told (rule A1).
    name: "deferred-keys",
    before: `      *pCurrent = db->nDeferredImmCons>0 || db->nDeferredCons>0;`,
    after: `      *pCurrent = db->nDeferredImmCons!=0 || db->nDeferredCons!=0;`,
  },
  {
    // INSERT into a table whose largest rowid is 2^63-1 and that is AUTOINCREMENT: SQLITE_FULL means
    // a full disk to us (rule A3), and this is not one.
    name: "autoincrement-end",
    before: `      if( pMem->u.i==MAX_ROWID || pC->useRandomRowid ){
        rc = SQLITE_FULL;   /* IMP: R-17817-00630 */
        goto abort_due_to_error;
      }`,
    after: `      if( pMem->u.i==MAX_ROWID || pC->useRandomRowid ){
        sqlite3VdbeError(p, "AUTOINCREMENT is at the largest rowid");
        rc = SQLITE_ERROR;
        goto abort_due_to_error;
      }`,
  },
  {
    // The same without AUTOINCREMENT: SQLite would try rowids from its own PRNG, other ones on each
    // replica (fault S20).
    name: "rowid-end",
    before: `      cnt = 0;
      do{
        sqlite3_randomness(sizeof(v), &v);
        v &= (MAX_ROWID>>1); v++;  /* Ensure that v is greater than zero */
      }while(  ((rc = sqlite3BtreeTableMoveto(pC->uc.pCursor, (u64)v,
                                                 0, &res))==SQLITE_OK)
            && (res==0)
            && (++cnt<100));
      if( rc ) goto abort_due_to_error;
      if( res==0 ){
        rc = SQLITE_FULL;   /* IMP: R-38219-53002 */
        goto abort_due_to_error;
      }
      assert( v>0 );  /* EV: R-40812-03570 */`,
    after: `      (void)cnt;
      sqlite3VdbeError(p, "table is at the largest rowid");
      rc = SQLITE_ERROR;
      goto abort_due_to_error;`,
  },
  {
    // The sixth column of one name gets a random suffix, which CREATE TABLE AS stores in the schema.
    // The column's own number spreads the candidates as well and is the same everywhere.
    name: "column-names",
    before: `      if( cnt>3 ){
        sqlite3_randomness(sizeof(cnt), &cnt);
      }`,
    after: `      if( cnt==4 ){
        cnt += (u32)i;
      }`,
  },
  {
    // The C library's logarithm asks the processor (rule Q2): bm25() differed in a last bit with and
    // without fused multiply-add. This one is 2 atanh((x-1)/(x+1)), as a series, of x without its twos.
    name: "fts5-logarithm",
    before: `        double idf = log( (nRow - nHit + 0.5) / (nHit + 0.5) );`,
    after: `        double idf = 0.0;
        double dustX = (nRow - nHit + 0.5) / (nHit + 0.5);
        if( dustX>0.0 ){
          double dustS, dustT = 0.0;
          int dustTwos = 0, dustN;
          for(; dustX>1.5; dustTwos++) dustX *= 0.5;
          for(; dustX<0.75; dustTwos--) dustX *= 2.0;
          dustS = (dustX - 1.0) / (dustX + 1.0);
          for(dustN=27; dustN>0; dustN-=2) dustT = dustT*(dustS*dustS) + 1.0/dustN;
          idf = 2.0*dustS*dustT + dustTwos*0.69314718055994530942;
        }`,
  },
  {
    // FTS5 marks values that carry a locale with 16 bytes, random for each connection; a stored one
    // would be read by another replica as something else. What stays are the constants XORed in below.
    name: "fts5-locale",
    before: `    sqlite3_randomness(sizeof(pGlobal->aLocaleHdr), pGlobal->aLocaleHdr);`,
    after: `    memset(pGlobal->aLocaleHdr, 0, sizeof(pGlobal->aLocaleHdr));`,
  },
  {
    // FTS3 and FTS4 merge by themselves at COMMIT, as much as the transaction has written: with entries applied
    // in batches (rule A1) that would be other segments on each replica. The setting is kept and does nothing.
    name: "fts3-automerge",
    before: `   && p->nLeafAdd>(nMinMerge/16)
   && p->nAutoincrmerge && p->nAutoincrmerge!=0xff
  ){`,
    after: `   && 0
   && p->nLeafAdd>(nMinMerge/16)
   && p->nAutoincrmerge && p->nAutoincrmerge!=0xff
  ){`,
  },
  {
    // These two make a table for FTS3 that has none, which FTS4 has from the start, and go on believing in it
    // when that is rolled back: COMMIT failed then, for everybody.
    name: "fts3-merge",
    before: `    if( !p->bHasStat ){
      assert( p->bFts4==0 );
      sqlite3Fts3CreateStatTable(&rc, p);
    }`,
    after: `    if( !p->bHasStat ) rc = SQLITE_ERROR;`,
  },
  {
    name: "fts3-automerge-setting",
    before: `  p->nAutoincrmerge = fts3Getint(&zParam);
  if( p->nAutoincrmerge==1 || p->nAutoincrmerge>MergeCount(p) ){
    p->nAutoincrmerge = 8;
  }
  if( !p->bHasStat ){
    assert( p->bFts4==0 );
    sqlite3Fts3CreateStatTable(&rc, p);
    if( rc ) return rc;
  }`,
    after: `  if( !p->bHasStat ) return SQLITE_ERROR;
  p->nAutoincrmerge = fts3Getint(&zParam);
  if( p->nAutoincrmerge==1 || p->nAutoincrmerge>MergeCount(p) ){
    p->nAutoincrmerge = 8;
  }`,
  },
  {
    // An index that is emptied begins with the number of its settings' last change. A connection that has not read
    // those settings yet knows no number and wrote 0: other bytes than on a replica that runs for longer.
    name: "fts5-cookie",
    before: `  p->bTotalsValid = 0;

  /* Delete the contents of the %_data and %_docsize tables. */`,
    after: `  (void)sqlite3Fts5IndexLoadConfig(p->pIndex);
  p->bTotalsValid = 0;

  /* Delete the contents of the %_data and %_docsize tables. */`,
  },
  {
    // Settings that are read anew, as after a ROLLBACK TO, left two as they were: what was undone still counted,
    // until the next start.
    name: "fts5-settings",
    before: `  pConfig->nDeleteMerge = FTS5_DEFAULT_DELETE_AUTOMERGE;

  zSql = sqlite3Fts5Mprintf(&rc, zSelect, pConfig->zDb, pConfig->zName);`,
    after: `  pConfig->nDeleteMerge = FTS5_DEFAULT_DELETE_AUTOMERGE;
  pConfig->bSecureDelete = 0;
  sqlite3_free(pConfig->zRank);
  sqlite3_free(pConfig->zRankArgs);
  pConfig->zRank = 0;
  pConfig->zRankArgs = 0;

  zSql = sqlite3Fts5Mprintf(&rc, zSelect, pConfig->zDb, pConfig->zName);`,
  },
  {
    // And with them the number of their last change, which the next write puts into the index.
    name: "fts5-cookie-undone",
    before: `  if( pConfig->pgsz==0 ){
    rc = sqlite3Fts5ConfigLoad(pTab->p.pConfig, pTab->p.pConfig->iCookie);`,
    after: `  if( pConfig->pgsz==0 ) (void)sqlite3Fts5IndexLoadConfig(pTab->p.pIndex);
  if( pConfig->pgsz==0 ){
    rc = sqlite3Fts5ConfigLoad(pTab->p.pConfig, pTab->p.pConfig->iCookie);`,
  },
  {
    // What a function says of its result besides the value (JSON, a locale) is not stored. Indexes on
    // expressions and CHECKs saw it all the same when the row was written, and not when it was read: an
    // index on json_array(b) was damaged by INSERT ... SELECT json_object(...). Three sites: checks and
    // indexes, generated columns of plain ones, generated columns of stored generated ones.
    name: "subtypes-in-indexes",
    before: `  /* Record that this module has started */
  VdbeModuleComment((v, "BEGIN: GenCnstCks(%d,%d,%d,%d,%d)",`,
    after: `  {
    int dustSees = pTab->pCheck!=0 || (pTab->tabFlags & TF_HasGenerated)!=0;
    for(pIdx=pTab->pIndex; pIdx && !dustSees; pIdx=pIdx->pNext){
      dustSees = pIdx->aColExpr!=0 || pIdx->pPartIdxWhere!=0;
    }
    for(i=0; dustSees && i<nCol; i++){
      if( pTab->aCol[i].colFlags & COLFLAG_VIRTUAL ) continue;
      sqlite3VdbeAddOp1(v, OP_ClrSubtype, regNewData+1+sqlite3TableColumnToStorage(pTab, i));
    }
  }

  /* Record that this module has started */
  VdbeModuleComment((v, "BEGIN: GenCnstCks(%d,%d,%d,%d,%d)",`,
  },
  {
    name: "subtypes-in-generated-columns",
    before: `  sqlite3TableAffinity(pParse->pVdbe, pTab, iRegStore);`,
    after: `  for(i=0; i<pTab->nCol; i++){
    if( pTab->aCol[i].colFlags & COLFLAG_GENERATED ) continue;
    sqlite3VdbeAddOp1(pParse->pVdbe, OP_ClrSubtype,
                      iRegStore+sqlite3TableColumnToStorage(pTab, i));
  }
  sqlite3TableAffinity(pParse->pVdbe, pTab, iRegStore);`,
  },
  {
    name: "subtypes-of-generated-columns",
    before: `        sqlite3ExprCodeGeneratedColumn(pParse, pTab, pCol, x);
        pCol->colFlags &= ~COLFLAG_NOTAVAIL;`,
    after: `        sqlite3ExprCodeGeneratedColumn(pParse, pTab, pCol, x);
        if( pCol->colFlags & COLFLAG_STORED ){
          sqlite3VdbeAddOp1(pParse->pVdbe, OP_ClrSubtype, x);
        }
        pCol->colFlags &= ~COLFLAG_NOTAVAIL;`,
  },
];

/** Identifies source, options, patches and what comes behind, 16 hex digits. Neither compiler nor processor is in it. */
export function recipeHash(): string {
  const options = [...SQLITE_OPTIONS].sort();
  const sources = [DIGEST_SOURCE, CALL_SOURCE];
  const recipe = JSON.stringify([SOURCE, COMPILER_OPTIONS, options, PATCHES, sources]);
  return createHash("sha256").update(recipe).digest("hex").slice(0, 16);
}

/**
 * The patched amalgamation, with our digest at its end and a function that returns `recipeHash()`.
 * @throws {FatalError} when a patch's site is missing or ambiguous.
 */
export function patchSource(source: string): string {
  let text = source;
  for (const patch of PATCHES) {
    const at = text.indexOf(patch.before);
    const count = at < 0 ? 0 : text.indexOf(patch.before, at + 1) < 0 ? 1 : 2;
    if (count !== 1) {
      const found = count === 0 ? "not found" : "found more than once";
      throw new FatalError(1, `Cannot patch SQLite: the site of "${patch.name}" was ${found}`);
    }
    text = text.slice(0, at) + patch.after + text.slice(at + patch.before.length);
  }
  return text + DIGEST_SOURCE + CALL_SOURCE +
    `\nconst char *dust_sqlite_recipe(void){ return "${recipeHash()}"; }\n`;
}

/** File name of the library on this system. */
export function libraryFileName(): string {
  return Deno.build.os === "darwin" ? "libsqlite3.dylib" : "libsqlite3.so";
}
