/**
 * Whether a sync may be carried out on the caller's thread: that spares two switches of threads, a
 * third of what a sync costs on a fast disk, but while it lasts nobody else has a turn.
 *
 * So only while the disk is quick: one slow sync, and the next SYNCS_WATCHED are done elsewhere, until
 * all of a row of them have been quick. A file that was just opened is watched first, too.
 */

/** Above this a sync is slow. */
const SLOW_MS = 2;

/** Quick syncs in a row after which the disk counts as quick. */
const SYNCS_WATCHED = 64;

/** What is known of a disk by the syncs of one file. */
export class SyncPace {
  #watchedLeft = SYNCS_WATCHED;

  /** True while the disk is quick. */
  get isQuick(): boolean {
    return this.#watchedLeft === 0;
  }

  /** A sync has taken so long, waiting for the caller's turn included. */
  took(durationMs: number): void {
    if (durationMs > SLOW_MS) this.#watchedLeft = SYNCS_WATCHED;
    else if (this.#watchedLeft > 0) this.#watchedLeft -= 1;
  }
}
