/**
 * Whether this node's state is that of the others (rule V1): every member reports a digest of its state behind
 * each entry `compare` to the leader, which has one proposed now and then, compares, raises the alarm at once,
 * and puts what it has seen to the log as a verdict. What the verdict means each node finds out for itself.
 * Not here: what a node does whose own state is wrong (quarantine.ts).
 */
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex, type NodeId } from "../base/ids.ts";
import type { DigestVerdictCommand, MemberDigest } from "../command/command.ts";
import { encodeCommand } from "../command/command_encoder.ts";
import type { Clock } from "../os/clock.ts";
import { allMembers } from "../raft/configuration.ts";
import { NOBODY } from "../raft/types.ts";
import { Comparison, type ComparisonReports, type ComparisonTimes } from "./comparison.ts";
import { type DigestJudgement, judgeDigests } from "./digest_judgement.ts";
import { REPORT_ATTEMPTS_MAX, REPORT_RETRY_MS } from "./limits.ts";
import type { Node, NodeObserver } from "./node.ts";
import type { StateDigest, StateMachinePort } from "./ports.ts";
import type { ReplicaCommand } from "./replica_entries.ts";
import type { ReplicaHealth } from "./replica_health.ts";

/** While nobody knows whose state is right each comparison says so again; without one for so many intervals. */
const BAR_INTERVALS = 4;

/** What the operator is to know. `index` is the entry behind which states were compared. */
export type ReplicaAlarm =
  | {
    readonly kind: "differs";
    readonly index: LogIndex;
    readonly digests: readonly MemberDigest[];
  }
  /** Contents are equal and the results that led to them were not. */
  | { readonly kind: "results"; readonly index: LogIndex; readonly chains: readonly MemberDigest[] }
  | { readonly kind: "diverged"; readonly index: LogIndex; readonly members: readonly NodeId[] }
  | { readonly kind: "undecided"; readonly index: LogIndex };

/** What the watch is made of. */
export interface ReplicaWatchOptions {
  readonly node: Node;
  readonly stateMachine: Pick<StateMachinePort, "comparison">;
  readonly health: ReplicaHealth;
  readonly clock: Clock;
  readonly times: ComparisonTimes;
  /** Whether a member's process is there: one that is gone is not waited for. */
  readonly isAlive: (member: NodeId) => boolean;
  /** Tells the leader. @throws {OperatingError} when it does not get there. */
  readonly report: (leader: NodeId, digest: StateDigest) => Promise<void>;
  readonly onAlarm: (alarm: ReplicaAlarm) => void;
  /** This node's state is not that of a majority, at `index`, by the verdict at `verdictIndex`. */
  readonly onDiverged: (
    found: { readonly index: LogIndex; readonly verdictIndex: LogIndex },
  ) => void;
  /** Nobody knows whose state is right; not told of verdicts that an earlier process has seen. */
  readonly onUndecided: () => void;
  readonly onFatal: (error: unknown) => void;
}

/** The last comparison that this node knows of. */
export interface LastComparison {
  readonly index: LogIndex;
  /** Members that reported in time; 0 where another node leads. */
  readonly reportCount: number;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
}

/** See the file's header. One per node. */
export class ReplicaWatch implements NodeObserver {
  readonly #options: ReplicaWatchOptions;
  readonly #comparison: Comparison;
  /** What is at or before it was committed before this process began: it was acted upon. */
  readonly #replayedIndex: LogIndex;
  #leaderSeen: NodeId = NOBODY;
  #ownIndex = 0;
  /** When the newest verdict was applied here. */
  #verdictMs = -Infinity;
  #last: LastComparison | undefined;
  #alarmCount = 0;

  constructor(options: ReplicaWatchOptions) {
    this.#options = options;
    this.#comparison = new Comparison(options.times);
    this.#replayedIndex = options.node.loop.hardState.commit;
  }

  /** The newest comparison in which this node took part. */
  get last(): LastComparison | undefined {
    return this.#last;
  }

  /** Alarms since the start. */
  get alarmCount(): number {
    return this.#alarmCount;
  }

