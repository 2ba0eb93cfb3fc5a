/**
 * Replays one scenario file and compares byte for byte. Which of the three kinds a file is shows in its
 * first directive. The first difference ends the file: later cases depend on the state.
 */
import { makeConfChangeFile } from "./conf_change_files.ts";
import { makeInteraction } from "./interaction.ts";
import { runQuorumCase } from "./quorum_files.ts";
import { type Case, parseScript } from "./script.ts";

/** Undefined when all is as expected, otherwise what differs and where. */
export type ReplayFailure = string | undefined;

/** Replays the text of a file. `random` in [0, 1) fixes the election timeouts. */
export function replay(
  file: { readonly name: string; readonly text: string },
  random: () => number,
): ReplayFailure {
  let example: Case | undefined;
  try {
    const cases = parseScript(file.text);
    const run = runnerFor(cases[0], random);
    for (example of cases) {
      const actual = withLineEnd(run(example));
      if (actual === example.expected) continue;
      return `${file.name}:${example.line}: ${example.command}\n${diff(example.expected, actual)}`;
    }
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? error.stack ?? error.message : String(error);
    return `${file.name}:${example?.line ?? 0}: ${example?.command ?? "parse"}\n${text}`;
  }
}

function runnerFor(first: Case | undefined, random: () => number): (example: Case) => string {
  switch (first?.command) {
    case "committed":
    case "vote":
      return runQuorumCase;
    case "simple":
    case "enter-joint":
    case "leave-joint":
      return makeConfChangeFile();
    default:
      return makeInteraction(random);
  }
}

function withLineEnd(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

/** Lines expected (-) and found (+), with what they have in common at both ends. */
export function diff(expected: string, actual: string): string {
  const left = expected.split("\n").slice(0, -1);
  const right = actual.split("\n").slice(0, -1);
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start++;
  let end = 0;
  while (
    end < left.length - start && end < right.length - start &&
    left[left.length - 1 - end] === right[right.length - 1 - end]
  ) end++;
  return [
    ...left.slice(Math.max(0, start - 3), start).map((line) => `  ${line}`),
    ...left.slice(start, left.length - end).map((line) => `- ${line}`),
    ...right.slice(start, right.length - end).map((line) => `+ ${line}`),
    ...left.slice(left.length - end, left.length - end + 3).map((line) => `  ${line}`),
  ].join("\n");
}
