/**
 * The writer thread's entry point: requests in, one at a time, replies out (writer_messages.ts).
 *
 * After an error that is no reply nothing more is done here: the connection may hold a lock, and only
 * the end of the process gives it back (rule Q11).
 */
import { assert, AssertionError, unreachable } from "../base/assert.ts";
import { entryChainText } from "../base/entry_chain.ts";
import { parentPath } from "../os/file_system.ts";
import { openLibrary } from "../sqlite/loader.ts";
import { ApplyBatch } from "./apply_batch.ts";
import type { BatchOutcome } from "./batch_runner.ts";
import { EntryWatch } from "./entry_watch.ts";
import { fatalReply } from "./fatal_reply.ts";
import {
  GIVEN_IN_A_ROW_MAX,
  MAILBOX_BATCH_BYTES_MAX,
  MAILBOX_WAIT_MS,
  SMALL_BATCHES_MIN,
  WAL_GATE_RETRY_MS,
} from "./limits.ts";
import { ReadGate } from "./read_gate.ts";
import { RoomKeeper } from "./room_keeper.ts";
import { WalKeeper } from "./wal_keeper.ts";
import { Writer } from "./writer.ts";
import { WriterMailbox } from "./writer_mailbox.ts";
import {
  type AppliedReply,
  packAnswers,
  writePlainReply,
  type WriterReply,
  type WriterRequest,
  type WriterState,
  type WriterStats,
} from "./writer_messages.ts";

/** What this thread has once it was told to open. */
interface Opened {
  readonly writer: Writer;
  readonly walKeeper: WalKeeper;
  readonly roomKeeper: RoomKeeper;
  readonly mailbox: WriterMailbox;
  readonly path: string;
}

const nowMs = (): number => performance.now();
const sleeper = new Int32Array(new SharedArrayBuffer(4));
const sleepMs = (durationMs: number): void => {
  Atomics.wait(sleeper, 0, 0, durationMs);
};

let opened: Opened | undefined;
/** Why apply has stopped short, if it has: for a verdict on an entry of a batch, or for room. */
let stop:
  | {
    readonly kind: "parked";
    readonly batch: ApplyBatch;
    readonly at: number;
    readonly parked: { readonly index: number; readonly timeoutMs: number };
  }
  | { readonly kind: "full" }
  | undefined;
let isTidying = false;
/** Batches in a row that were small. */
let smallBatches = 0;
let configurationSent: Uint8Array | undefined;
let membersSent: Uint8Array | undefined;
let featureLevelSent: number | undefined;
let isBroken = false;

function reply(message: WriterReply, transfer: Transferable[] = []): void {
  self.postMessage(message, { transfer });
}

function handle(request: WriterRequest): void {
  opened?.mailbox.onReceived();
  switch (request.kind) {
    case "open":
      return handleOpen(request);
    case "apply":
      return handleBatches(request.id, new ApplyBatch(request.batch));
    case "try":
      return handleTry(request.id, request.index);
    case "verdict":
      stop = undefined;
      return require().writer.setVerdict(request.verdict);
    case "sync":
      return reply({ kind: "synced", id: request.id, index: require().writer.sync() });
    case "stats":
      return reply({ kind: "stats", id: request.id, stats: stats() });
    case "close":
      require().writer[Symbol.dispose]();
      opened = undefined;
      return reply({ kind: "closed", id: request.id });
    default:
      return unreachable(request);
  }
}

function handleOpen(request: WriterRequest & { readonly kind: "open" }): void {
  // Every local time is UTC, or 'localtime' would differ between replicas (fault S5).
  Deno.env.set("TZ", "UTC");
  const { path, synchronous, gate } = request;
  const library = openLibrary(request.library);
  const watch = new EntryWatch(request.watch);
  const { stuckIndex } = request;
  const writer = new Writer({ library, path, synchronous, nowMs, sleepMs, watch, stuckIndex });
  const walBytes = (): number => sizeOf(`${path}-wal`);
  const walKeeper = new WalKeeper({
    connection: writer.connection,
    gate: new ReadGate(gate),
    walBytes,
    nowMs,
    sleepMs,
    onReadersInTheWay: () => reply({ kind: "readers_in_the_way" }),
  });
  const directory = parentPath(path);
  const roomKeeper = new RoomKeeper({ directory, isRam: request.isRam, nowMs, walBytes });
  const mailbox = new WriterMailbox(request.mailbox);
  mailbox.onReceived();
  opened = { writer, walKeeper, roomKeeper, mailbox, path };
  reply({ kind: "opened", id: request.id, state: state(writer) });
}

