// Sums of weights over the last tokens: a sentence is judged by itself however long the text around it is.
import type { Classifier, Head } from "./classifier.ts";
import { slotOf, squash } from "./classifier.ts";
import { keepLookBack, visitFeatures } from "./features.ts";
import type { Token } from "./lexicon.ts";

/** A length of windows, in tokens, and what its sums must have beyond those of a whole text. */
export type Window = { readonly length: number; readonly margin: number };

/** Scores a stream of tokens with one head, as a whole and in windows that end at the newest token. */
export class WindowScorer {
  readonly #head: Head;
  readonly #windows: readonly Window[];
  readonly #sums: Float64Array; // of the weights up to a token, in a ring
  readonly #norms: Float64Array;
  readonly #before: Token[] = [];
  #position = 0;
  #sum = 0;
  #norm = 0;

  constructor(head: Head, windows: readonly Window[]) {
    this.#head = head;
    this.#windows = windows;
    this.#sums = new Float64Array(Math.max(...windows.map(({ length }) => length)) + 1);
    this.#norms = new Float64Array(this.#sums.length);
  }

  /** Number of tokens so far. */
  get position(): number {
    return this.#position;
  }

  /** Takes the next token and returns the highest score of a window that it ends, or 0. */
  push(token: Token): number {
    const { weights } = this.#head;
    visitFeatures(token, this.#before, this.#position, (hash, weight) => {
      this.#sum += weight * (weights[slotOf(this.#head, hash)] ?? 0);
      this.#norm += weight * weight;
    });
    keepLookBack(this.#before, token);
    this.#position += 1;
    this.#sums[this.#position % this.#sums.length] = this.#sum;
    this.#norms[this.#position % this.#sums.length] = this.#norm;
    let best = 0;
    for (const { length, margin } of this.#windows) {
      if (this.#position > length) best = Math.max(best, this.#score(length, margin));
    }
    return best;
  }

  /** The score of the last `count` tokens, or of all when there are no more. */
  last(count: number): number {
    return this.#score(count, 0);
  }

  #score(count: number, margin: number): number {
    const start = Math.max(0, this.#position - count);
    const place = start % this.#sums.length;
    const sum = start === 0 ? this.#sum : this.#sum - (this.#sums[place] ?? 0);
    const norm = start === 0 ? this.#norm : this.#norm - (this.#norms[place] ?? 0);
    const { scale, bias } = this.#head;
    return squash((sum * scale) / Math.sqrt(Math.max(norm, 1)) + (bias[0] ?? 0) - margin);
  }
}

/** The number of the hazard that tokens point to most. */
export function likelyHazard(classifier: Classifier, tokens: readonly Token[]): number {
  const { hazards } = classifier;
  const sums = new Float64Array(hazards.rows);
  const before: Token[] = [];
  let norm = 0;
  for (const [position, token] of tokens.entries()) {
    visitFeatures(token, before, position, (hash, weight) => {
      const slot = slotOf(hazards, hash) * hazards.rows;
      norm += weight * weight;
      for (let row = 0; row < sums.length; row += 1) {
        sums[row] = (sums[row] ?? 0) + weight * (hazards.weights[slot + row] ?? 0);
      }
    });
    keepLookBack(before, token);
  }
  const scale = hazards.scale / Math.sqrt(Math.max(norm, 1));
  let best = 0;
  const sumOf = (row: number): number => (sums[row] ?? 0) * scale + (hazards.bias[row] ?? 0);
  for (let row = 1; row < sums.length; row += 1) if (sumOf(row) > sumOf(best)) best = row;
  return best;
}
