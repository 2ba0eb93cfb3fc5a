/**
 * The handshake: what each side says first on a stream, and whether the other can go on with it. Checked on
 * both sides, so that nothing crosses between clusters, to the successor of whoever was meant, or between
 * builds that compute different states (faults M3 to M6, N13; rule Q16).
 */
import { nodeId } from "../base/ids.ts";
import { isSameIdentity } from "../command/member_table.ts";
import { fingerprintRemedy, isFittingFingerprint } from "./fingerprint.ts";
import { type Hello, Lane } from "./generated/dust.ts";
import type { LocalIdentity, Peer, RemoteIdentity } from "./peer_identity.ts";

/** Raised only when old and new cannot talk at all; what they may say is the feature level's (rule F1). */
export const PROTOCOL = 1;

/** Which of the two streams to a peer (rule N1). */
export type LaneName = "control" | "bulk";

const NO_BYTES = new Uint8Array(0);
const LANES: Readonly<Record<LaneName, Lane>> = {
  control: Lane.LANE_CONTROL,
  bulk: Lane.LANE_BULK,
};

/** What this node says first. `to` is whom it means, undefined for whoever is there. */
export function makeHello(
  identity: LocalIdentity,
  { to, lane }: {
    readonly to?: Pick<Peer, "nodeId" | "incarnation"> | undefined;
    readonly lane?: LaneName | undefined;
  },
): Hello {
  return {
    protocol: PROTOCOL,
    clusterId: identity.clusterId ?? NO_BYTES,
    nodeId: identity.nodeId,
    incarnation: identity.incarnation,
    bootNonce: identity.bootNonce,
    name: identity.name,
    raftAddress: identity.raftAddress,
    apiUrl: identity.apiUrl,
    sqliteFingerprint: identity.sqliteFingerprint,
    allowsOtherSqlite: identity.allowsOtherSqlite,
    featureLevel: identity.featureLevel,
    version: identity.version,
    toNodeId: to?.nodeId ?? 0,
    toIncarnation: to?.incarnation ?? NO_BYTES,
    lane: lane === undefined ? Lane.LANE_UNSPECIFIED : LANES[lane],
  };
}

/** The lane that a hello opens; undefined when it names none. */
export function laneOf(hello: Hello): LaneName | undefined {
  if (hello.lane === Lane.LANE_CONTROL) return "control";
  return hello.lane === Lane.LANE_BULK ? "bulk" : undefined;
}

/** What a hello says of its sender. Its byte strings are copies. */
export function identityOf(hello: Hello): RemoteIdentity {
  return {
    clusterId: hello.clusterId.length === 0 ? undefined : hello.clusterId.slice(),
    nodeId: nodeId(hello.nodeId),
    incarnation: hello.incarnation.slice(),
    bootNonce: hello.bootNonce.slice(),
    name: hello.name,
    raftAddress: hello.raftAddress,
    apiUrl: hello.apiUrl,
    sqliteFingerprint: hello.sqliteFingerprint,
    featureLevel: hello.featureLevel,
    version: hello.version,
  };
}

/**
 * Why this node cannot exchange the engine's messages or snapshots with the sender of `hello`; undefined
 * when it can. `expected` is the member that the sender has to be, undefined when it is not known here.
 */
export function refusalOf(
  hello: Hello,
  { local, expected }: {
    readonly local: LocalIdentity;
    readonly expected: Pick<Peer, "nodeId" | "incarnation"> | undefined;
  },
): string | undefined {
  const who = `${local.name} (node ${local.nodeId})`;
  if (hello.protocol !== PROTOCOL) {
    return `${who} speaks protocol ${PROTOCOL}, not ${hello.protocol}: run versions that fit`;
  }
  if (local.clusterId === undefined || !isSameIdentity(hello.clusterId, local.clusterId)) {
    return `${who} belongs to cluster ${clusterName(local.clusterId)}, not to ` +
      `${clusterName(hello.clusterId)}: check addresses and data directories`;
  }
  const isMe = hello.toNodeId === 0 || (hello.toNodeId === local.nodeId &&
    isSameIdentity(hello.toIncarnation, local.incarnation));
  if (!isMe) {
    return `${who} is not node ${hello.toNodeId} of that incarnation: a data directory was replaced; ` +
      `remove the member and let this one join`;
  }
  const isExpected = expected === undefined || (hello.nodeId === expected.nodeId &&
    isSameIdentity(hello.incarnation, expected.incarnation));
  if (!isExpected) {
    return `Node ${hello.nodeId} (${hello.name}) is known to ${who} with another incarnation or number: ` +
      `its data directory was replaced; remove the member and let it join anew`;
  }
  return fingerprintRefusal(hello, local);
}

/** Why what a node computes with does not fit (rule Q16); undefined when it does. */
export function fingerprintRefusal(
  hello: Pick<Hello, "name" | "sqliteFingerprint" | "allowsOtherSqlite">,
  local: LocalIdentity,
): string | undefined {
  const { sqliteFingerprint: theirs } = hello;
  const { sqliteFingerprint: ours } = local;
  const allowsOtherSqlite = hello.allowsOtherSqlite && local.allowsOtherSqlite;
  if (isFittingFingerprint(theirs, { ours, allowsOtherSqlite })) return undefined;
  return `${hello.name} computes with ${theirs}, ${local.name} with ${ours}: ` +
    fingerprintRemedy(theirs, ours);
}

/** Why a call cannot be answered here: it comes from another cluster; undefined when it can. */
export function callRefusalOf(hello: Hello, local: LocalIdentity): string | undefined {
  if (hello.protocol !== PROTOCOL) {
    return `${local.name} speaks protocol ${PROTOCOL}, not ${hello.protocol}: run versions that fit`;
  }
  if (hello.clusterId.length === 0 || local.clusterId === undefined) return undefined;
  if (isSameIdentity(hello.clusterId, local.clusterId)) return undefined;
  return `${local.name} belongs to cluster ${clusterName(local.clusterId)}, ${hello.name} to ` +
    `${clusterName(hello.clusterId)}: check addresses and data directories`;
}

function clusterName(id: Uint8Array | undefined): string {
  return id === undefined || id.length === 0 ? "(none)" : id.toHex();
}
