/**
 * The entries of the log by which replicas compare their states (rule V1), told apart from all others by one
 * byte: every entry that is applied is looked at.
 */
import type { CompareCommand, DigestVerdictCommand } from "../command/command.ts";
import { decodeCommand } from "../command/command_decoder.ts";
import { KIND, kindByteOf } from "../command/command_format.ts";
import type { LogIndex } from "../base/ids.ts";
import type { ApplyEntry } from "./ports.ts";

/** What an entry says of replicas. */
export type ReplicaCommand = CompareCommand | DigestVerdictCommand;

/** Whoever follows what becomes of this node's state beside those of others. */
export interface ReplicaListener {
  /** An entry by which replicas compare their states is applied (rule V1). */
  onReplicaCommand?(index: LogIndex, command: ReplicaCommand): void;
  /** The state at `index` is one that came from another node. */
  onStateReplaced?(index: LogIndex): void;
}

/** Tells of an entry that is applied, if it is about replicas. */
export function tellOfReplicas(listener: ReplicaListener, entry: ApplyEntry): void {
  const command = readReplicaCommand(entry);
  if (command !== undefined) listener.onReplicaCommand?.(entry.index, command);
}

/** The command in an entry that is about replicas; undefined for all others. */
export function readReplicaCommand(
  { kind, payload }: Pick<ApplyEntry, "kind" | "payload">,
): ReplicaCommand | undefined {
  if (kind !== "normal") return undefined;
  const byte = kindByteOf(payload);
  if (byte !== KIND.compare && byte !== KIND.digestVerdict) return undefined;
  const command = decodeCommand(payload);
  return command.kind === "compare" || command.kind === "digest_verdict" ? command : undefined;
}
