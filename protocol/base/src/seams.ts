// Time and randomness come in as parameters, so that libraries are deterministic under test.
import type { Bytes } from "./bytes.ts";

/** Milliseconds since the Unix epoch. */
export type Clock = () => number;

/** Returns exactly `length` fresh random bytes. */
export type Random = (length: number) => Bytes;

/** The platform's cryptographic randomness, the same in Node and browsers. */
export const systemRandom: Random = (length) => crypto.getRandomValues(new Uint8Array(length));
