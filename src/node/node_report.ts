/**
 * What the node says of itself: /status, /nodes, /readyz, in facts; the HTTP room words them.
 * Works while the node is still opening: then the store is closed and nothing is ready.
 */
import { OperatingError } from "../base/errors.ts";
import type { MemberRow } from "../command/member_table.ts";
import type { QueryRequest } from "../command/request.ts";
import { NOBODY } from "../raft/types.ts";
import type { ClusterView, MemberReport } from "./cluster_view.ts";
import type { OpenedNode } from "./database.ts";
import { LEADER_SILENCE_MS_MAX } from "./limits.ts";
import type { Clock } from "../os/clock.ts";
import type { StateMachineStats } from "./ports.ts";
import { type MemberStatus, type NodeFacts, storeStatus } from "./store_status.ts";

/** How long a status page waits for fresh facts of a busy writer. */
const STATS_WAIT_MS_MAX = 200;

/** Shows that a reader answers. Ids of clients are positive; several probes may be in flight. */
const PROBE: QueryRequest = {
  id: 0,
  body: { kind: "sql", text: "SELECT 1" },
  transaction: false,
  format: 0,
  timeoutMs: 5_000,
  level: "none",
  freshnessMs: 0,
  freshnessStrict: false,
  linearizableTimeoutMs: 0,
};

/** What clients call the parts in a term. */
const STATES = {
  leader: "Leader",
  follower: "Follower",
  candidate: "Candidate",
  pre_candidate: "Candidate",
} as const;

/** Who this node is, from its configuration. */
export interface NodeIdentity {
  readonly nodeId: string;
  /** `host:port` for peers. */
  readonly raftAddress: string;
  /** `http://host:port` for clients. */
  readonly apiUrl: string;
  readonly version: string;
  readonly dataDirectory: string;
  readonly snapshotEntries: number;
  readonly snapshotIntervalMs: number;
  readonly trailingEntries: number;
}

/** Why a node is not ready, or that it is. */
export type ReadinessReport =
  | { readonly state: "ready" }
  | { readonly state: "no_leader" }
  | { readonly state: "leader_not_contactable"; readonly error: string }
  | { readonly state: "store_not_ready" }
  | { readonly state: "sync_failed"; readonly error: string }
  | { readonly state: "database_failed"; readonly error: string };

/** See the file's header. */
export class NodeReport {
  readonly #identity: NodeIdentity;
  readonly #opened: () => OpenedNode | undefined;
  readonly #hasQueried: () => boolean;
  readonly #clock: Clock;
  #lastStats: StateMachineStats | undefined;
  #asking: Promise<StateMachineStats> | undefined;

  constructor(options: {
    readonly identity: NodeIdentity;
    readonly opened: () => OpenedNode | undefined;
    /** Whether any query has come since the start. */
    readonly hasQueried: () => boolean;
    readonly clock: Clock;
  }) {
    this.#identity = options.identity;
    this.#opened = options.opened;
    this.#hasQueried = options.hasQueried;
    this.#clock = options.clock;
  }

