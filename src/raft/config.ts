/**
 * The engine's settings, checked once. Ticks are the only notion of time; the driver decides how long
 * one is. `productionConfig` is what Dust runs with (rules E1, D1, N1); the other values exist for the
 * scenario files, which fix the behaviour of a plainer engine.
 */
import { assert } from "../base/assert.ts";
import type { NodeId } from "../base/ids.ts";
import { NOBODY } from "./types.ts";

/** All settings of one engine; none can be changed later. */
export interface RaftConfig {
  readonly id: NodeId;
  /** Election timeouts are drawn from `[electionTicks, electionTicksMax]`; leases last `electionTicks`. */
  readonly electionTicks: number;
  readonly electionTicksMax: number;
  /** A leader's heartbeats; below `electionTicks`. */
  readonly heartbeatTicks: number;
  /** Whether an election is preceded by the question whether it would succeed (Raft thesis 9.6). */
  readonly preVote: boolean;
  /** Ticks after which a pre-candidate asks again; 0 waits for the election timeout (rule E1). */
  readonly preVoteRetryTicks: number;
  /** Whether a leader without a quorum of recent contacts steps down, and votes respect leases. */
  readonly checkQuorum: boolean;
  /** Ticks between two such checks. */
  readonly checkQuorumTicks: number;
  /** `asynchronous`: `appended` and `applied` acknowledge. `synchronous`: `advance` does. */
  readonly storageWrites: "asynchronous" | "synchronous";
  /** Bytes of entries in one append; a larger single entry still goes alone. */
  readonly appendSizeBytesMax: number;
  /** Appends under way to one peer; at least 1. */
  readonly inflightAppendsMax: number;
  /** Payload bytes under way to one peer; the last append may pass it. */
  readonly inflightBytesMax: number;
  /** Payload bytes proposed and not yet applied; more is refused. Empty entries never are. */
  readonly uncommittedBytesMax: number;
  /** Bytes of entries handed out for apply and not yet acknowledged; at least one entry. */
  readonly applySizeBytesMax: number;
  /** Whether appends wait for the next Ready, so that proposals in between share one message. */
  readonly batchAppends: boolean;
  /**
   * Whether vote requests leave before the candidate's term, vote and log are durable, as the scenario
   * files have it. UNSAFE in asynchronous mode: see election.ts.
   */
  readonly areVoteRequestsImmediate: boolean;
  /** Whether votes tell the commit index, so that it spreads without a leader. */
  readonly commitInVotes: boolean;
  /** Whether a follower passes proposals to the leader. Dust forwards above the engine. */
  readonly forwardProposals: boolean;
  /** Whether a leader that is removed or demoted steps down at once. */
  readonly stepDownOnRemoval: boolean;
  /** Whether the leader refuses configuration changes that are not possible now. */
  readonly validateConfChanges: boolean;
  /**
   * Whether `forgetLeader` is refused, as an engine with lease reads must. Dust has no lease reads (rule
   * E3), because they are weaker: a paused process or a drifting clock makes them stale.
   */
  readonly refuseForgetLeader: boolean;
}

/** What Dust runs with: tick 50 ms, heartbeat 100 ms, election 800 to 1,550 ms (rule E1). */
export function productionConfig(id: NodeId): RaftConfig {
  return {
    id,
    electionTicks: 16,
    electionTicksMax: 31,
    heartbeatTicks: 2,
    preVote: true,
    preVoteRetryTicks: 4,
    checkQuorum: true,
    checkQuorumTicks: 16,
    storageWrites: "asynchronous",
    appendSizeBytesMax: 1024 * 1024,
    inflightAppendsMax: 256,
    inflightBytesMax: 64 * 1024 * 1024,
    uncommittedBytesMax: 256 * 1024 * 1024,
    applySizeBytesMax: 64 * 1024 * 1024,
    batchAppends: true,
    areVoteRequestsImmediate: false,
    commitInVotes: true,
    forwardProposals: false,
    stepDownOnRemoval: true,
    validateConfChanges: true,
    refuseForgetLeader: false,
  };
}

/** @throws {AssertionError} when settings contradict each other. */
export function assertConfig(config: RaftConfig): void {
  assert(config.id !== NOBODY, "assertConfig: a node needs an id above 0");
  assert(config.heartbeatTicks > 0, "assertConfig: heartbeatTicks must be positive");
  assert(config.electionTicks > config.heartbeatTicks, "assertConfig: elections outrun heartbeats");
  assert(config.electionTicksMax >= config.electionTicks, "assertConfig: electionTicksMax too low");
  assert(config.preVoteRetryTicks >= 0, "assertConfig: preVoteRetryTicks is negative");
  assert(config.checkQuorumTicks > 0, "assertConfig: checkQuorumTicks must be positive");
  assert(config.inflightAppendsMax > 0, "assertConfig: no append could ever be sent");
  assert(config.inflightBytesMax > 0, "assertConfig: inflightBytesMax must be positive");
  assert(config.applySizeBytesMax > 0, "assertConfig: applySizeBytesMax must be positive");
  assert(config.appendSizeBytesMax >= 0, "assertConfig: appendSizeBytesMax is negative");
  assert(config.uncommittedBytesMax >= 0, "assertConfig: uncommittedBytesMax is negative");
}
