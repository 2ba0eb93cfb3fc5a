/**
 * The cluster as one member sees it: who belongs to it, who leads, what each says of itself. For pages that
 * show it and for requests that are sent elsewhere; nothing is decided by it.
 */
import { unreachable } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { type NodeId, nodeId } from "../base/ids.ts";
import type { MemberRow } from "../command/member_table.ts";
import type { Clock } from "../os/clock.ts";
import { allVoters } from "../raft/configuration.ts";
import { LEADER_WAIT_MS_MAX } from "./limits.ts";
import type { Membership } from "./membership.ts";
import type { Node } from "./node.ts";

/** What another node says of itself. */
export interface MemberAnswer {
  readonly apiUrl: string;
  readonly version: string;
  readonly leader: boolean;
}

/** One member, as it could be reached. */
export interface MemberReport {
  /** Its name. */
  readonly id: string;
  readonly address: string;
  readonly voter: boolean;
  readonly contact:
    | (MemberAnswer & { readonly reachable: true; readonly durationMs: number })
    | { readonly reachable: false; readonly error: string };
}

/** What the view is made of. */
export interface ClusterViewOptions {
  readonly node: Node;
  readonly membership: Membership;
  readonly clock: Clock;
  readonly version: string;
  /** Asks another member. @throws {OperatingError} when it does not answer. */
  readonly ask: (
    row: MemberRow,
    options: { readonly timeoutMs: number },
  ) => Promise<MemberAnswer>;
  /** Has an order carried out by the leader at `row`. @throws {OperatingError} */
  readonly order: (
    leader: MemberRow,
    order: LeaderOrder,
    options: { readonly timeoutMs: number },
  ) => Promise<void>;
}

/** What only a leader can do to the cluster. */
export type LeaderOrder =
  | { readonly kind: "remove"; readonly name: string }
  | { readonly kind: "transfer_leader"; readonly to: NodeId | undefined }
  | { readonly kind: "set_time" };

/** How often an order follows a leader that changes. */
const ORDER_ATTEMPTS_MAX = 4;

/** See the file's header. One per node. */
export class ClusterView {
  readonly #options: ClusterViewOptions;

  constructor(options: ClusterViewOptions) {
    this.#options = options;
  }

  /** All members, by name. */
  get members(): readonly MemberRow[] {
    const rows = [...this.#options.membership.table.members];
    return rows.sort((left, right) => left.name < right.name ? -1 : 1);
  }

  /** The row of the leader that is known and served by now; undefined while there is none. */
  get leader(): MemberRow | undefined {
    return this.#options.node.isReady ? this.#options.membership.leader : undefined;
  }

  /** Whether a member has a vote. */
  isVoter({ nodeId: id }: MemberRow): boolean {
    return allVoters(this.#options.node.loop.configuration).includes(nodeId(id));
  }

  /** Whether this node is all that it is to be: a voter, unless it only reads (rule M5). */
  get isComplete(): boolean {
    const { own } = this.#options.membership;
    return own !== undefined && (own.isReadOnly || this.isVoter(own));
  }

  /** All members with what they say now; those who do not answer in time are in it as well. */
  reports(options: { readonly timeoutMs: number }): Promise<readonly MemberReport[]> {
    return Promise.all(this.members.map((row) => this.#report(row, options)));
  }

  /** The leader that is known, with what it says now. */
  async leaderReport(options: { readonly timeoutMs: number }): Promise<MemberReport | undefined> {
    return this.leader === undefined ? undefined : await this.#report(this.leader, options);
  }

  async #report(
    row: MemberRow,
    options: { readonly timeoutMs: number },
  ): Promise<MemberReport> {
    const { clock, node, version, ask } = this.#options;
    const startedMs = clock.monotonicMs();
    const facts = { id: row.name, address: row.raftAddress, voter: this.isVoter(row) };
    try {
      const answer = row.nodeId === node.id
        ? { apiUrl: row.apiUrl, version, leader: node.isLeader }
        : await ask(row, options);
      const durationMs = Math.max(clock.monotonicMs() - startedMs, 0.001);
      return { ...facts, contact: { reachable: true, ...answer, durationMs } };
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      return { ...facts, contact: { reachable: false, error: error.message } };
    }
  }

  /** Removes a member, by name, wherever the leader is. @throws {OperatingError} */
  async remove(name: string, options: { readonly timeoutMs: number }): Promise<void> {
    await this.#order({ kind: "remove", name }, options);
    // Whoever asks this node next finds it gone.
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + options.timeoutMs;
    const isThere = (): boolean => this.members.some((row) => row.name === name);
    while (isThere() && clock.monotonicMs() < untilMs) await clock.sleep(5);
  }

  /** Has leadership handed over, to the member of that name or to anybody. @throws {OperatingError} */
  async transfer(name: string | undefined, options: { readonly timeoutMs: number }): Promise<void> {
    const row = this.members.find((each) => each.name === name);
    if (name !== undefined && row === undefined) {
      throw new OperatingError("internal", "node not found in cluster");
    }
    const to = row === undefined ? undefined : nodeId(row.nodeId);
    await this.#order({ kind: "transfer_leader", to }, options);
  }

  /** Has the state's time set to that of the voters' clocks, back too (rule T1). @throws {OperatingError} */
  async setTime(options: { readonly timeoutMs: number }): Promise<void> {
    await this.#order({ kind: "set_time" }, options);
  }

  async #order(order: LeaderOrder, options: { readonly timeoutMs: number }): Promise<void> {
    const { node, membership } = this.#options;
    for (let attempt = 1;; attempt++) {
      await node.untilLeader(Math.min(options.timeoutMs, LEADER_WAIT_MS_MAX));
      const { leader } = membership;
      if (leader === undefined) throw new OperatingError("not_leader", "leader not found");
      try {
        if (!node.isLeader) return await this.#options.order(leader, order, options);
        switch (order.kind) {
          case "remove":
            return await membership.remove(order.name);
          case "transfer_leader":
            return await membership.transfer(order.to);
          case "set_time":
            return await node.setTime();
          default:
            unreachable(order);
        }
      } catch (error) {
        const isGone = error instanceof OperatingError && error.code === "not_leader";
        if (!isGone || attempt >= ORDER_ATTEMPTS_MAX) throw error;
        await this.#options.clock.sleep(50);
      }
    }
  }
}
