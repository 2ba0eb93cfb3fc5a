/**
 * Results of statements as JSON, byte for byte as the wire contract has them (sections 5.2 to 5.7).
 *
 * One result is one object; the caller writes the array around them. A result that fails half-way is
 * taken back with `JsonWriter.truncate` and replaced by its error, unless parts of it have left already:
 * then `endWithError` closes it.
 * Not here: names and types (column_plan.ts), bytes and numbers (json_writer.ts).
 */
import { FORMAT, type ResultFormat } from "../command/request.ts";
import type { Statement } from "../sqlite/statement.ts";
import { ValueType } from "../sqlite/values.ts";
import {
  ColumnKind,
  type ColumnPlan,
  columnPlan,
  headBytes,
  isOwnSchemaRow,
  type PlannedColumn,
} from "./column_plan.ts";
import { jsonString, type JsonWriter } from "./json_writer.ts";
import { STREAM_CHUNK_BYTES } from "./limits.ts";
import { UnshowableValueError } from "./statement_error.ts";
import { integerAsTime, textAsTime } from "./wire_time.ts";

const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

const UTF8 = new TextEncoder();
const VALUES = UTF8.encode(',"values":[');
const ROWS = UTF8.encode('"rows":[');

/** The counters that an execute-type result shows; 0 is left out. */
export interface Counters {
  readonly lastInsertId: number | bigint;
  readonly rowsAffected: number;
}

/** An execute-type result. `seconds` is undefined without `FORMAT.timings`. */
export function executeResult(
  counters: Counters,
  format: ResultFormat,
  seconds?: number,
): string {
  const { lastInsertId, rowsAffected } = counters;
  if (format === 0 && lastInsertId !== 0 && rowsAffected !== 0) {
    return `{"last_insert_id":${lastInsertId},"rows_affected":${rowsAffected}}`;
  }
  const members: string[] = [];
  if (lastInsertId !== 0) members.push(`"last_insert_id":${lastInsertId}`);
  if (rowsAffected !== 0) members.push(`"rows_affected":${rowsAffected}`);
  if (seconds !== undefined) members.push(timeMember(seconds));
  if ((format & FORMAT.associative) !== 0) members.push('"rows":null');
  return `{${members.join(",")}}`;
}

/** The result of a statement that failed. */
export function errorResult(
  message: string,
  format: ResultFormat,
  options: { readonly isQuery: boolean },
): string {
  const error = `"error":${jsonString(message)}`;
  return options.isQuery && (format & FORMAT.associative) !== 0
    ? `{"rows":[],${error}}`
    : `{${error}}`;
}

/** A query-type result without columns. */
export function emptyResult(format: ResultFormat): string {
  return (format & FORMAT.associative) !== 0 ? '{"rows":[]}' : "{}";
}

function timeMember(seconds: number): string {
  return `"time":${Number(seconds.toFixed(9))}`;
}

/** What happens while rows are written. */
export interface RowSink {
  /** The document has grown past `STREAM_CHUNK_BYTES`; may send it off and clear the writer. */
  readonly onChunk?: () => void;
  /** A row is at hand, shown or not; may read it. */
  readonly onRow?: () => void;
  /** Present with `FORMAT.timings`: seconds since the statement began. */
  readonly elapsedSeconds?: () => number;
}

/**
 * Runs a statement from its first step to its end and writes its rows as one result.
 * @throws {SqliteError} as `Statement.step`. @throws {UnshowableValueError} for a value that has no form.
 */
