/**
 * The TLS matrix of the peer port (faults X14): which node reaches which over real sockets, with every
 * kind of wrong certificate; and certificates that are renewed while the port serves.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { connect } from "node:tls";
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import * as grpc from "@grpc/grpc-js";
import { FatalError, OperatingError } from "../base/errors.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { Logger } from "../telemetry/logger.ts";
import { TLS_RELOAD_INTERVAL_MS } from "./limits.ts";
import { channelCredentials, serverCredentials } from "./peer_credentials.ts";
import { PeerTls, type PeerTlsSettings } from "./peer_tls.ts";
import { OpenSockets, QuietEnd } from "./quiet_end.ts";
import { makeTestCertificate, type TestCertificate } from "./test_certificate.ts";

const AUTHORITY = makeTestCertificate({ commonName: "authority", isAuthority: true });
const STRANGER = makeTestCertificate({ commonName: "authority", isAuthority: true });
const HERE = { addresses: ["127.0.0.1"], hosts: ["localhost"] };
const CERTIFICATES = {
  good: makeTestCertificate({ commonName: "node", authority: AUTHORITY, ...HERE }),
  renewed: makeTestCertificate({ commonName: "renewed", authority: AUTHORITY, ...HERE }),
  expired: makeTestCertificate({ commonName: "node", authority: AUTHORITY, days: -1, ...HERE }),
  foreign: makeTestCertificate({ commonName: "node", authority: STRANGER, ...HERE }),
  selfSigned: makeTestCertificate({ commonName: "node", ...HERE }),
  elsewhere: makeTestCertificate({
    commonName: "node",
    authority: AUTHORITY,
    addresses: ["127.0.0.2"],
    hosts: ["elsewhere.example"],
  }),
  otherName: makeTestCertificate({ commonName: "intruder", authority: AUTHORITY, ...HERE }),
} as const;

type Kind = keyof typeof CERTIFICATES;

const ECHO = {
  who: {
    path: "/test.Test/Who",
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
} as const;

/** The files of one node. */
interface Files extends AsyncDisposable {
  readonly settings: Pick<PeerTlsSettings, "certificatePath" | "keyPath" | "caPath">;
  write(certificate: TestCertificate): Promise<void>;
}

