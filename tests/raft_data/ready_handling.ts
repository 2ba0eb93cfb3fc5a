/**
 * Carries out Readys, storage work and deliveries in interaction files, and prints them (the files'
 * README, section 5).
 */
import { decodeConfChange } from "../../src/raft/conf_change.ts";
import type { Ready, StorageAppend } from "../../src/raft/ready.ts";
import type { Entry } from "../../src/raft/types.ts";
import {
  appendAnswers,
  appendSheet,
  applySheet,
  type Environment,
  type Flight,
  flightSheet,
  recipient,
  type ScriptNode,
} from "./environment.ts";
import { ScriptError } from "./script.ts";
import {
  entryText,
  hardStateText,
  messageSheet,
  roleText,
  sheetText,
  snapshotText,
} from "./text.ts";

/** An engine error: part of the output, and the end of the command. */
export class OutputError extends Error {
  override readonly name = "OutputError";
}

/** Takes one Ready and carries it out, as far as its mode does so at once. */
export function handleReady(environment: Environment, node: ScriptNode): void {
  const ready = node.raft.ready();
  environment.write(readyText(node, ready));
  if (ready.append?.hardState !== undefined) node.hardState = ready.append.hardState;
  for (const message of ready.messages) environment.flights.push({ kind: "message", message });
  if (node.config.storageWrites === "asynchronous") {
    if (ready.append !== undefined) node.appendWork.push(ready.append);
    if (ready.apply !== undefined) node.applyWork.push(ready.apply);
    return;
  }
  if (ready.append !== undefined) writeToStorage(environment, node, ready.append);
  for (const entry of ready.apply?.entries ?? []) applyEntry(environment, node, entry);
  for (const message of ready.append?.responses ?? []) {
    if (message.to !== node.id) environment.flights.push({ kind: "message", message });
  }
  node.raft.advance();
}

function writeToStorage(environment: Environment, node: ScriptNode, append: StorageAppend): void {
  if (append.hardState !== undefined) node.storage.hardState = append.hardState;
  if (append.snapshot === undefined) {
    node.storage.append(append.entries);
    return;
  }
  if (append.entries.length > 0) {
    throw new OutputError("can't apply snapshot and entries at the same time");
  }
  node.storage.installSnapshot(append.snapshot);
  environment.pushHistory(node, append.snapshot);
}

function applyEntry(environment: Environment, node: ScriptNode, entry: Entry): void {
  let configuration = node.history.at(-1)?.configuration ?? node.raft.configuration;
  if (entry.kind === "conf_change") {
    const change = entry.payload === undefined ? undefined : decodeConfChange(entry.payload);
    if (change === undefined) throw new ScriptError("an entry is no configuration change");
    configuration = node.raft.applyConfChange(change);
  }
  environment.pushHistory(node, { index: entry.index, term: entry.term, configuration });
}

function readyText(node: ScriptNode, ready: Ready): string {
  const { softState, append, apply } = ready;
  const lines: string[] = [];
  if (softState !== undefined) {
    lines.push(`Lead:${softState.leader} State:${roleText(softState.role)}`);
  }
  if (append?.hardState !== undefined) lines.push(`HardState ${hardStateText(append.hardState)}`);
  for (const read of ready.readStates) lines.push(`ReadStates [{${read.index} ${read.context}}]`);
  if (append !== undefined && append.entries.length > 0) {
    lines.push("Entries:", ...append.entries.map(entryText));
  }
  if (append?.snapshot !== undefined) lines.push(`Snapshot ${snapshotText(append.snapshot)}`);
  if (apply !== undefined) lines.push("CommittedEntries:", ...apply.entries.map(entryText));
  const messages = readyMessages(node, ready);
  if (messages.length > 0) lines.push("Messages:", ...messages);
  if (lines.length === 0) return "<empty Ready>";
  return [`Ready MustSync=${mustSync(node, append)}:`, ...lines].map((line) => `${line}\n`).join(
    "",
  );
}

/** The files' notion: a snapshot alone does not count, though it must be synced all the same. */
function mustSync(node: ScriptNode, append: StorageAppend | undefined): boolean {
  if (append === undefined) return false;
  const { entries, hardState } = append;
  const old = node.hardState;
  const isBinding = hardState !== undefined &&
    (hardState.term !== old.term || hardState.vote !== old.vote);
  return entries.length > 0 || isBinding;
}

