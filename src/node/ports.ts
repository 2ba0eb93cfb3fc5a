/**
 * What the node needs from the outside, as the node sees it. The adapters (log/, state_machine/,
 * transport/) implement these; the simulator has its own. The node never sees an adapter.
 */
import type { ErrorCode } from "../base/errors.ts";
import type { LogIndex, NodeId, Term } from "../base/ids.ts";
import type { Message } from "../raft/message.ts";
import type { SnapshotMetadata } from "../raft/types.ts";
import type { SyncOptions } from "../os/file_system.ts";
import type { Answer, QueryRequest, RequestBody, ResultFormat } from "../command/request.ts";

/** A log entry with its bytes. */
export interface LogEntry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: EntryKind;
  /** Not copied and not modified by anyone. */
  readonly payload: Uint8Array;
}

/** `normal`: a command, or empty for a leader's no-op. `conf_change`: a membership change of the engine. */
export type EntryKind = "normal" | "conf_change";

/** What must survive a crash beside the entries (Raft figure 2), with the commit index (rule D2). */
export interface HardState {
  readonly term: Term;
  readonly vote: NodeId;
  readonly commit: LogIndex;
}

/** The point at which log and state meet: a snapshot or an installed state file (rule S2). */
export interface LogMarker {
  readonly index: LogIndex;
  readonly term: Term;
  /** The entry chain at `index` (rule S3), 16 hex digits; the log continues it. */
  readonly entryChain: string;
  /** The engine's configuration at `index`, in its own encoding. */
  readonly configuration: Uint8Array;
  /** The folder `state/GENERATION` that holds the state. */
  readonly generation: number;
}

/** The durable log and vote record. One caller, the node's loop; only `read` may run beside the others. */
export interface LogPort {
  /** Entries held are `[firstIndex, lastIndex]`; `firstIndex` is `lastIndex + 1` when there are none. */
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** The newest marker. */
  readonly marker: LogMarker;
  /** Term of an entry held, or of the marker's index; undefined when not known (any more). */
  term(index: LogIndex): Term | undefined;
  /**
   * Writes into the page cache; durable only after `sync`. Entries at or behind `entries[0].index`
   * are discarded first (Raft figure 2, AppendEntries 3). Never called while a `sync` is in flight (rule D6).
   * @throws {OperatingError} `disk_full`: nothing was written.
   */
  append(options: { readonly entries: readonly LogEntry[]; readonly hardState: HardState }): void;
  /**
   * As `append`, for entries of which some are large (LARGE_ENTRY_BYTES): in pieces, with others having
   * their turn in between. Nothing of it is there before it resolves, and nothing else may be written
   * meanwhile. Where it is missing, `append` takes them.
   * @throws {OperatingError} `disk_full`: nothing was written.
   */
  appendLarge?(
    options: { readonly entries: readonly LogEntry[]; readonly hardState: HardState },
  ): Promise<void>;
  /** Makes all appended so far durable. @throws {FatalError} when the disk refuses: the node must stop. */
  sync(options?: SyncOptions): Promise<void>;
  /** Entries `[from, to)` in order; at least one if any exists, then stops before `sizeBytesMax`. */
  read(options: {
    readonly from: LogIndex;
    readonly to: LogIndex;
    readonly sizeBytesMax: number;
  }): Promise<readonly LogEntry[]>;
  /** Records a marker durably (rule S2). If it lies past `lastIndex`, the log starts anew behind it. */
  saveMarker(options: { readonly marker: LogMarker; readonly hardState: HardState }): Promise<void>;
  /** Deletes whole segments that hold only entries at or below `index`. */
  purge(index: LogIndex): Promise<void>;
  /**
   * The entry chain (rule S3) up to and including `index`, as 16 hex digits, or undefined when the log
   * does not know it (any more). The state machine keeps the same chain in the state.
   */
  entryChain(index: LogIndex): Promise<string | undefined>;
  /** Bytes of all segment files. */
  readonly sizeBytes: number;
  close(): Promise<void>;
}

