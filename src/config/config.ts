/**
 * The configuration of a node: argv and environment in, one checked and frozen `Config` out, or the
 * sentence and the exit status that refuse it. Pure: nothing is opened, looked up or printed here.
 * Every duration is in milliseconds, every size in bytes.
 */
import { type Address, parseAddress } from "./address.ts";
import { findUnavailable, findWithoutEffect } from "./feature_gate.ts";
import { formatFlags } from "./flag_help.ts";
import { environmentName, type FlagOutcome, type FlagValues, parseFlags } from "./flag_parser.ts";
import { SERVE_FLAGS } from "./serve_flags.ts";
import { type Addresses, findInvalid } from "./validation.ts";

/** Everything that a node is told from outside. Deeply frozen. */
export interface Config {
  /** As given, maybe relative. */
  readonly dataDirectory: string;
  /** The name in the cluster, never empty. */
  readonly nodeId: string;
  readonly http: {
    readonly listen: Address;
    readonly advertised: Address;
    /** For CORS; undefined: no header. */
    readonly allowOrigin: string | undefined;
    readonly bodyBytesMax: number;
    readonly requestsInFlightMax: number;
  };
  readonly storage: {
    readonly mode: "ram" | "disk";
    /** Where the file lives in mode `ram`; undefined: tmpfs of the machine. */
    readonly ramDirectory: string | undefined;
    /** Reader threads, at least 1. */
    readonly readers: number;
    readonly foreignKeys: boolean;
    /** undefined: the pinned library, or what is found in its place. */
    readonly sqliteLibrary: string | undefined;
  };
  readonly raft: {
    readonly listen: Address;
    readonly advertised: Address;
    /** Log entries that trigger a snapshot, at least 1. */
    readonly snapshotEntries: number;
    /** Whether somebody has said so, by flag or variable: then they are enough (rule N4). */
    readonly areSnapshotEntriesGiven: boolean;
    /** WAL bytes that trigger one; 0: they do not. */
    readonly snapshotWalBytes: number;
    readonly snapshotIntervalMs: number;
    readonly heartbeatTimeoutMs: number;
    readonly electionTimeoutMs: number;
    /** 0: the built-in value. */
    readonly leaderLeaseTimeoutMs: number;
    readonly applyTimeoutMs: number;
    readonly stepsDownOnShutdown: boolean;
    readonly leavesOnShutdown: boolean;
    readonly stopsWhenRemoved: boolean;
  };
  readonly cluster: {
    /** Raft addresses of members to join; empty for a node that does not join. */
    readonly join: readonly string[];
    readonly joinAttempts: number;
    readonly joinIntervalMs: number;
    /** User of the auth file to join as. */
    readonly joinAs: string | undefined;
    /** Nodes that form a new cluster together; below 2 for none. */
    readonly bootstrapExpect: number;
    readonly bootstrapTimeoutMs: number;
    /** Gets the log and has no vote. */
    readonly isReadOnly: boolean;
    /** 0: never. */
    readonly reapAfterMs: { readonly voters: number; readonly readOnly: number };
    readonly connectTimeoutMs: number;
    /** undefined: in the clear. */
    readonly tls: PeerTlsConfig | undefined;
    readonly allowsInsecurePeers: boolean;
    readonly allowsUnpinnedSqlite: boolean;
    /** What a node does whose state differs from others when nobody knows which is right (rule V1). */
    readonly onDivergence: "serve" | "stop";
  };
  readonly writeQueue: {
    readonly capacity: number;
    readonly batchSize: number;
    readonly timeoutMs: number;
    readonly transaction: boolean;
  };
  readonly log: {
    readonly level: "ERROR" | "WARN" | "INFO" | "DEBUG";
    readonly format: "text" | "json";
  };
}

/** TLS between nodes: files in PEM. */
export interface PeerTlsConfig {
  readonly certificatePath: string;
  readonly keyPath: string;
  /** undefined: those that the runtime trusts. */
  readonly caPath: string | undefined;
  readonly verifiesServers: boolean;
  readonly verifiesClients: boolean;
  /** Expected in the certificates of others; undefined: their host. */
  readonly serverName: string | undefined;
  readonly clientCommonName: string | undefined;
}

/**
 * `run`: start, and log the notices. `version`, `help`: print and exit with 0 (the version and help
 * texts go where rqlited's go: stderr and stdout). `refused`: print `text` to stderr, exit with `status`.
 */
