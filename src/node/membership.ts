/**
 * Who belongs to the cluster, as its leader changes it: members come as learners, get a vote when they have
 * caught up, and go. One change at a time (M9); what is asked again changes nothing.
 *
 * A member is its number and its incarnation (rule M1). Whoever comes under a known name with another
 * incarnation is somebody else: refused while the old one is alive (fault M4), in its place otherwise, in
 * one joint change (rule D5). The cluster's feature level follows what all of them announce (rule F1).
 * Not here: how a node asks for it (cli/joining.ts).
 */
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import { type NodeId, nodeId } from "../base/ids.ts";
import { FEATURE_LEVEL, levelRefusal } from "../command/feature_level.ts";
import {
  encodeMemberTable,
  isSameIdentity,
  type MemberRow,
  type MemberTable,
} from "../command/member_table.ts";
import type { Clock } from "../os/clock.ts";
import type { ConfChange, ConfChangeSingle } from "../raft/conf_change.ts";
import { isVoter } from "../raft/configuration.ts";
import { NOBODY } from "../raft/types.ts";
import {
  LOOK_MS,
  MEMBER_CHANGES_WAITING_MAX,
  MEMBERS_MAX,
  PROMOTION_LAG_ENTRIES_MAX,
  TRANSFER_MS_MAX,
} from "./limits.ts";
import type { Node, NodeObserver } from "./node.ts";

/** How the refusal of a removed member begins. */
export const REMOVED_TEXT = "Removed from the cluster";

/** Who asks to be a member. */
export type JoinWish = Omit<MemberRow, "nodeId">;

/** What the cluster's upkeep needs. */
export interface MembershipOptions {
  readonly node: Node;
  /** This member as it is configured now. */
  readonly self: JoinWish;
  readonly clock: Clock;
  /** Whether this node has a connection with a member's process. */
  readonly isAlive: (member: NodeId) => boolean;
  /** The feature level that a member's process announced when it was last connected (rule F1). */
  readonly levelOf: (member: NodeId) => number | undefined;
  /** After how long without a connection members are removed; 0 for never. Milliseconds. */
  readonly reapAfterMs: { readonly voters: number; readonly readOnly: number };
  /** This follower's row is not what it is configured to be: tell the leader. */
  readonly announce: (leader: MemberRow) => Promise<void>;
  /** This node was a member and is none any more. */
  readonly onRemoved: () => void;
  readonly onFatal: (error: unknown) => void;
}

