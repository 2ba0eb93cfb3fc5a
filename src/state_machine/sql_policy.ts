/**
 * What SQL may do, in one place: every function, pragma, virtual table and action of the pinned build
 * has a line here, and whatever has none is refused (a test asks the build for its lists).
 *
 *   allow    the same on every replica, and harmless
 *   freeze   replaced, so that it becomes the same on every replica (frozen_functions.ts; the clock
 *            of the writer's VFS): chance, the processor's arithmetic, counters of the connection
 *   local    a fact about this node or this build: in reads only
 *   refuse   never
 */
import { Action } from "../sqlite/authorizer.ts";

/** @see the header */
export type FunctionRule = "allow" | "freeze" | "local" | "refuse";

/**
 * What a pragma may do on one kind of connection: `any` with or without a value; `get` without one
 * only; `ignore` its value, as it would only tune this connection; `skip` it, as it would act even
 * without one; `refuse`.
 */
export type PragmaRule = "any" | "get" | "ignore" | "skip" | "refuse";

/** The rules for a pragma in writes and in reads. */
export interface PragmaRules {
  readonly write: PragmaRule;
  readonly read: PragmaRule;
}

const ALLOWED_FUNCTIONS = `-> ->> abs avg bm25 char coalesce concat concat_ws count cume_dist
  dense_rank first_value format geopoly_area geopoly_bbox geopoly_blob geopoly_ccw
  geopoly_contains_point geopoly_debug geopoly_group_bbox geopoly_json geopoly_overlap geopoly_regular
  geopoly_svg geopoly_within geopoly_xform fts5_get_locale fts5_insttoken fts5_locale glob
  group_concat hex highlight if ifnull iif json json_array json_array_insert json_array_length
  json_error_position json_extract json_group_array json_group_object json_insert
  json_object json_patch json_pretty json_quote json_remove json_replace json_set json_type
  json_valid jsonb jsonb_array jsonb_array_insert jsonb_extract jsonb_group_array
  jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set
  lag last_value lead length like likelihood likely lower match matchinfo max min
  nth_value ntile nullif octet_length offsets percent_rank pi printf quote rank round
  row_number rtreecheck rtreedepth rtreenode sign snippet string_agg substr substring subtype sum
  total typeof unhex unicode unistr unistr_quote unlikely upper zeroblob
  ceil ceiling floor trunc sqrt mod degrees radians`;

/** The first line by the clock, the second by functions of ours; the last two are not frozen in reads. */
const FROZEN_FUNCTIONS =
  `current_date current_time current_timestamp date datetime julianday strftime
  time timediff unixepoch
  acos acosh asin asinh atan atan2 atanh cos cosh exp ln log log10 log2 pow power sin sinh tan tanh
  instr replace trim ltrim rtrim changes last_insert_rowid total_changes
  random randomblob`;

const LOCAL_FUNCTIONS = `sqlite_compileoption_get sqlite_compileoption_used sqlite_source_id
  sqlite_version fts5_source_id`;

/** optimize() of FTS3 writes while it reads, and fails or not by what the connection has done before. */
const REFUSED_FUNCTIONS = "fts3_tokenizer fts5 load_extension optimize sqlite_log";

/** What ALTER TABLE is made of: SQLite lets nothing else call these, and no list of its shows them. */
const ALTER_FUNCTIONS = `sqlite_add_constraint sqlite_drop_column sqlite_drop_constraint sqlite_fail
  sqlite_find_constraint sqlite_rename_column sqlite_rename_quotefix sqlite_rename_table
  sqlite_rename_test`;

/** Functions that pass the authorizer and stand in no list of the build. */
export const INTERNAL_FUNCTIONS: ReadonlySet<string> = new Set(ALTER_FUNCTIONS.split(/\s+/));

/** Every function by name. */
export const FUNCTION_RULES: ReadonlyMap<string, FunctionRule> = new Map([
  ...words(ALLOWED_FUNCTIONS, "allow" as const),
  ...words(FROZEN_FUNCTIONS, "freeze" as const),
  ...words(LOCAL_FUNCTIONS, "local" as const),
  ...words(REFUSED_FUNCTIONS, "refuse" as const),
]);

/** Facts about the schema and the content: the same everywhere. */
const SCHEMA_PRAGMAS = `collation_list foreign_key_check foreign_key_list index_info index_list
  index_xinfo integrity_check quick_check table_info table_xinfo application_id user_version`;

/** Says of virtual tables how many columns they have if this connection has used them, else 0. */
const HALF_KNOWN_PRAGMAS = "table_list";

/** The same everywhere, and not to be changed. */
const FIXED_PRAGMAS = "auto_vacuum encoding journal_mode";

/** Replicated settings: the writer's own code carries out what they say. */
const SETTING_PRAGMAS = "foreign_keys defer_foreign_keys";

/** Facts about this node: in reads only, and not to be changed. */
const LOCAL_PRAGMAS = `compile_options data_version database_list freelist_count function_list
  module_list page_count pragma_list query_only schema_version synchronous wal_autocheckpoint`;