/** What a node with peers needs besides. */
export interface PeersPort {
  /**
   * Queues a message for `message.to`; delivery is not promised, order is per kind of stream (rule N1). With a
   * snapshot message goes the snapshot's content.
   */
  send(message: Message): void;
  /**
   * A snapshot of the state at or past `indexMin` that could be sent now, or undefined: then one is made,
   * and the engine asks again.
   */
  snapshotToSend(indexMin: LogIndex): SnapshotMetadata | undefined;
  /**
   * Prepares a received snapshot as a new generation: complete, verified, fsynced (rule S2). Nothing is
   * applied meanwhile. The state stays what it was until `activate`.
   */
  stage(snapshot: SnapshotMetadata): Promise<LogMarker>;
  /** The marker is durable: the state is that of the new generation from now on. */
  activate(marker: LogMarker): Promise<void>;
  /** Entries behind this index must stay in the log: somebody is getting the state of it (rule N3). */
  readonly heldIndex?: LogIndex | undefined;
  /** Whether writes are to be slowed, so that whoever is getting a copy can catch up at all (rule N3). */
  readonly slowsWrites?: boolean;
}

/** Where the state stands. */
export interface AppliedState {
  readonly index: LogIndex;
  readonly term: Term;
  /** The entry chain at `index` (rule S3), 16 hex digits. */
  readonly entryChain: string;
  /** The engine's configuration in force at `index`, as it was last given with an entry or at the genesis. */
  readonly configuration: Uint8Array;
  /** The member table at `index` (command/member_table.ts), likewise; absent where none is kept. */
  readonly members?: Uint8Array | undefined;
  /** The cluster's feature level at `index` (rule F1); absent where none is kept. */
  readonly featureLevel?: number | undefined;
  /** The time that the state has reached (rule T1), milliseconds since 1970; absent where none is kept. */
  readonly timeMs?: number | undefined;
}

/** An entry to apply, and what to do with its result. */
export interface ApplyEntry extends LogEntry {
  /** How to write the result, or undefined when nobody here waits for it. */
  readonly format: ResultFormat | undefined;
  /** With a configuration change: the configuration behind it, encoded, to be stored with the state. */
  readonly configuration: Uint8Array | undefined;
  /** With it: the member table behind it, encoded, to be stored in the same transaction. */
  readonly members?: Uint8Array | undefined;
}

/**
 * What an entry answers: results as the text of a JSON array; an error that ended or refused the whole
 * entry; or, for a write that was sent again, what the entry at `index` has answered (rules X1, X2).
 */
export type EntryResult =
  | string
  /** `internal` unless there is a code. */
  | { readonly error: string; readonly code?: ErrorCode }
  | { readonly results: string; readonly index: number };

/** What came of a batch. Apply is in order: all of the batch, or a prefix when it `parked`. */
export interface ApplyOutcome {
  /** The last index applied and committed in the state file. */
  readonly appliedIndex: LogIndex;
  /** Aligned with the entries applied; undefined when nobody waits. */
  readonly results: readonly (EntryResult | undefined)[];
  /**
   * Set when the entry behind `appliedIndex` passed its soft limit (rule A4): it was rolled back, and
   * nothing goes on until `verdict` is called for it.
   */
  readonly parked: { readonly index: LogIndex; readonly timeoutMs: number } | undefined;
  /** True when the disk is full: the entry behind `appliedIndex` must be applied again later (rule A3). */
  readonly diskFull: boolean;
}

