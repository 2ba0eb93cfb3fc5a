/**
 * A workload for the log, and what the log must hold at each step of it: a plain map of entries. After
 * a crash the log must equal the model after one of the steps since the last completed sync.
 * The steps are drawn from a seed and look at the model only, so a run can be repeated up to any
 * operation of the file system. They cover: batches, jumbo batches, votes, suffix truncation (across
 * segments too), markers, resets, purging, reopening.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { crc32c } from "../../src/base/crc32c.ts";
import { entryChainText, nextEntryChain, startEntryChain } from "../../src/base/entry_chain.ts";
import { logIndex, nodeId, term } from "../../src/base/ids.ts";
import { type LogOptions, SegmentedLog } from "../../src/log/segmented_log.ts";
import type { HardState, LogEntry, LogMarker } from "../../src/node/ports.ts";
import type { FileSystem } from "../../src/os/file_system.ts";
import { SimEntropy } from "../sim/sim_entropy.ts";

/** Where the workload's log lives. */
export const LOG_DIRECTORY = "/data/log";
/** Whose log it is. */
export const IDENTITY = {
  clusterId: Uint8Array.from({ length: 16 }, (_, at) => at + 1),
  nodeId: 3,
  incarnation: Uint8Array.from({ length: 16 }, (_, at) => 255 - at),
};

/** What the log holds, in plain words. Entries are never changed once made. */
export interface LogModel {
  readonly entries: ReadonlyMap<number, LogEntry>;
  readonly chains: ReadonlyMap<number, string>;
  /** The log may begin here or before. */
  readonly firstIndexMax: number;
  readonly lastIndex: number;
  readonly hardState: HardState;
  readonly marker: LogMarker;
}

/** Something to do with the log. */
export type LogStep =
  | {
    readonly kind: "append";
    readonly entries: readonly LogEntry[];
    readonly hardState: HardState;
  }
  | { readonly kind: "sync" }
  | { readonly kind: "marker"; readonly marker: LogMarker; readonly hardState: HardState }
  | { readonly kind: "purge"; readonly index: number }
  | { readonly kind: "reopen" };

/** What a new log holds. */
export function emptyModel(): LogModel {
  const entryChain = entryChainText(startEntryChain(IDENTITY.clusterId));
  return {
    entries: new Map(),
    chains: new Map([[0, entryChain]]),
    firstIndexMax: 1,
    lastIndex: 0,
    hardState: { term: term(0), vote: nodeId(0), commit: logIndex(0) },
    marker: {
      index: logIndex(0),
      term: term(0),
      entryChain,
      configuration: new Uint8Array(0),
      generation: 0,
    },
  };
}

/** What the log holds after a step. */
export function applyStep(model: LogModel, step: LogStep): LogModel {
  switch (step.kind) {
    case "append": {
      const entries = new Map(model.entries);
      const chains = new Map(model.chains);
      const first = step.entries[0]?.index ?? model.lastIndex + 1;
      for (let index = first; index <= model.lastIndex; index++) entries.delete(index);
      for (const entry of step.entries) {
        entries.set(entry.index, entry);
        const text = chains.get(entry.index - 1) ?? "";
        const high = parseInt(text.slice(0, 8), 16);
        const low = parseInt(text.slice(8), 16);
        chains.set(entry.index, entryChainText(nextEntryChain({ high, low }, entry)));
      }
      const lastIndex = step.entries.at(-1)?.index ?? model.lastIndex;
      return { ...model, entries, chains, lastIndex, hardState: step.hardState };
    }
    case "marker": {
      const { marker, hardState } = step;
      const found = model.entries.get(marker.index);
      if (found?.term === marker.term || marker.index === model.marker.index) {
        return { ...model, marker, hardState };
      }
      const chains = new Map([[marker.index as number, marker.entryChain]]);
      const firstIndexMax = marker.index + 1;
      const lastIndex = marker.index;
      return { entries: new Map(), chains, firstIndexMax, lastIndex, hardState, marker };
    }
    case "purge":
      return { ...model, firstIndexMax: Math.max(model.firstIndexMax, step.index + 1) };
    case "sync":
    case "reopen":
      return model;
  }
}

/**
 * What a crash may leave while `step` is done, given what it might have left before, oldest first. A
 * purge takes entries from the older states too, but only up to the commit index that is durable.
 */