  /** The `store` section of /status; `{"open":false}` while the node opens. */
  async store(): Promise<Record<string, unknown>> {
    const opened = this.#opened();
    if (opened === undefined) return { open: false };
    return storeStatus(this.#facts(opened), await this.stats(opened));
  }

  /**
   * Facts of the state machine. While its writer is busy with one long statement they are those of the
   * last time; so somebody must have asked once, before the node starts.
   */
  async stats({ stateMachine }: Pick<OpenedNode, "stateMachine">): Promise<StateMachineStats> {
    this.#asking ??= stateMachine.stats().then((stats) => {
      this.#lastStats = stats;
      return stats;
    }).finally(() => {
      this.#asking = undefined;
    });
    const { promise, resolve, reject } = Promise.withResolvers<StateMachineStats>();
    const timer = this.#clock.startTimer(STATS_WAIT_MS_MAX, () => {
      if (this.#lastStats !== undefined) resolve(this.#lastStats);
    });
    this.#asking.then(resolve, reject);
    return await promise.finally(() => timer.cancel());
  }

  /** All members, or those with a vote. @throws {OperatingError} `not_ready` while the node opens. */
  async nodes(
    options: { readonly timeoutMs: number; readonly nonVoters: boolean },
  ): Promise<readonly MemberReport[]> {
    const startedMs = this.#clock.monotonicMs();
    const opened = this.#opened();
    if (opened === undefined) throw new OperatingError("not_ready", "store not open");
    if (opened.cluster !== undefined) {
      const reports = await opened.cluster.reports(options);
      return options.nonVoters ? reports : reports.filter(({ voter }) => voter);
    }
    const { nodeId, raftAddress, apiUrl, version } = this.#identity;
    return [{
      id: nodeId,
      address: raftAddress,
      voter: true,
      contact: {
        reachable: true,
        apiUrl,
        version,
        leader: opened.node.isLeader,
        durationMs: Math.max(this.#clock.monotonicMs() - startedMs, 0.001),
      },
    }];
  }

  /** The member that leads; undefined when none is known, or it does not answer, or the node still opens. */
  async leader(options: { readonly timeoutMs: number }): Promise<MemberReport | undefined> {
    const opened = this.#opened();
    if (opened === undefined) return undefined;
    const leader = opened.cluster === undefined
      ? (await this.nodes({ ...options, nonVoters: false }))[0]
      : await opened.cluster.leaderReport(options);
    return leader?.contact.reachable && leader.contact.leader ? leader : undefined;
  }

  /** Whether requests would be served now; with `sync`, once this node has what is committed now. */
  async readiness(
    options: { readonly sync: boolean; readonly timeoutMs: number },
  ): Promise<ReadinessReport> {
    const opened = this.#opened();
    if (opened === undefined || opened.node.leaderId === NOBODY) return { state: "no_leader" };
    const ageMs = opened.node.leaderContactAgeMs ?? Infinity;
    if (ageMs > LEADER_SILENCE_MS_MAX && opened.node.isReady) {
      return { state: "leader_not_contactable", error: "timeout waiting for node to respond" };
    }
    if (!opened.node.isReady || opened.cluster?.isComplete === false) {
      return { state: "store_not_ready" };
    }
    if (options.sync) {
      const error = await failureOf(opened.node.confirmRead(options.timeoutMs));
      if (error?.code === "timeout") {
        return { state: "sync_failed", error: "timeout waiting for commit index" };
      }
      if (error !== undefined) return { state: "sync_failed", error: error.message };
    }
    // Before the first query no reader runs, and asking would start one for nothing: that the node is
    // ready means that the database has just taken an entry of this term.
    if (!this.#hasQueried()) return { state: "ready" };
    const error = await failureOf(opened.stateMachine.query(PROBE, { unified: false }));
    return error === undefined
      ? { state: "ready" }
      : { state: "database_failed", error: error.message };
  }

  #facts({ node, cluster }: OpenedNode): NodeFacts {
    const { loop, compaction } = node;
    const { raft } = loop;
    const identity = this.#identity;
    const own = { id: identity.nodeId, addr: identity.raftAddress, voter: true };
    // Scripts wait until they see a leader here, and count on a node that is ready then.
    const leader = cluster === undefined
      ? (node.isReady ? own : undefined)
      : memberOf(cluster.isComplete ? cluster.leader : undefined, cluster);
    return {
      nodeId: identity.nodeId,
      raftAddress: identity.raftAddress,
      dataDirectory: identity.dataDirectory,
      state: STATES[node.loop.role.role],
      isVoter: node.isVoter,
      ready: node.isReady,
      leader: { addr: leader?.addr ?? "", nodeId: leader?.id ?? "" },
      leaderContactAgeMs: node.leaderContactAgeMs,
      members: cluster?.members.map((row) => memberOf(row, cluster)) ?? [own],
      term: raft.term,
      commitIndex: loop.hardState.commit,
      appliedIndex: loop.applyQueue.appliedIndex,
      appliedTerm: raft.term,
      ...node.logFacts(),
      snapshotCount: compaction.snapshotCount,
      strongReadTerm: node.strongReadTerm,
      updateTimeMs: node.updateTimeMs,
      policy: {
        snapshotThreshold: identity.snapshotEntries,
        snapshotIntervalMs: identity.snapshotIntervalMs,
        trailingLogs: identity.trailingEntries,
      },
    };
  }
}

function memberOf(row: MemberRow, cluster: ClusterView): MemberStatus;
function memberOf(row: MemberRow | undefined, cluster: ClusterView): MemberStatus | undefined;
function memberOf(row: MemberRow | undefined, cluster: ClusterView): MemberStatus | undefined {
  if (row === undefined) return undefined;
  return { id: row.name, addr: row.raftAddress, voter: cluster.isVoter(row) };
}

/** An expected failure, or undefined when there was none. */
async function failureOf(task: Promise<unknown>): Promise<OperatingError | undefined> {
  try {
    await task;
    return undefined;
  } catch (error) {
    if (error instanceof OperatingError) return error;
    throw error;
  }
}
