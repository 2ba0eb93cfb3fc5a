/**
 * The `store` part of /status (the wire contract, section 13.1), from facts of the node, the log and
 * the state machine. Names and shapes are what clients, the web console and test suites read.
 */
import { formatDuration } from "../base/duration.ts";
import type { StateMachineStats } from "./ports.ts";

/** A member as clients see it. */
export interface MemberStatus {
  readonly id: string;
  /** The peer address, `host:port`. */
  readonly addr: string;
  readonly voter: boolean;
}

/** What the node's loop knows. Times in milliseconds since 1970; undefined for never. */
export interface NodeFacts {
  readonly nodeId: string;
  readonly raftAddress: string;
  readonly dataDirectory: string;
  readonly state: "Leader" | "Follower" | "Candidate" | "Shutdown";
  readonly isVoter: boolean;
  readonly ready: boolean;
  readonly leader: { readonly addr: string; readonly nodeId: string };
  /** 0 on the leader; undefined for never. */
  readonly leaderContactAgeMs: number | undefined;
  readonly members: readonly MemberStatus[];
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  readonly firstLogIndex: number;
  readonly lastLogIndex: number;
  readonly lastLogTerm: number;
  readonly logBytes: number;
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  readonly snapshotGeneration: number;
  /** Snapshots taken since the start. */
  readonly snapshotCount: number;
  readonly strongReadTerm: number;
  readonly updateTimeMs: number | undefined;
  readonly policy: {
    readonly snapshotThreshold: number;
    readonly snapshotIntervalMs: number;
    readonly trailingLogs: number;
  };
}

const NEVER = "0001-01-01T00:00:00Z";

/** Bytes for people: `1.2 MB`, as the contract's `_friendly` members have it. */
export function friendlySize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** @see the header */
export function storeStatus(facts: NodeFacts, stats: StateMachineStats): Record<string, unknown> {
  const { policy } = facts;
  return {
    addr: facts.raftAddress,
    db_applied_index: stats.lastWriteIndex,
    db_conf: { fk_constraints: stats.foreignKeys },
    dir: facts.dataDirectory,
    dir_size: facts.logBytes + stats.databaseBytes,
    dir_size_friendly: friendlySize(facts.logBytes + stats.databaseBytes),
    fsm_index: facts.appliedIndex,
    fsm_term: facts.appliedTerm,
    fsm_update_time: facts.updateTimeMs === undefined
      ? NEVER
      : new Date(facts.updateTimeMs).toISOString(),
    leader: { addr: facts.leader.addr, node_id: facts.leader.nodeId },
    node_id: facts.nodeId,
    nodes: facts.members.map(({ id, addr, voter }) => ({
      id,
      addr,
      suffrage: voter ? "voter" : "nonvoter",
    })),
    open: true,
    raft: raftStatus(facts),
    ready: facts.ready,
    snapshot_interval: formatDuration(policy.snapshotIntervalMs),
    snapshot_store: {
      dir: `${facts.dataDirectory}/state`,
      dir_size: stats.databaseBytes,
      snapshots: [`${facts.snapshotTerm}-${facts.snapshotIndex}-${facts.snapshotGeneration}`],
    },
    snapshot_threshold: policy.snapshotThreshold,
    sqlite3: sqliteStatus(stats),
    strong_read_term: facts.strongReadTerm,
    trailing_logs: policy.trailingLogs,
  };
}

function raftStatus(facts: NodeFacts): Record<string, unknown> {
  const configuration = facts.members.map(({ id, addr, voter }) =>
    `{Suffrage:${voter ? "Voter" : "Nonvoter"} ID:${id} Address:${addr}}`
  );
  return {
    applied_index: facts.appliedIndex,
    commit_index: facts.commitIndex,
    first_log_index: facts.firstLogIndex,
    fsm_pending: facts.commitIndex - facts.appliedIndex,
    last_contact: facts.state === "Leader" ? 0 : contactText(facts.leaderContactAgeMs),
    last_log_index: facts.lastLogIndex,
    last_log_term: facts.lastLogTerm,
    last_snapshot_index: facts.snapshotIndex,
    last_snapshot_term: facts.snapshotTerm,
    latest_configuration: `[${configuration.join(" ")}]`,
    log_size: facts.logBytes,
    log_size_friendly: friendlySize(facts.logBytes),
    num_peers: facts.members.length - 1,
    state: facts.state,
    term: facts.term,
    voter: facts.isVoter,
  };
}

function contactText(ageMs: number | undefined): string {
  return ageMs === undefined ? "never" : formatDuration(ageMs);
}

/** The pragmas are literal: test suites compare them, and Dust behaves as they say. */
function sqliteStatus(stats: StateMachineStats): Record<string, unknown> {
  const pragmas = {
    busy_timeout: "5000",
    foreign_keys: stats.foreignKeys ? "1" : "0",
    journal_mode: "wal",
    synchronous: "0",
  };
  return {
    compile_options: stats.compileOptions,
    conn_pool_stats: {
      ro: { in_use: stats.queriesInFlight, open_connections: stats.readers },
      rw: { in_use: 0, open_connections: 1 },
    },
    db_size: stats.databaseBytes,
    db_size_friendly: friendlySize(stats.databaseBytes),
    extensions: [],
    mode: stats.mode,
    path: stats.path,
    pinned: stats.sqlitePinned,
    pragmas: {
      ro: { ...pragmas, wal_autocheckpoint: "1000" },
      rw: { ...pragmas, wal_autocheckpoint: "0" },
    },
    size: stats.databaseBytes,
    version: stats.sqliteVersion,
    wal_size: stats.walBytes,
  };
}
