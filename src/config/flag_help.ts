/**
 * The help text of a table of flags: groups in the order in which they first appear, one flag a
 * line, the meaning folded into its own column so that it reads well at 100 columns.
 */
import type { FlagTable } from "./flag_parser.ts";

const MEANING_COLUMN = 40;
const LINE_LENGTH_MAX = 100;

/** Lines for all flags of `table`, each ending in a newline. */
export function formatFlags(table: FlagTable): string {
  const groups = new Map<string, string[]>();
  for (const [name, flag] of Object.entries(table)) {
    const lines = groups.get(flag.group) ?? [];
    groups.set(flag.group, lines);
    const spellings = [name, ...flag.aliases].map((spelling) =>
      `${spelling.length === 1 ? "-" : "--"}${spelling}`
    );
    const left = `  ${spellings.reverse().join(", ")}${
      flag.placeholder === "" ? "" : ` ${flag.placeholder}`
    }`;
    const shownDefault = flag.defaultText === "" ? "" : ` (default ${flag.defaultText})`;
    lines.push(...twoColumns(left, flag.meaning + shownDefault));
  }
  return [...groups].map(([group, lines]) => `${group}:\n${lines.join("\n")}\n`).join("\n");
}

/** `left` and the folded `right`; a long `left` has its line for itself. */
function twoColumns(left: string, right: string): string[] {
  const folded = fold(right, LINE_LENGTH_MAX - MEANING_COLUMN);
  const indent = " ".repeat(MEANING_COLUMN);
  const fits = left.length < MEANING_COLUMN - 1;
  const first = fits ? [left.padEnd(MEANING_COLUMN) + (folded[0] ?? "")] : [left];
  const rest = fits ? folded.slice(1) : folded;
  return [...first, ...rest.map((line) => indent + line)];
}

function fold(text: string, lengthMax: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > lengthMax) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
