/**
 * `deno task sim -- --seeds N [--seed S]`: runs the seeds S to S + N - 1 (S is 1 unless told), prints what
 * was done and survived, and ends with status 1 when something was violated. A failed seed is run again
 * with its trace. `--trace` prints the trace of a single seed in any case, `--twice` runs all seeds twice,
 * `--diverge` lets states become other ones, `--short` leaves out all but the first storm of each run, as the regular tests do;
 * `--every N` prints the sum after every N seeds, `--failures N` goes on until N seeds have failed.
 */
import { campaign } from "./campaign.ts";

function print(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function numberAfter(args: readonly string[], name: string, otherwise: number): number {
  const at = args.indexOf(name);
  const value = at < 0 ? otherwise : Number(args[at + 1]);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${name} wants a whole number`);
  return value;
}

async function main(args: readonly string[]): Promise<number> {
  const first = numberAfter(args, "--seed", 1);
  const count = numberAfter(args, "--seeds", 1);
  const failures = await campaign({
    first,
    count,
    failuresMax: numberAfter(args, "--failures", 1),
    traceLines: args.includes("--trace") ? Infinity : numberAfter(args, "--lines", 60),
    isShort: args.includes("--short"),
    diverges: args.includes("--diverge"),
    isTwice: args.includes("--twice"),
    isTraced: args.includes("--trace"),
    every: numberAfter(args, "--every", Number.MAX_SAFE_INTEGER),
    print,
  });
  return failures === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
