// The certificate of one session, written: made for it, signed by itself, forgotten with it.
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { type Bytes, ByteWriter, concatBytes, type Random, serializePem, sha256 } from "@sotto/base";
import { ecdsaSha256, spkiPrefix, version3 } from "./certificate.ts";
import { certificateLifetimeMs, clockSkewMs } from "./profile.ts";

/** Key and certificate as PEM, and SHA-256 of the certificate's SubjectPublicKeyInfo. */
export type SessionCertificate = {
  readonly key: string;
  readonly certificate: string;
  readonly spkiDigest: Bytes;
};

// A Name with the common name "sotto".
const name = Uint8Array.from([
  0x30, 0x10, 0x31, 0x0e, 0x30, 0x0c, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x05, 0x73, 0x6f, 0x74, 0x74, 0x6f,
]);

/** Makes a P-256 key and a certificate for it that is valid for less than an hour. */
export function createSessionCertificate(nowMs: number, random: Random): SessionCertificate {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = serializeSpki(pair.publicKey);
  const from = nowMs - clockSkewMs;
  const der = signCertificate({ spki, key: pair.privateKey, from, to: from + certificateLifetimeMs, random });
  return {
    key: pair.privateKey.export({ type: "sec1", format: "pem" }).toString(),
    certificate: serializePem("CERTIFICATE", der),
    spkiDigest: sha256(spki),
  };
}

/** A certificate as DER: version 3, no extensions, ECDSA with SHA-256 (RFC 5280 Section 4.1). */
export function signCertificate(fields: {
  readonly spki: Uint8Array;
  /** Of the issuer, which has the same name as the subject. */
  readonly key: KeyObject;
  readonly from: number;
  readonly to: number;
  readonly random: Random;
}): Bytes {
  const serial = fields.random(8);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40; // positive, and without a leading zero
  const validity = element(0x30, time(fields.from), time(fields.to));
  const tbs = element(0x30, version3, element(0x02, serial), ecdsaSha256, name, validity, name, fields.spki);
  const signature = sign("sha256", tbs, fields.key);
  return element(0x30, tbs, ecdsaSha256, element(0x03, new Uint8Array(1), signature));
}

/** SubjectPublicKeyInfo of a key on P-256. */
export function serializeSpki(key: KeyObject): Bytes {
  return concatBytes(spkiPrefix, key.export({ format: "raw-public", type: "uncompressed" }));
}

function element(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const content = concatBytes(...parts);
  const writer = new ByteWriter().u8(tag);
  if (content.length < 0x80) writer.u8(content.length);
  else if (content.length < 0x100) writer.u8(0x81).u8(content.length);
  else writer.u8(0x82).u16(content.length);
  return writer.bytes(content).finish();
}

/** UTCTime (RFC 5280 Section 4.1.2.5.1). */
function time(ms: number): Bytes {
  const digits = new Date(ms)
    .toISOString()
    .replace(/\.\d+Z$|[-:T]/g, "")
    .slice(2);
  return element(0x17, new TextEncoder().encode(`${digits}Z`));
}
