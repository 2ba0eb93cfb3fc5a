/**
 * How every function that the policy allows or freezes is called (sql_policy.ts). A shape is a list of
 * signatures; a letter of a signature is an argument:
 *
 *   n number   i small integer   x anything   t text   b blob   j JSON   p path in JSON
 *   d point in time   m modifier of it   s format of it   f format of printf   g polygon   * stands alone
 *
 * A test asks the policy for its functions: one without a shape is a gap.
 */

/** Shapes by name. */
export type Shapes = Readonly<Record<string, readonly string[]>>;

/** One function to a line: its name, then its signatures; `-` is the empty one. */
function shapes(table: string): Shapes {
  return Object.fromEntries(
    table.trim().split("\n").map((line) => {
      const [name = "", ...signatures] = line.trim().split(/\s+/);
      return [name, signatures.map((signature) => signature === "-" ? "" : signature)];
    }),
  );
}

/** Functions of one row that give the same for the same arguments. */
export const PURE: Shapes = shapes(`
  abs n
  acos n
  acosh n
  asin n
  asinh n
  atan n
  atan2 nn
  atanh n
  ceil n
  ceiling n
  char i ii iii
  coalesce xx xxx
  concat x xt xxx
  concat_ws tx txx
  cos n
  cosh n
  degrees n
  exp n
  floor n
  format f fx fxx
  fts5_insttoken t
  fts5_locale tt
  geopoly_area g
  geopoly_bbox g
  geopoly_blob g
  geopoly_ccw g
  geopoly_contains_point gnn
  geopoly_debug i
  geopoly_json g
  geopoly_overlap gg
  geopoly_regular nni
  geopoly_svg g gt
  geopoly_within gg
  geopoly_xform gnnnnnn
  glob tt
  hex x
  if xx xxx
  ifnull xx
  iif xx xxx xxxxx
  instr tt bb
  json j
  json_array - x xxx
  json_array_insert jpx
  json_array_length j jp
  json_error_position t j
  json_extract jp jpp
  json_insert jpx
  json_object - tx txtx
  json_patch jj
  json_pretty j jt
  json_quote x
  json_remove j jp jpp
  json_replace jpx
  json_set jpx jpxpx
  json_type j jp
  json_valid t ti
  jsonb j
  jsonb_array - xx
  jsonb_array_insert jpx
  jsonb_extract jp
  jsonb_insert jpx
  jsonb_object tx
  jsonb_patch jj
  jsonb_remove jp
  jsonb_replace jpx
  jsonb_set jpx
  length x
  like tt ttt
  likelihood x
  likely x
  ln n
  log n nn
  log10 n
  log2 n
  lower t
  ltrim t tt
  max xx xxx
  min xx xxx
  mod nn
  nullif xx
  octet_length x
  pi -
  pow nn
  power nn
  printf f fx fxx
  quote x
  radians n
  replace ttt
  round n ni
  rtreedepth b
  rtreenode ib
  rtrim t tt
  sign n
  sin n
  sinh n
  sqrt n
  substr ti tii bi
  substring ti tii
  subtype j
  tan n
  tanh n
  trim t tt
  trunc n
  typeof x
  unhex t tt
  unicode t
  unistr t
  unistr_quote x
  unlikely x
  upper t
  zeroblob i
`);

/** Frozen functions: time, chance, counters of the connection. */
export const FROZEN: Shapes = shapes(`
  changes -
  date - d dm dmm
  datetime - d dm dmm
  julianday - d dm
  last_insert_rowid -
  random -
  randomblob i
  strftime s sd sdm
  time - d dm
  timediff dd
  total_changes -
  unixepoch - d dm
`);

/** Words that are functions without parentheses. */
export const TIME_WORDS = ["current_date", "current_time", "current_timestamp"] as const;

/** Functions over rows. */
export const AGGREGATES: Shapes = shapes(`
  avg n
  count * x
  geopoly_group_bbox g
  group_concat x xt
  json_group_array x
  json_group_object tx
  jsonb_group_array x
  jsonb_group_object tx
  max x
  min x
  string_agg xt
  sum n
  total n
`);

/** Functions that need OVER. */
export const WINDOWS: Shapes = shapes(`
  cume_dist -
  dense_rank -
  first_value x
  lag x xi xix
  last_value x
  lead x xi xix
  nth_value x
  ntile x
  percent_rank -
  rank -
  row_number -
`);

/** Operators by the names that SQLite gives them. */
export const OPERATORS = ["->", "->>", "match"] as const;

/** Calls that work in a full-text query only; `{t}` is its table. */
export const FTS5_CALLS: Readonly<Record<string, string>> = {
  bm25: "bm25({t}, 2.0, 1.0)",
  highlight: "highlight({t}, 0, '<', '>')",
  snippet: "snippet({t}, 0, '<', '>', '...', 4)",
  fts5_get_locale: "fts5_get_locale({t}, 0)",
};

/** As FTS5_CALLS, for FTS3 and FTS4. */
export const FTS4_CALLS: Readonly<Record<string, string>> = {
  matchinfo: "hex(matchinfo({t}, 'pcx'))",
  offsets: "offsets({t})",
  snippet: "snippet({t}, '<', '>', '...', -1, 4)",
};

/** Calls about a table as a whole. */
export const TABLE_CALLS: Readonly<Record<string, string>> = { rtreecheck: "rtreecheck('rt')" };

/** Names of all functions that the generator uses. */
export const USED_FUNCTIONS: ReadonlySet<string> = new Set([
  ...[PURE, FROZEN, AGGREGATES, WINDOWS].flatMap((table) => Object.keys(table)),
  ...[FTS5_CALLS, FTS4_CALLS, TABLE_CALLS].flatMap((table) => Object.keys(table)),
  ...TIME_WORDS,
  ...OPERATORS,
]);
