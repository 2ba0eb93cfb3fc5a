/**
 * The C code that the pinned libsqlite3 has besides SQLite: a digest of a statement's rows, by type and by
 * bits, at the speed of the scan itself (rule V1). Only calls from our own threads reach it, never SQL.
 *
 * Two lanes of 64 bits take in the same words, each by a step that is one to one in the lane as in the word,
 * so that two sequences that differ in one word never meet; the end mixes both. What is taken in has
 * one reading: a row says how many values it has, a value its type and length.
 */

/** Bytes of the memory that `dust_digest_rows` works on, zero in the beginning: lanes, words, bytes since. */
export const DIGEST_STATE_BYTES = 32;

/** Bytes of the digest, which `dust_digest_end` leaves in the beginning of that memory. */
export const DIGEST_BYTES = 16;

/** Goes behind the amalgamation. */
export const DIGEST_SOURCE = `
typedef struct DustDigest { sqlite3_uint64 a, b, words, bytes; } DustDigest;

#define DUST_ROTATE(x,n) (((x)<<(n))|((x)>>(64-(n))))

static void dustWord(DustDigest *p, sqlite3_uint64 w){
  p->a = DUST_ROTATE(p->a + w*0xc2b2ae3d27d4eb4fULL, 31)*0x9e3779b185ebca87ULL;
  p->b = DUST_ROTATE(p->b ^ w*0x165667b19e3779f9ULL, 27)*0xd6e8feb86659fd93ULL + 0x27d4eb2f165667c5ULL;
  p->words++;
}

static void dustBytes(DustDigest *p, const unsigned char *z, int n){
  sqlite3_uint64 w;
  p->bytes += (sqlite3_uint64)n;
  for(; n>=8; n-=8, z+=8){
    memcpy(&w, z, 8);
    dustWord(p, w);
  }
  if( n>0 ){
    w = 0;
    memcpy(&w, z, (size_t)n);
    dustWord(p, w);
  }
}

static int dustValue(DustDigest *p, sqlite3_stmt *pStmt, int i){
  int type = sqlite3_column_type(pStmt, i);
  sqlite3_uint64 w;
  switch( type ){
    case SQLITE_INTEGER:
      dustWord(p, (sqlite3_uint64)type);
      dustWord(p, (sqlite3_uint64)sqlite3_column_int64(pStmt, i));
      break;
    case SQLITE_FLOAT: {
      double r = sqlite3_column_double(pStmt, i);
      memcpy(&w, &r, 8);
      dustWord(p, (sqlite3_uint64)type);
      dustWord(p, w);
      break;
    }
    case SQLITE_NULL:
      dustWord(p, (sqlite3_uint64)type);
      break;
    default: {
      const unsigned char *z = (const unsigned char*)sqlite3_column_blob(pStmt, i);
      int n = sqlite3_column_bytes(pStmt, i);
      if( n>0 && z==0 ) return SQLITE_NOMEM;
      dustWord(p, (sqlite3_uint64)type | ((sqlite3_uint64)n<<8));
      dustBytes(p, z, n);
    }
  }
  p->bytes += 8;
  return SQLITE_OK;
}

void dust_digest_rows(sqlite3_stmt *pStmt, void *pState, int nByteMax, int *pCode){
  DustDigest d;
  int rc;
  memcpy(&d, pState, sizeof(d));
  d.bytes = 0;
  while( (rc = sqlite3_step(pStmt))==SQLITE_ROW ){
    int i, n = sqlite3_column_count(pStmt);
    dustWord(&d, 0xff | ((sqlite3_uint64)n<<8));
    for(i=0; i<n && rc==SQLITE_ROW; i++){
      if( dustValue(&d, pStmt, i)!=SQLITE_OK ) rc = SQLITE_NOMEM;
    }
    if( rc!=SQLITE_ROW || d.bytes>=(sqlite3_uint64)nByteMax ) break;
  }
  memcpy(pState, &d, sizeof(d));
  *pCode = rc;
}

static sqlite3_uint64 dustMix(sqlite3_uint64 x){
  x = (x ^ (x>>33))*0xff51afd7ed558ccdULL;
  x = (x ^ (x>>33))*0xc4ceb9fe1a85ec53ULL;
  return x ^ (x>>33);
}

void dust_digest_end(void *pState){
  DustDigest d;
  memcpy(&d, pState, sizeof(d));
  d.a = dustMix(d.a ^ d.words);
  d.b = dustMix(d.b + d.words);
  d.a += d.b;
  d.b += d.a;
  d.a = dustMix(d.a);
  d.b = dustMix(d.b);
  memcpy(pState, &d, sizeof(d));
}
`;