function readyMessages(node: ScriptNode, ready: Ready): readonly string[] {
  const { append, apply } = ready;
  const lines = ready.messages.map((message) => sheetText(messageSheet(message)));
  if (node.config.storageWrites === "synchronous") {
    const waiting = (append?.responses ?? []).filter((message) => message.to !== node.id);
    return [...lines, ...waiting.map((message) => sheetText(messageSheet(message)))];
  }
  if (append !== undefined) {
    lines.push(sheetText(appendSheet(node, append, appendAnswers(node, append))));
  }
  if (apply !== undefined) {
    const answer: Flight = { kind: "apply_answer", to: node.id, answer: apply };
    lines.push(sheetText(applySheet(node, apply, [answer])));
  }
  return lines;
}

/** Performs the oldest item of a node's append work. */
export function processAppendThread(environment: Environment, node: ScriptNode): void {
  const append = node.appendWork.shift();
  if (append === undefined) {
    environment.write("no append work to perform");
    return;
  }
  environment.write(`Processing:\n${sheetText(appendSheet(node, append, []))}\n`);
  writeToStorage(environment, node, append);
  respond(environment, appendAnswers(node, append));
}

/** Performs the oldest item of a node's apply work. */
export function processApplyThread(environment: Environment, node: ScriptNode): void {
  const apply = node.applyWork.shift();
  if (apply === undefined) {
    environment.write("no apply work to perform");
    return;
  }
  environment.write(`Processing:\n${sheetText(applySheet(node, apply, []))}\n`);
  for (const entry of apply.entries) applyEntry(environment, node, entry);
  respond(environment, [{ kind: "apply_answer", to: node.id, answer: apply }]);
}

function respond(environment: Environment, flights: readonly Flight[]): void {
  environment.write("Responses:\n");
  for (const flight of flights) environment.write(`${sheetText(flightSheet(flight))}\n`);
  environment.flights.push(...flights);
}

/** Takes out of the list what `isWanted`, in order. */
export function takeFlights(
  environment: Environment,
  isWanted: (flight: Flight) => boolean,
): readonly Flight[] {
  const taken = environment.flights.filter(isWanted);
  environment.flights = environment.flights.filter((flight) => !isWanted(flight));
  return taken;
}

/** Prints what is delivered, then delivers it, one by one. */
export function deliver(environment: Environment, flights: readonly Flight[]): void {
  for (const flight of flights) {
    environment.write(`${sheetText(flightSheet(flight))}\n`);
    const error = stepFlight(environment.node(recipient(flight)), flight);
    if (error !== undefined) environment.write(`${error}\n`);
  }
}

function stepFlight(node: ScriptNode, flight: Flight): string | undefined {
  if (flight.kind === "append_answer") node.raft.acknowledgeAppend(flight.answer);
  else if (flight.kind === "apply_answer") node.raft.applied(flight.answer);
  else {
    const outcome = node.raft.step(flight.message);
    if (outcome === "peer_not_found") return "raft: cannot step as peer not found";
    if (outcome === "proposal_dropped") return "raft proposal dropped";
    if (outcome === "malformed") throw new Error("the engine called a message malformed");
  }
  return undefined;
}

/** Rounds after which nodes that never settle are a failure. */
const ROUNDS_MAX = 10_000;

/** Runs nodes until nothing more happens. */
export function stabilize(environment: Environment, nodes: readonly ScriptNode[]): void {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    if (!stabilizeOnce(environment, nodes)) return;
  }
  throw new Error(`not stable after ${ROUNDS_MAX} rounds`);
}

function stabilizeOnce(environment: Environment, nodes: readonly ScriptNode[]): boolean {
  let isDone = true;
  for (const node of nodes) {
    if (!node.raft.hasReady()) continue;
    isDone = false;
    environment.write(`> ${node.id} handling Ready\n`);
    environment.indented(() => handleReady(environment, node));
  }
  for (const node of nodes) {
    const flights = takeFlights(environment, (flight) => recipient(flight) === node.id);
    if (flights.length === 0) continue;
    isDone = false;
    environment.write(`> ${node.id} receiving messages\n`);
    environment.indented(() => deliver(environment, flights));
  }
  for (const node of nodes) {
    if (node.appendWork.length === 0) continue;
    isDone = false;
    environment.write(`> ${node.id} processing append thread\n`);
    while (node.appendWork.length > 0) {
      environment.indented(() => processAppendThread(environment, node));
    }
  }
  for (const node of nodes) {
    if (node.applyWork.length === 0) continue;
    isDone = false;
    environment.write(`> ${node.id} processing apply thread\n`);
    while (node.applyWork.length > 0) {
      environment.indented(() => processApplyThread(environment, node));
    }
  }
  return !isDone;
}
