/**
 * Sees all nodes of a chaos run and knows what Raft promises (Raft figure 3): at most one leader in a
 * term, one history of applied entries, every leader holds what was committed before, and reads that see
 * everything committed before they were asked.
 */
import { assert } from "../../src/base/assert.ts";
import type { LogIndex, NodeId, Term } from "../../src/base/ids.ts";
import type { Raft } from "../../src/raft/raft.ts";
import type { Entry, ReadContext, ReadState } from "../../src/raft/types.ts";
import { entryLabel } from "./machine.ts";

/** See the file's header. */
export class Judge {
  readonly #leaders = new Map<Term, NodeId>();
  /**
   * By index: the term of the committed entry, and the greatest term there was when that became known: a
   * pre-vote tells a commit index to nodes of an earlier term than the one in which it was reached.
   */
  readonly #committed: { readonly term: Term; readonly knownIn: number }[] = [];
  #maxTerm = 0;
  readonly #applied = new Map<LogIndex, string>();
  readonly #reads = new Map<ReadContext, LogIndex>();
  /** The largest commit index seen anywhere. */
  maxCommit = 0;
  /** Reads answered, so that a run that tests nothing shows. */
  readsAnswered = 0;

  /** Looks at one engine after anything happened to it. */
  inspect(raft: Raft): void {
    const { state } = raft;
    this.#inspectCommit(raft);
    if (raft.role !== "leader") return;
    const known = this.#leaders.get(state.term);
    assert(known === undefined || known === raft.id, "Judge: two leaders in one term");
    if (known === undefined) this.#inspectNewLeader(raft);
    this.#leaders.set(state.term, raft.id);
  }

  #inspectCommit(raft: Raft): void {
    const { log, term } = raft.state;
    this.#maxTerm = Math.max(this.#maxTerm, term);
    for (let index = log.commit; index >= log.firstIndex; index = index - 1 as LogIndex) {
      const own = log.termOrZero(index);
      const known = this.#committed[index];
      assert(
        known === undefined || known.term === own,
        "Judge: two committed entries at one index",
      );
      if (known !== undefined) break;
      this.#committed[index] = { term: own, knownIn: this.#maxTerm };
    }
    this.maxCommit = Math.max(this.maxCommit, log.commit);
  }

  /** Leader completeness (Raft section 5.4.3). */
  #inspectNewLeader(raft: Raft): void {
    const { log, term } = raft.state;
    this.#committed.forEach((committed, index) => {
      if (committed.knownIn >= term || index < log.firstIndex) return;
      const own = log.termOrZero(index as LogIndex);
      assert(own === committed.term, "Judge: a new leader lacks a committed entry");
    });
  }

  /** State machine safety (Raft section 5.4.3). */
  applied(entry: Entry): void {
    const label = entryLabel(entry);
    const known = this.#applied.get(entry.index);
    assert(known === undefined || known === label, "Judge: two entries applied at one index");
    this.#applied.set(entry.index, label);
  }

  /** A read was asked for now. */
  asked(context: ReadContext): void {
    this.#reads.set(context, this.maxCommit as LogIndex);
  }

  /** A read may run at `read.index`. */
  answered(read: ReadState): void {
    const least = this.#reads.get(read.context);
    assert(least !== undefined, "Judge: an answer to no question");
    assert(read.index >= least, "Judge: a stale read");
    this.readsAnswered++;
  }
}
