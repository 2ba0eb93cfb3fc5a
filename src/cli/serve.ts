/**
 * `dust serve`: builds a node from its configuration, runs it until it is told to stop, and takes it
 * apart in the opposite order. The HTTP port opens first, so that scripts which poll /status find it
 * while log and state are still being recovered; only SQLite is waited for, which the first start of a
 * source tree compiles.
 * A stop is heeded at every moment. Before the node is open nothing needs an orderly end: what opening
 * writes is made for a crash at any line (data_directory.ts), and nobody has been promised anything.
 */
import { type Config, parseConfig } from "../config/config.ts";
import { OperatingError } from "../base/errors.ts";
import { DUST_VERSION } from "../config/version.ts";
import { HttpApi } from "../http/http_api.ts";
import { type HttpServer, startHttpServer } from "../http/server.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { ServiceManager } from "../os/deno_service_manager.ts";
import { prepareLibrary } from "../sqlite/loader.ts";
import { Logger } from "../telemetry/logger.ts";
import { crash, describeError, exitStatusOf } from "./crash.ts";
import type { OpenedData } from "./data_directory.ts";
import { DatabaseService } from "./database_service.ts";
import { nodeIdentity, NodeStart, type Parts, type Running, untilStopped } from "./node_start.ts";
import { sqliteFingerprint } from "./sqlite_fingerprint.ts";
import { processVersion } from "./version.ts";

/** Between two looks at whether a node that joins has its vote. */
const COMPLETE_LOOK_MS = 50;

/** How long a stop may take before the process ends anyway: init systems and scripts give it 10 s. */
const SHUTDOWN_MS_MAX = 9_500;

/** How long requests in flight may take to be answered once a stop has begun. */
const DRAIN_MS_MAX = 5_000;

/** How long the state may take to close then: the writer may be in the midst of a write without end. */
const STATE_CLOSE_MS_MAX = 2_000;

/** How long leaving the cluster, or handing over, may take. */
const LEAVE_MS_MAX = 2_000;

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
      return await runNode(outcome, environment);
  }
}

async function runNode(
  { config, notices }: { readonly config: Config; readonly notices: readonly string[] },
  environment: Readonly<Record<string, string>>,
): Promise<number> {
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
    const manager = new ServiceManager({
      environment,
      clock,
      onFailure: (reason) => logger.warn("Cannot tell the service manager", { reason }),
    });
    return await runUntilStopped({ config, clock, logger, stop }, manager);
  } catch (error) {
    write(Deno.stderr, describeError(error));
    return exitStatusOf(error);
  }
}

async function runUntilStopped(
  { config, clock, logger, stop }: Pick<Parts, "config" | "clock" | "logger" | "stop">,
  manager: ServiceManager,
): Promise<number> {
  const sqlite = await prepareLibrary({ path: config.storage.sqliteLibrary, signal: stop });
  if (sqlite === undefined) return 0;
  const service = new DatabaseService({ clock, identity: nodeIdentity(config) });
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
  let running = await new NodeStart(parts).run();
  if (running?.isRemoved === true && config.cluster.join.length > 0) {
    // Found out at the start: whoever says -join again means to come back (rule M4).
    await close(running, { logger, clock });
    running = await new NodeStart(parts).run();
  }
  if (running !== undefined) await untilComplete(running, { clock, stop });
  if (running !== undefined && !stop.aborted) {
    manager.ready(`Serves http://${config.http.advertised.text}`);
    write(Deno.stdout, banner(config, running.data));
  }
  await untilStopped(stop);
  manager.stopping();
  await shutDown({ config, running, server, logger, clock });
  manager.close();
  return 0;
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

/** A node that joins has been promoted (rule M5), unless it only reads or is told to stop. */
async function untilComplete(
  { cluster, isRemoved }: Running,
  { clock, stop }: { readonly clock: DenoClock; readonly stop: AbortSignal },
): Promise<void> {
  while (!stop.aborted && !isRemoved && !cluster.view.isComplete) {
    await clock.sleep(COMPLETE_LOOK_MS);
  }
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
  cluster.stateScrubber.stop();
  await cluster.scrubber.stop();
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
