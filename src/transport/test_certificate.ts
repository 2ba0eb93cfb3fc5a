/**
 * Certificates for tests, made on the spot: X.509 v3, ECDSA on P-256 with SHA-256, any validity, any
 * names, signed by an authority of ours or by themselves. Written in DER by hand, since neither Deno nor
 * Node makes certificates and a test should not depend on a program of the machine.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** A certificate and its key, PEM. */
export interface TestCertificate {
  readonly certificate: string;
  readonly key: string;
  readonly commonName: string;
  readonly privateKey: KeyObject;
}

/** What a certificate says. */
export interface TestCertificateOptions {
  readonly commonName: string;
  /** Who signs; undefined: it signs itself. */
  readonly authority?: TestCertificate | undefined;
  /** Whether it may sign others. */
  readonly isAuthority?: boolean;
  /** Days from now until it ends; negative for one that has ended. */
  readonly days?: number;
  /** IPv4 addresses and host names that it is for. */
  readonly addresses?: readonly string[];
  readonly hosts?: readonly string[];
}

const DAY_MS = 24 * 60 * 60 * 1000;
const UTF8 = new TextEncoder();

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_ID = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const BOOLEAN = 0x01;
const VERSION_TAG = 0xa0;
const EXTENSIONS_TAG = 0xa3;
const HOST_TAG = 0x82;
const ADDRESS_TAG = 0x87;

const ECDSA_WITH_SHA256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const COMMON_NAME = [0x55, 0x04, 0x03];
const BASIC_CONSTRAINTS = [0x55, 0x1d, 0x13];
const ALTERNATIVE_NAMES = [0x55, 0x1d, 0x11];

/** Makes one. */
export function makeTestCertificate(options: TestCertificateOptions): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signer = options.authority;
  const body = der(
    SEQUENCE,
    der(VERSION_TAG, der(INTEGER, [2])),
    der(INTEGER, [0x01, ...randomBytes(8)]),
    algorithm(),
    name(signer?.commonName ?? options.commonName),
    validity(options.days ?? 30),
    name(options.commonName),
    [...publicKey.export({ type: "spki", format: "der" })],
    der(EXTENSIONS_TAG, der(SEQUENCE, ...extensions(options))),
  );
  const signature = sign("sha256", Uint8Array.from(body), signer?.privateKey ?? privateKey);
  const whole = der(SEQUENCE, body, algorithm(), der(BIT_STRING, [0], [...signature]));
  return {
    certificate: pem(whole),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    commonName: options.commonName,
    privateKey,
  };
}

function der(tag: number, ...parts: readonly (readonly number[])[]): number[] {
  const content = parts.flat();
  const size = content.length;
  const long = size < 0x100 ? [0x81, size] : [0x82, Math.floor(size / 256), size % 256];
  const length = size < 0x80 ? [size] : long;
  return [tag, ...length, ...content];
}

function algorithm(): number[] {
  return der(SEQUENCE, der(OBJECT_ID, ECDSA_WITH_SHA256));
}

function name(commonName: string): number[] {
  const text = der(UTF8_STRING, [...UTF8.encode(commonName)]);
  return der(SEQUENCE, der(SET, der(SEQUENCE, der(OBJECT_ID, COMMON_NAME), text)));
}

function validity(days: number): number[] {
  const now = Date.now();
  const from = Math.min(now, now + days * DAY_MS) - DAY_MS;
  return der(SEQUENCE, time(from), time(now + days * DAY_MS));
}

function time(ms: number): number[] {
  const text = new Date(ms).toISOString().replace(/[-:T]/g, "").slice(2, 14) + "Z";
  return der(UTC_TIME, [...UTF8.encode(text)]);
}

function extensions(options: TestCertificateOptions): number[][] {
  const constraints = der(SEQUENCE, options.isAuthority ? der(BOOLEAN, [0xff]) : []);
  const found = [
    der(
      SEQUENCE,
      der(OBJECT_ID, BASIC_CONSTRAINTS),
      der(BOOLEAN, [0xff]),
      der(OCTET_STRING, constraints),
    ),
  ];
  const names = [
    ...(options.hosts ?? []).map((host) => der(HOST_TAG, [...UTF8.encode(host)])),
    ...(options.addresses ?? []).map((text) => der(ADDRESS_TAG, text.split(".").map(Number))),
  ];
  if (names.length > 0) {
    const list = der(OCTET_STRING, der(SEQUENCE, ...names));
    found.push(der(SEQUENCE, der(OBJECT_ID, ALTERNATIVE_NAMES), list));
  }
  return found;
}

function pem(bytes: readonly number[]): string {
  const text = btoa(String.fromCharCode(...bytes));
  const lines = text.match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
