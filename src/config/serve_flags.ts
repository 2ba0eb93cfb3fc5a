/**
 * The flags of `dust serve`: rqlited's names, types and defaults (the wire contract, section 14.1),
 * then Dust's own. A flag of a feature that is not built yet is here all the same, since scripts
 * pass it; what happens when it is given stands in feature_gate.ts.
 * Invariant: nothing here depends on the machine.
 */
import { BODY_BYTES_DEFAULT, ENTRY_SIZE_BYTES_MAX } from "../base/limits.ts";
import {
  choiceFlag,
  countFlag,
  durationFlag,
  listFlag,
  sizeFlag,
  switchFlag,
  textFlag,
} from "./flag.ts";

const NODE = "Node";
const HTTP = "HTTP API";
const STORAGE = "Storage";
const RAFT = "Raft";
const CLUSTER = "Cluster";
const QUEUE = "Queued writes";
const LOG = "Log";
const SECURITY = "TLS and access";
const OTHER = "Backups, change feeds and telemetry";

const NODE_FLAGS = {
  "version": switchFlag({
    group: NODE,
    meaning: "Print the version and exit",
    commandLineOnly: true,
  }),
  "node-id": textFlag({
    group: NODE,
    placeholder: "ID",
    meaning: "Name of this node in the cluster",
    defaultText: "the advertised Raft address",
  }),
  "http-addr": textFlag({
    group: HTTP,
    placeholder: "HOST:PORT",
    meaning: "Where the HTTP API listens",
    initial: "localhost:4001",
  }),
  "http-adv-addr": textFlag({
    group: HTTP,
    placeholder: "HOST:PORT",
    meaning: "The HTTP address told to others",
    defaultText: "--http-addr",
  }),
  "http-allow-origin": textFlag({
    group: HTTP,
    placeholder: "ORIGIN",
    meaning: "Access-Control-Allow-Origin for browsers",
  }),
  "http-max-body": sizeFlag({
    group: HTTP,
    initial: BODY_BYTES_DEFAULT,
    min: 1024,
    max: ENTRY_SIZE_BYTES_MAX,
    meaning: "Largest request body; past it, 413",
  }),
  "http-max-requests": countFlag({
    group: HTTP,
    initial: 16_384,
    min: 1,
    max: 16_384,
    meaning: "Requests answered at once; past it, 503",
  }),
} as const;

const STORAGE_FLAGS = {
  "on-disk": switchFlag({
    group: STORAGE,
    meaning: "Keep the database file on disk instead of in memory: for databases larger than " +
      "memory, and for a start that does not depend on their size",
  }),
  "ram-dir": textFlag({
    group: STORAGE,
    placeholder: "DIR",
    meaning: "Where the file lives when it is kept in memory: a folder on tmpfs",
    defaultText: "/dev/shm",
  }),
  "readers": countFlag({
    group: STORAGE,
    initial: 2,
    min: 1,
    max: 64,
    meaning: "Threads that run queries, started when they are needed",
  }),
  "db-max-ro-conns": countFlag({
    group: STORAGE,
    initial: 256,
    meaning: "Read connections at most; 0 for no limit. Lowers --readers, never raises it",
  }),
  "fk": switchFlag({ group: STORAGE, meaning: "Enforce foreign keys" }),
  "sqlite-lib": textFlag({
    group: STORAGE,
    placeholder: "FILE",
    meaning: "The libsqlite3 to use",
    defaultText: "the pinned one",
  }),
  "extensions-path": listFlag({
    group: STORAGE,
    placeholder: "PATH,...",
    meaning: "SQLite extensions to load (not available yet)",
  }),
  "auto-vacuum-int": durationFlag({
    group: STORAGE,
    initial: "0s",
    meaning: "Period of automatic VACUUM; 0s for none (not available yet)",
  }),
  "auto-optimize-int": durationFlag({
    group: STORAGE,
    initial: "24h",
    meaning: "Period of PRAGMA optimize; 0s for none (no effect yet)",
  }),
} as const;

