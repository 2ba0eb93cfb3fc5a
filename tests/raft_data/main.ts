/**
 * `deno task raft-data -- DIR`: replays every scenario file under DIR against the Raft engine, prints a
 * difference for each that fails and, as the last line, `N passed, M failed`. Exit status 1 on failure.
 */
import { findScripts } from "./files.ts";
import { replay } from "./replay.ts";

function print(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function main(args: readonly string[]): number {
  const directories = args.filter((arg) => arg !== "--");
  if (directories.length === 0) {
    print("Usage: deno task raft-data -- DIR...\n0 passed, 1 failed\n");
    return 1;
  }
  let passed = 0;
  let failed = 0;
  for (const name of directories.flatMap(findScripts)) {
    const failure = replay({ name, text: Deno.readTextFileSync(name) }, () => 0);
    if (failure === undefined) passed++;
    else {
      failed++;
      print(`${failure}\n\n`);
    }
  }
  print(`${passed} passed, ${failed} failed\n`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(main(Deno.args));