export function candidatesDuring(
  before: readonly (LogModel | undefined)[],
  step: LogStep,
  after: LogModel,
): (LogModel | undefined)[] {
  if (step.kind !== "purge") return [...before, after];
  const index = Math.min(step.index, before[0]?.hardState.commit ?? 0);
  const purge: LogStep = { kind: "purge", index };
  const purged = before.map((model) => model === undefined ? model : applyStep(model, purge));
  return [...purged, after];
}

/** Draws steps that a Raft node could take, from a model and a seed. */
export class LogWorkload {
  readonly #entropy: SimEntropy;
  readonly #payloadBytesMax: number;

  constructor(options: { readonly seed: number; readonly payloadBytesMax: number }) {
    this.#entropy = new SimEntropy(options.seed);
    this.#payloadBytesMax = options.payloadBytesMax;
  }

  /** The next step. Appends are followed by a sync soon, but not always at once. */
  next(model: LogModel): LogStep {
    const dice = this.#entropy.below(100);
    if (dice < 45) return this.#append(model, model.lastIndex + 1, model.hardState.term);
    if (dice < 70) return { kind: "sync" };
    if (dice < 78) return this.#vote(model);
    if (dice < 86) return this.#replaceSuffix(model);
    if (dice < 91) return this.#markOwn(model);
    if (dice < 95) return { kind: "purge", index: model.hardState.commit };
    if (dice < 97) return this.#install(model);
    return { kind: "reopen" };
  }

  #append(model: LogModel, first: number, atTerm: number): LogStep {
    const count = 1 + this.#entropy.below(6);
    const entries = Array.from({ length: count }, (_, at): LogEntry => ({
      index: logIndex(first + at),
      term: term(Math.max(1, atTerm)),
      kind: this.#entropy.below(9) === 0 ? "conf_change" : "normal",
      payload: this.#payload(),
    }));
    const { hardState } = model;
    const commitMin = hardState.commit;
    const commitMax = Math.max(commitMin, first - 1);
    const commit = logIndex(commitMin + this.#entropy.below(commitMax - commitMin + 1));
    const newTerm = term(Math.max(1, atTerm));
    const vote = newTerm > hardState.term ? nodeId(0) : hardState.vote;
    return { kind: "append", entries, hardState: { term: newTerm, vote, commit } };
  }

  /** Zeros, few bits and noise: the shapes that matter for torn sectors. */
  #payload(): Uint8Array {
    const shape = this.#entropy.below(10);
    const size = this.#entropy.below(shape === 9 ? this.#payloadBytesMax : 120);
    if (shape === 8) return new Uint8Array(size * 12);
    if (shape === 7) return new Uint8Array(size * 12).fill(1, 0, 1);
    return this.#entropy.bytes(size);
  }

  #vote(model: LogModel): LogStep {
    const { term: now, commit } = model.hardState;
    const vote = nodeId(1 + this.#entropy.below(3));
    return { kind: "append", entries: [], hardState: { term: term(now + 1), vote, commit } };
  }

  #replaceSuffix(model: LogModel): LogStep {
    const { commit } = model.hardState;
    const first = commit + 1 + this.#entropy.below(model.lastIndex - commit + 1);
    return this.#append(model, first, model.hardState.term + 1);
  }

  #markOwn(model: LogModel): LogStep {
    const { commit } = model.hardState;
    const entry = model.entries.get(commit);
    const entryChain = model.chains.get(commit);
    if (entry === undefined || entryChain === undefined) return { kind: "sync" };
    const { index, term } = entry;
    const marker = { index, term, entryChain, ...this.#stateOf(model) };
    return { kind: "marker", marker, hardState: model.hardState };
  }

  #install(model: LogModel): LogStep {
    const index = logIndex(model.lastIndex + 1 + this.#entropy.below(50));
    const atTerm = term(model.hardState.term + 1);
    const entryChain = Array.from(this.#entropy.bytes(8), (b) => b.toString(16).padStart(2, "0"));
    const marker = {
      index,
      term: atTerm,
      entryChain: entryChain.join(""),
      ...this.#stateOf(model),
    };
    return { kind: "marker", marker, hardState: { term: atTerm, vote: nodeId(0), commit: index } };
  }

  #stateOf(model: LogModel): { readonly configuration: Uint8Array; readonly generation: number } {
    const configuration = this.#entropy.bytes(this.#entropy.below(40));
    return { configuration, generation: model.marker.generation + 1 };
  }
}

