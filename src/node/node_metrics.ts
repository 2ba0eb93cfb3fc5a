/**
 * The node's numbers in Prometheus' text format. Read when asked for: nothing is counted twice, and
 * the hot paths keep only the numbers that they need themselves.
 */
import type { OpenedNode } from "./database.ts";
import type { NodeReport } from "./node_report.ts";

/** All metrics of an open node; only that it is closed while it opens. */
export async function nodeMetricsText(
  opened: OpenedNode | undefined,
  report: NodeReport,
): Promise<string> {
  if (opened === undefined) return gauge("dust_store_open", 0, "Whether the node is open");
  const { node } = opened;
  const { loop, compaction } = node;
  const log = node.logFacts();
  const stats = await report.stats(opened);
  return [
    gauge("dust_store_open", 1, "Whether the node is open"),
    gauge("dust_ready", node.isReady ? 1 : 0, "Whether the node serves requests"),
    gauge("dust_raft_is_leader", node.isLeader ? 1 : 0, "Whether the node leads"),
    gauge("dust_raft_term", loop.raft.term, "Current term"),
    gauge("dust_raft_commit_index", loop.hardState.commit, "Commit index"),
    gauge("dust_raft_applied_index", loop.applyQueue.appliedIndex, "Applied index"),
    gauge("dust_raft_last_log_index", log.lastLogIndex, "Last index in the log"),
    gauge("dust_raft_snapshot_index", log.snapshotIndex, "Index of the newest snapshot"),
    gauge("dust_time_ahead_ms", loop.timeAheadMs, "Time of the state ahead of the voters' clocks"),
    gauge("dust_log_bytes", log.logBytes, "Bytes of all log segments"),
    counter("dust_log_syncs_total", loop.appendQueue.syncCount, "Fsyncs of the log"),
    counter("dust_snapshots_total", compaction.snapshotCount, "Snapshots taken"),
    gauge("dust_writes_in_flight", loop.proposals.count, "Writes accepted and not answered"),
    gauge("dust_queries_in_flight", stats.queriesInFlight, "Queries running or waiting"),
    gauge("dust_database_bytes", stats.databaseBytes, "Bytes of the database file"),
    gauge("dust_database_wal_bytes", stats.walBytes, "Bytes of the database's WAL"),
    gauge("dust_readers", stats.readers, "Reader threads"),
  ].join("");
}

/** What is known of this node's state beside those of others (rules V1, V2). */
export function replicaMetricsText(
  facts: {
    readonly alarmCount: number;
    readonly comparedIndex: number;
    readonly divergedCount: number;
    readonly isQuarantined: boolean;
    readonly isUndecided: boolean;
  },
): string {
  const { isQuarantined, isUndecided } = facts;
  return [
    counter("dust_replica_alarms_total", facts.alarmCount, "Alarms about states that differ"),
    gauge("dust_replica_compared_index", facts.comparedIndex, "Index of the last comparison"),
    gauge("dust_replica_diverged", facts.divergedCount, "Members whose state differs"),
    gauge("dust_replica_quarantined", isQuarantined ? 1 : 0, "Whether this node's state is wrong"),
    gauge(
      "dust_replica_undecided",
      isUndecided ? 1 : 0,
      "Whether nobody knows whose state is right",
    ),
  ].join("");
}

/** What reading the log again has found. */
export function scrubMetricsText(
  facts: { readonly isDamaged: boolean; readonly passCount: number },
): string {
  return gauge("dust_log_damaged", facts.isDamaged ? 1 : 0, "Whether the log is damaged") +
    counter("dust_log_scrubs_total", facts.passCount, "How often the whole log was read again");
}

/** What reading the state's file again has found. */
export function scanMetricsText(
  facts: { readonly isDamaged: boolean; readonly passCount: number },
): string {
  const help = "Whether the state's file is damaged";
  return gauge("dust_state_damaged", facts.isDamaged ? 1 : 0, help) +
    counter("dust_state_scans_total", facts.passCount, "How often the state's file was read again");
}

function gauge(name: string, value: number, help: string): string {
  return metric({ name, value, help, type: "gauge" });
}

function counter(name: string, value: number, help: string): string {
  return metric({ name, value, help, type: "counter" });
}

function metric(options: {
  readonly name: string;
  readonly value: number;
  readonly help: string;
  readonly type: "gauge" | "counter";
}): string {
  const { name, value, help, type } = options;
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`;
}
