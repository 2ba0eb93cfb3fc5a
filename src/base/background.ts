/**
 * The one way to let a promise run without awaiting it: its failure has an owner. Tidy forbids others.
 */

/** Lets `task` run on its own; a rejection goes to `onError`, which must not throw. */
export function runInBackground(
  task: Promise<unknown>,
  onError: (error: unknown) => void,
): void {
  task.then(undefined, onError);
}
