/**
 * What of a result is the same in every row: names, types, how each column's values are written (the
 * wire contract, sections 5.3 to 5.8), prepared once for each statement and format.
 *
 * Must be made after the first step, which may compile the statement anew for a changed schema. The
 * type of a column without a declaration comes from the first row, so heads are cached only when all
 * columns are declared.
 */
import { FORMAT, type ResultFormat } from "../command/request.ts";
import { type Statement, StatementStatus } from "../sqlite/statement.ts";
import { ValueType } from "../sqlite/values.ts";
import { OWN_PREFIX } from "./sql_authorizer.ts";
import { jsonString } from "./json_writer.ts";

/** How a column's values are written, beyond what their own type says. */
export const ColumnKind = { plain: 0, boolean: 1, time: 2 } as const;

const TIME_TYPES = new Set(["date", "datetime", "timestamp"]);
const TEXT_TYPES =
  /^(?:text$|json$|$|varchar|varying character|nchar|native character|nvarchar|clob)/;

const SCHEMA_READERS = /sqlite_(?:master|schema)|table_list/i;
const SCHEMA_TABLES = /^sqlite_(?:master|schema)$/;
const NAME_COLUMNS = new Set(["name", "tbl_name", "sql"]);
const OWN_OBJECT = new RegExp(`^(?:CREATE TABLE )?${OWN_PREFIX}`);
const NO_COLUMNS: readonly number[] = [];

const UTF8 = new TextEncoder();

/** One column of a result. */
export interface PlannedColumn {
  /** Its number in the statement. */
  readonly index: number;
  /** One of `ColumnKind`. */
  readonly kind: number;
  /** Whether a BLOB in it is written as text. */
  readonly isTextLike: boolean;
  /** Associative form: `"name":`, with a comma before it unless it comes first. */
  readonly key: Uint8Array;
}

/** See the file's header. */
export interface ColumnPlan {
  /** In the order in which they are written. Associative form: sorted, the last of equal names. */
  readonly columns: readonly PlannedColumn[];
  /** `{"columns":[...],"types":[...]` or `{"types":{...},`, when no row is needed to know it. */
  readonly head: Uint8Array | undefined;
  readonly names: readonly string[];
  /** Declared types in lower case; undefined where there is none. */
  readonly declaredTypes: readonly (string | undefined)[];
  readonly format: ResultFormat;
  /** Columns that name objects of the schema: rows with a name of ours in one of them are left out. */
  readonly nameColumns: readonly number[];
  /** The statement's count of compilations when this was made. */
  readonly reprepares: number;
}

const plans = new WeakMap<Statement, ColumnPlan>();

/** The plan of a statement that was just stepped. */
export function columnPlan(statement: Statement, format: ResultFormat): ColumnPlan {
  const reprepares = statement.status(StatementStatus.REPREPARE);
  const kept = plans.get(statement);
  if (kept !== undefined && kept.format === format && kept.reprepares === reprepares) return kept;
  const plan = makePlan(statement, { format, reprepares });
  plans.set(statement, plan);
  return plan;
}

function makePlan(
  statement: Statement,
  options: { readonly format: ResultFormat; readonly reprepares: number },
): ColumnPlan {
  const { format } = options;
  const names = columnNames(statement, format);
  const declaredTypes = names.map((_, index) => statement.columnDeclaredType(index)?.toLowerCase());
  const order = (format & FORMAT.associative) === 0
    ? names.map((_, index) => index)
    : sorted(names);
  const columns = order.map((index, at) =>
    plannedColumn({ index, at, name: names[index] ?? "", declared: declaredTypes[index] ?? "" })
  );
  const nameColumns = schemaNameColumns(statement, names);
  const plan = { columns, names, declaredTypes, nameColumns, ...options };
  const isDeclared = declaredTypes.every((type) => type !== undefined);
  return { ...plan, head: isDeclared ? UTF8.encode(headText(plan, declaredTypes)) : undefined };
}

function plannedColumn(
  column: {
    readonly index: number;
    readonly at: number;
    readonly name: string;
    readonly declared: string;
  },
): PlannedColumn {
  const { index, at, name, declared } = column;
  const kind = declared === "boolean"
    ? ColumnKind.boolean
    : TIME_TYPES.has(declared)
    ? ColumnKind.time
    : ColumnKind.plain;
  const key = UTF8.encode(`${at === 0 ? "" : ","}${jsonString(name)}:`);
  return { index, kind, isTextLike: TEXT_TYPES.test(declared), key };
}

function columnNames(statement: Statement, format: ResultFormat): readonly string[] {
  const names = statement.columnNames();
  if ((format & FORMAT.qualifyColumns) === 0) return names;
  return names.map((name, index) => {
    const { table, column } = statement.columnOrigin(index);
    return table === undefined || column === undefined ? name : `${table}.${column}`;
  });
}

/**
 * Tables of ours stand in the schema like any other, since VACUUM and copies must keep them; clients
 * are not shown them (rule Q7), as far as a row can be recognised by what it shows.
 */
function schemaNameColumns(statement: Statement, names: readonly string[]): readonly number[] {
  const { sql } = statement;
  if (!SCHEMA_READERS.test(sql)) return NO_COLUMNS;
  const isPragma = /table_list/i.test(sql);
  return names.map((_, index) => index).filter((index) => {
    const { table, column } = statement.columnOrigin(index);
    if (table === undefined) return isPragma && names[index] === "name";
    return SCHEMA_TABLES.test(table) && NAME_COLUMNS.has(column ?? "");
  });
}

/** Whether the row at hand shows a table of ours. */
export function isOwnSchemaRow(plan: ColumnPlan, statement: Statement): boolean {
  return plan.nameColumns.some((index) => OWN_OBJECT.test(statement.columnText(index)));
}

/** Column numbers by name in byte order; of equal names the last (section 5.4). */
function sorted(names: readonly string[]): number[] {
  const last = new Map(names.map((name, index) => [name, index]));
  const keys = [...last].map(([name, index]) => ({ index, bytes: UTF8.encode(name) }));
  return keys.sort((left, right) => compareBytes(left.bytes, right.bytes)).map(({ index }) =>
    index
  );
}

function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at++) {
    const difference = (left[at] as number) - (right[at] as number);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** The head as bytes, with the types that the present row, if there is one, adds. */
export function headBytes(
  plan: ColumnPlan,
  statement: Statement,
  options: { readonly hasRow: boolean },
): Uint8Array {
  if (plan.head !== undefined) return plan.head;
  const types = plan.declaredTypes.map((type, index) =>
    type ?? (options.hasRow ? typeName(statement.columnType(index)) : "")
  );
  return UTF8.encode(headText(plan, types));
}

function typeName(type: number): string {
  switch (type) {
    case ValueType.INTEGER:
      return "integer";
    case ValueType.REAL:
      return "real";
    case ValueType.TEXT:
    case ValueType.BLOB:
      return "text";
    default:
      return "";
  }
}

function headText(
  plan: Pick<ColumnPlan, "columns" | "names" | "format">,
  types: readonly (string | undefined)[],
): string {
  const type = (index: number): string => jsonString(types[index] ?? "");
  if ((plan.format & FORMAT.associative) !== 0) {
    const members = plan.columns.map(({ index }) =>
      `${jsonString(plan.names[index] ?? "")}:${type(index)}`
    );
    return members.length === 0 ? "{" : `{"types":{${members.join(",")}},`;
  }
  if (plan.names.length === 0) return "{";
  const names = plan.names.map(jsonString).join(",");
  return `{"columns":[${names}],"types":[${plan.names.map((_, index) => type(index)).join(",")}]`;
}