/** What only tunes the connection it is sent on: rqlite's users send these, and nothing depends on them. */
const TUNING_PRAGMAS = `analysis_limit automatic_index busy_timeout cache_size cache_spill
  cell_size_check checkpoint_fullfsync default_cache_size fullfsync hard_heap_limit
  journal_size_limit locking_mode mmap_size page_size read_uncommitted secure_delete soft_heap_limit
  temp_store threads`;

/** Housekeeping without a value: optimize() makes statistics by what this connection has done before. */
const ACTING_PRAGMAS = "incremental_vacuum optimize shrink_memory";

/** What would change the meaning of later statements, of anybody's, or of the schema. */
const REFUSED_PRAGMAS = `case_sensitive_like count_changes empty_result_callbacks full_column_names
  ignore_check_constraints legacy_alter_table max_page_count recursive_triggers
  reverse_unordered_selects short_column_names temp_store_directory trusted_schema wal_checkpoint
  writable_schema`;

/** Every pragma by name. */
export const PRAGMA_RULES: ReadonlyMap<string, PragmaRules> = new Map<string, PragmaRules>([
  ...words(SCHEMA_PRAGMAS, { write: "any", read: "any" } as const),
  ...words(FIXED_PRAGMAS, { write: "get", read: "get" } as const),
  ...words(SETTING_PRAGMAS, { write: "any", read: "ignore" } as const),
  ...words(LOCAL_PRAGMAS, { write: "refuse", read: "get" } as const),
  ...words(TUNING_PRAGMAS, { write: "ignore", read: "ignore" } as const),
  ...words(HALF_KNOWN_PRAGMAS, { write: "refuse", read: "any" } as const),
  ...words(ACTING_PRAGMAS, { write: "skip", read: "skip" } as const),
  ...words(REFUSED_PRAGMAS, { write: "refuse", read: "refuse" } as const),
]);

/** Modules of virtual tables that a client may create. */
export const ALLOWED_MODULES: ReadonlySet<string> = new Set(
  "fts3 fts3tokenize fts4 fts4aux fts5 fts5vocab geopoly rtree rtree_i32".split(" "),
);

/** Modules whose tables exist without being created; in reads only. Those of pragmas follow the pragma. */
export const LOCAL_MODULES: ReadonlySet<string> = new Set([
  "dbstat",
  "pragma_function_list",
  "pragma_module_list",
  "pragma_pragma_list",
]);

/**
 * What a statement may do: `allow` it on any table but ours; `check` what it is about, a name, a
 * function or a pragma (sql_authorizer.ts); `refuse`.
 */
export type ActionRule = "allow" | "check" | "refuse";

/** Every action that SQLite asks about, which together are the kinds of statements. */
export const ACTION_RULES = {
  CREATE_INDEX: "allow",
  CREATE_TABLE: "allow",
  CREATE_TEMP_INDEX: "refuse",
  CREATE_TEMP_TABLE: "refuse",
  CREATE_TEMP_TRIGGER: "refuse",
  CREATE_TEMP_VIEW: "refuse",
  CREATE_TRIGGER: "allow",
  CREATE_VIEW: "allow",
  DELETE: "check",
  DROP_INDEX: "allow",
  DROP_TABLE: "allow",
  DROP_TEMP_INDEX: "refuse",
  DROP_TEMP_TABLE: "refuse",
  DROP_TEMP_TRIGGER: "refuse",
  DROP_TEMP_VIEW: "refuse",
  DROP_TRIGGER: "allow",
  DROP_VIEW: "allow",
  INSERT: "check",
  PRAGMA: "check",
  READ: "check",
  SELECT: "allow",
  TRANSACTION: "check",
  UPDATE: "check",
  ATTACH: "refuse",
  DETACH: "refuse",
  ALTER_TABLE: "allow",
  REINDEX: "allow",
  ANALYZE: "allow",
  CREATE_VTABLE: "check",
  DROP_VTABLE: "allow",
  FUNCTION: "check",
  SAVEPOINT: "check",
  RECURSIVE: "allow",
} as const satisfies Readonly<Record<keyof typeof Action, ActionRule>>;

const RULES_BY_ACTION: ReadonlyMap<number, ActionRule> = new Map(
  Object.entries(Action).map(([name, action]) => [
    action,
    ACTION_RULES[name as keyof typeof Action],
  ]),
);

/** The rule for an action by its number; those of a newer SQLite are refused. */
export function actionRule(action: number): ActionRule {
  return RULES_BY_ACTION.get(action) ?? "refuse";
}

/** The rule for a function; unknown ones are refused. */
export function functionRule(name: string): FunctionRule {
  const known = name.toLowerCase();
  if (INTERNAL_FUNCTIONS.has(known)) return "allow";
  return FUNCTION_RULES.get(known) ?? "refuse";
}

/** The rules for a pragma; unknown ones do nothing in SQLite, and are refused here. */
export function pragmaRules(name: string): PragmaRules {
  return PRAGMA_RULES.get(name.toLowerCase()) ?? { write: "refuse", read: "refuse" };
}

function words<T>(list: string, rule: T): [string, T][] {
  return list.trim().split(/\s+/).map((word) => [word, rule]);
}
