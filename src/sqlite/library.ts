/**
 * libsqlite3 as JavaScript sees it: the table of its functions, and one opened copy (rule Q10).
 *
 * Types are chosen for V8's fast calls, measured: handles are pointer objects, 64-bit arguments are
 * bigints (a number there takes a path ten times as slow), sizes are i32, bytes are buffers.
 * Nothing here says what a function is for: that is sqlite.org/c3ref, and the files that call them.
 * Not here: where the library is found (loader.ts).
 */
import { createHash } from "node:crypto";
import { assert } from "../base/assert.ts";
import { FatalError } from "../base/errors.ts";
import { recipeHash } from "./pinned_build.ts";
import { Scratch } from "./scratch.ts";

const I32 = "i32";
const I64 = "i64";
const PTR = "pointer";
const BUF = "buffer";
const FN = "function";

const SYMBOLS = {
  memcpy_out: { name: "memcpy", parameters: [BUF, PTR, I32], result: "void" },
  memcpy_in: { name: "memcpy", parameters: [PTR, BUF, I32], result: "void" },
  dust_digest_end: { parameters: [BUF], result: "void", optional: true },
  dust_digest_rows: { parameters: [PTR, BUF, I32, BUF], result: "void", optional: true },
  dust_prepare: {
    parameters: [PTR, PTR, I32, "u32", BUF, BUF, BUF],
    result: "void",
    optional: true,
  },
  dust_step: { parameters: [PTR, BUF], result: "void", optional: true },
  dust_sqlite_recipe: { parameters: [], result: PTR, optional: true },

  sqlite3_backup_finish: { parameters: [PTR], result: I32 },
  sqlite3_backup_init: { parameters: [PTR, BUF, PTR, BUF], result: PTR },
  sqlite3_backup_pagecount: { parameters: [PTR], result: I32 },
  sqlite3_backup_remaining: { parameters: [PTR], result: I32 },
  sqlite3_backup_step: { parameters: [PTR, I32], result: I32 },
  sqlite3_bind_blob: { parameters: [PTR, I32, BUF, I32, PTR], result: I32 },
  sqlite3_bind_double: { parameters: [PTR, I32, "f64"], result: I32 },
  sqlite3_bind_int: { parameters: [PTR, I32, I32], result: I32 },
  sqlite3_bind_int64: { parameters: [PTR, I32, I64], result: I32 },
  sqlite3_bind_null: { parameters: [PTR, I32], result: I32 },
  sqlite3_bind_parameter_count: { parameters: [PTR], result: I32 },
  sqlite3_bind_parameter_index: { parameters: [PTR, BUF], result: I32 },
  sqlite3_bind_parameter_name: { parameters: [PTR, I32], result: PTR },
  sqlite3_bind_text: { parameters: [PTR, I32, BUF, I32, PTR], result: I32 },
  sqlite3_busy_timeout: { parameters: [PTR, I32], result: I32 },
  sqlite3_changes64: { parameters: [PTR], result: I64 },
  sqlite3_clear_bindings: { parameters: [PTR], result: I32 },
  sqlite3_close: { parameters: [PTR], result: I32 },
  sqlite3_column_blob: { parameters: [PTR, I32], result: PTR },
  sqlite3_column_bytes: { parameters: [PTR, I32], result: I32 },
  sqlite3_column_count: { parameters: [PTR], result: I32 },
  sqlite3_column_database_name: { parameters: [PTR, I32], result: PTR, optional: true },
  sqlite3_column_decltype: { parameters: [PTR, I32], result: PTR },
  sqlite3_column_double: { parameters: [PTR, I32], result: "f64" },
  sqlite3_column_int64: { parameters: [PTR, I32], result: I64 },
  sqlite3_column_name: { parameters: [PTR, I32], result: PTR },
  sqlite3_column_origin_name: { parameters: [PTR, I32], result: PTR, optional: true },
  sqlite3_column_table_name: { parameters: [PTR, I32], result: PTR, optional: true },
  sqlite3_column_text: { parameters: [PTR, I32], result: PTR },
  sqlite3_column_type: { parameters: [PTR, I32], result: I32 },
  sqlite3_compileoption_get: { parameters: [I32], result: PTR },
  sqlite3_create_function_v2: {
    parameters: [PTR, BUF, I32, I32, PTR, FN, FN, FN, PTR],
    result: I32,
  },
  sqlite3_db_config: { parameters: [PTR, I32, I64, BUF], result: I32 },
  // It takes variable arguments, which Apple's arm64 convention passes on the stack: the six in
  // between use up the registers.
  sqlite3_db_config_apple: {
    name: "sqlite3_db_config",
    parameters: [PTR, I32, I64, I64, I64, I64, I64, I64, I64, BUF],
    result: I32,
  },
  sqlite3_db_status: { parameters: [PTR, I32, BUF, BUF, I32], result: I32 },
  sqlite3_deserialize: { parameters: [PTR, BUF, PTR, I64, I64, I32], result: I32 },
  sqlite3_errmsg: { parameters: [PTR], result: PTR },
  sqlite3_error_offset: { parameters: [PTR], result: I32, optional: true },
  sqlite3_extended_errcode: { parameters: [PTR], result: I32 },
  sqlite3_file_control: { parameters: [PTR, BUF, I32, BUF], result: I32 },
  sqlite3_finalize: { parameters: [PTR], result: I32 },
  sqlite3_free: { parameters: [PTR], result: "void" },
  sqlite3_get_autocommit: { parameters: [PTR], result: I32 },
  sqlite3_initialize: { parameters: [], result: I32 },
  sqlite3_interrupt: { parameters: [PTR], result: "void" },
  sqlite3_last_insert_rowid: { parameters: [PTR], result: I64 },
  sqlite3_libversion_number: { parameters: [], result: I32 },
  sqlite3_limit: { parameters: [PTR, I32, I32], result: I32 },
  sqlite3_load_extension: { parameters: [PTR, BUF, BUF, BUF], result: I32, optional: true },
  sqlite3_malloc64: { parameters: [I64], result: PTR },
  sqlite3_open_v2: { parameters: [BUF, BUF, I32, BUF], result: I32 },
  sqlite3_prepare_v3: { parameters: [PTR, PTR, I32, "u32", BUF, BUF], result: I32 },
  sqlite3_progress_handler: { parameters: [PTR, I32, FN, PTR], result: "void" },
  sqlite3_reset: { parameters: [PTR], result: I32 },
  sqlite3_result_blob: { parameters: [PTR, BUF, I32, PTR], result: "void" },
  sqlite3_result_double: { parameters: [PTR, "f64"], result: "void" },
  sqlite3_result_error: { parameters: [PTR, BUF, I32], result: "void" },
  sqlite3_result_int: { parameters: [PTR, I32], result: "void" },
  sqlite3_result_int64: { parameters: [PTR, I64], result: "void" },
  sqlite3_result_null: { parameters: [PTR], result: "void" },
  sqlite3_result_text: { parameters: [PTR, BUF, I32, PTR], result: "void" },
  sqlite3_serialize: { parameters: [PTR, BUF, BUF, "u32"], result: PTR },
  sqlite3_set_authorizer: { parameters: [PTR, FN, PTR], result: I32 },
  sqlite3_set_last_insert_rowid: { parameters: [PTR, I64], result: "void" },
  sqlite3_snapshot_cmp: { parameters: [PTR, PTR], result: I32, optional: true },
  sqlite3_snapshot_free: { parameters: [PTR], result: "void", optional: true },
  sqlite3_snapshot_get: { parameters: [PTR, BUF, BUF], result: I32, optional: true },
  sqlite3_snapshot_open: { parameters: [PTR, BUF, PTR], result: I32, optional: true },
  sqlite3_sourceid: { parameters: [], result: PTR },
  sqlite3_sql: { parameters: [PTR], result: PTR },
  sqlite3_step: { parameters: [PTR], result: I32 },
  sqlite3_stmt_busy: { parameters: [PTR], result: I32 },
  sqlite3_stmt_isexplain: { parameters: [PTR], result: I32 },
  sqlite3_stmt_readonly: { parameters: [PTR], result: I32 },
  sqlite3_stmt_status: { parameters: [PTR, I32, I32], result: I32 },
  sqlite3_table_column_metadata: {
    parameters: [PTR, BUF, BUF, BUF, BUF, BUF, BUF, BUF, BUF],
    result: I32,
  },
  sqlite3_threadsafe: { parameters: [], result: I32 },
  sqlite3_total_changes64: { parameters: [PTR], result: I64 },
  sqlite3_txn_state: { parameters: [PTR, BUF], result: I32 },
  sqlite3_value_blob: { parameters: [PTR], result: PTR },
  sqlite3_value_bytes: { parameters: [PTR], result: I32 },
  sqlite3_value_double: { parameters: [PTR], result: "f64" },
  sqlite3_value_int64: { parameters: [PTR], result: I64 },
  sqlite3_value_text: { parameters: [PTR], result: PTR },
  sqlite3_value_type: { parameters: [PTR], result: I32 },
  sqlite3_vfs_find: { parameters: [PTR], result: PTR },
  sqlite3_vfs_register: { parameters: [PTR, I32], result: I32 },
  sqlite3_vfs_unregister: { parameters: [PTR], result: I32 },
  sqlite3_wal_autocheckpoint: { parameters: [PTR, I32], result: I32 },
  sqlite3_wal_checkpoint_v2: { parameters: [PTR, BUF, I32, BUF, BUF], result: I32 },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions, by their own names. Optional ones are null where the library was built without. */
export type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** The oldest system library that has all the functions that are not optional: `changes64`. */
export const VERSION_NUMBER_MIN = 3_037_000;

/** `SQLITE_TRANSIENT`: SQLite copies the bytes before the call returns. Nothing else is ever passed. */
export const TRANSIENT: Deno.PointerValue = Deno.UnsafePointer.create(0xffff_ffff_ffff_ffffn);

/**
 * Memory for SQLite to write to, or to read while callbacks may run. Never within V8's moving heap,
 * as small arrays made the short way may be.
 */
export function allocate(sizeBytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(sizeBytes));
}

