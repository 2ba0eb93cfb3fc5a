/**
 * The `add-nodes` command: its options and the settings that scenario nodes start from (the files'
 * README, section 2). They describe a plainer engine than the one Dust runs in production.
 */
import { nodeId } from "../../src/base/ids.ts";
import type { RaftConfig } from "../../src/raft/config.ts";
import { ascending, EMPTY_CONFIGURATION } from "../../src/raft/configuration.ts";
import type { ConfState } from "../../src/raft/types.ts";
import type { Environment, NodeOptions } from "./environment.ts";
import { OutputError } from "./ready_handling.ts";
import {
  type Argument,
  parseBoolean,
  parseNumber,
  plainKeys,
  ScriptError,
  valueOf,
  valuesOf,
} from "./script.ts";

/** Election ticks of every scenario node. */
export const ELECTION_TICKS = 3;

const INFLIGHT_MAX = 2 ** 31 - 1;

const SCRIPT_CONFIG: Omit<RaftConfig, "id"> = {
  electionTicks: ELECTION_TICKS,
  electionTicksMax: 2 * ELECTION_TICKS - 1,
  heartbeatTicks: 1,
  preVote: false,
  preVoteRetryTicks: 0,
  checkQuorum: false,
  checkQuorumTicks: ELECTION_TICKS,
  storageWrites: "synchronous",
  appendSizeBytesMax: Number.POSITIVE_INFINITY,
  inflightAppendsMax: INFLIGHT_MAX,
  inflightBytesMax: Number.POSITIVE_INFINITY,
  uncommittedBytesMax: Number.POSITIVE_INFINITY,
  applySizeBytesMax: Number.POSITIVE_INFINITY,
  batchAppends: false,
  areVoteRequestsImmediate: true,
  commitInVotes: false,
  forwardProposals: true,
  stepDownOnRemoval: false,
  validateConfChanges: true,
  refuseForgetLeader: false,
};

/** Adds nodes. @throws {OutputError} when a bootstrap index is too small. */
export function addNodes(environment: Environment, args: readonly Argument[]): void {
  const count = parseNumber(plainKeys(args)[0]);
  const options = nodeOptions(args);
  for (let i = 0; i < count; i++) environment.addNode(options);
}

function nodeOptions(args: readonly Argument[]): NodeOptions {
  const configuration: ConfState = {
    ...EMPTY_CONFIGURATION,
    voters: ascending(valuesOf(args, "voters").map((id) => nodeId(parseNumber(id)))),
    learners: ascending(valuesOf(args, "learners").map((id) => nodeId(parseNumber(id)))),
  };
  const indexText = valueOf(args, "index");
  const isBootstrapped = indexText !== undefined || configuration.voters.length > 0 ||
    configuration.learners.length > 0;
  if (!isBootstrapped) return { config: nodeConfig(args), bootstrap: undefined };
  const index = indexText === undefined ? 0 : parseNumber(indexText);
  if (index <= 1) throw new OutputError("index must be specified as > 1 due to bootstrap");
  return { config: nodeConfig(args), bootstrap: { configuration, index } };
}

function nodeConfig(args: readonly Argument[]): Omit<RaftConfig, "id"> {
  const isSet = (key: string): boolean => {
    const value = valueOf(args, key);
    return value !== undefined && parseBoolean(value);
  };
  const numberOr = (key: string, fallback: number): number => {
    const value = valueOf(args, key);
    return value === undefined ? fallback : parseNumber(value);
  };
  return {
    ...SCRIPT_CONFIG,
    inflightAppendsMax: numberOr("inflight", SCRIPT_CONFIG.inflightAppendsMax),
    applySizeBytesMax: numberOr("max-committed-size-per-ready", SCRIPT_CONFIG.applySizeBytesMax),
    storageWrites: isSet("async-storage-writes") ? "asynchronous" : "synchronous",
    preVote: isSet("prevote"),
    checkQuorum: isSet("checkquorum"),
    validateConfChanges: !isSet("disable-conf-change-validation"),
    stepDownOnRemoval: isSet("step-down-on-removal"),
    refuseForgetLeader: hasLeaseReads(valueOf(args, "read-only")),
  };
}

/** Lease reads, the weaker kind, exist here only in so far as they forbid to forget a leader. */
function hasLeaseReads(option: string | undefined): boolean {
  if (option === undefined || option === "safe") return false;
  if (option === "lease-based") return true;
  throw new ScriptError(`unknown read-only option: ${option}`);
}
