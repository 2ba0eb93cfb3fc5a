/**
 * `dust serve`: builds a node from its configuration, runs it until it is told to stop, and takes it
 * apart in the opposite order. The HTTP port opens first, so that scripts which poll /status find it
 * while log and state are still being recovered; only SQLite is waited for, which the first start of a
 * source tree compiles.
 * A stop is heeded at every moment. Before the node is open nothing needs an orderly end: what opening
 * writes is made for a crash at any line (data_directory.ts), and nobody has been promised anything.
 */
import { type Config, parseConfig } from "../config/config.ts";
import { runInBackground } from "../base/background.ts";
import { FatalError, OperatingError } from "../base/errors.ts";
import { nodeId } from "../base/ids.ts";
import { DUST_VERSION } from "../config/version.ts";
import { HttpApi } from "../http/http_api.ts";
import { type HttpServer, startHttpServer } from "../http/server.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { DenoEntropy } from "../os/deno_entropy.ts";
import { DenoFileSystem } from "../os/deno_file_system.ts";
import type { Entropy } from "../os/entropy.ts";
import type { FileSystem } from "../os/file_system.ts";
import { NOBODY } from "../raft/types.ts";
import { prepareLibrary } from "../sqlite/loader.ts";
import { Logger } from "../telemetry/logger.ts";
import type { LocalIdentity } from "../transport/peer_identity.ts";
import { ClusterNode } from "./cluster_node.ts";
import { crash, describeError, exitStatusOf } from "./crash.ts";
import {
  type Birth,
  firstBirth,
  markRemoved,
  openDataDirectory,
  type OpenedData,
} from "./data_directory.ts";
import { DatabaseService } from "./database_service.ts";
import { Forming } from "./forming.ts";
import { joinCluster } from "./joining.ts";
import { NodeServices } from "./node_services.ts";
import { PeerPort } from "./peer_port.ts";
import { sqliteFingerprint } from "./sqlite_fingerprint.ts";
import { processVersion } from "./version.ts";

/** How long a stop may take before the process ends anyway: init systems and scripts give it 10 s. */
const SHUTDOWN_MS_MAX = 9_500;

/** How long requests in flight may take to be answered once a stop has begun. */
const DRAIN_MS_MAX = 5_000;

/** How long the state may take to close then: the writer may be in the midst of a write without end. */
const STATE_CLOSE_MS_MAX = 2_000;

/** Entries kept behind a snapshot, as a share of `--raft-snap` (rqlite's 1.25). */
const TRAILING_SHARE = 1.25;

/** How long leaving the cluster, or handing over, may take. */
const LEAVE_MS_MAX = 2_000;

const NOBODY_TO_EXPECT =
  "Cannot start: -bootstrap-expect needs the Raft addresses of all nodes in -join";
const NOBODY_TO_READ_FROM = "Cannot start: a node with -raft-non-voter has to -join others";

/** The format of entries and messages that this build writes (rule F1). */
const FEATURE_LEVEL = 1;

const BOOT_NONCE_BYTES = 8;

/**
 * Runs a node until SIGINT or SIGTERM.
 * @returns the exit status.
 */
export async function serve(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const outcome = parseConfig({ argv, environment });
  switch (outcome.kind) {
    case "version":
      write(Deno.stderr, `${processVersion()}\n`);
      return 0;
    case "help":
      write(Deno.stdout, outcome.text);
      return 0;
    case "refused":
      write(Deno.stderr, `${outcome.text}\n`);
      return outcome.status;
    case "run":
      return await runNode(outcome.config, outcome.notices);
  }
}

async function runNode(config: Config, notices: readonly string[]): Promise<number> {
  const clock = new DenoClock();
  const logger = new Logger({
    level: config.log.level,
    format: config.log.format,
    component: "dust",
    sink: (line) => write(Deno.stderr, line),
    wallClockMs: () => clock.wallMs(),
  });
  for (const notice of notices) logger.warn(notice);
  const stop = stopSignal(logger);
  try {
    return await runUntilStopped({ config, clock, logger, stop });
  } catch (error) {
    write(Deno.stderr, describeError(error));
    return exitStatusOf(error);
  }
}