/** A string as C wants it, ended by NUL. @throws {AssertionError} when it holds a NUL itself. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  assert(!text.includes("\0"), "cString: the text holds NUL");
  return new TextEncoder().encode(`${text}\0`);
}

/** The name of the main database, which most functions want. */
export const MAIN_SCHEMA: Uint8Array<ArrayBuffer> = cString("main");

/** Text up to the first NUL, or undefined for a null pointer. Invalid UTF-8 becomes U+FFFD. */
export function readCString(pointer: Deno.PointerValue): string | undefined {
  return pointer === null ? undefined : Deno.UnsafePointerView.getCString(pointer);
}

/**
 * One opened copy of libsqlite3, used by one thread. All copies of a process must be one: each thread
 * opens the same real path, and `vfsAddress` is the same in all of them (rule Q10).
 * Never closed: a process that uses SQLite does so until it ends.
 */
export class Library {
  readonly path: string;
  readonly symbols: Symbols;
  /** Address of the default VFS: equal in two threads exactly when they share one copy. */
  readonly vfsAddress: bigint;
  /** For example 3053002. */
  readonly versionNumber: number;
  readonly sourceId: string;
  /** Options it was compiled with, sorted, without the compiler's own name. */
  readonly compileOptions: readonly string[];
  /** Hash of source, options and patches when it is a build of ours, of whatever age. */
  readonly recipe: string | undefined;
  /** Where text and blobs pass through; one is enough because no call overlaps another. */
  readonly scratch = new Scratch();

