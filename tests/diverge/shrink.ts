/**
 * The shortest log that still fails: entries are left out in halves, quarters and so on down to one by
 * one (delta debugging), then the statements of those that are left.
 */
import { generateLog } from "./generated_log.ts";
import type { Job, Kept } from "./job.ts";
import type { Failure, Replicas } from "./replicas.ts";

/** A log that cannot be made shorter, and how it fails. */
export interface Shrunk {
  readonly kept: readonly Kept[];
  readonly failure: Failure;
  /** Logs that were tried. */
  readonly triesCount: number;
}

/** Shrinks a job that fails with `failure`. A failure of another kind does not count. */
export async function shrink(
  job: Job,
  failure: Failure,
  options: { readonly replicas: Pick<Replicas, "run">; readonly triesMax: number },
): Promise<Shrunk> {
  let latest = failure;
  let triesCount = 0;
  const fails = async (kept: readonly Kept[]): Promise<boolean> => {
    if (++triesCount > options.triesMax) return false;
    const outcome = await options.replicas.run({ ...job, kept });
    if (outcome.failure?.kind !== failure.kind) return false;
    latest = outcome.failure;
    return true;
  };
  const all: Kept[] = generateLog(job.seed, job.statementCount)
    .map(({ number, statements }) => ({ number, statements: statements.map((_, at) => at) }));
  // What comes behind the checkpoint has no part in it, unless the state machine broke.
  const prefix = all.slice(0, failure.number + 1);
  const isPrefix = failure.kind !== "broken" && await fails(prefix);
  let kept = await minimize(isPrefix ? prefix : all, fails);
  const parts = kept.flatMap(({ number, statements }) =>
    statements.map((statement) => ({ number, statement }))
  );
  const fewer = await minimize(parts, (some) => fails(joined(some)));
  kept = joined(fewer);
  return { kept, failure: latest, triesCount };
}

function joined(parts: readonly { readonly number: number; readonly statement: number }[]): Kept[] {
  const byNumber = Map.groupBy(parts, ({ number }) => number);
  return [...byNumber].map(([number, some]) => ({
    number,
    statements: some.map(({ statement }) => statement),
  }));
}

/** The items without which it does not fail; none can be left out alone. */
async function minimize<T>(
  items: readonly T[],
  fails: (some: readonly T[]) => Promise<boolean>,
): Promise<T[]> {
  let kept = [...items];
  for (let size = Math.ceil(kept.length / 2); size >= 1;) {
    let isShorter = false;
    for (let from = 0; from < kept.length;) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)];
      if (rest.length > 0 && await fails(rest)) {
        kept = rest;
        isShorter = true;
      } else {
        from += size;
      }
    }
    if (size === 1 && !isShorter) break;
    size = size === 1 ? 1 : Math.ceil(size / 2);
  }
  return kept;
}
