/**
 * Messages on their way. Each pair of nodes has two streams (rule N1), in order unless the run reorders;
 * messages are lost, doubled, late; links are cut one way or both. A message belongs to the process
 * that was running when it was sent to, as a connection does: it does not reach the next one, unless
 * the run lets it. Snapshots carry their content and their fate is reported to the sender.
 */
import type { NodeId } from "../../src/base/ids.ts";
import type { Message } from "../../src/raft/message.ts";
import type { Chance } from "./chance.ts";
import type { SwarmOptions } from "./swarm_options.ts";
import type { Timeline } from "./timeline.ts";
import type { Trace } from "./trace.ts";

/** A message with what goes along. */
export interface Parcel {
  readonly message: Message;
  /** A snapshot's content. */
  readonly content: Uint8Array | undefined;
}

/** What the network does with what it carries. */
export interface NetworkEnds {
  /** @returns whether somebody was there. */
  deliver(parcel: Parcel): boolean;
  /** The sender learns what became of a snapshot. */
  report(parcel: Parcel, outcome: "installed" | "failed"): void;
}

/** How long a sender waits before it believes that a snapshot is lost. */
const SNAPSHOT_TIMEOUT_MS = 2000;

/** See the file's header. */
export class SimNetwork {
  readonly #options: SwarmOptions;
  readonly #timeline: Timeline;
  readonly #chance: Chance;
  readonly #trace: Trace;
  readonly #ends: NetworkEnds;
  readonly #cut = new Map<number, number>();
  /** Per stream: when the last message on it arrives. */
  readonly #lastUs = new Map<number, number>();
  isPerfect = false;
  delivered = 0;
  lost = 0;
  doubled = 0;

  constructor(options: {
    readonly options: SwarmOptions;
    readonly timeline: Timeline;
    readonly chance: Chance;
    readonly trace: Trace;
    readonly ends: NetworkEnds;
  }) {
    this.#options = options.options;
    this.#timeline = options.timeline;
    this.#chance = options.chance;
    this.#trace = options.trace;
    this.#ends = options.ends;
  }

  /** Cuts one direction. Cuts add up; each is healed on its own. */
  cut(from: NodeId, to: NodeId): void {
    const link = linkOf(from, to);
    this.#cut.set(link, (this.#cut.get(link) ?? 0) + 1);
  }

  /** Takes one cut back. */
  heal(from: NodeId, to: NodeId): void {
    const link = linkOf(from, to);
    const count = (this.#cut.get(link) ?? 0) - 1;
    if (count > 0) this.#cut.set(link, count);
    else this.#cut.delete(link);
  }

  /** Takes all cuts back. */
  healAll(): void {
    this.#cut.clear();
  }

  /** Whether messages pass. */
  isOpen(from: NodeId, to: NodeId): boolean {
    return !this.#cut.has(linkOf(from, to));
  }

  /** Takes a message. */
  send(parcel: Parcel): void {
    const { message } = parcel;
    const isLost = !this.isPerfect && this.#chance.happens(this.#options.loss);
    if (isLost || !this.isOpen(message.from, message.to)) {
      this.lost += 1;
      this.#reportLater(parcel);
      return;
    }
    this.#carry(parcel);
    if (this.isPerfect || !this.#chance.happens(this.#options.doubling)) return;
    this.doubled += 1;
    if (message.kind !== "snapshot") return this.#carry(parcel);
    // A sender that has given up and begun again.
    this.#timeline.after(this.#chance.within(1, SNAPSHOT_TIMEOUT_MS), () => this.#carry(parcel));
  }

  #carry(parcel: Parcel): void {
    const { message } = parcel;
    const stream = linkOf(message.from, message.to) * 2 + (isBulk(message) ? 1 : 0);
    let dueUs = this.#timeline.nowUs + Math.round(this.#delayMs(parcel) * 1000);
    if (!this.#options.reorders) {
      dueUs = Math.max(dueUs, this.#lastUs.get(stream) ?? 0);
      this.#lastUs.set(stream, dueUs);
    }
    this.#timeline.atUs(dueUs, () => this.#arrive(parcel));
  }

  #delayMs(parcel: Parcel): number {
    if (this.isPerfect) return 1;
    const [min, max] = this.#options.networkMs;
    const usual = min + this.#chance.below((max - min) * 100 + 1) / 100;
    const isLate = this.#chance.happens(this.#options.late);
    const content = parcel.content === undefined ? 0 : this.#chance.below(300);
    return (isLate ? usual * (1 + this.#chance.below(20)) : usual) + content;
  }

  #arrive(parcel: Parcel): void {
    const { from, to, kind } = parcel.message;
    if (!this.isOpen(from, to) || !this.#ends.deliver(parcel)) {
      this.lost += 1;
      this.#reportLater(parcel);
      return;
    }
    this.delivered += 1;
    if (kind === "snapshot") this.#ends.report(parcel, "installed");
  }

  #reportLater(parcel: Parcel): void {
    const { kind, from, to } = parcel.message;
    if (kind !== "snapshot") return;
    this.#trace.note("snapshot_lost", from, [to]);
    this.#timeline.after(SNAPSHOT_TIMEOUT_MS, () => this.#ends.report(parcel, "failed"));
  }
}

function linkOf(from: NodeId, to: NodeId): number {
  return from * 4096 + to;
}

function isBulk(message: Message): boolean {
  return message.kind === "append" || message.kind === "snapshot";
}
