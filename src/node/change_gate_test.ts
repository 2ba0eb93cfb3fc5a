/**
 * Membership changes at a leader, with the real engine: what waits for those before it, and what does not.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { encodeMemberTable } from "../command/member_table.ts";
import { FakeClock } from "../os/fake_clock.ts";
import type { ConfChange } from "../raft/conf_change.ts";
import { productionConfig } from "../raft/config.ts";
import { encodeConfiguration, votersOnly } from "../raft/configuration.ts";
import type { Message } from "../raft/message.ts";
import { EventLoop } from "./event_loop.ts";
import type { PeersPort } from "./ports.ts";
import type { Proposal } from "./proposals.ts";
import { MemoryLog, MemoryStateMachine, settle } from "./testing.ts";

const SELF = nodeId(1);
const OTHER = nodeId(2);
const NOTHING = new Uint8Array(0);

/** Node 1 of two, in its second term; node 2 is the test. */
class Leader {
  readonly sent: Message[] = [];
  readonly loop: EventLoop;
  readonly fates: string[] = [];

  constructor() {
    const log = new MemoryLog();
    const stateMachine = new MemoryStateMachine(log);
    const configuration = encodeConfiguration(votersOnly([SELF, OTHER]));
    const members = encodeMemberTable({ nextNodeId: 3, members: [] });
    Object.assign(stateMachine, { applied: { ...stateMachine.applied, configuration, members } });
    const peers: PeersPort = {
      send: (message) => void this.sent.push(message),
      snapshotToSend: () => undefined,
      stage: () => Promise.reject(new Error("no snapshots here")),
      activate: () => Promise.resolve(),
    };
    this.loop = new EventLoop({
      config: productionConfig(SELF),
      log,
      hardState: log.hardState,
      stateMachine: stateMachine.port,
      clock: new FakeClock(),
      entropy: { bytes: (count) => new Uint8Array(count), below: () => 0 },
      peers,
      listener: {
        onApplied: () => {},
        onReadIndex: () => {},
        onReadOverload: () => {},
        onRoleChanged: () => {},
        onVerdictMissing: () => {},
        onTick: () => {},
        onFatal: (error) => {
          throw error;
        },
      },
    });
  }

  async elect(): Promise<void> {
    this.loop.start();
    this.loop.campaign();
    for (const ballot of ["pre_vote", "vote"] as const) {
      await settle();
      this.loop.receive({
        kind: "vote_response",
        ballot,
        from: OTHER,
        to: SELF,
        term: term(2),
        isGranted: true,
        commit: logIndex(0),
        commitTerm: term(0),
      });
    }
    await settle();
  }

  /** Node 2 has everything up to `index`. */
  async acknowledge(index: number): Promise<void> {
    this.loop.receive({
      kind: "append_response",
      from: OTHER,
      to: SELF,
      term: term(2),
      index: logIndex(index),
      rejection: undefined,
    });
    await settle();
  }

  async change(name: string, change: ConfChange): Promise<void> {
    const proposal: Proposal = {
      payload: NOTHING,
      format: 0,
      queueDeadlineMs: 10_000,
      deadlineMs: 10_000,
      resolve: ({ index }) => void this.fates.push(`${name} is entry ${index}`),
      reject: ({ code }) => void this.fates.push(`${name}: ${code}`),
    };
    this.loop.proposeChange(change, proposal);
    await settle();
  }
}

/** A newcomer, with the number that is the next one in the table of now. */
function admission(leader: Leader, name: string): ConfChange {
  const id = nodeId(leader.loop.members.nextNodeId);
  const row = {
    nodeId: id,
    incarnation: new Uint8Array(16).fill(name.length),
    name,
    raftAddress: `${name}:1`,
    apiUrl: `http://${name}:2`,
    isReadOnly: false,
  };
  const context = encodeMemberTable({ nextNodeId: 0, members: [row] });
  const changes = [{ type: "add_learner", nodeId: id }] as const;
  return { form: "joint", transition: "auto", changes, context };
}

function names(leader: Leader): string[] {
  return leader.loop.members.members.map(({ nodeId, name }) => `${nodeId} ${name}`);
}

Deno.test("ChangeGate refuses a newcomer whose number another one got while it waited (M1)", async () => {
  const leader = new Leader();
  await leader.elect();
  await leader.acknowledge(2);
  await leader.change("a", admission(leader, "a"));
  // Nobody knows yet what becomes of it, as after a leader's death or a timeout.
  await leader.change("bb", admission(leader, "bb"));
  await leader.acknowledge(3);
  await leader.acknowledge(4);
  deepStrictEqual(names(leader), ["3 a"]);
  deepStrictEqual(leader.fates, ["bb: overloaded", "a is entry 3"]);
  await leader.change("bb", admission(leader, "bb"));
  await leader.acknowledge(4);
  deepStrictEqual(names(leader), ["3 a", "4 bb"]);
});

Deno.test("ChangeGate lets a change wait for all before it (D2)", async () => {
  const leader = new Leader();
  await leader.elect();
  const { sent } = leader;
  await leader.change("a", admission(leader, "a"));
  const isChange = (message: Message): boolean =>
    message.kind === "append" && message.entries.some(({ kind }) => kind === "conf_change");
  ok(!sent.some(isChange), "the term's first entry is not applied");
  await leader.acknowledge(2);
  ok(sent.some(isChange));
  await leader.acknowledge(3);
  deepStrictEqual(leader.fates, ["a is entry 3"]);
});
