/**
 * The end of the process for an error that nobody may go on after (style guide, "Errors"): prints it
 * with its causes and exits with the status of its kind. `Deno.serve` and gRPC turn what is thrown
 * into an answer, so their outermost handlers call this.
 */
import { AssertionError } from "../base/assert.ts";
import { FatalError, OperatingError } from "../base/errors.ts";

/** EX_SOFTWARE: a bug of ours. */
const EXIT_BUG = 70;

/** 1 for what the operator can mend, a FatalError's own status, 70 for everything unforeseen. */
export function exitStatusOf(error: unknown): number {
  if (error instanceof FatalError) return error.exitStatus;
  if (error instanceof OperatingError) return 1;
  return EXIT_BUG;
}

/** One sentence for the operator's errors; name, stack and causes for our own. Ends in a newline. */
export function describeError(error: unknown): string {
  if (error instanceof FatalError || error instanceof OperatingError) {
    return `fatal: ${error.message}${describeCause(error.cause)}\n`;
  }
  const isBug = error instanceof AssertionError;
  const text = error instanceof Error ? error.stack ?? `${error.name}: ${error.message}` : error;
  const cause = error instanceof Error ? describeCause(error.cause) : "";
  return `fatal: ${isBug ? "this is a bug in Dust" : "unexpected error"}: ${text}${cause}\n`;
}

/** Prints `error` to stderr and ends the process at once: no cleanup, as after a power cut. */
export function crash(error: unknown): never {
  Deno.stderr.writeSync(new TextEncoder().encode(describeError(error)));
  Deno.exit(exitStatusOf(error));
}

function describeCause(cause: unknown): string {
  if (cause === undefined) return "";
  return ` (cause: ${cause instanceof Error ? cause.message : String(cause)})`;
}
