// SHA-2, synchronous in Node and browsers alike (FIPS 180-4).
import { digest } from "#digest";
import { type Bytes, concatBytes } from "./bytes.ts";

/** SHA-256 of the concatenated parts: 32 bytes (FIPS 180-4). */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
  return digest("sha256", joined(parts));
}

/** SHA-384 of the concatenated parts: 48 bytes (FIPS 180-4). */
export function sha384(...parts: readonly Uint8Array[]): Bytes {
  return digest("sha384", joined(parts));
}

/** SHA-512 of the concatenated parts: 64 bytes (FIPS 180-4). */
export function sha512(...parts: readonly Uint8Array[]): Bytes {
  return digest("sha512", joined(parts));
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : concatBytes(...parts);
}