/** The replicated state: SQLite behind its writer and reader threads. */
export interface StateMachinePort {
  readonly applied: AppliedState;
  /** Index up to which the state survives a power cut without the log (rule D3). */
  readonly durableIndex: LogIndex;
  /** False while its file system has little room left (rule A3); undefined when nobody watches that. */
  readonly hasRoom?: boolean;
  /** Whether queries run or wait, which need the node's thread; undefined counts as not. */
  readonly isReading?: boolean;
  /** Applies entries in order, gapless after `applied.index`. At most `APPLY_BATCHES_IN_FLIGHT_MAX` at a time. */
  apply(entries: readonly ApplyEntry[]): Promise<ApplyOutcome>;
  /**
   * Runs the parked entry up to the hard limit and its `timeoutMs` and rolls it back, whatever happens.
   * @returns whether it came to an end by itself, and the error text to void it with if not.
   */
  tryParked(index: LogIndex): Promise<{ readonly ended: boolean; readonly reason: string }>;
  /** Whether an earlier process did not come back from that entry, which waits for its verdict unrun (rule A4b). */
  isStuckAt?(index: LogIndex): boolean;
  /** The log's verdict on the parked entry: the next `apply` starts with it again and obeys. */
  verdict(options: {
    readonly index: LogIndex;
    readonly verdict: "run" | "void";
    readonly reason: string;
  }): void;
  /** Runs a read on a reader thread; on `/db/request` it may turn out to be a write. */
  query(request: QueryRequest, options: { readonly unified: boolean }): Promise<QueryOutcome>;
  /** Ends a read, running or waiting; unknown ids are ignored, since it may just have ended. */
  cancelQuery(id: number): void;
  /** Parses a large body away from the main thread; undefined when there is nothing to run. @throws {OperatingError} as parsing does. */
  encodeExecute(options: {
    readonly body: RequestBody;
    readonly transaction: boolean;
    readonly rows: boolean;
    readonly timeoutMs: number;
  }): Promise<Uint8Array | undefined>;
  /**
   * Makes a durable state up to some index at or behind `applied.index` and returns it: RAM mode copies
   * the file into a new generation, disk mode only syncs (rule D3). The caller then records the marker.
   */
  snapshot(): Promise<SnapshotOutcome>;
  /** Copies the state of now into a file of its own, to be sent. @throws {OperatingError} `disk_full`. */
  exportState?(): Promise<StateExport>;
  /** Deletes what `exportState` made; what is gone already is fine. */
  dropExport?(path: string): Promise<void>;
  /**
   * Makes a new generation of a file that came whole from a peer, which is moved: verified, durable, not in
   * use yet (rule S2). @throws {FatalError} when it is not a state of this cluster.
   */
  stageFile?(path: string): Promise<SnapshotOutcome>;
  /** Goes on with a generation that was staged; nothing is applied meanwhile, and reads wait. */
  activateGeneration?(generation: number): Promise<void>;
  /** After the marker is durable: generations before this one may go. A newer one may be on its way in. */
  releaseGenerations(generation: number): Promise<void>;
  /**
   * The digest of the state behind the entry `compare` at `index`, when it is done; undefined when it was given
   * up, for a newer such entry, a replaced state, or readers that were in the way (rules V1, D3). Where it
   * is missing, this state cannot be compared.
   */
  comparison?(index: LogIndex): Promise<StateDigest | undefined>;
  /**
   * Reads again, slowly, the state's file on disk: in RAM mode the durable copy. Undefined when another took its place
   * meanwhile. Rows that are other ones and well-formed it does not see: replicas compare those.
   */
  scan?(): Promise<StateScan | undefined>;
  /** Ends the process, as the live file is damaged: the next start takes the state of the leader (rule V2). */
  giveUpState?(damage: string): void;
  /** Facts for /status and /metrics. */
  stats(): Promise<StateMachineStats>;
  close(): Promise<void>;
}

export type QueryOutcome =
  /** `index` is the last entry whose effects the answer shows. */
  | { readonly kind: "answer"; readonly results: Answer["results"]; readonly index: LogIndex }
  /** Some statement writes: the encoded command to propose. */
  | { readonly kind: "write"; readonly payload: Uint8Array };

export interface SnapshotOutcome extends AppliedState {
  readonly generation: number;
}

/** A copy of the state in a file: a state of one point in time, complete in itself. */
export interface StateExport extends AppliedState {
  readonly path: string;
  readonly sizeBytes: number;
}

/** What came of reading the state's file again. */
export interface StateScan {
  readonly path: string;
  /** Whether it is a copy of the live file, which a new one can replace. */
  readonly isCopy: boolean;
  /** The first that was found, in SQLite's words; undefined when nothing was. */
  readonly damage: string | undefined;
  /** Whether all was read; what was in the way of writes may not have been. */
  readonly isComplete: boolean;
}

/** What a state comes to (rule V1). */
export interface StateDigest {
  readonly index: LogIndex;
  /** Over the results of all entries (rule S3). */
  readonly resultChain: string;
  /** Over all that is in the state. */
  readonly content: string;
}

/** Facts that only the threads know. Sizes in bytes. */
export interface StateMachineStats {
  readonly path: string;
  readonly mode: "ram" | "disk";
  readonly databaseBytes: number;
  readonly walBytes: number;
  readonly sqliteVersion: string;
  readonly sqlitePinned: boolean;
  readonly compileOptions: readonly string[];
  readonly readers: number;
  readonly queriesInFlight: number;
  /** Index of the last entry that changed the database. */
  readonly lastWriteIndex: number;
  readonly foreignKeys: boolean;
}