  /** Use `open`, which checks what it opens. */
  constructor(path: string, symbols: Symbols) {
    this.path = path;
    this.symbols = symbols;
    this.versionNumber = symbols.sqlite3_libversion_number();
    this.sourceId = readCString(symbols.sqlite3_sourceid()) ?? "";
    this.recipe = readCString(symbols.dust_sqlite_recipe?.() ?? null);
    this.compileOptions = readCompileOptions(symbols);
    symbols.sqlite3_initialize();
    this.vfsAddress = Deno.UnsafePointer.value(symbols.sqlite3_vfs_find(null));
  }

  /**
   * Opens the file at `path`, which must be a real path: two names of one file are two copies.
   * @param options.vfsAddress In a Worker: the address that the main thread has.
   * @throws {FatalError} when it is no libsqlite3, too old, or another copy than the main thread's.
   */
  static open(path: string, options: { readonly vfsAddress?: bigint } = {}): Library {
    let symbols: Symbols;
    try {
      symbols = Deno.dlopen(path, SYMBOLS).symbols;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new FatalError(1, `Cannot open ${path} as libsqlite3 3.37 or later: ${reason}`, {
        cause,
      });
    }
    const library = new Library(path, symbols);
    if (library.versionNumber < VERSION_NUMBER_MIN) {
      throw new FatalError(1, `Cannot use ${path}: version ${library.versionNumber} is below 3.37`);
    }
    if (symbols.sqlite3_threadsafe() === 0) {
      throw new FatalError(1, `Cannot use ${path}: it was built for a single thread`);
    }
    if (options.vfsAddress !== undefined && options.vfsAddress !== library.vfsAddress) {
      throw new FatalError(1, `Cannot use ${path}: it is a second copy of libsqlite3 (rule Q10)`);
    }
    return library;
  }

  /** Whether this is exactly the library that this version of Dust is tested with (rule Q1). */
  get isPinned(): boolean {
    return this.recipe === recipeHash();
  }

  /**
   * What two nodes compare (rule Q16), 16 hex digits: source, options, patches. The caller adds the
   * functions that it overrides and the runtime's version.
   */
  get handshakeHash(): string {
    const facts = JSON.stringify([this.sourceId, this.compileOptions, this.recipe ?? "unpatched"]);
    return createHash("sha256").update(facts).digest("hex").slice(0, 16);
  }
}

function readCompileOptions(symbols: Symbols): string[] {
  const options: string[] = [];
  for (let index = 0;; index++) {
    const option = readCString(symbols.sqlite3_compileoption_get(index));
    if (option === undefined) return options.sort();
    if (!option.startsWith("COMPILER=")) options.push(option);
  }
}
