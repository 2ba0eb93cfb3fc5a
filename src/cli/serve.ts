/**
 * `dust serve`: builds a node from its configuration, runs it until it is told to stop, and takes it
 * apart in the opposite order. The HTTP port opens first, so that scripts which poll /status find it
 * while log and state are still being recovered.
 */
import { type Config, parseConfig } from "../config/config.ts";
import { DUST_VERSION } from "../config/version.ts";
import { HttpApi } from "../http/http_api.ts";
import { type HttpServer, startHttpServer } from "../http/server.ts";
import { Node } from "../node/node.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { DenoEntropy } from "../os/deno_entropy.ts";
import { DenoFileSystem } from "../os/deno_file_system.ts";
import { productionConfig } from "../raft/config.ts";
import { Logger } from "../telemetry/logger.ts";
import { crash, describeError, exitStatusOf } from "./crash.ts";
import { FIRST_NODE_ID, openDataDirectory, type OpenedData } from "./data_directory.ts";
import { DatabaseService } from "./database_service.ts";
import { processVersion } from "./version.ts";

/** How long a stop may take before the process ends anyway. */
const SHUTDOWN_MS_MAX = 10_000;

/** How long requests in flight may take to be answered once a stop has begun. */
const DRAIN_MS_MAX = 5_000;

/** Entries kept behind a snapshot, as a share of `--raft-snap` (rqlite's 1.25). */
const TRAILING_SHARE = 1.25;

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
  const service = new DatabaseService({ clock, identity: identityOf(config) });
  let server: HttpServer;
  try {
    server = listen({ config, service, clock });
  } catch (error) {
    logger.error("Cannot listen for clients", {
      address: config.http.listen.text,
      error: asError(error),
    });
    return 1;
  }
  try {
    const running = await start({ config, service, clock, logger });
    write(Deno.stdout, banner(config, running.data));
    await stop;
    await shutDown({ running, server, logger, clock });
    return 0;
  } catch (error) {
    write(Deno.stderr, describeError(error));
    return exitStatusOf(error);
  }
}

interface Running {
  readonly node: Node;
  readonly data: OpenedData;
}

interface Parts {
  readonly config: Config;
  readonly service: DatabaseService;
  readonly clock: DenoClock;
}

function listen({ config, service, clock }: Parts): HttpServer {
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
  return startHttpServer({
    api,
    hostname: config.http.listen.host,
    port: config.http.listen.port,
    crash,
  });
}

async function start(parts: Parts & { readonly logger: Logger }): Promise<Running> {
  const { config, service, clock, logger } = parts;
  const entropy = new DenoEntropy();
  const data = await openDataDirectory({
    ...config.storage,
    path: config.dataDirectory,
    fileSystem: new DenoFileSystem(),
    clock,
    entropy,
    logger,
    onFatal: crash,
  });
  const node = new Node({
    config: productionConfig(FIRST_NODE_ID),
    log: data.log,
    hardState: data.log.hardState,
    stateMachine: data.stateMachine,
    clock,
    entropy,
    peers: undefined,
    policy: {
      entriesMin: config.raft.snapshotEntries,
      bytesMin: config.raft.snapshotWalBytes,
      intervalMs: config.raft.snapshotIntervalMs,
      trailingEntries: trailingEntries(config),
    },
    applyTimeoutMs: config.raft.applyTimeoutMs,
    onFatal: crash,
  });
  service.database.attach({ node, stateMachine: data.stateMachine });
  node.start();
  await node.untilReady();
  return { node, data };
}

/** Opposite order of the start. Requests in flight are answered first, within their time. */
async function shutDown(options: {
  readonly running: Running;
  readonly server: HttpServer;
  readonly logger: Logger;
  readonly clock: DenoClock;
}): Promise<void> {
  const { running, server, logger, clock } = options;
  const { node, data } = running;
  const limit = clock.startTimer(SHUTDOWN_MS_MAX, () => {
    logger.error("Cannot stop in time: ending the process");
    Deno.exit(1);
  });
  await Promise.race([server.shutdown(), clock.sleep(DRAIN_MS_MAX)]);
  await node.stop();
  await data.stateMachine.close();
  await data.log.close();
  data.lock.release();
  limit.cancel();
  logger.info("Stopped");
}

/** Resolves at the first signal; a second one ends the process at once. */
function stopSignal(logger: Logger): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let count = 0;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      count += 1;
      if (count > 1) Deno.exit(1);
      logger.info("Stopping", { signal });
      resolve();
    });
  }
  return promise;
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
