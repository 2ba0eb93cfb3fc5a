/**
 * Network addresses as flags give them: `host:port`, an IPv6 host in brackets. Names are not
 * resolved here. Invariant: `text` is the canonical spelling, so that equal addresses compare equal.
 */

/** Where to listen, or what to tell others. */
export interface Address {
  /** A name or an IP address, without brackets; "" means every interface. */
  readonly host: string;
  /** 1 to 65,535. */
  readonly port: number;
  /** `host:port`, with brackets around IPv6. */
  readonly text: string;
}

/** An address, or what is wrong with the text, as the end of a sentence. */
export type AddressOutcome =
  | { readonly kind: "address"; readonly address: Address }
  | { readonly kind: "wrong"; readonly reason: string };

const BRACKETED = /^\[([0-9A-Fa-f:.%\w-]+)\]:(.*)$/;
const PLAIN = /^([^:[\]/\s]*):([^:]*)$/;
const PORT = /^\d{1,5}$/;
const UNSPECIFIED_HOSTS: ReadonlySet<string> = new Set(["", "0.0.0.0", "::", "0:0:0:0:0:0:0:0"]);

/** Reads `host:port`. */
export function parseAddress(text: string): AddressOutcome {
  if (text.includes("://")) {
    return { kind: "wrong", reason: "it must be host:port, without a scheme such as http://" };
  }
  const match = BRACKETED.exec(text) ?? PLAIN.exec(text);
  if (match === null) return { kind: "wrong", reason: "it must be host:port" };
  const host = match[1] ?? "";
  const port = PORT.test(match[2] ?? "") ? Number(match[2]) : 0;
  if (port < 1 || port > 65_535) {
    return { kind: "wrong", reason: "its port must be a number from 1 to 65535" };
  }
  const isIpv6 = host.includes(":");
  return {
    kind: "address",
    address: { host, port, text: `${isIpv6 ? `[${host}]` : host}:${port}` },
  };
}

/** Whether only this machine reaches the address. */
export function isLoopback({ host }: Address): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Whether the host means "every interface", which nobody can connect to. */
export function isUnspecified(address: Address): boolean {
  return UNSPECIFIED_HOSTS.has(address.host);
}