async function runUntilStopped(
  { config, clock, logger, stop }: Surroundings & { readonly config: Config },
): Promise<number> {
  const sqlite = await prepareLibrary({ path: config.storage.sqliteLibrary, signal: stop });
  if (sqlite === undefined) return 0;
  const service = new DatabaseService({ clock, identity: identityOf(config) });
  const parts = {
    config,
    service,
    clock,
    logger,
    stop,
    sqliteLibrary: sqlite.location.path,
    fingerprint: sqliteFingerprint(sqlite.library),
  };
  const server = listen(parts);
  if (server === undefined) return 1;
  let running = await start(parts);
  if (running?.isRemoved === true && config.cluster.join.length > 0) {
    // Found out at the start: whoever says -join again means to come back (rule M4).
    await close(running, { logger, clock });
    running = await start(parts);
  }
  if (running !== undefined && !stop.aborted) write(Deno.stdout, banner(config, running.data));
  await untilStopped(stop);
  await shutDown({ config, running, server, logger, clock });
  return 0;
}

interface Surroundings {
  readonly clock: DenoClock;
  readonly logger: Logger;
  /** Aborted when the process is told to stop. */
  readonly stop: AbortSignal;
}

interface Running {
  /** It turned out that this node was removed, before it was ready. */
  readonly isRemoved: boolean;
  readonly cluster: ClusterNode;
  readonly data: OpenedData;
}

interface Parts extends Surroundings {
  readonly config: Config;
  readonly service: DatabaseService;
  /** The one that was found, so that nobody searches again. */
  readonly sqliteLibrary: string;
  readonly fingerprint: string;
}

/** @returns undefined when the address cannot be had, which the log then says. */
function listen({ config, service, clock, logger }: Parts): HttpServer | undefined {
  const api = new HttpApi({
    database: service,
    clock,
    version: DUST_VERSION,
    advertisedAddress: config.http.advertised.text,
    bindAddress: config.http.listen.text,
    allowOrigin: config.http.allowOrigin,
    writeQueue: config.writeQueue,
    bodyBytesMax: config.http.bodyBytesMax,
    requestsInFlightMax: config.http.requestsInFlightMax,
    commandLine: Deno.args,
    crash,
  });
  try {
    return startHttpServer({
      api,
      hostname: config.http.listen.host,
      port: config.http.listen.port,
      crash,
    });
  } catch (error) {
    logger.error("Cannot listen for clients", {
      address: config.http.listen.text,
      error: asError(error),
    });
    return undefined;
  }
}

