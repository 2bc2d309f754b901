// Sums of weights over the last tokens: a sentence is judged by itself however long the text around it is.
import type { Classifier, Head } from "./classifier.ts";
import { slotOf, squash } from "./classifier.ts";
import { keepLookBack, visitFeatures } from "./features.ts";
import type { Token } from "./lexicon.ts";

/** Scores a stream of tokens with one head, in windows of given lengths that end at the newest token. */
export class WindowScorer {
  readonly #head: Head;
  readonly #lengths: readonly number[];
  readonly #sums: Float64Array; // of the weights up to a token, in a ring
  readonly #norms: Float64Array;
  readonly #before: Token[] = [];
  #position = 0;
  #sum = 0;
  #norm = 0;

  constructor(head: Head, lengths: readonly number[]) {
    this.#head = head;
    this.#lengths = lengths;
    this.#sums = new Float64Array(Math.max(...lengths) + 1);
    this.#norms = new Float64Array(this.#sums.length);
  }

  /** Number of tokens so far. */
  get position(): number {
    return this.#position;
  }

  /** Takes the next token and returns the highest score of a full window that it ends, or 0. */
  push(token: Token): number {
    const { weights } = this.#head;
    visitFeatures(token, this.#before, this.#position, (hash, weight) => {
      this.#sum += weight * (weights[slotOf(this.#head, hash)] ?? 0);
      this.#norm += weight * weight;
    });
    keepLookBack(this.#before, token);
    this.#position += 1;
    const { length } = this.#sums;
    this.#sums[this.#position % length] = this.#sum;
    this.#norms[this.#position % length] = this.#norm;
    let best = 0;
    for (const window of this.#lengths) {
      if (this.#position < window) continue;
      const start = (this.#position - window) % length;
      best = Math.max(best, this.#score(this.#sums[start] ?? 0, this.#norms[start] ?? 0));
    }
    return best;
  }

  /** The score of everything so far. */
  whole(): number {
    return this.#score(0, 0);
  }

  /** The score of the last `count` tokens, or of all when there are fewer. */
  last(count: number): number {
    if (this.#position <= count) return this.whole();
    const start = (this.#position - count) % this.#sums.length;
    return this.#score(this.#sums[start] ?? 0, this.#norms[start] ?? 0);
  }

  #score(sum: number, norm: number): number {
    const length = Math.sqrt(Math.max(this.#norm - norm, 1));
    return squash(((this.#sum - sum) * this.#head.scale) / length + (this.#head.bias[0] ?? 0));
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
