/**
 * Flags of features that are not built yet. A flag whose silent loss would be dangerous (a node that
 * was to join stands alone, a password is not asked for, a backup is not made) refuses to start; one
 * whose loss is merely a loss is a notice in the log. A feature that gets built leaves this file.
 */
import type { FlagValues } from "./flag_parser.ts";
import type { SERVE_FLAGS } from "./serve_flags.ts";

type Values = FlagValues<typeof SERVE_FLAGS>;

/** Given and not empty: refuse. */
const REFUSED = [
  "disco-mode",
  "auth",
  "http-ca-cert",
  "http-cert",
  "http-key",
  "http-verify-client",
  "http-verify-common-name",
  "auto-backup",
  "auto-restore",
  "cdc-config",
  "extensions-path",
] as const;

/** Given and not empty: say that nothing comes of it. */
const WITHOUT_EFFECT = [
  "raft-heartbeat-timeout",
  "raft-election-timeout",
  "raft-leader-lease-timeout",
  "auto-vacuum-int",
  "auto-optimize-int",
  "compress-snap-transport",
  "otlp-endpoint",
  "cpu-profile",
  "mem-profile",
  "trace-profile",
] as const;

/** The sentence that refuses to start, or undefined. */
export function findUnavailable(values: Values): string | undefined {
  const flag = REFUSED.find((name) => isSet(values[name]));
  return flag === undefined ? undefined : `Not available yet: -${flag}`;
}

/** Sentences for the log about flags that were given and change nothing. */
export function findWithoutEffect(values: Values, given: ReadonlySet<string>): readonly string[] {
  return WITHOUT_EFFECT
    .filter((name) => given.has(name) && isSet(values[name]))
    .map((name) => `Flag -${name} has no effect yet`);
}

function isSet(value: string | number | boolean | readonly string[]): boolean {
  return typeof value === "object" ? value.length > 0 : Boolean(value);
}