export type ConfigOutcome =
  | { readonly kind: "run"; readonly config: Config; readonly notices: readonly string[] }
  | { readonly kind: "version" }
  | { readonly kind: "help"; readonly text: string }
  /** 2: the command line cannot be read. 1: what it says is impossible. */
  | { readonly kind: "refused"; readonly status: 1 | 2; readonly text: string };

/** Prefix of all environment variables of Dust. */
export const ENVIRONMENT_PREFIX = "DUST";

/** Stands for the data directory where the command line names none, since it is no flag. */
export const DATA_DIRECTORY_VARIABLE = "DUST_DATA_DIR";

type Values = FlagValues<typeof SERVE_FLAGS>;

/** What the process was started with: the words behind `serve`, and the whole environment. */
export interface ConfigSource {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Reads and checks a node's configuration. @see ConfigOutcome */
export function parseConfig(source: ConfigSource): ConfigOutcome {
  const parsed = parseFlags(SERVE_FLAGS, { ...source, environmentPrefix: ENVIRONMENT_PREFIX });
  switch (parsed.kind) {
    case "help":
      return { kind: "help", text: serveHelp() };
    case "wrong":
      return {
        kind: "refused",
        status: 2,
        text:
          `${parsed.message}\nUsage: dust [serve] [flags] DATA_DIR; dust --help lists the flags`,
      };
    case "values":
      return parsed.values.version ? { kind: "version" } : checkValues(parsed, source);
  }
}

/** The help text of `dust serve`. */
export function serveHelp(): string {
  return `Usage: dust [serve] [flags] DATA_DIR

Runs a node that keeps its data in DATA_DIR. Flags take one dash or two, --name VALUE or
--name=VALUE; those without a value are switches and take one only as --name=false. Each is also an
environment variable, such as DUST_HTTP_ADDR; the command line wins. DUST_DATA_DIR stands for
DATA_DIR. Durations are like 500ms, 10s, 1m30s; sizes like 1048576 or 1MiB.

${formatFlags(SERVE_FLAGS)}`;
}

function checkValues(
  parsed: Extract<FlagOutcome<typeof SERVE_FLAGS>, { readonly kind: "values" }>,
  source: ConfigSource,
): ConfigOutcome {
  const { values, given, operands } = parsed;
  const [operand, excess] = operands;
  if (excess !== undefined) {
    return refused(`Data directory must be the last argument: ${excess} follows it`);
  }
  const dataDirectory = operand || source.environment[DATA_DIRECTORY_VARIABLE] || "";
  if (dataDirectory === "") {
    return refused("No data directory given: usage is dust [flags] DATA_DIR, see dust --help");
  }
  const addresses = parseAddresses(values);
  if (typeof addresses === "string") return refused(addresses);
  const problem = findInvalid({ values, given, addresses }) ?? findUnavailable(values);
  if (problem !== undefined) return refused(problem);
  return {
    kind: "run",
    config: deepFreeze(buildConfig({ values, given, addresses, dataDirectory })),
    notices: [
      ...(operand === undefined
        ? [`Data directory is ${dataDirectory}, from ${DATA_DIRECTORY_VARIABLE}`]
        : []),
      ...findWithoutEffect(values, given),
      ...unknownVariables(source.environment),
    ],
  };
}

function refused(message: string): ConfigOutcome {
  return { kind: "refused", status: 1, text: `fatal: ${message}` };
}

function parseAddresses(values: Values): Addresses | string {
  const fallbacks = {
    "http-adv-addr": values["http-adv-addr"] || values["http-addr"],
    "raft-adv-addr": values["raft-adv-addr"] || values["raft-addr"],
  };
  const wrong: string[] = [];
  const read = (flag: string, text: string): Address => {
    const outcome = parseAddress(text);
    if (outcome.kind === "address") return outcome.address;
    wrong.push(`Address ${JSON.stringify(text)} of -${flag} is unusable: ${outcome.reason}`);
    return { host: "", port: 0, text: "" };
  };
  const addresses = {
    http: read("http-addr", values["http-addr"]),
    httpAdvertised: read("http-adv-addr", fallbacks["http-adv-addr"]),
    raft: read("raft-addr", values["raft-addr"]),
    raftAdvertised: read("raft-adv-addr", fallbacks["raft-adv-addr"]),
  };
  return wrong[0] ?? addresses;
}

interface Parts {
  readonly values: Values;
  /** Flags that were given, by command line or environment. */
  readonly given: ReadonlySet<string>;
  readonly addresses: Addresses;
  readonly dataDirectory: string;
}

function buildConfig({ values, given, addresses, dataDirectory }: Parts): Config {
  return {
    dataDirectory,
    nodeId: values["node-id"] || addresses.raftAdvertised.text,
    http: {
      listen: addresses.http,
      advertised: addresses.httpAdvertised,
      allowOrigin: values["http-allow-origin"] || undefined,
      bodyBytesMax: values["http-max-body"],
      requestsInFlightMax: values["http-max-requests"],
    },
    storage: {
      mode: values["on-disk"] ? "disk" : "ram",
      ramDirectory: values["ram-dir"] || undefined,
      readers: Math.min(values.readers, values["db-max-ro-conns"] || Infinity),
      foreignKeys: values.fk,
      sqliteLibrary: values["sqlite-lib"] || undefined,
    },
    raft: buildRaft({ values, given, addresses, dataDirectory }),
    cluster: buildCluster(values),
    writeQueue: {
      capacity: values["write-queue-capacity"],
      batchSize: values["write-queue-batch-size"],
      timeoutMs: values["write-queue-timeout"],
      transaction: values["write-queue-tx"],
    },
    log: { level: values["raft-log-level"], format: values["log-format"] },
  };
}

function buildRaft({ values, given, addresses }: Parts): Config["raft"] {
  return {
    listen: addresses.raft,
    advertised: addresses.raftAdvertised,
    snapshotEntries: Math.max(1, values["raft-snap"]),
    areSnapshotEntriesGiven: given.has("raft-snap"),
    snapshotWalBytes: values["raft-snap-wal-size"],
    snapshotIntervalMs: values["raft-snap-int"],
    heartbeatTimeoutMs: values["raft-heartbeat-timeout"],
    electionTimeoutMs: values["raft-election-timeout"],
    leaderLeaseTimeoutMs: values["raft-leader-lease-timeout"],
    applyTimeoutMs: values["raft-apply-timeout"],
    stepsDownOnShutdown: values["raft-shutdown-stepdown"],
    leavesOnShutdown: values["raft-cluster-remove-shutdown"],
    stopsWhenRemoved: values["raft-remove-shutdown"],
  };
}

function buildCluster(values: Values): Config["cluster"] {
  return {
    join: values.join,
    joinAttempts: Math.max(1, values["join-attempts"]),
    joinIntervalMs: values["join-interval"],
    joinAs: values["join-as"] || undefined,
    bootstrapExpect: values["bootstrap-expect"],
    bootstrapTimeoutMs: values["bootstrap-expect-timeout"],
    isReadOnly: values["raft-non-voter"],
    reapAfterMs: {
      voters: values["raft-reap-node-timeout"],
      readOnly: values["raft-reap-read-only-node-timeout"],
    },
    connectTimeoutMs: values["cluster-connect-timeout"],
    tls: values["node-cert"] === "" ? undefined : {
      certificatePath: values["node-cert"],
      keyPath: values["node-key"],
      caPath: values["node-ca-cert"] || undefined,
      verifiesServers: !values["node-no-verify"],
      verifiesClients: values["node-verify-client"],
      serverName: values["node-verify-server-name"] || undefined,
      clientCommonName: values["node-verify-common-name"] || undefined,
    },
    allowsInsecurePeers: values["insecure-peers"],
    allowsUnpinnedSqlite: values["allow-unpinned-sqlite"],
    onDivergence: values["on-divergence"],
  };
}

/** A misspelt variable would otherwise be silently without effect. */
function unknownVariables(environment: Readonly<Record<string, string>>): string[] {
  const known = new Set([
    DATA_DIRECTORY_VARIABLE,
    ...Object.keys(SERVE_FLAGS).map((name) => environmentName(ENVIRONMENT_PREFIX, name)),
  ]);
  return Object.keys(environment)
    .filter((name) => name.startsWith(`${ENVIRONMENT_PREFIX}_`) && !known.has(name))
    .sort()
    .map((name) => `Environment variable ${name} is unknown and has no effect`);
}

function deepFreeze<Value extends object>(value: Value): Value {
  for (const part of Object.values(value)) {
    if (typeof part === "object" && part !== null) deepFreeze(part);
  }
  return Object.freeze(value);
}
