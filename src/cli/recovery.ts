/**
 * A cluster that lost its majority for good goes on (rule M3), by an operator's DATA_DIR/raft/peers.json on each
 * node that is left: `[{"id": name, "address": "host:port", "non_voter": false}, ...]`. All of them tell each
 * other how far their logs go. The one that is furthest applies its log and begins a new cluster, with a new
 * id, alone; the others set their data aside and join it as new members. Nodes that were not listed, or come
 * late, are of another cluster then.
 * A crash at any line is harmless: until the last step nothing that was there is touched, and that step is
 * gone on with (DATA_DIR/recovery/READY). The file is peers.info afterwards.
 */
import { assert } from "../base/assert.ts";
import { FatalError, OperatingError } from "../base/errors.ts";
import { logIndex, nodeId } from "../base/ids.ts";
import { APPLY_BATCH_BYTES_MAX } from "../base/limits.ts";
import { INCARNATION_BYTES } from "../command/member_table.ts";
import { SegmentedLog } from "../log/segmented_log.ts";
import type { ApplyEntry } from "../node/ports.ts";
import type { Clock } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import { type FileSystem, joinPath } from "../os/file_system.ts";
import { decodeGenesis } from "../command/genesis.ts";
import { encodeConfiguration, votersOnly } from "../raft/configuration.ts";
import { refoundState } from "../state_machine/refound_state.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { OpenedData } from "./data_directory.ts";
import type { PeerPort } from "./peer_port.ts";

/** Between two rounds of telling the others. */
const TELL_MS = 200;
const CALL_TIMEOUT_MS = 2_000;

/** How long the others may take to come up in recovery. */
const RECOVERY_MS_MAX = 120_000;

/** A node that is left, as the operator lists it. */
export interface ListedPeer {
  readonly id: string;
  readonly address: string;
}

/** How far a node's log goes. */
export interface LogEnd {
  readonly name: string;
  readonly term: number;
  readonly index: number;
}

/** By which others are asked. */
export type RecoveryPort = Pick<PeerPort, "identity" | "call">;

/** What recovery works with. */
export interface RecoveryOptions {
  readonly path: string;
  readonly name: string;
  readonly raftAddress: string;
  readonly apiUrl: string;
  readonly sqliteLibrary: string | undefined;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  readonly stop: AbortSignal;
}

/** The list of an operator; undefined when there is none. @throws {FatalError} (1) when it cannot be used. */
export async function readPeersFile(
  fileSystem: FileSystem,
  dataDirectory: string,
): Promise<readonly ListedPeer[] | undefined> {
  const path = peersPath(dataDirectory);
  if (!(await fileSystem.exists(path))) return undefined;
  const file = fileSystem.openSync(path, "read");
  const bytes = new Uint8Array(file.sizeSync());
  file.readSync(bytes, 0);
  file.close();
  const peers = parsePeers(new TextDecoder().decode(bytes));
  if (peers === undefined) {
    throw new FatalError(1, `Cannot use ${path}: it is no list of {"id": ..., "address": ...}`);
  }
  return peers;
}

function parsePeers(text: string): readonly ListedPeer[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const peers: ListedPeer[] = [];
  for (const each of value) {
    const { id, address } = typeof each === "object" && each !== null ? each : {};
    if (typeof id !== "string" || typeof address !== "string") return undefined;
    peers.push({ id, address });
  }
  return peers;
}

/** Learns how far the others' logs go, and tells them of this one's. */
export class RecoveryRound {
  readonly #own: LogEnd;
  readonly #others: readonly ListedPeer[];
  readonly #known = new Map<string, LogEnd>();

  constructor(options: { readonly own: LogEnd; readonly peers: readonly ListedPeer[] }) {
    this.#own = options.own;
    this.#others = options.peers.filter(({ id }) => id !== options.own.name);
  }

