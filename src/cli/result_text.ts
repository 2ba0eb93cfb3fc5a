/**
 * A query's result as text, in the shell's four modes. `column` is a table for people: cells with line
 * breaks take several lines, other control characters are shown escaped, so that data cannot command
 * the terminal. `csv`, `line` and `json` are for programs; json keeps every value as it came.
 */
import { escapeControls } from "../telemetry/log_text.ts";
import { elementsOf, formatExactJson, type Json, memberOf, plainText } from "./exact_json.ts";

/** How results are shown. */
export const RESULT_MODES = ["column", "csv", "json", "line"] as const;

/** One of `RESULT_MODES`. */
export type ResultMode = typeof RESULT_MODES[number];

/** Columns and rows. */
export interface ResultTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Json[])[];
}

/** The table in a query-type result (`columns`, `values`); undefined when it is none. */
export function tableOf(result: Json): ResultTable | undefined {
  const columns = memberOf(result, "columns");
  if (columns === undefined) return undefined;
  return {
    columns: elementsOf(columns).map(plainText),
    rows: elementsOf(memberOf(result, "values")).map(elementsOf),
  };
}

/** Lines, each with its newline. The header is there even without rows. */
export function formatTable(table: ResultTable, mode: ResultMode): string {
  switch (mode) {
    case "column":
      return columnText(table);
    case "csv":
      return csvText(table);
    case "line":
      return lineText(table);
    case "json":
      return jsonText(table);
  }
}

function columnText({ columns, rows }: ResultTable): string {
  const header = columns.map((name) => cellLines(name));
  const body = rows.map((row) => columns.map((_, at) => cellLines(row[at] ?? null)));
  const widths = columns.map((_, at) =>
    [header, ...body].reduce((width, row) => Math.max(width, ...(row[at] ?? []).map(widthOf)), 0)
  );
  const rule = `+${widths.map((width) => "-".repeat(width + 2)).join("+")}+\n`;
  const text = (row: readonly (readonly string[])[]): string => {
    const height = Math.max(1, ...row.map((cell) => cell.length));
    return Array.from({ length: height }, (_, line) =>
      `|${
        widths.map((width, at) => {
          const part = row[at]?.[line] ?? "";
          return ` ${part}${" ".repeat(width - widthOf(part))} `;
        }).join("|")
      }|\n`).join("");
  };
  return rule + text(header) + rule + body.map(text).join("") + (rows.length > 0 ? rule : "");
}

function cellLines(value: Json): readonly string[] {
  return (value === null ? "<nil>" : plainText(value)).split("\n").map(escapeControls);
}

/** Columns of a terminal, roughly: East Asian and emoji characters take two. */
function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    const isWide = (point >= 0x1100 && point <= 0x115f) || (point >= 0x2e80 && point <= 0xa4cf) ||
      (point >= 0xac00 && point <= 0xd7a3) || (point >= 0xf900 && point <= 0xfaff) ||
      (point >= 0xfe30 && point <= 0xfe6f) || (point >= 0xff00 && point <= 0xff60) ||
      (point >= 0x1f300 && point <= 0x1faff) || (point >= 0x20000 && point <= 0x3fffd);
    width += isWide ? 2 : 1;
  }
  return width;
}

/** RFC 4180, with a newline alone at each end. */
function csvText({ columns, rows }: ResultTable): string {
  const field = (text: string): string =>
    /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const lines = [columns, ...rows.map((row) => row.map(valueText))];
  return lines.map((line) => `${line.map(field).join(",")}\n`).join("");
}

function lineText({ columns, rows }: ResultTable): string {
  const width = Math.max(0, ...columns.map(widthOf));
  const record = (row: readonly Json[]): string =>
    columns.map((name, at) =>
      `${" ".repeat(width - widthOf(name))}${escapeControls(name)} = ${
        escapeControls(valueText(row[at] ?? null))
      }\n`
    ).join("");
  return rows.map(record).join("\n");
}

/** An array of objects, one a line. */
function jsonText({ columns, rows }: ResultTable): string {
  const record = (row: readonly Json[]): string => {
    const members = columns.map((name, at) =>
      `${JSON.stringify(name)}:${formatExactJson(row[at] ?? null)}`
    );
    return `{${members.join(",")}}`;
  };
  return rows.length === 0 ? "[]\n" : `[${rows.map(record).join(",\n ")}]\n`;
}

function valueText(value: Json): string {
  return value === null ? "NULL" : plainText(value);
}
