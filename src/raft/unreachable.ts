/**
 * The transport knows that messages to a peer were lost: optimistic sending would only add to them.
 */
import type { NodeId } from "../base/ids.ts";
import { textOf } from "./replication.ts";
import type { RaftState } from "./state.ts";

/** The leader probes the peer, from the first entry that is not known to match. */
export function reportUnreachable(state: RaftState, peer: NodeId): void {
  const progress = state.members.progress(peer);
  if (state.role !== "leader" || peer === state.id || progress === undefined) return;
  if (progress.state === "replicate") progress.becomeProbe();
  state.trace?.({ kind: "peer_unreachable", peer, progress: textOf(state, peer) });
}
