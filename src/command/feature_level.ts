/**
 * Feature levels (rule F1): which entries, and which meaning of them, a build knows. The cluster's own level is
 * in the state. An entry raises it once every member, learners included, runs a build that has announced a higher
 * one; nothing that is newer than the cluster's level is written to the log. So nodes can be upgraded one by one,
 * and until the last one is, each of them can go back.
 *
 *   1   version 0.1
 */
import { FatalError } from "../base/errors.ts";

/** Of this build. Raised with the first entry, flag or meaning that the build before does not know. */
export const FEATURE_LEVEL = 1;

/** Of a cluster that begins. */
export const FEATURE_LEVEL_FIRST = 1;

/** @throws {FatalError} (65) that begins with `what` when this build does not know a cluster's level. */
export function assertLevelIsKnown(level: number, what: string): void {
  if (level <= FEATURE_LEVEL) return;
  throw new FatalError(65, `${what}: ${levelRefusal(level, FEATURE_LEVEL)}`);
}

/** Why a build that knows levels up to `known` is none for a cluster of `level`, and what to do. */
export function levelRefusal(level: number, known: number): string {
  return `the cluster has feature level ${level}, and this build knows ${known}; ` +
    "start the version of Dust that its other members run, or a newer one";
}
