/**
 * Rules that hold between the flags of `dust serve` (the wire contract, section 14.1): each is one
 * function from the values to the sentence that refuses them. All are checked before anything is
 * opened. Types of single flags are checked by their own `parse` (flag.ts).
 */
import { type Address, isUnspecified } from "./address.ts";
import type { FlagValues } from "./flag_parser.ts";
import type { SERVE_FLAGS } from "./serve_flags.ts";

/** What the rules look at. */
export interface Checked {
  readonly values: FlagValues<typeof SERVE_FLAGS>;
  readonly given: ReadonlySet<string>;
  readonly addresses: Addresses;
}

/** The four addresses of a node; advertised ones fall back to where it listens. */
export interface Addresses {
  readonly http: Address;
  readonly httpAdvertised: Address;
  readonly raft: Address;
  readonly raftAdvertised: Address;
}

type Rule = (checked: Checked) => string | undefined;

const DISCOVERY_MODES: ReadonlySet<string> = new Set(["consul-kv", "etcd-kv", "dns", "dns-srv"]);
const NODE_ID_LENGTH_MAX = 255;
// deno-lint-ignore no-control-regex -- it is control characters that are refused.
const CONTROL = /[\x00-\x1f\x7f]/;

const RULES: readonly Rule[] = [
  checkNodeId,
  checkAddresses,
  (checked) => checkPair(checked, "http-cert", "http-key"),
  (checked) => checkPair(checked, "node-cert", "node-key"),
  (checked) => checkPair(checked, "otlp-cert", "otlp-key"),
  (checked) => checkNeeds(checked, "http-verify-common-name", "http-verify-client"),
  (checked) => checkNeeds(checked, "node-verify-common-name", "node-verify-client"),
  checkPeerTls,
  checkJoin,
  checkDiscovery,
  checkReaping,
  checkTimeouts,
  ({ values }) =>
    values["raft-non-voter"] && values["cdc-config"] !== ""
      ? "Flag -cdc-config is not for a node with -raft-non-voter"
      : undefined,
];

/** The first rule that the values break, as a sentence; undefined when they keep all. */
export function findInvalid(checked: Checked): string | undefined {
  for (const rule of RULES) {
    const sentence = rule(checked);
    if (sentence !== undefined) return sentence;
  }
  return undefined;
}

function checkNodeId({ values }: Checked): string | undefined {
  const id = values["node-id"];
  if (id.length > NODE_ID_LENGTH_MAX) {
    return `Node id is too long: ${id.length} characters, ${NODE_ID_LENGTH_MAX} at most`;
  }
  if (CONTROL.test(id)) return "Node id must not hold control characters";
  return undefined;
}

function checkAddresses({ addresses }: Checked): string | undefined {
  const { http, httpAdvertised, raft, raftAdvertised } = addresses;
  if (http.text === raft.text) {
    return `HTTP and Raft addresses must differ: both are ${http.text}`;
  }
  if (httpAdvertised.text === raftAdvertised.text) {
    return `Advertised HTTP and Raft addresses must differ: both are ${httpAdvertised.text}`;
  }
  for (const [flag, address] of [["http", httpAdvertised], ["raft", raftAdvertised]] as const) {
    if (isUnspecified(address)) {
      return `Advertised address ${address.text} cannot be connected to: ` +
        `name a host with -${flag}-adv-addr`;
    }
  }
  return undefined;
}

function checkPair(
  { values }: Checked,
  certificate: "http-cert" | "node-cert" | "otlp-cert",
  key: "http-key" | "node-key" | "otlp-key",
): string | undefined {
  if ((values[certificate] === "") === (values[key] === "")) return undefined;
  return `Flags -${certificate} and -${key} go together: one of them is missing`;
}

function checkNeeds(
  { values }: Checked,
  name: "http-verify-common-name" | "node-verify-common-name",
  needed: "http-verify-client" | "node-verify-client",
): string | undefined {
  return values[name] !== "" && !values[needed] ? `Flag -${name} needs -${needed}` : undefined;
}

/** Without a certificate there is no TLS, and what was asked for would silently not be done. */
function checkPeerTls({ values }: Checked): string | undefined {
  if (values["node-cert"] !== "") return undefined;
  const flags = ["node-ca-cert", "node-verify-client", "node-verify-server-name"] as const;
  const flag = flags.find((name) => Boolean(values[name]));
  return flag === undefined ? undefined : `Flag -${flag} needs -node-cert`;
}

/** Join addresses are split at the last colon only, as rqlited does: `http://nonsense` passes. */
function checkJoin({ values, addresses }: Checked): string | undefined {
  const join = values.join;
  const expect = values["bootstrap-expect"];
  if (values["raft-non-voter"] && expect > 0) {
    return "Flag -bootstrap-expect is not for a node with -raft-non-voter";
  }
  for (const address of join) {
    const colon = address.lastIndexOf(":");
    if (colon < 0) return `Join address ${address} must be host:port`;
    if (expect === 0 && address === addresses.raftAdvertised.text) {
      return `Node cannot join itself: ${address} is its own Raft address`;
    }
  }
  if (join.length > 0 && values["auto-restore"] !== "") {
    return "Flags -join and -auto-restore exclude each other";
  }
  return undefined;
}

function checkDiscovery({ values }: Checked): string | undefined {
  const mode = values["disco-mode"];
  if (mode === "") return undefined;
  if (!DISCOVERY_MODES.has(mode)) {
    return `Unknown discovery mode ${JSON.stringify(mode)}: it must be one of ` +
      [...DISCOVERY_MODES].join(", ");
  }
  if (values.join.length > 0) return "Flags -join and -disco-mode exclude each other";
  const expects = values["bootstrap-expect"] > 0;
  const isDns = mode === "dns" || mode === "dns-srv";
  if (!isDns && expects) return `Flag -bootstrap-expect is not for discovery mode ${mode}`;
  if (isDns && !expects && !values["raft-non-voter"]) {
    return `Discovery mode ${mode} needs -bootstrap-expect`;
  }
  return undefined;
}

function checkReaping({ values, given }: Checked): string | undefined {
  const names = ["raft-reap-node-timeout", "raft-reap-read-only-node-timeout"] as const;
  const zero = names.find((name) => given.has(name) && values[name] === 0);
  return zero === undefined ? undefined : `Flag -${zero} must be more than 0`;
}

/** The bounds of the Raft library that rqlited uses. */
function checkTimeouts({ values }: Checked): string | undefined {
  const heartbeat = values["raft-heartbeat-timeout"];
  if (values["raft-election-timeout"] < heartbeat) {
    return "Flag -raft-election-timeout must not be below -raft-heartbeat-timeout";
  }
  if (values["raft-leader-lease-timeout"] > heartbeat) {
    return "Flag -raft-leader-lease-timeout must not be above -raft-heartbeat-timeout";
  }
  return undefined;
}