/** @returns the node, ready unless it was told to stop; undefined when that came before it was open. */
async function start(parts: Parts): Promise<Running | undefined> {
  const { config, service, clock, logger, stop, sqliteLibrary } = parts;
  const entropy = new DenoEntropy();
  const fileSystem = new DenoFileSystem();
  const removal = Promise.withResolvers<void>();
  const services = new NodeServices({
    config,
    logger,
    fileSystem,
    monotonicMs: () => clock.monotonicMs(),
    onRemoved: () => removal.resolve(),
    crash,
  });
  const makePort = (
    member: Pick<LocalIdentity, "clusterId" | "nodeId" | "incarnation">,
  ): PeerPort => {
    const identity = { ...localIdentity(parts, entropy), ...member };
    const made = new PeerPort({ config, identity, services, clock, entropy, logger });
    services.setPort(made);
    return made;
  };
  const form = async (by: PeerPort): Promise<Birth> => {
    const forming = new Forming({ config, port: by, clock, entropy, fileSystem, logger, stop });
    services.setForming(forming);
    return await forming.form();
  };
  let port: PeerPort | undefined;
  const opening = openDataDirectory({
    ...config.storage,
    sqliteLibrary,
    path: config.dataDirectory,
    fileSystem,
    clock,
    entropy,
    logger,
    birth: async (incarnation) => {
      if (config.cluster.join.length === 0) {
        if (config.cluster.bootstrapExpect > 1) throw new FatalError(1, NOBODY_TO_EXPECT);
        if (config.cluster.isReadOnly) throw new FatalError(1, NOBODY_TO_READ_FROM);
        return firstBirth(birthOptions(config, entropy), incarnation);
      }
      port = makePort({ clusterId: undefined, nodeId: NOBODY, incarnation });
      const birth = config.cluster.bootstrapExpect > 1
        ? await form(port)
        : await joinCluster({ config, port, clock, logger, stop });
      port.setMember(birth);
      return birth;
    },
    mayBeginAnew: config.cluster.join.length > 0,
    onFatal: crash,
  });
  const data = await Promise.race([opening, untilStopped(stop)]);
  if (data === undefined) return undefined;
  const { clusterId, incarnation } = data.log.identity;
  port ??= makePort({ clusterId, nodeId: nodeId(data.log.identity.nodeId), incarnation });
  const cluster = new ClusterNode({
    config,
    data,
    port,
    database: service.database,
    clock,
    entropy,
    trailingEntries: trailingEntries(config),
    onRemoved: () => removal.resolve(),
    onFatal: crash,
  });
  let wasRemoved = false;
  const removed = removal.promise.then(() => {
    wasRemoved = true;
    return onRemoved(parts, fileSystem);
  });
  runInBackground(removed, crash);
  services.attach(cluster);
  const { node, forwarding, view } = cluster;
  await service.attach({ node, stateMachine: data.stateMachine, forwarding, cluster: view });
  if (cluster.hasPeers || config.cluster.join.length > 0) await port.open();
  else port.openOnKnock();
  node.start();
  await Promise.race([node.untilReady(), untilStopped(stop), removed]);
  return { isRemoved: wasRemoved && !node.isReady, cluster, data };
}

/** Fault M2: nothing of a member that was removed goes on, but its data stays for who looks. */
async function onRemoved({ config, logger }: Parts, fileSystem: FileSystem): Promise<void> {
  await markRemoved(fileSystem, config.dataDirectory);
  logger.warn("This node was removed from the cluster", { node: config.nodeId });
  if (config.raft.stopsWhenRemoved) Deno.kill(Deno.pid, "SIGTERM");
}

function localIdentity(
  { config, fingerprint }: Parts,
  entropy: Entropy,
): Omit<LocalIdentity, "clusterId" | "nodeId" | "incarnation"> {
  const { nodeId: name, raftAddress, apiUrl } = identityOf(config);
  return {
    bootNonce: entropy.bytes(BOOT_NONCE_BYTES),
    name,
    raftAddress,
    apiUrl,
    sqliteFingerprint: fingerprint,
    allowsOtherSqlite: config.cluster.allowsUnpinnedSqlite,
    featureLevel: FEATURE_LEVEL,
    version: DUST_VERSION,
  };
}

/** Opposite order of the start. Requests in flight are answered first, within their time. */
async function shutDown(options: {
  readonly config: Config;
  readonly running: Running | undefined;
  readonly server: HttpServer;
  readonly logger: Logger;
  readonly clock: DenoClock;
}): Promise<void> {
  const { config, running, server, logger, clock } = options;
  const limit = clock.startTimer(SHUTDOWN_MS_MAX, () => {
    logger.error("Cannot stop in time: ending the process");
    Deno.exit(1);
  });
  if (running !== undefined) await leave(running, { config, logger, clock });
  await Promise.race([server.shutdown(), clock.sleep(DRAIN_MS_MAX)]);
  if (running !== undefined) await close(running, { logger, clock });
  limit.cancel();
  logger.info("Stopped");
}

