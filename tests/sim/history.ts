/**
 * The one history that all nodes of a run must agree on, and what clients were told about it: which entry
 * is committed at each index, what applying it gives, where each write stands. Whoever contradicts what
 * is known already is wrong; the first contradiction is kept.
 */
import { decodeConfiguration } from "../../src/raft/configuration.ts";
import type { ConfState } from "../../src/raft/types.ts";
import type { ApplyEntry } from "../../src/node/ports.ts";
import type { NodeId } from "../../src/base/ids.ts";
import { decodeModelCommand, type ModelState } from "./model_state.ts";
import type { AppliedHere } from "./state_host.ts";

/** What is known of an index. */
interface Committed {
  readonly term: number;
  /** The greatest term anywhere when it became known. */
  readonly knownIn: number;
}

interface Applied {
  readonly term: number;
  readonly chain: string;
  /** Undefined while nobody has seen the state right behind the entry. */
  digest: number | undefined;
}

/** See the file's header. */
export class History {
  readonly #fail: (reason: string) => void;
  readonly #committed: Committed[] = [];
  readonly #applied: Applied[] = [];
  readonly #places = new Map<number, number>();
  readonly #refused = new Set<number>();
  /** By index: configurations in the order of the log. */
  readonly configurations = new Map<number, ConfState>();
  #newestConfigurationAt = 0;
  #ackedIndexMax = 0;
  #readIndexMax = 0;
  #commitMax = 0;
  acked = 0;
  reads = 0;

  constructor(fail: (reason: string) => void) {
    this.#fail = fail;
  }

  /** The largest committed index known. */
  get commitMax(): number {
    return this.#commitMax;
  }

  /** A read that begins now must see everything up to here. */
  get readFloor(): number {
    return Math.max(this.#ackedIndexMax, this.#readIndexMax);
  }

  /** Everything acknowledged to a client is at or below this index. */
  get ackedIndexMax(): number {
    return this.#ackedIndexMax;
  }

  /** The configuration of the last change applied anywhere. */
  get newestConfiguration(): ConfState | undefined {
    return this.configurations.get(this.#newestConfigurationAt);
  }

  /** Where that change stands; 1 is the genesis. */
  get newestConfigurationIndex(): number {
    return this.#newestConfigurationAt;
  }

  committed(index: number): Committed | undefined {
    return this.#committed[index];
  }

  /** A node says that this entry is committed. @returns whether that is news. */
  commit(entry: { readonly index: number; readonly term: number }, maxTerm: number): boolean {
    const { index, term } = entry;
    const known = this.#committed[index];
    if (known !== undefined) {
      if (known.term === term) return false;
      this.#fail(`two entries committed at ${index}: terms ${known.term} and ${term}`);
      return false;
    }
    this.#committed[index] = { term, knownIn: maxTerm };
    this.#commitMax = Math.max(this.#commitMax, index);
    return true;
  }

  /** A node has applied `entry`, and its state is `state`. */
  apply(
    entry: Pick<ApplyEntry, "index" | "term" | "kind" | "payload">,
    state: AppliedHere,
    node: NodeId,
  ): void {
    const { index, term } = entry;
    const chain = `${state.chain.high}:${state.chain.low}`;
    const known = this.#applied[index];
    if (known !== undefined) {
      known.digest ??= state.digest;
      const isSame = known.term === term && known.chain === chain &&
        (state.digest === undefined || known.digest === state.digest);
      if (!isSame) {
        this.#fail(
          `node ${node} applied another entry or result at ${index}: ` +
            `term ${term} chain ${chain} digest ${state.digest}, known ` +
            `term ${known.term} chain ${known.chain} digest ${known.digest}`,
        );
      }
      return;
    }
    this.#applied[index] = { term, chain, digest: state.digest };
    this.#placeCommand(entry);
    if (entry.kind === "conf_change") this.#configure(index, state.configuration);
  }

  /** A state was loaded or installed, which must be that of the history. */
  loaded(state: ModelState, node: NodeId): void {
    const known = this.#applied[state.index];
    // A crash may have struck when the batch was written and nobody told of it.
    if (known === undefined && state.index > this.#newestConfigurationAt) {
      const newest = this.newestConfiguration;
      const own = decodeConfiguration(state.configuration);
      if (JSON.stringify(own) !== JSON.stringify(newest)) {
        this.#configure(state.index, state.configuration);
      }
    }
    if (known?.digest === undefined || known.digest === state.digest) return;
    this.#fail(
      `node ${node} has another state at ${state.index}: digest ${state.digest}, known ${known.digest}`,
    );
  }