/** Applies a batch that came as a message, and, while only small ones come, those that are given behind it. */
function handleBatches(id: number, first: ApplyBatch): void {
  const { mailbox } = require();
  postApplied(handleApply(id, first));
  tidy();
  for (let given = 0; given < GIVEN_IN_A_ROW_MAX && smallBatches >= SMALL_BATCHES_MIN; given++) {
    const next = mailbox.take(MAILBOX_WAIT_MS);
    if (next === undefined) return;
    const applied = handleApply(next.id, new ApplyBatch(next.batch));
    const plain = writePlainReply(applied);
    if (plain === undefined || !mailbox.answer(plain)) {
      mailbox.answer("");
      postApplied(applied);
    }
    tidy();
  }
}

function handleApply(id: number, batch: ApplyBatch): AppliedReply {
  const { writer, roomKeeper } = require();
  const isSmall = batch.bytes.length <= MAILBOX_BATCH_BYTES_MAX;
  smallBatches = isSmall ? smallBatches + 1 : 0;
  // Sent before its sender knew that apply has stopped short: it comes back untouched.
  if (stop !== undefined && !isRetry(batch, writer)) {
    const isDiskFull = stop.kind === "full";
    return appliedReply(id, { answers: [], parked: parkedReply(), isDiskFull });
  }
  assert(batch.index(0) === writer.record.appliedIndex + 1, "writer_worker: batch is out of order");
  stop = undefined;
  const outcome = writer.apply(batch);
  if (outcome.isDiskFull) {
    roomKeeper.giveUpBallast();
    stop = { kind: "full" };
  } else if (outcome.parked !== undefined) {
    stop = { kind: "parked", batch, at: outcome.answers.length, parked: outcome.parked };
  }
  return appliedReply(id, outcome);
}

/** After a full disk the same entries come again; a parked one waits for its verdict. */
function isRetry(batch: ApplyBatch, writer: Writer): boolean {
  return stop?.kind === "full" && batch.index(0) === writer.record.appliedIndex + 1;
}

function parkedReply(): BatchOutcome["parked"] {
  return stop?.kind === "parked" ? stop.parked : undefined;
}

function handleTry(id: number, index: number): void {
  assert(stop?.kind === "parked" && stop.parked.index === index, "writer_worker: not parked there");
  const { isEnded } = require().writer.try(stop.batch, stop.at);
  reply({ kind: "tried", id, isEnded });
}

function postApplied(applied: AppliedReply): void {
  reply(applied, [applied.answers.lengths.buffer]);
}

function appliedReply(id: number, outcome: BatchOutcome): AppliedReply {
  const { writer, roomKeeper } = require();
  const answers = packAnswers(outcome.answers);
  const { parked, isDiskFull } = outcome;
  return {
    kind: "applied",
    id,
    state: state(writer),
    answers,
    parked,
    isDiskFull,
    hasRoom: roomKeeper.hasRoom(),
  };
}

/** While reads are waited for, the writer looks again even if no batch comes. */
function tidy(): void {
  const { walKeeper } = require();
  walKeeper.tidy();
  if (!walKeeper.isWaiting || isTidying) return;
  isTidying = true;
  setTimeout(() => {
    isTidying = false;
    guard(() => {
      if (opened !== undefined) tidy();
    });
  }, WAL_GATE_RETRY_MS);
}

function state(writer: Writer): WriterState {
  const { appliedIndex, appliedTerm, entryChain, lastTimeMs, featureLevel } = writer.record;
  const configuration = writer.configuration;
  const isNew = configuration !== configurationSent;
  configurationSent = configuration;
  const { members } = writer;
  const areMembersNew = members !== membersSent;
  membersSent = members;
  const isLevelNew = featureLevel !== featureLevelSent;
  featureLevelSent = featureLevel;
  return {
    index: appliedIndex,
    term: appliedTerm,
    entryChain: entryChainText(entryChain),
    configuration: isNew ? configuration : undefined,
    members: areMembersNew ? members : undefined,
    featureLevel: isLevelNew ? featureLevel : undefined,
    timeMs: lastTimeMs,
  };
}

function stats(): WriterStats {
  const { writer, path, roomKeeper } = require();
  const { lastWriteIndex, foreignKeys, resultChain, lastTimeMs } = writer.record;
  return {
    databaseBytes: sizeOf(path),
    walBytes: sizeOf(`${path}-wal`),
    lastWriteIndex,
    foreignKeys,
    resultChain: entryChainText(resultChain),
    lastTimeMs,
    hasRoom: roomKeeper.hasRoom(),
  };
}

/** Looks without opening: closing the file would drop this process's locks on it (rule S1). */
function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

function require(): Opened {
  if (opened === undefined) throw new AssertionError("writer_worker: not open");
  return opened;
}

/** Runs one piece of work; its failure is the end. */
function guard(work: () => void): void {
  if (isBroken) return;
  try {
    work();
  } catch (caught) {
    isBroken = true;
    reply(fatalReply(caught));
  }
}

self.onmessage = (event: MessageEvent<WriterRequest>) => guard(() => handle(event.data));
