/**
 * A bug that is put into a copy of the code on purpose, to see whether the simulator notices. Only the
 * copy has it: production has no switch. Each edit must find its place exactly once, so that a bug whose
 * place has changed is noticed and not silently left out.
 */
import { assert } from "../../../src/base/assert.ts";

/** One replacement in one file, by exact text. */
export interface Edit {
  /** From the project's root. */
  readonly path: string;
  readonly find: string;
  readonly replace: string;
}

/** A bug; all of its edits together. */
export interface PlantedBug {
  readonly name: string;
  /** Which promise it breaks. */
  readonly breaks: string;
  readonly edits: readonly Edit[];
}

/** A bug of one edit. */
export function bug(
  name: string,
  breaks: string,
  edit: { readonly in: string; readonly find: string; readonly replace: string },
): PlantedBug {
  return { name, breaks, edits: [{ path: edit.in, find: edit.find, replace: edit.replace }] };
}

/** `text` with the edit made. @throws {AssertionError} when its place is not there exactly once. */
export function applyEdit(text: string, edit: Edit): string {
  const places = text.split(edit.find).length - 1;
  assert(places === 1, `applyEdit: ${edit.path} has the place ${places} times: ${edit.find}`);
  return text.replace(edit.find, () => edit.replace);
}
