// Looks for thousands of byte strings at once, at the speed of memory: most windows are passed over by their last four
// bytes alone (S. Wu and U. Manber, 1994).

export type Hit<Name> = { readonly name: Name; readonly offset: number };

const blockLength = 4;
const tableBits = 20;

/** Byte strings to look for, each with what it is called; all must have four bytes at least. */
export class PatternSet<Name> {
  /** Of the longest pattern: how much two neighbouring pieces must overlap. */
  readonly maxLength: number;
  readonly #window: number;
  readonly #shifts: Uint8Array;
  readonly #buckets = new Map<number, { readonly name: Name; readonly bytes: Buffer }[]>();

  constructor(patterns: readonly { readonly name: Name; readonly bytes: Buffer }[]) {
    const lengths = patterns.map(({ bytes }) => bytes.length);
    this.maxLength = Math.max(...lengths);
    this.#window = Math.min(...lengths, 255);
    this.#shifts = new Uint8Array(2 ** tableBits).fill(this.#window - blockLength + 1);
    for (const pattern of patterns) {
      const view = new DataView(pattern.bytes.buffer, pattern.bytes.byteOffset, pattern.bytes.length);
      for (let end = blockLength; end <= this.#window; end += 1) {
        const block = hash(view.getInt32(end - blockLength, true));
        this.#shifts[block] = Math.min(this.#shifts[block] ?? 0, this.#window - end);
        if (end < this.#window) continue;
        this.#buckets.set(block, [...(this.#buckets.get(block) ?? []), pattern]);
      }
    }
  }

  /** Everything that is found in `bytes`, in order. */
  search(bytes: Buffer): Hit<Name>[] {
    const hits: Hit<Name>[] = [];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const shifts = this.#shifts;
    let end = this.#window;
    while (end <= bytes.length) {
      const block = hash(view.getInt32(end - blockLength, true));
      const shift = shifts[block] ?? 1;
      if (shift > 0) {
        end += shift;
        continue;
      }
      const offset = end - this.#window;
      for (const pattern of this.#buckets.get(block) ?? []) {
        const found = bytes.subarray(offset, offset + pattern.bytes.length);
        if (pattern.bytes.equals(found)) hits.push({ name: pattern.name, offset });
      }
      end += 1;
    }
    return hits;
  }
}

function hash(block: number): number {
  return Math.imul(block, 0x9e3779b1) >>> (32 - tableBits);
}
