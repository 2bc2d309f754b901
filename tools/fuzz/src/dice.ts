// Chance that can be had again: the same seed and case give the same throws.
import { ByteReader, type Bytes, encodeUtf8, sha256 } from "@sotto/base";

/** A row of throws. */
export class Dice {
  #state: [number, number, number, number];

  /** The throws of one case of a campaign. */
  constructor(seed: number, index: number) {
    const reader = new ByteReader(sha256(encodeUtf8(`sotto-fuzz ${seed} ${index}`)));
    this.#state = [reader.u32(), reader.u32(), reader.u32(), reader.u32() | 1];
  }

  /** A number of 32 bits (xoshiro128**). */
  #next(): number {
    const [a, b, c, d] = this.#state;
    const scrambled = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const [c2, d2] = [c ^ a, d ^ b];
    this.#state = [a ^ d2, b ^ c2, c2 ^ (b << 9), rotate(d2, 11)];
    return scrambled;
  }

  /** A whole number from 0 on, below `limit`. */
  below(limit: number): number {
    return Math.floor((this.#next() / 2 ** 32) * limit);
  }

  /** True in `percent` of a hundred throws. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    const value = list[this.below(list.length)];
    if (value === undefined) throw new Error("nothing to pick from");
    return value;
  }

  bytes(length: number): Bytes {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
