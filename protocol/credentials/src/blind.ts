// The client's side of blind RSA, RSABSSA-SHA384-PSS-Deterministic (RFC 9474 Section 4).
// BigInt arithmetic takes no constant time; what it handles is the client's own nonce and blinding factor.
import { type Bytes, concatBytes, decodeHex, encodeHex, type Random, sha384 } from "@sotto/base";
import { CredentialError } from "./credential-error.ts";
import { type IssuerPublicKey, isSigned, publicExponent } from "./issuer-key.ts";
import {
  challengeDigest,
  serializeTokenRequest,
  type Token,
  type TokenChallenge,
  tokenInput,
} from "./token.ts";

/** A blinded request, and what makes a token of its answer. */
export type BlindedToken = {
  /** A serialized `TokenRequest`. */
  readonly request: Bytes;
  /** Unblinds and verifies; throws `CredentialError` with `bad-token-response`, and the answer is then worthless. */
  readonly finalize: (response: Bytes) => Promise<Token>;
};

const hashLength = 48;
const saltLength = 48;

/** Draws a nonce and blinds the token it is for (RFC 9578 Section 6.1). */
export function blind(challenge: TokenChallenge, key: IssuerPublicKey, random: Random): BlindedToken {
  const unsigned = { nonce: random(32), challengeDigest: challengeDigest(challenge), keyId: key.keyId };
  const message = tokenInput(unsigned);
  const { blinded, unblind } = blindMessage(message, key, random);
  return {
    request: serializeTokenRequest({ truncatedKeyId: key.keyId.at(-1) ?? 0, blinded }),
    finalize: async (response) => ({ ...unsigned, authenticator: await unblind(response) }),
  };
}

/** Blind and Finalize over one message (RFC 9474 Sections 4.2 and 4.4). */
export function blindMessage(
  message: Bytes,
  key: IssuerPublicKey,
  random: Random,
): { readonly blinded: Bytes; readonly unblind: (signature: Bytes) => Promise<Bytes> } {
  const n = key.modulus;
  const length = modulusBytes(n);
  const m = toInteger(encodePss(message, random(saltLength), length));
  // Sharing a factor with the modulus would mean having factored it.
  if (invert(m, n) === undefined) throw new CredentialError("malformed", "blinding: message is not usable");
  const { r, inverse } = drawBlind(n, length, random);
  const blinded = (m * power(r, publicExponent, n)) % n;
  return {
    blinded: toBytes(blinded, length),
    unblind: async (response) => {
      const z = toInteger(response);
      const signature = toBytes((z * inverse) % n, length);
      if (response.length !== length || z >= n || !(await isSigned(key, message, signature))) {
        throw new CredentialError("bad-token-response", "token response does not verify");
      }
      return signature;
    },
  };
}

/** EMSA-PSS-ENCODE with SHA-384 for a modulus of whole bytes (RFC 8017 Section 9.1.1). */
function encodePss(message: Bytes, salt: Bytes, length: number): Bytes {
  const hash = sha384(new Uint8Array(8), sha384(message), salt);
  const dbLength = length - hashLength - 1;
  const db = concatBytes(new Uint8Array(dbLength - saltLength - 1), new Uint8Array([1]), salt);
  const mask = maskGeneration(hash, dbLength);
  const masked = db.map((byte, index) => byte ^ (mask[index] ?? 0));
  masked[0] = (masked[0] ?? 0) & 0x7f; // the encoding is one bit shorter than the modulus
  return concatBytes(masked, hash, new Uint8Array([0xbc]));
}

/** MGF1 with SHA-384 (RFC 8017 Appendix B.2.1). */
function maskGeneration(seed: Bytes, length: number): Bytes {
  const blocks: Bytes[] = [];
  for (let counter = 0; counter * hashLength < length; counter += 1) {
    blocks.push(sha384(seed, new Uint8Array([0, 0, 0, counter])));
  }
  return concatBytes(...blocks).slice(0, length);
}

/** A factor in 1..n-1, drawn uniformly by rejection, with its inverse. */
function drawBlind(
  n: bigint,
  length: number,
  random: Random,
): { readonly r: bigint; readonly inverse: bigint } {
  for (;;) {
    const r = toInteger(random(length));
    const inverse = r > 1n && r < n ? invert(r, n) : undefined;
    if (inverse !== undefined) return { r, inverse };
  }
}

function power(base: bigint, exponent: bigint, n: bigint): bigint {
  let result = 1n;
  let square = base % n;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % n;
    square = (square * square) % n;
  }
  return result;
}

/** The inverse modulo n by the extended Euclidean algorithm, or undefined when there is none. */
function invert(value: bigint, n: bigint): bigint | undefined {
  let [previous, current] = [n, value % n];
  let [previousFactor, factor] = [0n, 1n];
  while (current !== 0n) {
    const quotient = previous / current;
    [previous, current] = [current, previous - quotient * current];
    [previousFactor, factor] = [factor, previousFactor - quotient * factor];
  }
  if (previous !== 1n) return undefined;
  return previousFactor < 0n ? previousFactor + n : previousFactor;
}

function toInteger(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${encodeHex(bytes)}`);
}

function toBytes(value: bigint, length: number): Bytes {
  return decodeHex(value.toString(16).padStart(2 * length, "0"));
}

// Keys that tokens are made with have 256 bytes; the RFC's own vectors have 512.
function modulusBytes(n: bigint): number {
  return Math.ceil(n.toString(16).length / 2);
}
