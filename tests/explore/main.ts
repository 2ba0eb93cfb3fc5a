/**
 * `deno task explore -- [--states N] [--terms N] [--entries N] [--crashes N] [--changes N]`: visits N
 * distinct states of a small cluster (a million unless told) and prints how many there were. Status 1 and
 * the shortest path when something does not hold.
 */
import type { Scope } from "./explored_world.ts";
import { explore } from "./explorer.ts";

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

function numberAfter(args: readonly string[], name: string, otherwise: number): number {
  const at = args.indexOf(name);
  return at < 0 ? otherwise : Number(args[at + 1]);
}

function main(args: readonly string[]): number {
  const scope: Scope = {
    terms: numberAfter(args, "--terms", 3),
    entries: numberAfter(args, "--entries", 2),
    crashes: numberAfter(args, "--crashes", 1),
    doublings: numberAfter(args, "--doublings", 0),
    heartbeats: numberAfter(args, "--heartbeats", 1),
    reads: numberAfter(args, "--reads", 1),
    changes: numberAfter(args, "--changes", 0),
    wire: numberAfter(args, "--wire", 6),
    preVote: args.includes("--pre-vote"),
  };
  const startMs = performance.now();
  const { states, steps, depth, isComplete, violation } = explore(scope, {
    statesMax: numberAfter(args, "--states", 1_000_000),
    onProgress: () => undefined,
  });
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  if (violation !== undefined) {
    print(`Violation: ${violation.reason}\n  ${violation.path.join("\n  ")}\n`);
  }
  print(
    `${states} distinct states, ${steps} steps, depth ${depth}, ` +
      `${isComplete ? "all there are" : "stopped at the limit"}, ${seconds} s, ` +
      `${violation === undefined ? 0 : 1} violations\n`,
  );
  return violation === undefined ? 0 : 1;
}

if (import.meta.main) Deno.exit(main(Deno.args));