const RAFT_FLAGS = {
  "raft-addr": textFlag({
    group: RAFT,
    placeholder: "HOST:PORT",
    meaning: "Where other nodes connect to",
    initial: "localhost:4002",
  }),
  "raft-adv-addr": textFlag({
    group: RAFT,
    placeholder: "HOST:PORT",
    meaning: "The Raft address told to others",
    defaultText: "--raft-addr",
  }),
  "raft-snap": countFlag({
    group: RAFT,
    initial: 8192,
    meaning: "Log entries since the last snapshot that trigger one",
  }),
  "raft-snap-wal-size": sizeFlag({
    group: RAFT,
    initial: 4_194_304,
    meaning: "Size of SQLite's WAL that triggers a snapshot; 0 for none",
  }),
  "raft-snap-int": durationFlag({
    group: RAFT,
    initial: "10s",
    minMs: 5,
    meaning: "How often these triggers are looked at",
  }),
  "raft-heartbeat-timeout": durationFlag({
    group: RAFT,
    initial: "1s",
    minMs: 5,
    meaning: "Silence after which a follower doubts the leader",
  }),
  "raft-election-timeout": durationFlag({
    group: RAFT,
    initial: "1s",
    minMs: 5,
    meaning: "How long a candidate waits for votes",
  }),
  "raft-leader-lease-timeout": durationFlag({
    group: RAFT,
    initial: "0s",
    meaning: "Silence of the majority after which a leader steps down; 0s for the built-in value",
  }),
  "raft-commit-timeout": durationFlag({
    group: RAFT,
    initial: "50ms",
    minMs: 1,
    meaning: "Accepted for rqlite's scripts; Dust does not wait to commit",
  }),
  "raft-apply-timeout": durationFlag({
    group: RAFT,
    initial: "10s",
    minMs: 1,
    meaning: "How long a write waits for its turn in the log",
  }),
  "raft-shutdown-stepdown": switchFlag({
    group: RAFT,
    on: true,
    meaning: "A leader hands over before it shuts down",
  }),
  "raft-remove-shutdown": switchFlag({
    group: RAFT,
    meaning: "Stop when this node is removed from the cluster",
  }),
} as const;

const CLUSTER_FLAGS = {
  "on-divergence": choiceFlag({
    group: CLUSTER,
    choices: ["serve", "stop"],
    initial: "serve",
    meaning: "What nodes do whose data differs when nobody knows which is right",
  }),
  "join": listFlag({
    group: CLUSTER,
    placeholder: "HOST:PORT,...",
    meaning: "Raft addresses of a cluster to join",
  }),
  "join-attempts": countFlag({
    group: CLUSTER,
    initial: 5,
    meaning: "Rounds over the addresses of --join",
  }),
  "join-interval": durationFlag({
    group: CLUSTER,
    initial: "3s",
    meaning: "Pause between these rounds",
  }),
  "join-as": textFlag({
    group: CLUSTER,
    placeholder: "USER",
    meaning: "User of the auth file to join as",
  }),
  "bootstrap-expect": countFlag({
    group: CLUSTER,
    initial: 0,
    max: 99,
    meaning: "Nodes that form a new cluster together; -join lists them all",
  }),
  "bootstrap-expect-timeout": durationFlag({
    group: CLUSTER,
    initial: "120s",
    meaning: "How long to wait for these nodes",
  }),
  "disco-mode": textFlag({
    group: CLUSTER,
    placeholder: "MODE",
    meaning: "consul-kv, etcd-kv, dns or dns-srv (not available yet)",
  }),
  "disco-key": textFlag({
    group: CLUSTER,
    placeholder: "KEY",
    initial: "rqlite",
    meaning: "Key prefix in the discovery service",
  }),
  "disco-config": textFlag({
    group: CLUSTER,
    placeholder: "FILE",
    meaning: "Discovery configuration: a file or the text itself",
  }),
  "raft-non-voter": switchFlag({
    group: CLUSTER,
    meaning: "Run as a read replica: gets all data, has no vote",
  }),
  "raft-cluster-remove-shutdown": switchFlag({
    group: CLUSTER,
    meaning: "Leave the cluster on an orderly shutdown",
  }),
  "raft-reap-node-timeout": durationFlag({
    group: CLUSTER,
    initial: "0h",
    meaning: "Remove voters unreachable for so long",
  }),
  "raft-reap-read-only-node-timeout": durationFlag({
    group: CLUSTER,
    initial: "0h",
    meaning: "Remove read replicas unreachable for so long",
  }),
  "cluster-connect-timeout": durationFlag({
    group: CLUSTER,
    initial: "30s",
    meaning: "Limit for connecting to another node",
  }),
  "compress-snap-transport": switchFlag({
    group: CLUSTER,
    meaning: "Compress snapshots between nodes (no effect yet)",
  }),
} as const;