export function writeRows(
  writer: JsonWriter,
  statement: Statement,
  options: { readonly format: ResultFormat; readonly sink: RowSink },
): void {
  const { format, sink } = options;
  const isStepped = statement.step();
  const plan = columnPlan(statement, format);
  const hasRow = isStepped && settleOnRow(statement, plan, sink);
  const isAssociative = (format & FORMAT.associative) !== 0;
  writer.rawBytes(headBytes(plan, statement, { hasRow }));
  if (isAssociative) writer.rawBytes(ROWS);
  else if (hasRow) writer.rawBytes(VALUES);
  if (hasRow) allRows(writer, statement, { plan, sink });
  if (isAssociative || hasRow) writer.byte(CLOSE_BRACKET);
  const seconds = sink.elapsedSeconds?.();
  if (seconds !== undefined) {
    const isFirst = !isAssociative && plan.names.length === 0;
    writer.raw((isFirst ? "" : ",") + timeMember(seconds));
  }
  writer.byte(CLOSE_BRACE);
}

/** Ends a result of which some rows have been sent off already. */
export function endWithError(writer: JsonWriter, message: string): void {
  writer.raw(`],"error":${jsonString(message)}}`);
}

/** From the row at hand on, the first one that is shown. @returns false when there is none. */
function settleOnRow(statement: Statement, plan: ColumnPlan, sink: RowSink): boolean {
  for (;;) {
    sink.onRow?.();
    if (!isOwnSchemaRow(plan, statement)) return true;
    if (!statement.step()) return false;
  }
}

function allRows(
  writer: JsonWriter,
  statement: Statement,
  options: { readonly plan: ColumnPlan; readonly sink: RowSink },
): void {
  const { plan, sink } = options;
  const { columns } = plan;
  const isAssociative = (plan.format & FORMAT.associative) !== 0;
  const isBlobArray = (plan.format & FORMAT.blobArray) !== 0;
  for (;;) {
    writer.byte(isAssociative ? OPEN_BRACE : OPEN_BRACKET);
    for (let at = 0; at < columns.length; at++) {
      const column = columns[at] as PlannedColumn;
      if (isAssociative) writer.rawBytes(column.key);
      else if (at > 0) writer.byte(COMMA);
      writeValue(writer, statement, { column, isBlobArray });
    }
    writer.byte(isAssociative ? CLOSE_BRACE : CLOSE_BRACKET);
    if (!statement.step() || !settleOnRow(statement, plan, sink)) return;
    if (writer.size >= STREAM_CHUNK_BYTES) sink.onChunk?.();
    writer.byte(COMMA);
  }
}

function writeValue(
  writer: JsonWriter,
  statement: Statement,
  options: { readonly column: PlannedColumn; readonly isBlobArray: boolean },
): void {
  const { index, kind, isTextLike } = options.column;
  switch (statement.columnType(index)) {
    case ValueType.INTEGER:
      return writeInteger(writer, statement, options.column);
    case ValueType.REAL:
      return writer.real(statement.columnReal(index));
    case ValueType.TEXT:
      if (kind === ColumnKind.time) return writer.string(textAsTime(statement.columnText(index)));
      return writer.columnText(statement, index);
    case ValueType.BLOB:
      return writeBlob(writer, statement.columnBytes(index), {
        isTextLike,
        isBlobArray: options.isBlobArray,
      });
    default:
      return writer.raw("null");
  }
}

function writeInteger(writer: JsonWriter, statement: Statement, column: PlannedColumn): void {
  const { index, kind } = column;
  const value = statement.columnReal(index);
  if (kind === ColumnKind.boolean) return writer.raw(value > 0 ? "true" : "false");
  if (kind === ColumnKind.time) {
    const time = integerAsTime(value);
    if (time === undefined) {
      throw new UnshowableValueError("Time.MarshalText: year outside of range [0,9999]");
    }
    return writer.string(time);
  }
  if (Number.isSafeInteger(value)) writer.integer(value);
  else writer.raw(String(statement.columnInteger(index)));
}

function writeBlob(
  writer: JsonWriter,
  content: Uint8Array,
  options: { readonly isTextLike: boolean; readonly isBlobArray: boolean },
): void {
  if (options.isTextLike) writer.bytesAsText(content);
  else if (options.isBlobArray) writer.raw(`[${content.join(",")}]`);
  else writer.raw(`"${content.toBase64()}"`);
}
