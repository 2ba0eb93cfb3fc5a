/**
 * Interaction files: one function for each command, and how its result is put together (the files'
 * README, sections 3 and 4).
 */
import { logIndex, nodeId } from "../../src/base/ids.ts";
import type { ProposeOutcome } from "../../src/raft/proposal.ts";
import { progressText } from "../../src/raft/progress.ts";
import { addNodes, ELECTION_TICKS } from "./add_nodes.ts";
import { parseConfChange } from "./conf_change_input.ts";
import {
  Environment,
  isLocal,
  type Level,
  LEVELS,
  recipient,
  type ScriptNode,
} from "./environment.ts";
import {
  deliver,
  handleReady,
  OutputError,
  processAppendThread,
  processApplyThread,
  stabilize,
  takeFlights,
} from "./ready_handling.ts";
import {
  type Argument,
  type Case,
  parseNumber,
  plainKeys,
  ScriptError,
  valueOf,
} from "./script.ts";
import { entryText, messageSheet, roleText, sheetText } from "./text.ts";
import { flightSheet } from "./environment.ts";

type Command = (environment: Environment, args: readonly Argument[], input: string) => void;

/** What runs the cases of one file, in order; `random` in [0, 1) fixes the election timeouts. */
export function makeInteraction(random: () => number): (example: Case) => string {
  const environment = new Environment(random);
  return (example) => runCase(environment, example);
}

function runCase(environment: Environment, example: Case): string {
  let error = "";
  try {
    const command = COMMANDS.get(example.command);
    if (command === undefined) throw new OutputError("unknown command");
    command(environment, example.args, example.input);
  } catch (thrown) {
    if (!(thrown instanceof OutputError)) throw thrown;
    error = thrown.message;
  }
  const output = environment.takeOutput();
  if (error !== "" && environment.level === "NONE") return error;
  return output + error === "" ? "ok" : output + error;
}

function nodesOf(environment: Environment, args: readonly Argument[]): readonly ScriptNode[] {
  return plainKeys(args).map((key) => environment.node(parseNumber(key)));
}

function firstNode(environment: Environment, args: readonly Argument[]): ScriptNode {
  return environment.node(parseNumber(args[0]?.key));
}

function parseLevel(name: string): Level {
  const level = LEVELS.find((known) => known === name.toUpperCase());
  if (level === undefined) {
    throw new OutputError(`log levels must be either of [${LEVELS.join(" ")}]`);
  }
  return level;
}

/** One node: its block as it is. Several: each under a heading, indented. */
function process(
  environment: Environment,
  args: readonly Argument[],
  task: { readonly heading: string; readonly run: (node: ScriptNode) => void },
): void {
  const nodes = nodesOf(environment, args);
  for (const node of nodes) {
    if (nodes.length === 1) {
      task.run(node);
      continue;
    }
    environment.write(`> ${node.id} ${task.heading}\n`);
    environment.indented(() => task.run(node));
  }
}

/** Refused changes are replaced by empty entries without an error; everything else that is refused is one. */
function assertTaken(outcome: ProposeOutcome): void {
  if (outcome.kind !== "refused") return;
  switch (outcome.reason) {
    case "change_pending":
    case "joint":
    case "not_joint":
    case "impossible_change":
      return;
    default:
      throw new OutputError("raft proposal dropped");
  }
}

const propose: Command = (environment, args) => {
  const payload = new TextEncoder().encode(args[1]?.key);
  const entry = { kind: "normal", size: payload.length, payload } as const;
  assertTaken(firstNode(environment, args).raft.propose([entry]));
};

const proposeConfChange: Command = (environment, args, input) => {
  const change = parseConfChange(args.slice(1), input);
  assertTaken(firstNode(environment, args).raft.proposeConfChange(change));
};

const deliverMessages: Command = (environment, args) => {
  const type = valueOf(args, "type");
  const recipients = new Map<number, "deliver" | "drop">();
  const add = (id: number, fate: "deliver" | "drop"): void => {
    if (recipients.has(id)) throw new ScriptError(`node ${id} is named twice`);
    recipients.set(id, fate);
  };
  for (const { key, values } of args) {
    if (values.length === 0) add(parseNumber(key), "deliver");
    else if (key === "drop") { for (const value of values) add(parseNumber(value), "drop"); }
    else if (key !== "type") throw new ScriptError(`unknown argument: ${key}`);
  }
  let count = 0;
  for (const [id, fate] of recipients) {
    const flights = takeFlights(
      environment,
      (flight) =>
        recipient(flight) === id && (fate === "deliver" || !isLocal(flight)) &&
        (type === undefined || flightSheet(flight).type === type),
    );
    count += flights.length;
    if (fate === "deliver") deliver(environment, flights);
    else {
      for (const flight of flights) {
        environment.write(`dropped: ${sheetText(flightSheet(flight))}\n`);
      }
    }
  }
  if (count === 0) environment.write("no messages\n");
};

