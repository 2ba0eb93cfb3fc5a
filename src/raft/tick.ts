/**
 * Time: what happens when nothing happens. One tick is as long as the driver makes it (rule E1).
 */
import { campaign, isPromotable } from "./election.ts";
import { proposeAutoLeave } from "./proposal.ts";
import { broadcastHeartbeat } from "./replication.ts";
import { becomeFollower } from "./roles.ts";
import { releaseHeldBack } from "./snapshot.ts";
import type { RaftState } from "./state.ts";
import { NOBODY } from "./types.ts";

/** Who would rather not lead leaves so many election timeouts to the others (rule V2). */
const RELUCTANT_TIMEOUTS = 3;

/** One tick has passed. */
export function tick(state: RaftState): void {
  if (state.role === "leader") tickLeader(state);
  else tickElection(state);
}

function tickElection(state: RaftState): void {
  state.electionElapsed++;
  state.reads.tick(state.config.electionTicks);
  const patience = state.isReluctant ? RELUCTANT_TIMEOUTS : 1;
  if (state.electionElapsed < patience * ticksToCampaign(state) || !isPromotable(state)) return;
  state.electionElapsed = 0;
  campaign(state, "election");
}

/** A pre-candidate disturbs nobody and may ask again soon. */
function ticksToCampaign(state: RaftState): number {
  const { preVoteRetryTicks } = state.config;
  const isRetry = state.role === "pre_candidate" && preVoteRetryTicks > 0;
  return isRetry ? preVoteRetryTicks : state.electionTimeout;
}

function tickLeader(state: RaftState): void {
  const { config } = state;
  state.heartbeatElapsed++;
  state.electionElapsed++;
  state.quorumElapsed++;
  if (state.quorumElapsed >= config.checkQuorumTicks) {
    state.quorumElapsed = 0;
    if (config.checkQuorum) checkQuorum(state);
    if (state.role !== "leader") return;
  }
  if (state.electionElapsed >= config.electionTicks) {
    state.electionElapsed = 0;
    // The successor had its time; proposals are taken again (Raft thesis 3.10), this node's own among them.
    if (state.transferee !== NOBODY) {
      state.transferee = NOBODY;
      proposeAutoLeave(state);
    }
    releaseHeldBack(state);
  }
  if (state.heartbeatElapsed < config.heartbeatTicks) return;
  state.heartbeatElapsed = 0;
  broadcastHeartbeat(state);
}

/** A leader that a quorum has not answered since the last check cannot commit: clients must know (thesis 6.2). */
function checkQuorum(state: RaftState): void {
  const { members, id, term } = state;
  const own = members.progress(id);
  if (own !== undefined) own.isActive = true;
  if (!members.isQuorumActive()) {
    state.trace?.({ kind: "quorum_lost" });
    becomeFollower(state, { term, leader: NOBODY });
    return;
  }
  members.markInactive({ except: id });
}
