/**
 * The examples of README.md: in each ```console block, a line `$ COMMAND` and below it what it prints.
 * They run in their order against one new node on another port. `deno run -A tests/readme_examples.ts`
 * writes the real outputs into README.md; readme_test.ts compares.
 */
import { fileURLToPath } from "node:url";
import { startNode } from "./process.ts";

/** One command, and the lines below it. */
export interface ReadmeExample {
  /** As written, continued lines joined. */
  readonly command: string;
  /** Lines of README.md from 0: `[outputFrom, outputTo)`. */
  readonly outputFrom: number;
  readonly outputTo: number;
  readonly expected: string;
}

/** Where the README says that a node runs. */
const README_ADDRESS = "localhost:4001";
const README_PATH = fileURLToPath(new URL("../README.md", import.meta.url));

/** The text of README.md. */
export function readReadme(): string {
  return Deno.readTextFileSync(README_PATH);
}

/** All examples of `text`, in order. */
export function parseExamples(text: string): ReadmeExample[] {
  const lines = text.split("\n");
  const examples: ReadmeExample[] = [];
  let inside = false;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    if (line.startsWith("```")) inside = line === "```console";
    if (!inside || !line.startsWith("$ ")) continue;
    let command = line.slice(2);
    while (command.endsWith("\\")) {
      at += 1;
      command = command.slice(0, -1) + (lines[at] ?? "").trimStart();
    }
    const outputFrom = at + 1;
    let outputTo = outputFrom;
    while (!/^(\$ |```)/.test(lines[outputTo] ?? "```")) outputTo += 1;
    const expected = lines.slice(outputFrom, outputTo).join("\n").trim();
    examples.push({ command, outputFrom, outputTo, expected });
    at = outputTo - 1;
  }
  return examples;
}

/** What each command prints, run by the system's shell against a new node. */
export async function runExamples(examples: readonly ReadmeExample[]): Promise<string[]> {
  await using node = await startNode();
  const outputs: string[] = [];
  for (const { command } of examples) {
    const script = command.replaceAll(README_ADDRESS, node.httpAddress);
    const { stdout, stderr } = await new Deno.Command("sh", { args: ["-c", script], stdin: "null" })
      .output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    outputs.push(text.trim().replaceAll("\r\n", "\n").replaceAll(node.httpAddress, README_ADDRESS));
  }
  return outputs;
}

if (import.meta.main) {
  const text = readReadme();
  const examples = parseExamples(text);
  const outputs = await runExamples(examples);
  const lines = text.split("\n");
  for (const [at, { outputFrom, outputTo }] of [...examples.entries()].reverse()) {
    const output = outputs[at] ?? "";
    lines.splice(outputFrom, outputTo - outputFrom, ...(output === "" ? [] : output.split("\n")));
  }
  Deno.writeTextFileSync(README_PATH, lines.join("\n"));
}
