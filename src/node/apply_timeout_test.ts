/**
 * `--raft-apply-timeout` on a whole node with the real engine: while the disk hangs, a write that
 * waits for its turn in the log is refused in time, and the one that is being synced is not.
 */
import { deepStrictEqual } from "node:assert/strict";
import { type LogIndex, logIndex, nodeId, term } from "../base/ids.ts";
import { encodeExecuteBody } from "../command/execute_body.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { productionConfig } from "../raft/config.ts";
import { encodeConfiguration } from "../raft/configuration.ts";
import { Node } from "./node.ts";
import type { ApplyEntry, HardState, LogEntry, LogPort, StateMachinePort } from "./ports.ts";

const APPLY_TIMEOUT_MS = 5_000;
const CONFIGURATION = encodeConfiguration({
  voters: [nodeId(1)],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
});

/** A disk that can be made to hang. */
class HangingDisk {
  readonly entries: LogEntry[] = [];
  #hanging: PromiseWithResolvers<void> | undefined;

  hang(): void {
    this.#hanging = Promise.withResolvers();
  }

  recover(): void {
    this.#hanging?.resolve();
    this.#hanging = undefined;
  }

  /** The members that a node which only writes calls. */
  log(): LogPort {
    const { entries } = this;
    const last = (): LogIndex => logIndex(entries.at(-1)?.index ?? 1);
    const port = {
      firstIndex: logIndex(2),
      get lastIndex(): LogIndex {
        return last();
      },
      marker: { index: logIndex(1), term: term(1), configuration: CONFIGURATION, generation: 1 },
      term: (index: LogIndex) => index === 1 ? term(1) : entries[index - 2]?.term,
      append: (batch: { readonly entries: readonly LogEntry[] }) =>
        void entries.push(...batch.entries),
      sync: () => this.#hanging?.promise ?? Promise.resolve(),
    };
    return port as unknown as LogPort;
  }
}

function stateMachine(): StateMachinePort {
  const applied = {
    index: logIndex(1),
    term: term(1),
    entryChain: "",
    configuration: CONFIGURATION,
  };
  const port = {
    applied,
    apply: (entries: readonly ApplyEntry[]) =>
      Promise.resolve({
        appliedIndex: entries.at(-1)?.index,
        results: entries.map(({ format }) => format === undefined ? undefined : "[{}]"),
        parked: undefined,
        diskFull: false,
      }),
  };
  return port as unknown as StateMachinePort;
}

function startNode(disk: HangingDisk, clock: FakeClock): Node {
  const hardState: HardState = { term: term(1), vote: nodeId(1), commit: logIndex(1) };
  const node = new Node({
    config: productionConfig(nodeId(1)),
    log: disk.log(),
    hardState,
    stateMachine: stateMachine(),
    clock,
    entropy: { bytes: (count) => new Uint8Array(count), below: () => 0 },
    peers: undefined,
    policy: { entriesMin: 1e9, bytesMin: 0, intervalMs: 1e9, trailingEntries: 0 },
    applyTimeoutMs: APPLY_TIMEOUT_MS,
    onFatal: (error) => {
      throw error;
    },
  });
  node.start();
  return node;
}

/** Lets everything run that waits for no timer. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
}

async function pass(clock: FakeClock, byMs: number): Promise<void> {
  for (let ms = 0; ms < byMs; ms += 50) {
    clock.advance(50);
    await settle();
  }
}

Deno.test("Node.write() is refused when its turn in the log does not come in time, and only then", async () => {
  const disk = new HangingDisk();
  const clock = new FakeClock();
  const node = startNode(disk, clock);
  await node.untilReady();
  const fates: string[] = [];
  const write = (name: string): void => {
    const body = { kind: "json", text: '["INSERT INTO t VALUES(1)"]' } as const;
    const payload = encodeExecuteBody({ body, transaction: false, rows: false, timeoutMs: 0 });
    node.write(payload ?? new Uint8Array(), 0).then(
      ({ results }) => fates.push(`${name}: ${results}`),
      ({ code, message }) => fates.push(`${name}: ${code}, ${message}`),
    );
  };
  disk.hang();
  write("in the log");
  await settle();
  write("behind it");
  await pass(clock, APPLY_TIMEOUT_MS - 50);
  deepStrictEqual(fates, []);
  await pass(clock, 50);
  deepStrictEqual(fates, ["behind it: timeout, timed out enqueuing operation"]);
  disk.recover();
  await settle();
  deepStrictEqual(fates.slice(1), ["in the log: [{}]"]);
  await node.stop();
});
