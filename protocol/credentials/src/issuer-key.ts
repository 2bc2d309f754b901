// Public keys of issuers: RSA-2048 in a SubjectPublicKeyInfo for RSASSA-PSS, one form only (RFC 9578 Section 6.5).
import {
  type Bytes,
  concatBytes,
  decodeHex,
  encodeBase64Url,
  encodeHex,
  equalBytes,
  sha256,
} from "@sotto/base";
import { CredentialError } from "./credential-error.ts";
import { modulusLength, type Token, tokenInput } from "./token.ts";

/** `keyId` is SHA-256 of the SPKI. */
export type IssuerPublicKey = {
  readonly keyId: Bytes;
  readonly spki: Bytes;
  readonly modulus: bigint;
  readonly verifier: CryptoKey;
};

export const publicExponent = 65537n;

// SEQUENCE { AlgorithmIdentifier { id-RSASSA-PSS, SHA-384, MGF1 with SHA-384, salt 48 }, BIT STRING { n, e } }
const spkiPrefix = decodeHex(
  "30820152303d06092a864886f70d01010a3030a00d300b0609608648016503040202a11a301806092a864886f70d010108" +
    "300b0609608648016503040202a2030201300382010f003082010a0282010100",
);
const spkiSuffix = decodeHex("0203010001");

/** SPKI of a modulus of 256 bytes. */
export function serializeIssuerSpki(modulus: Uint8Array): Bytes {
  if (modulus.length !== modulusLength || (modulus[0] ?? 0) < 0x80) {
    throw new CredentialError("unsupported", "issuer key: modulus is not 2048 bits");
  }
  return concatBytes(spkiPrefix, modulus, spkiSuffix);
}

/** Loads an issuer's key; anything but the one form is refused. Throws `CredentialError`. */
export async function importIssuerPublicKey(spki: Bytes): Promise<IssuerPublicKey> {
  const modulus = parseIssuerSpki(spki);
  const jwk = { kty: "RSA", n: encodeBase64Url(modulus), e: "AQAB" };
  const algorithm = { name: "RSA-PSS", hash: "SHA-384" };
  try {
    const verifier = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["verify"]);
    return { keyId: sha256(spki), spki, modulus: BigInt(`0x${encodeHex(modulus)}`), verifier };
  } catch (cause) {
    throw new CredentialError("unsupported", "issuer key: not usable", { cause });
  }
}

/** The modulus in an SPKI of the one form; throws `CredentialError`. */
export function parseIssuerSpki(spki: Bytes): Bytes {
  const modulus = spki.slice(spkiPrefix.length, spkiPrefix.length + modulusLength);
  if (modulus.length !== modulusLength || !equalBytes(serializeIssuerSpki(modulus), spki)) {
    throw new CredentialError("malformed", "issuer key: not in its form");
  }
  if (((modulus.at(-1) ?? 0) & 1) === 0)
    throw new CredentialError("malformed", "issuer key: modulus is even");
  return modulus;
}

/**
 * Checks a token: that it is of this key, for this challenge, and signed (RFC 9578 Section 6.3).
 *
 * Throws `CredentialError`: `unknown-key`, `wrong-challenge`, `bad-token`.
 */
export async function verifyToken(token: Token, key: IssuerPublicKey, expectedDigest: Bytes): Promise<Token> {
  if (!equalBytes(token.keyId, key.keyId))
    throw new CredentialError("unknown-key", "token is of another key");
  if (!equalBytes(token.challengeDigest, expectedDigest)) {
    throw new CredentialError("wrong-challenge", "token is for another challenge");
  }
  if (!(await isSigned(key, tokenInput(token), token.authenticator))) {
    throw new CredentialError("bad-token", "token is not signed by its issuer");
  }
  return token;
}

/** RSASSA-PSS-VERIFY with SHA-384 and a salt of 48 bytes (RFC 9474 Section 4.5). */
export async function isSigned(key: IssuerPublicKey, message: Bytes, signature: Bytes): Promise<boolean> {
  const algorithm = { name: "RSA-PSS", saltLength: 48 };
  return crypto.subtle.verify(algorithm, key.verifier, signature, message);
}