const stabilizeNodes: Command = (environment, args) => {
  const before = environment.level;
  const level = valueOf(args, "log-level");
  if (level !== undefined) environment.level = parseLevel(level);
  const named = nodesOf(environment, args);
  try {
    stabilize(environment, named.length > 0 ? named : environment.nodes);
  } finally {
    environment.level = before;
  }
};

const sendSnapshot: Command = (environment, args) => {
  const [sender, receiver] = nodesOf(environment, args);
  const snapshot = sender?.history.at(-1);
  if (sender === undefined || receiver === undefined || snapshot === undefined) {
    throw new ScriptError("send-snapshot needs two nodes");
  }
  const { id: from, raft } = sender;
  const message = { kind: "snapshot", from, to: receiver.id, term: raft.term, snapshot } as const;
  environment.flights.push({ kind: "message", message });
  environment.write(sheetText(messageSheet(message)));
};

const printLog: Command = (environment, args) => {
  const { storage } = firstNode(environment, args);
  const entries = storage.all();
  if (entries.length === 0) {
    const range = `first index=${storage.firstIndex}, last index=${storage.lastIndex}`;
    environment.write(`log is empty: ${range}`);
  }
  for (const entry of entries) environment.write(`${entryText(entry)}\n`);
};

const compact: Command = (environment, args) => {
  const index = logIndex(parseNumber(args[1]?.key));
  if (!firstNode(environment, args).storage.compact(index)) {
    throw new OutputError("requested index is unavailable due to compaction");
  }
  printLog(environment, args, "");
};

const printStates: Command = (environment) => {
  for (const { id, raft } of environment.nodes) {
    const membership = raft.state.members.isVoter(id) ? "Voter" : "Non-Voter";
    environment.write(
      `${id}: ${roleText(raft.role)} (${membership}) Term:${raft.term} Lead:${raft.leader}\n`,
    );
  }
};

const printStatus: Command = (environment, args) => {
  const { raft } = firstNode(environment, args);
  const { members } = raft.state;
  if (raft.role !== "leader") return;
  for (const id of members.ids) {
    const progress = members.progress(id);
    if (progress === undefined) continue;
    const isLearner = members.isLearner(id);
    environment.write(`${id}: ${progressText(progress, { isLearner })}\n`);
  }
};

const setElectionTimeout: Command = (environment, args) => {
  const timeout = parseNumber(valueOf(args, "timeout"));
  firstNode(environment, args).raft.state.electionTimeout = timeout;
};

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["_breakpoint", () => undefined],
  ["add-nodes", addNodes],
  ["campaign", (environment, args) => firstNode(environment, args).raft.campaign()],
  ["compact", compact],
  ["deliver-msgs", deliverMessages],
  ["forget-leader", (environment, args) => {
    firstNode(environment, args).raft.forgetLeader();
  }],
  ["log-level", (environment, args) => {
    environment.level = parseLevel(args[0]?.key ?? "");
  }],
  ["process-append-thread", (environment, args) =>
    process(environment, args, {
      heading: "processing append thread",
      run: (node) => processAppendThread(environment, node),
    })],
  ["process-apply-thread", (environment, args) =>
    process(environment, args, {
      heading: "processing apply thread",
      run: (node) => processApplyThread(environment, node),
    })],
  ["process-ready", (environment, args) =>
    process(environment, args, {
      heading: "handling Ready",
      run: (node) => handleReady(environment, node),
    })],
  ["propose", propose],
  ["propose-conf-change", proposeConfChange],
  ["raft-log", printLog],
  ["raft-state", printStates],
  ["report-unreachable", (environment, args) => {
    const [reporter, peer] = nodesOf(environment, args);
    if (peer === undefined) throw new ScriptError("report-unreachable needs two nodes");
    reporter?.raft.reportUnreachable(peer.id);
  }],
  ["send-snapshot", sendSnapshot],
  ["set-randomized-election-timeout", setElectionTimeout],
  ["stabilize", stabilizeNodes],
  ["status", printStatus],
  ["tick-election", (environment, args) => {
    for (let i = 0; i < ELECTION_TICKS; i++) firstNode(environment, args).raft.tick();
  }],
  ["tick-heartbeat", (environment, args) => firstNode(environment, args).raft.tick()],
  ["transfer-leadership", (environment, args) => {
    const from = environment.node(parseNumber(valueOf(args, "from")));
    from.raft.transferLeadership(nodeId(parseNumber(valueOf(args, "to"))));
  }],
]);
