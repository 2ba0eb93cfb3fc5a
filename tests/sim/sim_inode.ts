/**
 * A file's content in the simulation: sectors of 512 bytes, absent ones zero, so that a sparse file of
 * 5 GiB costs nothing. For each sector and for the size: what is durable, and every version since.
 * Invariant: sector arrays are never changed once made, so copies share them.
 */
import { assert } from "../../src/base/assert.ts";
import type { SimChoice } from "./sim_file_system.ts";

const SECTOR_BYTES = 512;

/** A sector's bytes, or undefined for zeros. */
type Sector = Uint8Array | undefined;

/** What was written, and when in the order of all writes to the file. */
interface Version<T> {
  readonly number: number;
  readonly value: T;
}

/** See the file's header. */
export class SimInode {
  #durable = new Map<number, Uint8Array>();
  #durableSize = 0;
  /** Versions since the last sync, oldest first; only sectors that were written. */
  #versions = new Map<number, Version<Sector>[]>();
  #sizes: Version<number>[] = [];
  /** What the page cache shows although the disk refused it. */
  #lost = new Map<number, Sector>();
  #writeCount = 0;

  /** The size that everybody sees. */
  get size(): number {
    return this.#sizes.at(-1)?.value ?? this.#durableSize;
  }

  /** Fills `into` from `position` on; returns the bytes read. */
  read(into: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(into.length, this.size - position));
    for (let at = 0; at < count;) {
      const number = Math.floor((position + at) / SECTOR_BYTES);
      const inSector = (position + at) % SECTOR_BYTES;
      const part = Math.min(SECTOR_BYTES - inSector, count - at);
      const sector = this.#liveSector(number);
      if (sector === undefined) into.fill(0, at, at + part);
      else into.set(sector.subarray(inSector, inSector + part), at);
      at += part;
    }
    return count;
  }

  /** Writes in place; grows if need be. Not durable. */
  write(bytes: Uint8Array, position: number): void {
    for (let at = 0; at < bytes.length;) {
      const number = Math.floor((position + at) / SECTOR_BYTES);
      const inSector = (position + at) % SECTOR_BYTES;
      const part = Math.min(SECTOR_BYTES - inSector, bytes.length - at);
      const sector = this.#liveSector(number)?.slice() ?? new Uint8Array(SECTOR_BYTES);
      sector.set(bytes.subarray(at, at + part), inSector);
      this.#addVersion(number, isZero(sector) ? undefined : sector);
      at += part;
    }
    if (bytes.length > 0 && position + bytes.length > this.size) {
      this.#addSize(position + bytes.length);
    }
  }

  /** Cuts, or extends with zeros. Not durable. */
  truncate(size: number): void {
    const firstGone = Math.ceil(size / SECTOR_BYTES);
    for (const number of new Set([...this.#durable.keys(), ...this.#versions.keys()])) {
      if (number >= firstGone) this.#addVersion(number, undefined);
    }
    if (size % SECTOR_BYTES !== 0 && size < this.size) {
      const number = Math.floor(size / SECTOR_BYTES);
      const sector = new Uint8Array(SECTOR_BYTES);
      sector.set((this.#liveSector(number) ?? sector).subarray(0, size % SECTOR_BYTES));
      this.#addVersion(number, sector);
    }
    this.#addSize(size);
  }

  /** Starts a sync of what is there now; the function returned makes it durable. */
  beginSync(): () => void {
    const limit = this.#writeCount;
    return () => {
      const isOld = (version: Version<unknown>): boolean => version.number <= limit;
      for (const [sector, versions] of [...this.#versions]) {
        this.#settle(sector, versions.filter(isOld).length);
      }
      const sizeCount = this.#sizes.filter(isOld).length;
      this.#durableSize = this.#sizes.splice(0, sizeCount).at(-1)?.value ?? this.#durableSize;
    };
  }

  /** A sync has failed: everybody still sees the content, but no later sync saves it. */
  loseUnsynced(): void {
    for (const sector of this.#versions.keys()) this.#lost.set(sector, this.#liveSector(sector));
    this.#versions.clear();
  }

  /** Settles on one version of each sector and of the size. */
  losePower(choose: SimChoice): void {
    this.#lost.clear();
    for (const [number, versions] of [...this.#versions]) {
      this.#settle(number, choose(versions.length + 1));
    }
    this.#versions.clear();
    const chosen = choose(this.#sizes.length + 1);
    this.#durableSize = this.#sizes[chosen - 1]?.value ?? this.#durableSize;
    this.#sizes = [];
    for (const number of this.#durable.keys()) {
      if (number * SECTOR_BYTES >= this.#durableSize) this.#durable.delete(number);
    }
  }

  /** An independent copy. */
  clone(): SimInode {
    const copy = new SimInode();
    copy.#durable = new Map(this.#durable);
    copy.#durableSize = this.#durableSize;
    copy.#versions = new Map([...this.#versions].map(([number, list]) => [number, [...list]]));
    copy.#sizes = [...this.#sizes];
    copy.#lost = new Map(this.#lost);
    copy.#writeCount = this.#writeCount;
    return copy;
  }

  #liveSector(number: number): Sector {
    const versions = this.#versions.get(number);
    if (versions !== undefined) return versions.at(-1)?.value;
    return this.#lost.has(number) ? this.#lost.get(number) : this.#durable.get(number);
  }

  #addVersion(sector: number, value: Sector): void {
    const version = { number: ++this.#writeCount, value };
    const versions = this.#versions.get(sector);
    this.#lost.delete(sector);
    if (versions === undefined) this.#versions.set(sector, [version]);
    else versions.push(version);
  }

  #addSize(value: number): void {
    this.#sizes.push({ number: ++this.#writeCount, value });
  }

  /** Makes the first `count` versions of a sector history: the last of them is durable now. */
  #settle(sector: number, count: number): void {
    const versions = this.#versions.get(sector);
    if (versions === undefined || count === 0) return;
    assert(count <= versions.length, "SimInode: no such version");
    const value = versions.splice(0, count).at(-1)?.value;
    if (value === undefined) this.#durable.delete(sector);
    else this.#durable.set(sector, value);
    if (versions.length === 0) this.#versions.delete(sector);
  }
}

function isZero(sector: Uint8Array): boolean {
  for (let at = 0; at < sector.length; at++) if (sector[at] !== 0) return false;
  return true;
}
