/**
 * Whole networks with TLS: lanes, calls and snapshots go through it, nobody gets in without, and lanes that
 * are up outlive a renewal of the certificates.
 */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { logIndex, nodeId, term } from "../base/ids.ts";
import type { Message } from "../raft/message.ts";
import type { PeerServices } from "./peer_services.ts";
import { PeerTls, type PeerTlsSettings } from "./peer_tls.ts";
import { makeTestCertificate, type TestCertificate } from "./test_certificate.ts";
import { identityOf, introduce, TestNetworks, until, untilConnected } from "./testing.ts";

const AUTHORITY = makeTestCertificate({ commonName: "authority", isAuthority: true });
const HERE = { authority: AUTHORITY, addresses: ["127.0.0.1"] };

class Certificates implements Disposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "dust_peer_tls_" });

  constructor(certificate: TestCertificate) {
    Deno.writeTextFileSync(`${this.#folder}/ca.pem`, AUTHORITY.certificate);
    this.write(certificate);
  }

  write({ certificate, key }: TestCertificate): void {
    Deno.writeTextFileSync(`${this.#folder}/cert.pem`, certificate);
    Deno.writeTextFileSync(`${this.#folder}/key.pem`, key);
  }

  load(changes: Partial<PeerTlsSettings> = {}): Promise<PeerTls> {
    return PeerTls.load({
      certificatePath: `${this.#folder}/cert.pem`,
      keyPath: `${this.#folder}/key.pem`,
      caPath: `${this.#folder}/ca.pem`,
      verifiesServers: true,
      verifiesClients: true,
      serverName: undefined,
      clientCommonName: "node",
      ...changes,
    });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

const NODE = makeTestCertificate({ commonName: "node", ...HERE });

function heartbeat(from: number, to: number): Message {
  const envelope = { from: nodeId(from), to: nodeId(to), term: term(1) };
  return { kind: "heartbeat", ...envelope, commit: logIndex(0), readRound: 0 };
}

/** Answers every call in the same way; the method's type cannot say so for a plain function. */
const ANSWERING = {
  answer: (() => Promise.resolve({ kind: "done" })) as PeerServices["answer"],
};

Deno.test("networks with mutual TLS talk, and call", async () => {
  using certificates = new Certificates(NODE);
  await using networks = new TestNetworks();
  const tls = await certificates.load();
  const one = await networks.open(identityOf(1), { tls });
  const two = await networks.open(identityOf(2), { tls, answers: ANSWERING });
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  one.network.send(heartbeat(1, 2));
  await until(() => two.told.messages.length === 1, "the heartbeat");
  deepStrictEqual(two.told.messages, [heartbeat(1, 2)]);
  const asked = { kind: "transfer_leader", to: undefined, credentials: undefined } as const;
  const answer = await one.network.call(two.peer.address, asked, { timeoutMs: 5000 });
  strictEqual(answer.kind, "done");
});

Deno.test("a network in the clear, or with another common name, gets nowhere with one that has TLS", async () => {
  using certificates = new Certificates(NODE);
  using others = new Certificates(makeTestCertificate({ commonName: "intruder", ...HERE }));
  await using networks = new TestNetworks();
  const one = await networks.open(identityOf(1), { tls: await certificates.load() });
  const strangers = [
    await networks.open(identityOf(2)),
    await networks.open(identityOf(3), { tls: await others.load({ clientCommonName: undefined }) }),
  ];
  introduce(one, ...strangers);
  const asked = { kind: "transfer_leader", to: undefined, credentials: undefined } as const;
  for (const stranger of strangers) {
    const { network } = stranger;
    await until(() => network.peers()[0]?.lastError !== undefined, "an error is told");
    await rejects(network.call(one.peer.address, asked, { timeoutMs: 5000 }), OperatingError);
    ok(!network.peers()[0]?.control.isConnected);
  }
  deepStrictEqual(one.told.messages, []);
});

Deno.test("lanes outlive a renewal of the certificates, and new ones use the new", async () => {
  using certificates = new Certificates(NODE);
  await using networks = new TestNetworks();
  const settings = { clientCommonName: undefined };
  const [left, right] = [await certificates.load(settings), await certificates.load(settings)];
  const one = await networks.open(identityOf(1), { tls: left });
  const two = await networks.open(identityOf(2), { tls: right });
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  certificates.write(makeTestCertificate({ commonName: "renewed", ...HERE }));
  ok(await left.reload());
  ok(await right.reload());
  one.network.send(heartbeat(1, 2));
  await until(() => two.told.messages.length === 1, "the heartbeat");
  strictEqual(one.network.peers()[0]?.control.connects, 1);
  const three = await networks.open(identityOf(3), { tls: left });
  introduce(one, two, three);
  await until(
    () => three.network.peers().every(({ control }) => control.isConnected),
    "the third is connected",
  );
});
