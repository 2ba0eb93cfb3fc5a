/**
 * How an empty node becomes a member of a cluster that exists (`--join`): it asks the addresses it was given,
 * round after round, and is told its number and how the cluster began. What is repeated changes nothing,
 * since its incarnation is kept from before the first question (data_directory.ts).
 * Not here: what the leader makes of it (node/membership.ts).
 */
import { FatalError, OperatingError } from "../base/errors.ts";
import { decodeGenesis } from "../command/genesis.ts";
import type { Config } from "../config/config.ts";
import type { Clock } from "../os/clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { JoinAnswer, JoinRequest } from "../transport/peer_calls.ts";
import type { Birth } from "./data_directory.ts";
import type { PeerPort } from "./peer_port.ts";

/** How often an address is asked within a round while it only says "not yet", and how far apart. */
const KNOCKS_MAX = 30;
const KNOCK_PAUSE_MS = 100;

/** What joining needs. */
export interface JoinOptions {
  readonly config: Config;
  readonly port: PeerPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stop: AbortSignal;
  /** Raft addresses to ask. */
  readonly join: readonly string[];
}

/** The request of this node. */
export function joinRequest(port: Pick<PeerPort, "identity">, config: Config): JoinRequest {
  const { name, incarnation, raftAddress, apiUrl, sqliteFingerprint, featureLevel } = port.identity;
  return {
    kind: "join",
    name,
    incarnation,
    raftAddress,
    apiUrl,
    isReadOnly: config.cluster.isReadOnly,
    sqliteFingerprint,
    featureLevel,
    credentials: config.cluster.joinAs,
  };
}

/**
 * Joins, in so many rounds as configured. @throws {FatalError} (1) with the last answer when nobody takes
 * this node in, at once when an answer will not change.
 */
export async function joinCluster(options: JoinOptions): Promise<Birth> {
  const { config, clock, logger, stop } = options;
  const { joinAttempts, joinIntervalMs } = config.cluster;
  let last = "nobody answered";
  for (let round = 1; round <= joinAttempts && !stop.aborted; round++) {
    for (const address of options.join) {
      const outcome = await ask(options, address);
      if (typeof outcome !== "string") return birthOf(outcome);
      last = `${address}: ${outcome}`;
      logger.warn("Cannot join yet", { address, round, reason: outcome });
    }
    if (round < joinAttempts) await clock.sleep(joinIntervalMs);
  }
  throw new FatalError(1, `Cannot join a cluster after ${joinAttempts} rounds: ${last}`);
}

/** @returns the answer, or why there is none yet. @throws {FatalError} */
async function ask(
  { config, port, clock, stop }: JoinOptions,
  address: string,
): Promise<JoinAnswer | string> {
  const request = joinRequest(port, config);
  const timeoutMs = config.cluster.connectTimeoutMs;
  let reason = "";
  for (let knock = 0; knock < KNOCKS_MAX && !stop.aborted; knock++) {
    if (knock > 0) await clock.sleep(KNOCK_PAUSE_MS);
    try {
      return await port.call<"join">(address, request, { timeoutMs, signal: stop });
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      if (error.code === "conflict" || error.code === "unauthorized") {
        throw new FatalError(1, error.message, { cause: error });
      }
      reason = error.message;
    }
  }
  return reason;
}

/** What a member is made from, as the cluster has answered. @throws {FatalError} (1) */
export function birthOf({ clusterId, nodeId, genesis: bytes }: JoinAnswer): Birth {
  const genesis = decodeGenesis(bytes);
  if (genesis === undefined) {
    throw new FatalError(
      1,
      "Cannot join: the cluster began in a way that this version cannot read",
    );
  }
  return { clusterId, nodeId, genesis };
}
