/**
 * A JSON document as an indented tree, for `.status`, `.nodes` and `.expvar`: one `name: value` a line.
 */
import { escapeControls } from "../telemetry/log_text.ts";
import { isJsonObject, type Json, plainText } from "./exact_json.ts";

const INDENT = "  ";

/** Lines, each with its newline. A value that is no object or array is one line. */
export function formatTree(value: Json): string {
  return treeLines(value, "").map((line) => `${line}\n`).join("");
}

function treeLines(value: Json, indent: string): string[] {
  if (isJsonObject(value)) {
    return Object.entries(value).flatMap(([name, member]) =>
      memberLines(`${indent}${escapeControls(name)}:`, member, indent)
    );
  }
  if (Array.isArray(value)) {
    return value.flatMap((element) => memberLines(`${indent}-`, element, indent));
  }
  return [`${indent}${leafText(value)}`];
}

function memberLines(label: string, member: Json, indent: string): string[] {
  const isLeaf = !isJsonObject(member) && !Array.isArray(member);
  if (isLeaf) return [`${label} ${leafText(member)}`.trimEnd()];
  const inner = treeLines(member, indent + INDENT);
  return inner.length === 0
    ? [`${label} ${Array.isArray(member) ? "[]" : "{}"}`]
    : [label, ...inner];
}

function leafText(value: Json): string {
  return escapeControls(plainText(value));
}
