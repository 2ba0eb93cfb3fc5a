/**
 * Assertions, on in production: they name bugs of ours, never bad input from users, peers or disks.
 * A failed assertion must end the process (exit status 70); nobody may catch it and go on.
 */

/** A broken promise of our own code. Never caught below the outermost handler, which exits with 70. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/**
 * Stops the process's current work when `condition` does not hold.
 * Pass a constant message where the call is hot: a template is built even when the condition holds.
 * @throws {AssertionError} when the condition is false.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For values that the guards above have already shown to exist. @throws {AssertionError} when absent. */
export function assertDefined<T>(value: T | undefined | null, message: string): T {
  if (value === undefined || value === null) throw new AssertionError(message);
  return value;
}

/** Ends a `switch` over a union: a case that was forgotten does not compile. */
export function unreachable(value: never): never {
  throw new AssertionError(`Unreachable case: ${JSON.stringify(value)}`);
}