/** See the file's header. One per node; does its upkeep only where it leads. */
export class Membership implements NodeObserver {
  readonly #options: MembershipOptions;
  readonly #seenMs = new Map<number, number>();
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #nextLookMs = 0;
  #isLooking = false;
  /** What was proposed, whether or not it is known to be in the log. */
  #levelAsked = 0;
  #wasMember: boolean;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#wasMember = this.own !== undefined;
  }

  /** All members, as of what is applied here. */
  get table(): MemberTable {
    return this.#options.node.loop.members;
  }

  /** This node's row; undefined while it is no member. */
  get own(): MemberRow | undefined {
    return this.#options.node.loop.members.members.find(({ nodeId }) =>
      nodeId === this.#options.node.id
    );
  }

  /** The row of the known leader. */
  get leader(): MemberRow | undefined {
    const { leaderId } = this.#options.node;
    return this.table.members.find(({ nodeId }) => nodeId === leaderId);
  }

  /**
   * A member that was removed must not come back by its old directory, which may hold votes and entries of
   * a time that went on without it (fault M2). @throws {OperatingError} `conflict`.
   */
  assertNotRemoved(caller: NodeId, incarnation: Uint8Array): void {
    if (caller === NOBODY) return;
    const row = this.#find(({ nodeId }) => nodeId === caller);
    if (row !== undefined && isSameIdentity(row.incarnation, incarnation)) return;
    throw new OperatingError("conflict", `${REMOVED_TEXT} as node ${caller}`);
  }

  /**
   * Takes somebody in as a learner, or changes the row of a member. @returns its number.
   * @throws {OperatingError} `not_leader`; `conflict` when the name or address belongs to somebody alive, or
   * its build does not know the cluster's feature level.
   */
  join(wish: JoinWish, featureLevel: number): Promise<NodeId> {
    return this.#inTurn(async () => {
      const known = this.#find((row) => isSameIdentity(row.incarnation, wish.incarnation));
      if (known !== undefined) return await this.#update(known, wish);
      this.#assertLevel(featureLevel);
      return await this.#admit(wish);
    });
  }

  /**
   * Takes a member out, by name; one that is none is fine. A leader hands over before it goes itself.
   * @throws {OperatingError} `not_leader`; `internal` for the last voter.
   */
  remove(name: string): Promise<void> {
    return this.#inTurn(async () => {
      const row = this.#find((each) => each.name === name);
      if (row === undefined) {
        if (!this.#options.node.isLeader) throw notLeader();
        return;
      }
      await this.#removeMember(row);
    });
  }

  /**
   * Hands leadership over, to the member named or whoever is most up to date; resolves once somebody else
   * leads. @throws {OperatingError} with rqlite's words when that cannot be.
   */
  async transfer(to: NodeId | undefined): Promise<void> {
    const { node, clock } = this.#options;
    if (!node.isLeader) throw notLeader();
    const target = to ?? this.#bestSuccessor();
    if (target === undefined) throw new OperatingError("internal", "cannot find peer");
    if (target === node.id) {
      throw new OperatingError("internal", "cannot step down to the current Leader");
    }
    const outcome = node.loop.transferLeadership(target);
    if (outcome === "not_a_voter") {
      throw new OperatingError("internal", "node not found in cluster");
    }
    const untilMs = clock.monotonicMs() + TRANSFER_MS_MAX;
    while (node.isLeader && clock.monotonicMs() < untilMs) await clock.sleep(2);
    if (node.isLeader) throw new OperatingError("timeout", "leadership transfer timeout");
  }

  onTick(nowMs: number): void {
    if (nowMs < this.#nextLookMs || this.#isLooking) return;
    this.#nextLookMs = nowMs + LOOK_MS;
    this.#isLooking = true;
    const look = this.#look(nowMs).finally(() => {
      this.#isLooking = false;
    });
    runInBackground(look, this.#options.onFatal);
  }

  onRoleChanged(): void {
    // A new leader has seen nobody yet, and must not blame anybody for that.
    this.#seenMs.clear();
  }

  onMembersChanged(): void {
    const isMember = this.own !== undefined;
    if (this.#wasMember && !isMember) this.#options.onRemoved();
    this.#wasMember ||= isMember;
  }

  async #look(nowMs: number): Promise<void> {
    const { node, announce } = this.#options;
    try {
      if (!node.isReady) return;
      const { own, leader } = this;
      if (own !== undefined && !isAsWished(own, this.#options.self)) {
        if (node.isLeader) await this.join(this.#options.self, FEATURE_LEVEL);
        else if (leader !== undefined) await announce(leader);
      }
      if (node.isLeader) await this.#promote();
      if (node.isLeader) await this.#reap(nowMs);
      if (node.isLeader && node.featureLevel < FEATURE_LEVEL) {
        await this.#inTurn(() => this.#raiseLevel());
      }
    } catch (error) {
      // Leadership was lost, or another change is under way: looked at again.
      if (!(error instanceof OperatingError)) throw error;
    }
  }

  /** Learners that have caught up get their vote, one after the other. */
  async #promote(): Promise<void> {
    const { node } = this.#options;
    for (const member of node.loop.raft.status().members) {
      const row = this.#find(({ nodeId }) => nodeId === member.id);
      if (!member.isLearner || row === undefined || row.isReadOnly) continue;
      const lag = node.loop.raft.hardState.commit - member.match;
      const isCaughtUp = member.isActive && member.state === "replicate" &&
        lag <= PROMOTION_LAG_ENTRIES_MAX;
      if (!isCaughtUp) continue;
      await this.#inTurn(() => this.#change([{ type: "add_voter", nodeId: member.id }], []));
    }
  }

  async #reap(nowMs: number): Promise<void> {
    const { node, isAlive, reapAfterMs } = this.#options;
    for (const row of this.table.members) {
      const id = nodeId(row.nodeId);
      const limitMs = isVoter(node.loop.configuration, id)
        ? reapAfterMs.voters
        : reapAfterMs.readOnly;
      if (isAlive(id) || id === node.id || !this.#seenMs.has(id)) this.#seenMs.set(id, nowMs);
      const goneMs = nowMs - (this.#seenMs.get(id) ?? nowMs);
      if (limitMs > 0 && goneMs >= limitMs) await this.remove(row.name);
    }
  }

  /**
   * In turn with those who join: what all members know does not change meanwhile. One of another build that is added
   * by a change which this leader has not applied yet stops at the entry, and harms nothing.
   */
  async #raiseLevel(): Promise<void> {
    const { node, levelOf } = this.#options;
    const levels = this.table.members.map((row) =>
      row.nodeId === node.id ? FEATURE_LEVEL : levelOf(nodeId(row.nodeId)) ?? 0
    );
    const common = Math.min(...levels);
    if (levels.length === 0 || common <= node.featureLevel) return;
    this.#levelAsked = common;
    await node.raiseLevel(common);
  }

  #assertLevel(level: number): void {
    const needed = Math.max(this.#options.node.featureLevel, this.#levelAsked);
    if (level >= needed) return;
    throw new OperatingError("conflict", `Cannot join: ${levelRefusal(needed, level)}`);
  }

  async #admit(wish: JoinWish): Promise<NodeId> {
    const { isAlive, node } = this.#options;
    if (!node.isLeader) throw notLeader();
    const { nextNodeId, members } = this.table;
    const inTheWay = members.filter((row) =>
      row.name === wish.name || row.raftAddress === wish.raftAddress
    );
    for (const row of inTheWay) {
      if (row.nodeId !== node.id && !isAlive(nodeId(row.nodeId))) continue;
      const label = row.name === wish.name ? `name ${row.name}` : `address ${row.raftAddress}`;
      throw new OperatingError(
        "conflict",
        `Cannot join: the ${label} belongs to member ${row.nodeId}, which is alive; ` +
          "remove that one first, or choose another",
      );
    }
    if (members.length - inTheWay.length >= MEMBERS_MAX) {
      throw new OperatingError("conflict", `Cannot join: there are ${MEMBERS_MAX} members already`);
    }
    const id = nodeId(nextNodeId);
    const changes: ConfChangeSingle[] = [{ type: "add_learner", nodeId: id }];
    for (const row of inTheWay) changes.push({ type: "remove", nodeId: nodeId(row.nodeId) });
    await this.#change(changes, [{ ...wish, nodeId: id }]);
    return id;
  }

  async #update(known: MemberRow, wish: JoinWish): Promise<NodeId> {
    const { node } = this.#options;
    if (!node.isLeader) throw notLeader();
    const id = nodeId(known.nodeId);
    const other = this.#find((row) =>
      row.nodeId !== id && (row.name === wish.name || row.raftAddress === wish.raftAddress)
    );
    if (other !== undefined) {
      throw new OperatingError(
        "conflict",
        `Cannot change member ${id}: its name or address belongs to member ${other.nodeId}`,
      );
    }
    if (isAsWished(known, wish)) return id;
    const isDemoted = wish.isReadOnly && isVoter(node.loop.configuration, id);
    const type = isDemoted ? "add_learner" : "update";
    await this.#change([{ type, nodeId: id }], [{ ...wish, nodeId: id }]);
    return id;
  }

  async #removeMember(row: MemberRow): Promise<void> {
    const { node } = this.#options;
    if (!node.isLeader) throw notLeader();
    const id = nodeId(row.nodeId);
    const { voters } = node.loop.configuration;
    if (voters.includes(id) && voters.length === 1) {
      throw new OperatingError("internal", "Cannot remove the last voter of the cluster");
    }
    if (id === node.id) {
      await this.transfer(undefined);
      throw notLeader();
    }
    await this.#change([{ type: "remove", nodeId: id }], []);
  }

  async #change(changes: readonly ConfChangeSingle[], put: readonly MemberRow[]): Promise<void> {
    const context = put.length === 0
      ? new Uint8Array(0)
      : encodeMemberTable({ nextNodeId: 0, members: put });
    const change: ConfChange = { form: "joint", transition: "auto", changes, context };
    await this.#options.node.changeMembers(change);
  }

  /** The voter that has most of the log, among those heard from. */
  #bestSuccessor(): NodeId | undefined {
    const { node } = this.#options;
    const { members } = node.loop.raft.status();
    const able = members.filter((each) => each.id !== node.id && each.isActive && !each.isLearner);
    return able.sort((left, right) => right.match - left.match)[0]?.id;
  }

  #find(isMeant: (row: MemberRow) => boolean): MemberRow | undefined {
    return this.table.members.find(isMeant);
  }

  /** One change after the other; bounded. */
  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#waiting >= MEMBER_CHANGES_WAITING_MAX) {
      throw new OperatingError("overloaded", "Cannot change members: too many changes wait");
    }
    this.#waiting += 1;
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    try {
      return await work();
    } finally {
      this.#waiting -= 1;
      resolve();
    }
  }
}

function isAsWished(row: MemberRow, wish: JoinWish): boolean {
  return row.name === wish.name && row.raftAddress === wish.raftAddress &&
    row.apiUrl === wish.apiUrl && row.isReadOnly === wish.isReadOnly;
}

function notLeader(): OperatingError {
  return new OperatingError("not_leader", "leader not found");
}
