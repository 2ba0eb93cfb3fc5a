/**
 * Chance as Dust sees it. Everything random is drawn from one of these, so that a simulation replays
 * from its seed. Identities and nonces need the real one: it is fit for secrets.
 */

/** A source of random values. */
export interface Entropy {
  /** Fresh random bytes, owned by the caller; `count` from 0 to 65,536. */
  bytes(count: number): Uint8Array;
  /** A whole number in [0, `limit`), each equally likely; `limit` from 1 to 2^32. */
  below(limit: number): number;
}