  /** A member's report, to this node as the leader. */
  hear(from: NodeId, digest: StateDigest): void {
    if (allMembers(this.#options.node.loop.configuration).includes(from)) {
      this.#comparison.hear(from, digest);
    }
  }

  onRoleChanged(): void {
    const { leaderId } = this.#options.node;
    if (leaderId === this.#leaderSeen) return;
    this.#leaderSeen = leaderId;
    this.#comparison.abandon();
  }

  onTick(nowMs: number): void {
    const { node, health, times, isAlive } = this.#options;
    if (nowMs - this.#verdictMs > BAR_INTERVALS * times.intervalMs) health.liftBar();
    if (!node.isLeader || !node.isReady) return;
    const { configuration } = node.loop;
    const members = allMembers(configuration);
    const awaited = members.filter((id) => id === node.id || isAlive(id));
    const expected = awaited.filter((id) => !health.diverged.has(id));
    const isUrgent = (reports: ComparisonReports["reports"]): boolean => {
      const judgement = judgeDigests(contentsOf(reports), configuration);
      return judgement.kind === "decided" && judgement.diverged.length > 0;
    };
    const ended = this.#comparison.maybeEnd(nowMs, { members, awaited, expected, isUrgent });
    if (ended !== undefined) this.#judge(ended);
    if (this.#comparison.isDue(nowMs) && this.#isWorthwhile()) {
      this.#comparison.proposed(nowMs);
      this.#propose(encodeCommand({ kind: "compare" }));
    }
  }

  onReplicaCommand(index: LogIndex, command: ReplicaCommand): void {
    if (command.kind === "digest_verdict") this.#obey(index, command);
    else if (index > this.#replayedIndex) this.#compare(index);
  }

  #isWorthwhile(): boolean {
    const { node, stateMachine } = this.#options;
    return allMembers(node.loop.configuration).length > 1 && stateMachine.comparison !== undefined;
  }

  /** A state that is known to be wrong, or was not there when the entry came, has nothing to say. */
  #compare(index: LogIndex): void {
    const { node, health, clock } = this.#options;
    if (node.isLeader) this.#comparison.begin(index, clock.monotonicMs());
    if (health.isQuarantined || index <= health.mark.cleanIndex) return;
    this.#ownIndex = index;
    runInBackground(this.#takeDigest(index), this.#options.onFatal);
  }

  async #takeDigest(index: LogIndex): Promise<void> {
    const { node, stateMachine, clock } = this.#options;
    const digest = await stateMachine.comparison?.(index);
    this.#comparison.ownEnded(index, clock.monotonicMs());
    if (digest === undefined) return;
    for (let attempt = 1; attempt <= REPORT_ATTEMPTS_MAX; attempt++) {
      // Of another state than the one there is now, or of no interest any more.
      if (index <= this.#options.health.mark.cleanIndex || index !== this.#ownIndex) return;
      if (node.isLeader) return this.hear(node.id, digest);
      if (node.leaderId !== NOBODY && await this.#isReported(digest)) {
        this.#last = { index, reportCount: 0, wallMs: clock.wallMs() };
        return;
      }
      await clock.sleep(REPORT_RETRY_MS);
    }
  }

  async #isReported(digest: StateDigest): Promise<boolean> {
    const { node, report } = this.#options;
    try {
      await report(node.leaderId, digest);
      return true;
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      return false;
    }
  }

  #judge({ index, reports }: ComparisonReports): void {
    const { node, health, clock } = this.#options;
    this.#last = { index, reportCount: reports.size, wallMs: clock.wallMs() };
    const digests = contentsOf(reports);
    const judgement = judgeDigests(digests, node.loop.configuration);
    const isDiffering = new Set(digests.map(({ digest }) => digest)).size > 1;
    const chains = listed(reports, ({ resultChain }) => resultChain);
    if (isDiffering) this.#alarm({ kind: "differs", index, digests });
    else if (new Set(chains.map(({ digest }) => digest)).size > 1) {
      this.#alarm({ kind: "results", index, chains });
    }
    if (health.isNews(judgement)) {
      this.#propose(encodeCommand({ kind: "digest_verdict", index, digests }));
    }
  }

  /** What comes of it shows when it is applied; what does not get into the log is found again. */
  #propose(payload: Uint8Array): void {
    const { node, onFatal } = this.#options;
    const written = node.write(payload, 0).then(() => undefined, (error: unknown) => {
      if (!(error instanceof OperatingError)) throw error;
    });
    runInBackground(written, onFatal);
  }

  #obey(verdictIndex: LogIndex, command: DigestVerdictCommand): void {
    const { node, health, clock } = this.#options;
    const { configuration } = node.loop;
    const judgement = judgeDigests(command.digests, configuration);
    health.judged(judgement, configuration);
    this.#verdictMs = clock.monotonicMs();
    const index = logIndex(command.index);
    const isReplayed = verdictIndex <= this.#replayedIndex;
    if (judgement.kind === "undecided") {
      this.#alarm({ kind: "undecided", index });
      if (!isReplayed) this.#options.onUndecided();
    } else if (judgement.kind === "decided" && judgement.diverged.length > 0) {
      this.#alarm({ kind: "diverged", index, members: judgement.diverged });
      this.#maybeQuarantine(judgement, { index, verdictIndex });
    }
  }

  #maybeQuarantine(
    { diverged }: Extract<DigestJudgement, { readonly kind: "decided" }>,
    found: { readonly index: LogIndex; readonly verdictIndex: LogIndex },
  ): void {
    const { node, health, onDiverged } = this.#options;
    if (!diverged.includes(node.id) || health.isQuarantined) return;
    // The state that was compared is gone: this one came from another node since.
    if (found.index <= health.mark.cleanIndex) return;
    if (health.mayQuarantine(node.id, node.loop.configuration)) onDiverged(found);
    else this.#alarm({ kind: "undecided", index: found.index });
  }

  #alarm(alarm: ReplicaAlarm): void {
    this.#alarmCount += 1;
    this.#options.onAlarm(alarm);
  }
}

function contentsOf(reports: ReadonlyMap<NodeId, StateDigest>): readonly MemberDigest[] {
  return listed(reports, ({ content }) => content);
}

function listed(
  reports: ReadonlyMap<NodeId, StateDigest>,
  read: (digest: StateDigest) => string,
): readonly MemberDigest[] {
  return [...reports].sort(([left], [right]) => left - right).map(([nodeId, digest]) => ({
    nodeId,
    digest: read(digest),
  }));
}