async function makeFiles(certificate: TestCertificate): Promise<Files> {
  const folder = await Deno.makeTempDir({ prefix: "dust_tls_" });
  const files: Files = {
    settings: {
      certificatePath: `${folder}/cert.pem`,
      keyPath: `${folder}/key.pem`,
      caPath: `${folder}/ca.pem`,
    },
    write: async (next) => {
      await Deno.writeTextFile(`${folder}/cert.pem`, next.certificate);
      await Deno.writeTextFile(`${folder}/key.pem`, next.key);
    },
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
  await files.write(certificate);
  await Deno.writeTextFile(`${folder}/ca.pem`, AUTHORITY.certificate);
  return files;
}

const PLAIN_SETTINGS = {
  verifiesServers: true,
  verifiesClients: false,
  serverName: undefined,
  clientCommonName: undefined,
} as const;

async function serve(tls: PeerTls | undefined): Promise<{ port: number } & Disposable> {
  const server = new grpc.Server();
  server.addService(ECHO, {
    who: (call: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) => {
      const name = call.getAuthContext().sslPeerCertificate?.subject.CN;
      answer(null, Buffer.from(String(name)));
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(
      "127.0.0.1:0",
      serverCredentials(grpc, tls),
      (error, bound) => error === null ? resolve(bound) : reject(error),
    )
  );
  const quietEnd = new QuietEnd(server);
  return { port, [Symbol.dispose]: () => quietEnd.end() };
}

/** Asks a server who it takes the caller for; the error's text where there is no answer. */
async function ask(address: string, tls: PeerTls | undefined): Promise<string> {
  const sockets = new OpenSockets();
  const onSocket = (socket: Socket): void => sockets.add(socket);
  const client = new grpc.Client(address, channelCredentials(grpc, { tls, address, onSocket }), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const deadline = Date.now() + 5000;
  const { path, requestSerialize, responseDeserialize } = ECHO.who;
  try {
    return await new Promise((resolve) =>
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        Buffer.from("?"),
        { deadline },
        (error, bytes) => resolve(error === null ? `seen as ${bytes}` : error.message),
      )
    );
  } finally {
    sockets.destroy();
    client.close();
  }
}

interface Side {
  /** undefined: in the clear. */
  readonly kind: Kind | undefined;
  readonly settings?: Partial<PeerTlsSettings>;
}

interface Cell {
  readonly name: string;
  readonly server: Side;
  readonly client: Side;
  readonly expected: RegExp;
}

const MUTUAL = { verifiesClients: true };
const NAMED = { verifiesClients: true, clientCommonName: "node" };
const UNVERIFIED = { verifiesServers: false };

const CELLS: readonly Cell[] = [
  {
    name: "in the clear, both",
    server: { kind: undefined },
    client: { kind: undefined },
    expected: /^seen as undefined$/,
  },
  {
    name: "in the clear to TLS",
    server: { kind: "good" },
    client: { kind: undefined },
    expected: /UNAVAILABLE/,
  },
  {
    name: "TLS to in the clear",
    server: { kind: undefined },
    client: { kind: "good" },
    expected: /UNAVAILABLE/,
  },
  {
    name: "TLS",
    server: { kind: "good" },
    client: { kind: "good" },
    expected: /^seen as undefined$/,
  },
  {
    name: "TLS, server expired",
    server: { kind: "expired" },
    client: { kind: "good" },
    expected: /UNAVAILABLE.*certificate/,
  },
  {
    name: "TLS, server of another authority",
    server: { kind: "foreign" },
    client: { kind: "good" },
    expected: /UNAVAILABLE.*certificate/,
  },
  {
    name: "TLS, server self-signed",
    server: { kind: "selfSigned" },
    client: { kind: "good" },
    expected: /UNAVAILABLE.*self-signed/,
  },
  {
    name: "TLS, server for another host",
    server: { kind: "elsewhere" },
    client: { kind: "good" },
    expected: /UNAVAILABLE.*127\.0\.0\.1/,
  },
  {
    name: "TLS, server for another host, whose name is expected",
    server: { kind: "elsewhere" },
    client: { kind: "good", settings: { serverName: "elsewhere.example" } },
    expected: /^seen as undefined$/,
  },
  {
    name: "TLS, another name is expected",
    server: { kind: "good" },
    client: { kind: "good", settings: { serverName: "elsewhere.example" } },
    expected: /UNAVAILABLE.*elsewhere\.example/,
  },
  ...(["expired", "foreign", "selfSigned", "elsewhere"] as const).map((kind) => ({
    name: `TLS unverified, server ${kind}`,
    server: { kind },
    client: { kind: "good" as const, settings: UNVERIFIED },
    expected: /^seen as undefined$/,
  })),
  {
    name: "mutual TLS",
    server: { kind: "good", settings: MUTUAL },
    client: { kind: "good" },
    expected: /^seen as node$/,
  },
  ...(["expired", "foreign", "selfSigned"] as const).map((kind) => ({
    name: `mutual TLS, client ${kind}`,
    server: { kind: "good" as const, settings: MUTUAL },
    client: { kind },
    expected: /UNAVAILABLE/,
  })),
  {
    name: "mutual TLS unverified by the client, client foreign",
    server: { kind: "good", settings: MUTUAL },
    client: { kind: "foreign", settings: UNVERIFIED },
    expected: /UNAVAILABLE/,
  },
  {
    name: "mutual TLS with a common name",
    server: { kind: "good", settings: NAMED },
    client: { kind: "good" },
    expected: /^seen as node$/,
  },
  {
    name: "mutual TLS with another common name",
    server: { kind: "good", settings: NAMED },
    client: { kind: "otherName" },
    expected: /PERMISSION_DENIED.*"intruder", wanted is "node"/,
  },
];

for (const { name, server, client, expected } of CELLS) {
  Deno.test(`peer port: ${name}`, async () => {
    await using stack = new AsyncDisposableStack();
    const tlsOf = async (side: Side): Promise<PeerTls | undefined> => {
      if (side.kind === undefined) return undefined;
      const files = stack.use(await makeFiles(CERTIFICATES[side.kind]));
      return await PeerTls.load({ ...files.settings, ...PLAIN_SETTINGS, ...side.settings });
    };
    const { port } = stack.use(await serve(await tlsOf(server)));
    const answer = await ask(`127.0.0.1:${port}`, await tlsOf(client));
    ok(expected.test(answer), answer);
  });
}

Deno.test("peer port: a client without a certificate is refused by mutual TLS", async () => {
  await using files = await makeFiles(CERTIFICATES.good);
  const tls = await PeerTls.load({ ...files.settings, ...PLAIN_SETTINGS, ...MUTUAL });
  using server = await serve(tls);
  const roots = Buffer.from(AUTHORITY.certificate);
  const client = new grpc.Client(
    `localhost:${server.port}`,
    grpc.credentials.createSsl(roots),
    { "grpc.use_local_subchannel_pool": 1, "grpc.ssl_target_name_override": "localhost" },
  );
  const { path, requestSerialize, responseDeserialize } = ECHO.who;
  const code = await new Promise((resolve) =>
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      Buffer.from("?"),
      { deadline: Date.now() + 5000 },
      (error) => resolve(error?.code),
    )
  );
  client.close();
  strictEqual(code, grpc.status.UNAVAILABLE);
});

Deno.test("peer port: names are as good as addresses", async () => {
  await using files = await makeFiles(CERTIFICATES.good);
  const tls = await PeerTls.load({ ...files.settings, ...PLAIN_SETTINGS, ...MUTUAL });
  using server = await serve(tls);
  strictEqual(await ask(`localhost:${server.port}`, tls), "seen as node");
});

Deno.test("peer port: TLS 1.0 and 1.1 are refused with an alert", async () => {
  await using files = await makeFiles(CERTIFICATES.good);
  using server = await serve(await PeerTls.load({ ...files.settings, ...PLAIN_SETTINGS }));
  strictEqual((await sayHello(server.port, 3))[0], 22); // TLS 1.2 is answered with a handshake.
  for (const minor of [1, 2]) {
    const answer = await sayHello(server.port, minor);
    strictEqual(answer[0], 21, `record of type ${answer[0]}`); // An alert...
    strictEqual(answer[6], 70); // ... protocol_version (RFC 5246, 7.2).
  }
});

/** The first bytes that a server answers to a client hello that knows nothing newer than TLS 1.`minor - 1`. */
async function sayHello(port: number, minor: number): Promise<Uint8Array> {
  const suites = [0xc0, 0x0a, 0xc0, 0x09, 0xc0, 0x2b, 0x00, 0x2f];
  const groups = [0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17];
  const formats = [0x00, 0x0b, 0x00, 0x02, 0x01, 0x00];
  const signatures = [0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03];
  const extensions = [...groups, ...formats, ...signatures];
  const body = [
    3,
    minor,
    ...new Uint8Array(32),
    0,
    ...[0, suites.length, ...suites],
    ...[1, 0],
    ...[0, extensions.length, ...extensions],
  ];
  const message = [1, 0, 0, body.length, ...body];
  using socket = await Deno.connect({ hostname: "127.0.0.1", port });
  await socket.write(Uint8Array.from([22, 3, 1, 0, message.length, ...message]));
  const answer = new Uint8Array(64);
  const size = await socket.read(answer);
  return answer.subarray(0, size ?? 0);
}

/** The common name of the certificate that a port shows. */
function presentedBy(port: number, { material }: PeerTls): Promise<string | string[] | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | string[] | undefined>();
  const { certificate: cert, key, ca } = material;
  const names = { servername: "localhost", ALPNProtocols: ["h2"] };
  const socket = connect({ host: "127.0.0.1", port, cert, key, ca, ...names }, () => {
    resolve(socket.getPeerCertificate().subject.CN);
    socket.destroy();
  });
  socket.on("error", reject);
  return promise;
}

Deno.test("PeerTls.reload() takes renewed certificates while both sides go on", async () => {
  await using files = await makeFiles(CERTIFICATES.good);
  const tls = await PeerTls.load({ ...files.settings, ...PLAIN_SETTINGS, ...MUTUAL });
  using server = await serve(tls);
  const address = `127.0.0.1:${server.port}`;
  strictEqual(await ask(address, tls), "seen as node");
  strictEqual(await presentedBy(server.port, tls), "node");
  ok(!await tls.reload());
  await files.write(CERTIFICATES.renewed);
  ok(await tls.reload());
  strictEqual(await ask(address, tls), "seen as renewed");
  strictEqual(await presentedBy(server.port, tls), "renewed");
  // The demand for a client's certificate outlives the renewal.
  await using others = await makeFiles(CERTIFICATES.foreign);
  const stranger = await PeerTls.load({ ...others.settings, ...PLAIN_SETTINGS });
  ok(/UNAVAILABLE/.test(await ask(address, stranger)));
});

Deno.test("PeerTls.reload() keeps what it has when the files do not fit", async () => {
  await using files = await makeFiles(CERTIFICATES.good);
  const tls = await PeerTls.load({ ...files.settings, ...PLAIN_SETTINGS });
  await Deno.writeTextFile(files.settings.certificatePath, CERTIFICATES.renewed.certificate);
  await rejects(
    tls.reload(),
    (error) =>
      error instanceof OperatingError && error.code === "conflict" &&
      error.message.includes("not the key of"),
  );
  await Deno.writeTextFile(files.settings.certificatePath, "-----BEGIN CERTIFICATE-----\nhalf");
  await rejects(tls.reload(), OperatingError);
  strictEqual(tls.material.certificate.toString(), CERTIFICATES.good.certificate);
});

Deno.test("PeerTls.load() does not start with files that are missing or do not fit", async () => {
  await using files = await makeFiles(CERTIFICATES.good);
  const settings = { ...files.settings, ...PLAIN_SETTINGS };
  await rejects(PeerTls.load({ ...settings, keyPath: `${settings.keyPath}.no` }), FatalError);
  await Deno.writeTextFile(settings.keyPath, CERTIFICATES.renewed.key);
  await rejects(
    PeerTls.load(settings),
    (error) => error instanceof FatalError && error.exitStatus === 1,
  );
});

Deno.test("PeerTls.startReloading() reads the files again and again, says so, and ends with close()", async () => {
  await using files = await makeFiles(CERTIFICATES.good);
  const tls = await PeerTls.load({ ...files.settings, ...PLAIN_SETTINGS });
  const clock = new FakeClock();
  const lines: string[] = [];
  let told = Promise.withResolvers<void>();
  const sink = (line: string): void => {
    lines.push(line);
    told.resolve();
    told = Promise.withResolvers();
  };
  const logger = new Logger({
    level: "INFO",
    format: "text",
    component: "transport",
    sink,
    wallClockMs: () => 0,
  });
  const bugs: unknown[] = [];
  tls.startReloading({ clock, logger, onBug: (error) => bugs.push(error) });
  await files.write(CERTIFICATES.renewed);
  let next = told.promise;
  clock.advance(TLS_RELOAD_INTERVAL_MS);
  await next;
  strictEqual(tls.material.certificate.toString(), CERTIFICATES.renewed.certificate);
  await Deno.writeTextFile(files.settings.keyPath, CERTIFICATES.good.key);
  // The next round is planned once this one is over.
  while (clock.timerCount === 0) await Promise.resolve();
  next = told.promise;
  clock.advance(TLS_RELOAD_INTERVAL_MS);
  await next;
  match(lines[0] ?? "", /INFO .* read again/);
  match(lines[1] ?? "", /WARN .* stay as they were .*not the key of/);
  while (clock.timerCount === 0) await Promise.resolve();
  tls.close();
  deepStrictEqual([clock.timerCount, bugs.length, lines.length], [0, 0, 2]);
});
