// The certificate of one session, judged: version 3, P-256, signed by itself, an hour at most, no extensions
// (RFC 5280 Section 4.1, as far as spec/attested-session.md has it).
import {
  type Bytes,
  DerReader,
  derTag,
  EncodingError,
  equalBytes,
  parseDerTime,
  parseEcdsaSignature,
  sha256,
} from "@sotto/base";
import { clockSkewMs, maxCertificateBytes, maxCertificateLifetimeMs } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";

/** Explicit version number 3. */
export const version3: Bytes = Uint8Array.from([0xa0, 0x03, 0x02, 0x01, 0x02]);
/** AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758 Section 3.2). */
export const ecdsaSha256: Bytes = Uint8Array.from([
  0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
]);
/** SubjectPublicKeyInfo of an uncompressed point on P-256, up to the point (RFC 5480 Section 2). */
export const spkiPrefix: Bytes = Uint8Array.from([
  0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
  0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
]);
const uncompressed = 0x04;
const maxSerialBytes = 20;
const coordinateBytes = 32;

type Parsed = {
  readonly tbs: Bytes;
  readonly signature: Bytes;
  readonly from: number;
  readonly to: number;
  readonly spki: Bytes;
};

/** A peer's certificate that is as it must be, but for its signature. */
export type JudgedCertificate = {
  /** SubjectPublicKeyInfo as DER. */
  readonly spki: Bytes;
  readonly spkiDigest: Bytes;
  /** Rejects with `bad-certificate` unless the certificate is signed with its own key. */
  readonly verifySelfSignature: () => Promise<void>;
};

/** Judges a peer's certificate; throws `bad-certificate`. */
export function judgeSessionCertificate(der: Uint8Array, nowMs: number): JudgedCertificate {
  if (der.length > maxCertificateBytes) refuse("over its limit");
  const { tbs, signature, from, to, spki } = parse(der);
  if (to - from > maxCertificateLifetimeMs) refuse("valid for more than an hour");
  if (to < from) refuse("ends before it begins");
  if (nowMs < from - clockSkewMs || nowMs > to + clockSkewMs) refuse("not valid now");
  return {
    spki,
    spkiDigest: sha256(spki),
    verifySelfSignature: async () => {
      if (!(await isSignedWith(spki, signature, tbs))) refuse("not signed by itself");
    },
  };
}

async function isSignedWith(spki: Bytes, signature: Bytes, tbs: Bytes): Promise<boolean> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey("spki", spki, algorithm, false, ["verify"]);
  } catch (cause) {
    return refuse("unreadable key", cause); // not a point on the curve
  }
  return crypto.subtle.verify(algorithm, key, signature, tbs);
}

function parse(der: Uint8Array): Parsed {
  try {
    return readCertificate(der);
  } catch (cause) {
    if (cause instanceof EncodingError) return refuse("not in its form", cause);
    throw cause;
  }
}

function readCertificate(der: Uint8Array): Parsed {
  const outer = new DerReader(der);
  const certificate = outer.nested();
  outer.end();
  const tbs = certificate.element(derTag.sequence);
  requireSame(certificate.element(derTag.sequence).raw, ecdsaSha256, "signed with another algorithm");
  const { content: bits } = certificate.element(derTag.bitString);
  certificate.end();
  if (bits[0] !== 0) refuse("signature is not whole bytes");

  const body = new DerReader(tbs.content);
  requireSame(body.element().raw, version3, "not version 3");
  checkSerial(body.element(derTag.integer).content);
  requireSame(body.element(derTag.sequence).raw, ecdsaSha256, "signed with another algorithm");
  const issuer = body.element(derTag.sequence).raw;
  const validity = body.nested();
  const from = parseDerTime(validity);
  const to = parseDerTime(validity);
  validity.end();
  requireSame(body.element(derTag.sequence).raw, issuer, "issued by somebody else");
  const spki = body.element(derTag.sequence).raw;
  requireSame(spki.subarray(0, spkiPrefix.length), spkiPrefix, "key is not on p-256");
  if (spki[spkiPrefix.length] !== uncompressed) refuse("key is not on p-256");
  if (body.remaining > 0) refuse("has extensions");
  return { tbs: tbs.raw, signature: parseEcdsaSignature(bits.subarray(1), coordinateBytes), from, to, spki };
}

// Positive, in its shortest form, and no longer than certificates may have it (RFC 5280 Section 4.1.2.2).
function checkSerial(content: Bytes): void {
  const [first = 0, second = 0] = content;
  const isPositive = content.some((byte) => byte !== 0) && first < 0x80;
  const isPadded = first === 0 && second < 0x80;
  if (!isPositive || isPadded || content.length > maxSerialBytes) refuse("serial number not in its form");
}

function requireSame(found: Uint8Array, wanted: Uint8Array, why: string): void {
  if (!equalBytes(found, wanted)) refuse(why);
}

function refuse(why: string, cause?: unknown): never {
  throw new RatlsError("bad-certificate", `session certificate: ${why}`, { cause });
}
