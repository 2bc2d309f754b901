// Logistic regression over hashed features: AdaGrad on examples in random order, with decay towards zero.
import type { Head } from "@sotto/guard/training";

/** Features of one text, by slot, scaled to length one. */
export type Features = { readonly slots: Int32Array; readonly values: Float32Array };

const rate = 0.4;

/** Weights of one or more rows, learnt from features one text at a time. */
export class LinearModel {
  readonly bits: number;
  readonly rows: number;
  readonly #weights: Float32Array;
  readonly #squares: Float32Array;
  readonly #bias: Float64Array;
  readonly #sums: Float64Array;
  readonly #decay: number;

  constructor(bits: number, rows: number, decay: number) {
    this.bits = bits;
    this.rows = rows;
    this.#decay = decay;
    this.#weights = new Float32Array(rows * 2 ** bits);
    this.#squares = new Float32Array(rows * 2 ** bits).fill(1e-3);
    this.#bias = new Float64Array(rows);
    this.#sums = new Float64Array(rows);
  }

  /** The sums of all rows for a text; valid until the next call. */
  sums({ slots, values }: Features): Float64Array {
    const { rows } = this;
    this.#sums.set(this.#bias);
    for (let index = 0; index < slots.length; index += 1) {
      const slot = (slots[index] ?? 0) * rows;
      const value = values[index] ?? 0;
      for (let row = 0; row < rows; row += 1) {
        this.#sums[row] = (this.#sums[row] ?? 0) + value * (this.#weights[slot + row] ?? 0);
      }
    }
    return this.#sums;
  }

  /** Moves the rows against `slopes`, the derivatives of the loss by their sums. */
  step({ slots, values }: Features, slopes: readonly number[]): void {
    const { rows } = this;
    for (let index = 0; index < slots.length; index += 1) {
      const slot = (slots[index] ?? 0) * rows;
      const value = values[index] ?? 0;
      for (let row = 0; row < rows; row += 1) {
        const place = slot + row;
        const weight = this.#weights[place] ?? 0;
        const slope = (slopes[row] ?? 0) * value + this.#decay * weight;
        const square = (this.#squares[place] ?? 0) + slope * slope;
        this.#squares[place] = square;
        this.#weights[place] = weight - (rate * slope) / Math.sqrt(square);
      }
    }
    for (let row = 0; row < rows; row += 1) {
      this.#bias[row] = (this.#bias[row] ?? 0) - 0.02 * (slopes[row] ?? 0);
    }
  }

  /** Adds a share of another model of the same shape. */
  add(other: LinearModel, share: number): void {
    for (let place = 0; place < this.#weights.length; place += 1) {
      this.#weights[place] = (this.#weights[place] ?? 0) + share * (other.#weights[place] ?? 0);
    }
    for (let row = 0; row < this.rows; row += 1) {
      this.#bias[row] = (this.#bias[row] ?? 0) + share * (other.#bias[row] ?? 0);
    }
  }

  /** The model with weights of eight bits; the few largest are cut. */
  quantise(): Head {
    const sizes = this.#weights
      .map(Math.abs)
      .filter((size) => size > 0)
      .sort();
    const largest = Math.max(sizes[Math.floor(sizes.length * 0.9995)] ?? 0, 1e-6);
    const scale = largest / 127;
    const weights = new Int8Array(this.#weights.length);
    for (let index = 0; index < weights.length; index += 1) {
      weights[index] = Math.max(-127, Math.min(127, Math.round((this.#weights[index] ?? 0) / scale)));
    }
    return { bits: this.bits, rows: this.rows, scale, weights, bias: [...this.#bias] };
  }
}