/** All but the HTTP port. */
async function close(
  { cluster, data }: Running,
  tools: { readonly logger: Logger; readonly clock: DenoClock },
): Promise<void> {
  cluster.leaderWatch.stop();
  await cluster.node.stop();
  await cluster.port.close();
  await closeState(data, tools);
  await data.log.close();
  data.lock.release();
}

/**
 * Whoever leads hands over while it still answers, so that nobody is without a leader for more than a round
 * trip; on wish it leaves the cluster as well.
 */
async function leave(
  { cluster }: Running,
  { config, logger, clock }: {
    readonly config: Config;
    readonly logger: Logger;
    readonly clock: DenoClock;
  },
): Promise<void> {
  const { node, membership, port } = cluster;
  if (!cluster.hasPeers) return;
  try {
    if (config.raft.leavesOnShutdown) {
      const name = config.nodeId;
      const removal = { kind: "remove", name, credentials: undefined } as const;
      if (node.isLeader) await membership.transfer(undefined);
      await node.untilLeader(LEAVE_MS_MAX);
      const { leader } = membership;
      if (leader !== undefined && leader.name !== name) {
        await port.call<"remove">(leader.raftAddress, removal, { timeoutMs: LEAVE_MS_MAX });
      }
    } else if (node.isLeader && config.raft.stepsDownOnShutdown) {
      await membership.transfer(undefined);
    }
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    logger.warn("Leaves without handing over", { reason: error.message });
  }
  await clock.sleep(0);
}

/** A writer that does not come to an end is left in its transaction, as a crash leaves it: the log has all. */
async function closeState(
  { stateMachine }: OpenedData,
  { logger, clock }: { readonly logger: Logger; readonly clock: DenoClock },
): Promise<void> {
  const closing = stateMachine.close().then(() => true);
  const isClosed = await Promise.race([
    closing,
    clock.sleep(STATE_CLOSE_MS_MAX).then(() => false),
  ]);
  if (!isClosed) logger.warn("A long write is left unfinished: the next start begins it anew");
}

/** Aborts at the first signal; a second one ends the process at once. */
function stopSignal(logger: Logger): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      if (stop.signal.aborted) Deno.exit(1);
      logger.info("Stopping", { signal });
      stop.abort();
    });
  }
  return stop.signal;
}

function untilStopped(stop: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve(undefined);
    else stop.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}

function identityOf(config: Config): ConstructorParameters<typeof DatabaseService>[0]["identity"] {
  return {
    nodeId: config.nodeId,
    raftAddress: config.raft.advertised.text,
    apiUrl: `http://${config.http.advertised.text}`,
    version: DUST_VERSION,
    dataDirectory: config.dataDirectory,
    snapshotEntries: config.raft.snapshotEntries,
    snapshotIntervalMs: config.raft.snapshotIntervalMs,
    trailingEntries: trailingEntries(config),
  };
}

function birthOptions(config: Config, entropy: Entropy): Parameters<typeof firstBirth>[0] {
  const { nodeId: name, raftAddress, apiUrl } = identityOf(config);
  const { foreignKeys } = config.storage;
  return { entropy, foreignKeys, member: { name, raftAddress, apiUrl } };
}

function trailingEntries(config: Config): number {
  return Math.floor(config.raft.snapshotEntries * TRAILING_SHARE);
}

function banner(config: Config, { stateMachine }: OpenedData): string {
  const { text } = config.http.advertised;
  return [
    `Dust ${DUST_VERSION} is ready: http://${text}, data in ${config.dataDirectory} (${config.storage.mode} mode)`,
    `Applied up to entry ${stateMachine.applied.index}. A first query:`,
    "",
    `  curl -s '${text}/db/execute' -d '["CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY, text)", ["INSERT INTO note(text) VALUES(?)", "hello"]]'`,
    `  curl -s -G '${text}/db/query' --data-urlencode 'q=SELECT * FROM note'`,
    "",
    "",
  ].join("\n");
}

function write(stream: typeof Deno.stdout, text: string): void {
  stream.writeSync(new TextEncoder().encode(text));
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
