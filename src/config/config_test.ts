/**
 * A node's configuration: the defaults, what test suites of rqlite pass, and every refusal of the
 * wire contract's section 14.1 with its exit status.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type Config, type ConfigOutcome, parseConfig, serveHelp } from "./config.ts";
import { environmentName } from "./flag_parser.ts";
import { SERVE_FLAGS } from "./serve_flags.ts";

function parse(line: string, environment: Record<string, string> = {}): ConfigOutcome {
  return parseConfig({ argv: line.split(" ").filter((word) => word !== ""), environment });
}

function configOf(line: string, environment: Record<string, string> = {}): Config {
  const outcome = parse(line, environment);
  if (outcome.kind !== "run") throw new Error(`${line}: ${JSON.stringify(outcome)}`);
  return outcome.config;
}

function refusalOf(line: string): string {
  const outcome = parse(`${line} data`);
  return outcome.kind === "refused" ? `${outcome.status} ${outcome.text}` : outcome.kind;
}

function noticesOf(line: string, environment: Record<string, string> = {}): readonly string[] {
  const outcome = parse(line, environment);
  return outcome.kind === "run" ? outcome.notices : [outcome.kind];
}

Deno.test("parseConfig() has rqlited's defaults", () => {
  const config = configOf("data");
  strictEqual(config.dataDirectory, "data");
  strictEqual(config.nodeId, "localhost:4002");
  deepStrictEqual(config.http.listen, { host: "localhost", port: 4001, text: "localhost:4001" });
  deepStrictEqual(config.http.advertised, config.http.listen);
  strictEqual(config.http.allowOrigin, undefined);
  deepStrictEqual(config.storage, {
    mode: "ram",
    ramDirectory: undefined,
    readers: 2,
    foreignKeys: false,
    sqliteLibrary: undefined,
  });
  strictEqual(config.raft.snapshotEntries, 8192);
  ok(!config.raft.areSnapshotEntriesGiven);
  strictEqual(config.raft.snapshotWalBytes, 4_194_304);
  strictEqual(config.raft.snapshotIntervalMs, 10_000);
  strictEqual(config.raft.applyTimeoutMs, 10_000);
  ok(config.raft.stepsDownOnShutdown);
  deepStrictEqual(config.writeQueue, {
    capacity: 1024,
    batchSize: 128,
    timeoutMs: 50,
    transaction: false,
  });
  deepStrictEqual(config.log, { level: "WARN", format: "text" });
});

Deno.test("parseConfig() takes the command line of rqlite's end-to-end tests, without notices", () => {
  const line = "-node-id 0 -http-addr 127.0.0.1:31001 -bootstrap-expect 1 -raft-addr " +
    "127.0.0.1:31002 -raft-snap 100 -raft-snap-int 1s -raft-cluster-remove-shutdown=false " +
    "-raft-non-voter=false -http-adv-addr 127.0.0.1:31001 -join-interval 1s -raft-log-level INFO " +
    "/tmp/x";
  const config = configOf(line);
  strictEqual(config.nodeId, "0");
  strictEqual(config.raft.snapshotEntries, 100);
  ok(config.raft.areSnapshotEntriesGiven);
  strictEqual(config.raft.snapshotIntervalMs, 1000);
  strictEqual(config.dataDirectory, "/tmp/x");
  strictEqual(config.log.level, "INFO");
  deepStrictEqual(noticesOf(line), []);
});

Deno.test("parseConfig() names the node after its advertised Raft address", () => {
  strictEqual(
    configOf("-raft-addr 0.0.0.0:5 -raft-adv-addr h:6 -http-adv-addr h:7 d").nodeId,
    "h:6",
  );
  strictEqual(configOf("-node-id n1 d").nodeId, "n1");
});

Deno.test("parseConfig() freezes what it returns, to the bottom", () => {
  const config = configOf("data");
  ok(
    Object.isFrozen(config) && Object.isFrozen(config.raft) && Object.isFrozen(config.http.listen),
  );
});

Deno.test("parseConfig() has Dust's own flags", () => {
  const config = configOf(
    "--on-disk --ram-dir /ram --readers 8 --log-format json --fk --http-max-body 1MiB d",
  );
  deepStrictEqual(
    [config.storage.mode, config.storage.ramDirectory, config.storage.readers, config.log.format],
    ["disk", "/ram", 8, "json"],
  );
  ok(config.storage.foreignKeys);
  strictEqual(config.http.bodyBytesMax, 2 ** 20);
  strictEqual(configOf("--readers 8 --db-max-ro-conns 3 d").storage.readers, 3);
  strictEqual(configOf("--readers 8 --db-max-ro-conns 0 d").storage.readers, 8);
  strictEqual(configOf("-raft-snap 0 d").raft.snapshotEntries, 1);
});

Deno.test("parseConfig() wants the data directory, last and alone", () => {
  strictEqual(
    JSON.stringify(parse("-fk")),
    '{"kind":"refused","status":1,"text":"fatal: No data directory given: usage is dust [flags] ' +
      'DATA_DIR, see dust --help"}',
  );
  strictEqual(
    refusalOf("first"),
    "1 fatal: Data directory must be the last argument: data follows it",
  );
  strictEqual(configOf("", { DUST_DATA_DIR: "/env" }).dataDirectory, "/env");
  strictEqual(configOf("given", { DUST_DATA_DIR: "/env" }).dataDirectory, "given");
  deepStrictEqual(noticesOf("", { DUST_DATA_DIR: "/env" }), [
    "Data directory is /env, from DUST_DATA_DIR",
  ]);
});

Deno.test("parseConfig() refuses an unreadable command line with status 2 and usage", () => {
  for (
    const line of ["-nope", "-raft-snap x", "-fk=maybe", "-raft-timeout 1s", "-on-disk-path x"]
  ) {
    const refusal = refusalOf(line);
    ok(refusal.startsWith("2 ") && refusal.includes("\nUsage: dust"), refusal);
  }
});

const IMPOSSIBLE: readonly (readonly [string, string])[] = [
  ["-http-cert c", "Flags -http-cert and -http-key go together: one of them is missing"],
  ["-http-key k", "Flags -http-cert and -http-key go together: one of them is missing"],
  ["-node-cert c", "Flags -node-cert and -node-key go together: one of them is missing"],
  ["-otlp-key k", "Flags -otlp-cert and -otlp-key go together: one of them is missing"],
  ["-http-verify-common-name n", "Flag -http-verify-common-name needs -http-verify-client"],
  ["-node-verify-common-name n", "Flag -node-verify-common-name needs -node-verify-client"],
  [
    "-http-addr h:1 -raft-addr h:1",
    "HTTP and Raft addresses must differ: both are h:1",
  ],
  [
    "-http-adv-addr h:1 -raft-adv-addr h:1",
    "Advertised HTTP and Raft addresses must differ: both are h:1",
  ],
  [
    "-http-addr http://h:1",
    'Address "http://h:1" of -http-addr is unusable: it must be host:port, without a scheme such ' +
    "as http://",
  ],
  ["-http-addr h", 'Address "h" of -http-addr is unusable: it must be host:port'],
  ["-raft-addr a:b:1", 'Address "a:b:1" of -raft-addr is unusable: it must be host:port'],
  [
    "-raft-adv-addr h:x",
    'Address "h:x" of -raft-adv-addr is unusable: its port must be a number from 1 to 65535',
  ],
  [
    "-raft-addr h:65536",
    'Address "h:65536" of -raft-addr is unusable: its port must be a number from 1 to 65535',
  ],
  [
    "-http-addr 0.0.0.0:4001",
    "Advertised address 0.0.0.0:4001 cannot be connected to: name a host with -http-adv-addr",
  ],
  [
    "-raft-addr [::]:4002",
    "Advertised address [::]:4002 cannot be connected to: name a host with -raft-adv-addr",
  ],
  [
    "-raft-addr :4002",
    "Advertised address :4002 cannot be connected to: name a host with -raft-adv-addr",
  ],
  [
    "-raft-non-voter -bootstrap-expect 1",
    "Flag -bootstrap-expect is not for a node with -raft-non-voter",
  ],
  ["-join nonsense", "Join address nonsense must be host:port"],
  ["-join localhost:4002", "Node cannot join itself: localhost:4002 is its own Raft address"],
  ["-join a:1 -auto-restore f", "Flags -join and -auto-restore exclude each other"],
  ["-join a:1 -disco-mode dns", "Flags -join and -disco-mode exclude each other"],
  [
    "-disco-mode zeroconf",
    'Unknown discovery mode "zeroconf": it must be one of consul-kv, etcd-kv, dns, dns-srv',
  ],
  [
    "-disco-mode etcd-kv -bootstrap-expect 1",
    "Flag -bootstrap-expect is not for discovery mode etcd-kv",
  ],
  ["-disco-mode dns", "Discovery mode dns needs -bootstrap-expect"],
  ["-cdc-config c -raft-non-voter", "Flag -cdc-config is not for a node with -raft-non-voter"],
  ["-raft-reap-node-timeout 0s", "Flag -raft-reap-node-timeout must be more than 0"],
  [
    "-raft-election-timeout 900ms",
    "Flag -raft-election-timeout must not be below -raft-heartbeat-timeout",
  ],
  [
    "-raft-leader-lease-timeout 2s",
    "Flag -raft-leader-lease-timeout must not be above -raft-heartbeat-timeout",
  ],
];

for (const [line, sentence] of IMPOSSIBLE) {
  Deno.test(`parseConfig() refuses ${line}`, () => {
    strictEqual(refusalOf(line), `1 fatal: ${sentence}`);
  });
}

Deno.test("parseConfig() refuses a node id that cannot be shown", () => {
  const outcome = parseConfig({ argv: ["-node-id", "a\nb", "data"], environment: {} });
  strictEqual(outcome.kind, "refused");
  strictEqual(refusalOf(`-node-id ${"x".repeat(255)}`), "run");
  strictEqual(
    refusalOf(`-node-id ${"x".repeat(256)}`),
    "1 fatal: Node id is too long: 256 characters, 255 at most",
  );
});

Deno.test("parseConfig() refuses features that are not there and dangerous to miss", () => {
  const lines = [
    "-disco-mode consul-kv",
    "-auth a.json",
    "-http-cert c -http-key k",
    "-http-verify-client",
    "-auto-backup b.json",
    "-auto-restore r.json",
    "-cdc-config http://x",
    "-extensions-path e",
  ];
  for (const line of lines) {
    strictEqual(refusalOf(line), `1 fatal: Not available yet: ${line.split(" ")[0]}`);
  }
});

Deno.test("parseConfig() refuses TLS between nodes that has no certificate", () => {
  for (const flag of ["-node-verify-client", "-node-ca-cert ca", "-node-verify-server-name n"]) {
    strictEqual(refusalOf(flag), `1 fatal: Flag ${flag.split(" ")[0]} needs -node-cert`);
    strictEqual(refusalOf(`${flag} -node-cert c -node-key k`), "run");
  }
});

Deno.test("parseConfig() says which flags and variables have no effect", () => {
  deepStrictEqual(
    noticesOf("-auto-vacuum-int 1h -raft-election-timeout 2s -otlp-endpoint h:1 data"),
    [
      "Flag -raft-election-timeout has no effect yet",
      "Flag -auto-vacuum-int has no effect yet",
      "Flag -otlp-endpoint has no effect yet",
    ],
  );
  const heeded = "-http-max-body 1MiB -http-max-requests 5 -raft-apply-timeout 1s data";
  deepStrictEqual(noticesOf(heeded), []);
  deepStrictEqual(noticesOf("data", { DUST_HTP_ADDR: "x", DUST_FK: "1", HOME: "/" }), [
    "Environment variable DUST_HTP_ADDR is unknown and has no effect",
  ]);
});

Deno.test("parseConfig() answers -version and -help before it asks for a data directory", () => {
  strictEqual(parse("-version").kind, "version");
  strictEqual(parse("-h").kind, "help");
  ok(serveHelp().split("\n").every((line) => line.length <= 100));
  for (const name of Object.keys(SERVE_FLAGS)) ok(serveHelp().includes(`--${name}`), name);
});

Deno.test("parseConfig() reads every flag from its variable too", () => {
  const line = "-http-addr a:1 -raft-addr b:2 -raft-snap 5 -write-queue-tx -raft-log-level DEBUG";
  const environment = {
    DUST_HTTP_ADDR: "a:1",
    DUST_RAFT_ADDR: "b:2",
    DUST_RAFT_SNAP: "5",
    DUST_WRITE_QUEUE_TX: "true",
    DUST_RAFT_LOG_LEVEL: "DEBUG",
    DUST_DATA_DIR: "data",
  };
  deepStrictEqual(configOf("", environment), configOf(`${line} data`));
  strictEqual(environmentName("DUST", "fk"), "DUST_FK");
});