  /** Another node says how far its log goes. @throws {OperatingError} `bad_request`: it is not listed here. */
  hear(bytes: Uint8Array): void {
    const end: LogEnd = JSON.parse(new TextDecoder().decode(bytes));
    if (!this.#others.some(({ id }) => id === end.name)) {
      throw new OperatingError(
        "bad_request",
        `Cannot recover: ${end.name} is not in peers.json here`,
      );
    }
    this.#known.set(end.name, end);
  }

  /**
   * Ends when all know of all, or when one of them has begun the new cluster already.
   * @returns the one that is furthest. @throws {FatalError} (1) when they do not come up in time.
   */
  async settle(
    port: RecoveryPort,
    { clock, stop }: Pick<RecoveryOptions, "clock" | "stop">,
  ): Promise<ListedPeer & { readonly isSelf: boolean }> {
    const untilMs = clock.monotonicMs() + RECOVERY_MS_MAX;
    const told = new Set<string>();
    while (!stop.aborted && clock.monotonicMs() < untilMs) {
      for (const peer of this.#others) {
        const outcome = await this.#tell(port, peer);
        if (outcome === "told") told.add(peer.id);
        else if (outcome === "founded") return { ...peer, isSelf: false };
      }
      const isComplete = this.#others.every(({ id }) => told.has(id) && this.#known.has(id));
      if (isComplete) return this.#furthest();
      await clock.sleep(TELL_MS);
    }
    const missing = this.#others.filter(({ id }) => !this.#known.has(id)).map(({ id }) => id);
    throw new FatalError(
      1,
      `Cannot recover: ${
        missing.join(", ")
      } of peers.json did not come up; start all of them, or list only those left`,
    );
  }

  async #tell(port: RecoveryPort, peer: ListedPeer): Promise<"told" | "founded" | "missing"> {
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    const genesis = new TextEncoder().encode(JSON.stringify(this.#own));
    const clusterId = port.identity.clusterId ?? new Uint8Array(INCARNATION_BYTES);
    try {
      await port.call<"form">(
        peer.address,
        { kind: "form", clusterId, genesis, nodeId: nodeId(0) },
        options,
      );
      return "told";
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      if (error.code !== "conflict") return "missing";
      await this.#assertFounded(port, peer);
      return "founded";
    }
  }

  /**
   * It is of another cluster: the new one, if it is whom the list means. Else this node's data must stay: the
   * address may be wrong, or this node's own.
   */
  async #assertFounded(port: RecoveryPort, { id, address }: ListedPeer): Promise<void> {
    let reason: string;
    try {
      const options = { timeoutMs: CALL_TIMEOUT_MS };
      const { identity } = await port.call<"identify">(address, { kind: "identify" }, options);
      if (identity.name === id && identity.clusterId !== undefined) return;
      reason = `${address} is ${identity.name}`;
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      reason = error.message;
    }
    throw new FatalError(1, `Cannot recover: ${id} of peers.json cannot be asked: ${reason}`);
  }

  #furthest(): ListedPeer & { readonly isSelf: boolean } {
    const ends = [this.#own, ...this.#known.values()].sort((left, right) =>
      right.term - left.term || right.index - left.index || (left.name < right.name ? -1 : 1)
    );
    const name = ends[0]?.name;
    const peer = this.#others.find(({ id }) => id === name);
    return peer === undefined
      ? { id: this.#own.name, address: "", isSelf: true }
      : { ...peer, isSelf: false };
  }
}