  /** The genesis. */
  begin(index: number, configuration: ConfState): void {
    this.configurations.set(index, configuration);
    this.#newestConfigurationAt = index;
  }

  /** A client was told that write `id` is done at `index`. */
  ack(write: { readonly id: number; readonly index: number }): void {
    this.acked += 1;
    const place = this.#places.get(write.id);
    if (place !== write.index) {
      this.#fail(`write ${write.id} acknowledged at ${write.index}, but it stands at ${place}`);
    }
    this.#ackedIndexMax = Math.max(this.#ackedIndexMax, write.index);
  }

  /** A client was told that nothing happened. */
  refuse(id: number): void {
    this.#refused.add(id);
    const place = this.#places.get(id);
    if (place !== undefined) this.#fail(`write ${id} was refused, but it stands at ${place}`);
  }

  /** A linearizable read that began at `floor` saw the state at `index`. */
  read(read: { readonly floor: number; readonly index: number }): void {
    this.reads += 1;
    if (read.index < read.floor) {
      this.#fail(`stale read: saw ${read.index}, but ${read.floor} was there before it began`);
    }
    this.#readIndexMax = Math.max(this.#readIndexMax, read.index);
  }

  #placeCommand(entry: Pick<ApplyEntry, "index" | "kind" | "payload">): void {
    const command = decodeModelCommand(entry);
    if (command === undefined) return;
    const place = this.#places.get(command.id);
    if (place !== undefined) {
      this.#fail(`write ${command.id} stands twice: at ${place} and ${entry.index}`);
    }
    if (this.#refused.has(command.id)) {
      this.#fail(`write ${command.id} was refused, but it is applied at ${entry.index}`);
    }
    this.#places.set(command.id, entry.index);
  }

  #configure(index: number, bytes: Uint8Array): void {
    if (this.configurations.has(index)) return;
    const configuration = decodeConfiguration(bytes);
    const before = this.newestConfiguration;
    if (configuration === undefined || before === undefined) {
      this.#fail(`the configuration at ${index} cannot be read`);
      return;
    }
    if (index < this.#newestConfigurationAt) {
      this.#fail(`the configuration at ${index} became known after a later one`);
    }
    if (!quorumsMeet(before, configuration)) {
      this.#fail(`quorums before and behind the change at ${index} need not meet`);
    }
    this.configurations.set(index, configuration);
    this.#newestConfigurationAt = index;
  }
}

/** Whether a set of voters is a quorum: a majority, or both majorities of a joint configuration. */
export function isQuorum(configuration: ConfState, has: (voter: NodeId) => boolean): boolean {
  return [configuration.voters, configuration.votersOutgoing].every((voters) =>
    voters.length === 0 || voters.filter(has).length * 2 > voters.length
  );
}

/** Whether every quorum of one configuration has a member in every quorum of the other. */
export function quorumsMeet(left: ConfState, right: ConfState): boolean {
  const ids = [
    ...new Set([
      ...left.voters,
      ...left.votersOutgoing,
      ...right.voters,
      ...right.votersOutgoing,
    ]),
  ];
  for (let set = 0; set < 2 ** ids.length; set++) {
    const isIn = (id: NodeId): boolean => (set >> ids.indexOf(id) & 1) === 1;
    if (isQuorum(left, isIn) && isQuorum(right, (id) => !isIn(id))) return false;
  }
  return true;
}