const QUEUE_FLAGS = {
  "write-queue-capacity": countFlag({
    group: QUEUE,
    initial: 1024,
    min: 1,
    meaning: "Statements that may wait",
  }),
  "write-queue-batch-size": countFlag({
    group: QUEUE,
    initial: 128,
    min: 1,
    meaning: "Statements that are written at once",
  }),
  "write-queue-timeout": durationFlag({
    group: QUEUE,
    initial: "50ms",
    meaning: "How long a part of a batch waits for the rest",
  }),
  "write-queue-tx": switchFlag({ group: QUEUE, meaning: "Write each batch as a transaction" }),
} as const;

const LOG_FLAGS = {
  "raft-log-level": choiceFlag({
    group: LOG,
    choices: ["ERROR", "WARN", "INFO", "DEBUG"],
    initial: "WARN",
    meaning: "Least level that is logged",
  }),
  "log-format": choiceFlag({
    group: LOG,
    choices: ["text", "json"],
    initial: "text",
    meaning: "Lines for people, or one JSON object a line",
  }),
} as const;

const SECURITY_FLAGS = {
  "auth": file(SECURITY, "Credentials and permissions"),
  "http-ca-cert": file(SECURITY, "CA that clients' certificates are checked with"),
  "http-cert": file(SECURITY, "Certificate of the HTTPS API"),
  "http-key": file(SECURITY, "Its private key"),
  "http-verify-client": switchFlag({ group: SECURITY, meaning: "Clients need a certificate" }),
  "http-verify-common-name": textFlag({
    group: SECURITY,
    placeholder: "NAME",
    meaning: "The common name that it must have",
  }),
  "node-ca-cert": certificate("CA that nodes' certificates are checked with"),
  "node-cert": certificate("Certificate towards other nodes"),
  "node-key": certificate("Its private key"),
  "node-no-verify": switchFlag({ group: SECURITY, meaning: "Accept any certificate of a node" }),
  "node-verify-client": switchFlag({ group: SECURITY, meaning: "Nodes need a certificate" }),
  "node-verify-server-name": textFlag({
    group: SECURITY,
    placeholder: "NAME",
    meaning: "Host name expected in other nodes' certificates",
  }),
  "node-verify-common-name": textFlag({
    group: SECURITY,
    placeholder: "NAME",
    meaning: "Common name that a connecting node must have",
  }),
  "insecure-peers": switchFlag({
    group: SECURITY,
    meaning: "Take part in a cluster beyond this machine without --node-verify-client",
  }),
  "allow-unpinned-sqlite": switchFlag({
    group: SECURITY,
    meaning: "Take part in a cluster with another build of SQLite: replicas may differ",
  }),
} as const;

const OTHER_FLAGS = {
  "auto-backup": file(OTHER, "Automatic backups"),
  "auto-restore": file(OTHER, "Automatic restore at the first start"),
  "cdc-config": file(OTHER, "Change data capture"),
  "otlp-endpoint": textFlag({
    group: OTHER,
    placeholder: "HOST:PORT",
    meaning: "OpenTelemetry collector (not available yet)",
  }),
  "otlp-interval": durationFlag({ group: OTHER, initial: "30s", meaning: "Export period" }),
  "otlp-insecure": switchFlag({ group: OTHER, meaning: "No TLS to the collector" }),
  "otlp-no-verify": switchFlag({ group: OTHER, meaning: "Accept any certificate of it" }),
  "otlp-ca-cert": file(OTHER, "CA of the collector"),
  "otlp-cert": file(OTHER, "Client certificate for it"),
  "otlp-key": file(OTHER, "Its private key"),
  "cpu-profile": file(OTHER, "CPU profile"),
  "mem-profile": file(OTHER, "Memory profile"),
  "trace-profile": file(OTHER, "Execution trace"),
} as const;

function certificate(meaning: string): ReturnType<typeof textFlag> {
  return textFlag({ group: SECURITY, placeholder: "FILE", meaning });
}

function file(group: string, meaning: string): ReturnType<typeof textFlag> {
  return textFlag({ group, placeholder: "FILE", meaning: `${meaning} (not available yet)` });
}

/** All flags of `dust serve`, in the order of the help text. */
export const SERVE_FLAGS = {
  ...NODE_FLAGS,
  ...STORAGE_FLAGS,
  ...LOG_FLAGS,
  ...RAFT_FLAGS,
  ...QUEUE_FLAGS,
  ...CLUSTER_FLAGS,
  ...SECURITY_FLAGS,
  ...OTHER_FLAGS,
} as const;