/** Begins the new cluster of this node alone, from all that its log holds; `data` is closed behind it. */
export async function refound(options: RecoveryOptions, data: OpenedData): Promise<void> {
  const { path, name, raftAddress, apiUrl, entropy, fileSystem, logger } = options;
  const { log, stateMachine } = data;
  await applyAll(data);
  const old = decodeGenesis(stateMachine.genesis);
  assert(old !== undefined, "refound: a state that does not say how its cluster began");
  const exported = await stateMachine.exportState();
  const { foreignKeys } = await stateMachine.stats();
  const clusterId = entropy.bytes(INCARNATION_BYTES);
  const incarnation = entropy.bytes(INCARNATION_BYTES);
  const id = nodeId(
    Math.max(log.identity.nodeId, ...old.members.members.map((row) => row.nodeId)) + 1,
  );
  const row = { nodeId: id, incarnation, name, raftAddress, apiUrl, isReadOnly: false };
  const configuration = encodeConfiguration(votersOnly([id]));
  const genesis = {
    configuration,
    members: { nextNodeId: id + 1, members: [row] },
    foreignKeys,
    softLimitSteps: old.softLimitSteps,
  };
  const folder = joinPath(path, "recovery");
  await removeFolder(folder);
  await fileSystem.makeDirectory(folder);
  refoundState({
    from: exported.path,
    dataDirectory: folder,
    sqliteLibrary: options.sqliteLibrary,
    clusterId,
    genesis,
  });
  const { index, term, entryChain } = exported;
  const made = await SegmentedLog.create({
    fileSystem,
    directory: joinPath(folder, "log"),
    identity: { clusterId, nodeId: id, incarnation },
    marker: { index, term, entryChain, configuration, generation: 1 },
  });
  await made.close();
  await stateMachine.dropExport(exported.path);
  await stateMachine.close();
  await log.close();
  fileSystem.createSync(joinPath(folder, READY)).close();
  await fileSystem.syncDirectory(folder);
  await finishRefounding(options);
  data.lock.release();
  logger.warn("A new cluster begins with this node alone", { index, cluster: clusterId.toHex() });
}

/** The last step, gone on with after a crash. Nothing to do without READY. */
export async function finishRefounding(
  { path, fileSystem, clock }: Pick<RecoveryOptions, "path" | "fileSystem" | "clock">,
): Promise<void> {
  const folder = joinPath(path, "recovery");
  if (!(await fileSystem.exists(joinPath(folder, READY)))) return;
  const archive = joinPath(path, `recovered-${clock.wallMs()}`);
  await fileSystem.makeDirectory(archive);
  for (const name of ["state", "log"]) {
    const made = joinPath(folder, name);
    // What was moved before a crash is not moved again.
    if (!(await fileSystem.exists(made))) continue;
    const present = joinPath(path, name);
    if (await fileSystem.exists(present)) await fileSystem.rename(present, joinPath(archive, name));
    await fileSystem.rename(made, present);
  }
  await retirePeersFile(fileSystem, path);
  await fileSystem.syncDirectory(archive);
  await fileSystem.syncDirectory(path);
  await removeFolder(folder);
}

/** The list has been obeyed. */
export async function retirePeersFile(fileSystem: FileSystem, path: string): Promise<void> {
  if (!(await fileSystem.exists(peersPath(path)))) return;
  const folder = joinPath(path, "raft");
  await fileSystem.rename(peersPath(path), joinPath(folder, "peers.info"));
  await fileSystem.syncDirectory(folder);
}

const READY = "READY";

function peersPath(dataDirectory: string): string {
  return joinPath(joinPath(dataDirectory, "raft"), "peers.json");
}

/** What the log holds behind the state becomes state, committed or not: that is what recovery means. */
async function applyAll({ log, stateMachine }: OpenedData): Promise<void> {
  for (;;) {
    const from = logIndex(stateMachine.applied.index + 1);
    if (from > log.lastIndex) return;
    const to = logIndex(log.lastIndex + 1);
    const entries = await log.read({ from, to, sizeBytesMax: APPLY_BATCH_BYTES_MAX });
    const batch = entries.map((entry): ApplyEntry => {
      // Members of the old cluster: nothing of them goes on.
      return { ...entry, format: undefined, configuration: undefined };
    });
    const { parked, diskFull, appliedIndex } = await stateMachine.apply(batch);
    if (diskFull) throw new FatalError(74, "Cannot recover: the disk is full");
    if (parked !== undefined) {
      const { ended, reason } = await stateMachine.tryParked(parked.index);
      const verdict = ended ? "run" : "void";
      stateMachine.verdict({ index: parked.index, verdict, reason });
    } else assert(appliedIndex >= from, "applyAll: nothing was applied");
  }
}

async function removeFolder(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