/** Does a step on a log. Returns the log to go on with, another one after `reopen`. */
export async function doStep(
  log: SegmentedLog,
  step: LogStep,
  options: LogOptions,
): Promise<SegmentedLog> {
  switch (step.kind) {
    case "append":
      log.append(step);
      return log;
    case "sync":
      await log.sync();
      return log;
    case "marker":
      await log.saveMarker(step);
      return log;
    case "purge":
      await log.purge(logIndex(step.index));
      return log;
    case "reopen":
      await log.sync();
      await log.close();
      return await SegmentedLog.open(options);
  }
}

/** Whether nothing of earlier steps can be lost any more once this one is done. */
export function isDurableAfter(step: LogStep): boolean {
  return step.kind === "sync" || step.kind === "marker" || step.kind === "reopen";
}

/** Everything that can be asked of a log, as text, from `firstIndex` on. */
export async function describeLog(log: SegmentedLog, firstIndex: number): Promise<string> {
  const from = logIndex(Math.min(firstIndex, log.lastIndex + 1));
  const to = logIndex(log.lastIndex + 1);
  const entries = new Map<number, LogEntry>();
  const chains = new Map<number, string>();
  for (let at: number = from; at < to;) {
    const read = await log.read({ from: logIndex(at), to, sizeBytesMax: 20_000 });
    ok(read.length > 0, `nothing read at ${at}`);
    for (const entry of read) {
      strictEqual(log.term(entry.index), entry.term, `term(${entry.index})`);
      entries.set(entry.index, entry);
    }
    at += read.length;
  }
  // A chain covers all before it. One far back comes from disk, the last from memory.
  for (const index of new Set([from, Math.max(from, log.lastIndex)])) {
    const chain = await log.entryChain(logIndex(index));
    if (index <= log.lastIndex) chains.set(index, chain ?? "unknown");
  }
  const { hardState, marker, lastIndex } = log;
  return describe({ entries, chains, firstIndexMax: firstIndex, lastIndex, hardState, marker });
}

const DESCRIPTIONS = new WeakMap<LogModel, string>();

/** A model as `describeLog` words it. */
export function describe(model: LogModel): string {
  const text = DESCRIPTIONS.get(model) ?? makeDescription(model);
  DESCRIPTIONS.set(model, text);
  return text;
}

function makeDescription(model: LogModel): string {
  const lines = [
    `last ${model.lastIndex}, ${JSON.stringify(model.hardState)}, marker ` +
    JSON.stringify({ ...model.marker, configuration: [...model.marker.configuration] }),
  ];
  for (let index = model.firstIndexMax; index <= model.lastIndex; index++) {
    const entry = model.entries.get(index);
    const isEdge = index === model.firstIndexMax || index === model.lastIndex;
    const chain = isEdge ? model.chains.get(index) : "";
    const payload = entry === undefined
      ? "gone"
      : `${entry.payload.length} ${crc32c(entry.payload)}`;
    lines.push(`${index} ${entry?.term} ${entry?.kind} ${chain} ${payload}`);
  }
  return lines.join("\n");
}

/** Checks that a recovered log is one of the models that a crash may leave. Returns which. */
export async function assertOneOf(
  log: SegmentedLog,
  candidates: readonly LogModel[],
  context: string,
): Promise<LogModel> {
  deepStrictEqual(log.identity, IDENTITY);
  for (const candidate of candidates) {
    if (log.lastIndex !== candidate.lastIndex) continue;
    if (log.firstIndex > candidate.firstIndexMax) continue;
    const found = await describeLog(log, candidate.firstIndexMax);
    if (found === describe(candidate)) return candidate;
  }
  const last = candidates.at(-1) ?? emptyModel();
  strictEqual(await describeLog(log, log.firstIndex), describe(last), context);
  throw new Error(`${context}: first index ${log.firstIndex} is past ${last.firstIndexMax}`);
}

/** Makes the directory and the empty log of a workload. */
export async function createWorkloadLog(options: {
  readonly fileSystem: FileSystem;
  readonly directory?: string;
  readonly segmentSizeBytes: number;
}): Promise<SegmentedLog> {
  return await SegmentedLog.create({
    directory: LOG_DIRECTORY,
    ...options,
    identity: IDENTITY,
  });
}
