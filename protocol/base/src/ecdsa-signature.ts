// ECDSA signatures: from the DER of certificates and TLS to the two numbers side by side that WebCrypto takes.
import type { Bytes } from "./bytes.ts";
import { EncodingError } from "./coded-error.ts";
import { DerReader, derTag } from "./der.ts";

/**
 * Reads `SEQUENCE { r INTEGER, s INTEGER }` and gives `r || s`, each of `coordinateBytes` bytes (RFC 3279 Section 2.2.3).
 *
 * Both must be positive, in their shortest form and of at most that many bytes, or it throws `EncodingError`; whether they
 * are below the order of the group is the verifier's to check.
 */
export function parseEcdsaSignature(der: Uint8Array, coordinateBytes: number): Bytes {
  const outer = new DerReader(der);
  const sequence = outer.nested();
  outer.end();
  const signature = new Uint8Array(2 * coordinateBytes);
  for (const end of [coordinateBytes, 2 * coordinateBytes]) {
    const magnitude = positiveInteger(sequence.element(derTag.integer).content);
    if (magnitude.length > coordinateBytes)
      throw new EncodingError("out-of-range", "ecdsa signature: a number is too large");
    signature.set(magnitude, end - magnitude.length);
  }
  sequence.end();
  return signature;
}

/** The bytes of a positive INTEGER without the zero that keeps it positive (X.690 Section 8.3). */
function positiveInteger(content: Uint8Array): Uint8Array {
  const [first, second] = content;
  if (first === undefined || first >= 0x80)
    throw new EncodingError("out-of-range", "ecdsa signature: a number is not positive");
  if (first !== 0) return content;
  if (second === undefined)
    throw new EncodingError("out-of-range", "ecdsa signature: a number is not positive");
  if (second < 0x80)
    throw new EncodingError("not-canonical", "ecdsa signature: a number is not in its shortest form");
  return content.subarray(1);
}
