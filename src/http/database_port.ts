/**
 * What the HTTP room needs of the database. The node implements it; arguments and results are plain
 * data, so that the two may one day run on different threads (architecture, section 4).
 *
 * Failures arrive as `OperatingError`; error_response.ts maps each code to its answer, and the
 * message is what the client reads. Anything else that is thrown ends the process.
 */
import type { Answer, ExecuteRequest, QueryRequest, ReadLevel } from "../command/request.ts";

/** A tree of facts; numbers are finite, integers past 2^53 are bigints. Keys are sorted when it is shown. */
export type FactTree =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly FactTree[]
  | { readonly [key: string]: FactTree };

/** The database behind the HTTP API. */
export interface DatabasePort {
  /** A write, answered when it is durable and applied. */
  execute(request: ExecuteRequest): Promise<Answer>;
  /** A read. */
  query(request: QueryRequest): Promise<Answer>;
  /** Reads and writes mixed. */
  request(request: QueryRequest): Promise<Answer>;
  /** The client of a `query` or `request` is gone. Unknown ids are ignored: it may just have ended. */
  cancel(id: number): void;
  /** Whether a leader is known, here or elsewhere: what a queued write asks before it is accepted. */
  hasLeader(): Promise<boolean>;
  /**
   * The sections of `/status` without `http`, which this room adds; works while the store is closed,
   * and then `store` is `{"open":false}`.
   */
  status(): Promise<{ readonly [section: string]: FactTree }>;
  /**
   * The members of the cluster, each as far as it could be asked, sorted by id.
   * @throws {OperatingError} `not_ready` while the store is closed.
   */
  nodes(options: {
    /** How long to wait for another node. Milliseconds, at least 0. */
    readonly timeoutMs: number;
    readonly nonVoters: boolean;
  }): Promise<readonly NodeFacts[]>;
  /** The member that leads, as far as it could be asked; undefined when none is known or it does not answer. */
  leader(options: { readonly timeoutMs: number }): Promise<NodeFacts | undefined>;
  /** Whether this node can serve. */
  readiness(options: {
    /** Also wait until this node has what the leader had committed when the call began. */
    readonly sync: boolean;
    /** Limit on all waiting. Milliseconds, at least 0. */
    readonly timeoutMs: number;
  }): Promise<Readiness>;
  /**
   * The API of the leader, `http://host:port`, when only that one can do it and it is another node. `level` is
   * that of a read; undefined for whatever changes something.
   * @throws {OperatingError} `not_leader` when none is known.
   */
  elsewhere(level: ReadLevel | undefined): string | undefined;
  /** Removes a member by its id, through the leader; one that is none is fine. @throws {OperatingError} */
  remove(id: string, options: { readonly timeoutMs: number }): Promise<void>;
  /** Has the leader hand over, to a member by its id or to anybody. @throws {OperatingError} */
  stepDown(id: string | undefined, options: { readonly timeoutMs: number }): Promise<void>;
  /** Takes the time of the state to that of the voters' clocks, back too. @throws {OperatingError} */
  setTime(options: { readonly timeoutMs: number }): Promise<void>;
  /** Takes a snapshot now. @throws {OperatingError} with what hindered it. */
  snapshot(options: {
    /** Entries of the log to keep behind it; 0 for what is configured. */
    readonly trailingLogs: number;
  }): Promise<"taken" | "nothing_new">;
  /** All metrics, in Prometheus' text format. */
  metricsText(): Promise<string>;
}

/** One member of the cluster as `/nodes` shows it. */
export interface NodeFacts {
  readonly id: string;
  /** Its Raft address, host:port. */
  readonly address: string;
  readonly voter: boolean;
  readonly contact:
    | {
      readonly reachable: true;
      /** Its API as a URL without path: `http://host:port`. */
      readonly apiUrl: string;
      readonly version: string;
      readonly leader: boolean;
      /** How long asking it took, above 0 even for this node. Milliseconds. */
      readonly durationMs: number;
    }
    | { readonly reachable: false; readonly error: string };
}

/** Why a node is not ready, or that it is; in the order in which it is found out. */
export type Readiness =
  | { readonly state: "ready" }
  | { readonly state: "no_leader" }
  | { readonly state: "leader_not_contactable"; readonly error: string }
  | { readonly state: "store_not_ready" }
  | { readonly state: "sync_failed"; readonly error: string }
  | { readonly state: "database_failed"; readonly error: string };
