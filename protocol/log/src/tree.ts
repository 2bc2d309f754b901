// A tree in memory: every complete subtree's hash, for logs small enough to be held (C2SP tlog-tiles).
import { type Bytes, concatBytes } from "@sotto/base";
import { type HashReader, nodeHash, treeRoot } from "./merkle.ts";

/** Grows by leaf hashes and answers for the hash of any complete subtree. */
export class HashTree {
  readonly #levels: Bytes[][] = [[]];

  get size(): number {
    return this.#levels[0]?.length ?? 0;
  }

  append(leaf: Bytes): void {
    let hash = leaf;
    for (let level = 0; ; level += 1) {
      const hashes = this.#levels[level] ?? [];
      this.#levels[level] = hashes;
      hashes.push(hash);
      const left = hashes[hashes.length - 2];
      if (hashes.length % 2 === 1 || left === undefined) return;
      hash = nodeHash(left, hash);
    }
  }

  /** Forgets the leaves from `size` on. */
  truncate(size: number): void {
    for (const [level, hashes] of this.#levels.entries()) {
      hashes.length = Math.min(hashes.length, Math.floor(size / 2 ** level));
    }
  }

  /** Hash of a complete subtree; asking for one that is not there is a bug. */
  readonly read: HashReader = (level, index) => {
    const hash = this.#levels[level]?.[index];
    if (hash === undefined) throw new RangeError("subtree is not complete");
    return hash;
  };

  root(size: number = this.size): Bytes {
    return treeRoot(size, this.read);
  }

  /** Content of a tile: the hashes of one level from its first on, at most 256 (C2SP tlog-tiles). */
  tile(level: number, index: number, width: number): Bytes {
    const hashes: Bytes[] = [];
    for (let offset = 0; offset < width; offset += 1) hashes.push(this.read(level * 8, index * 256 + offset));
    return concatBytes(...hashes);
  }
}
