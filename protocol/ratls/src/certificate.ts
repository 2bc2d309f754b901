// The certificate of one session: made for it, signed by itself, forgotten with it.
import { generateKeyPairSync, type KeyObject, sign, X509Certificate } from "node:crypto";
import {
  type Bytes,
  ByteWriter,
  concatBytes,
  copyBytes,
  type Random,
  serializePem,
  sha256,
} from "@sotto/base";
import { certificateLifetimeMs, clockSkewMs, maxCertificateLifetimeMs } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";

export type SessionCertificate = {
  readonly key: KeyObject;
  readonly certificate: string;
  readonly spkiDigest: Bytes;
};

// AlgorithmIdentifier { ecdsa-with-SHA256 }, and a Name with the common name "sotto".
const ecdsaSha256 = Uint8Array.from([0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]);
const name = Uint8Array.from([
  0x30, 0x10, 0x31, 0x0e, 0x30, 0x0c, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x05, 0x73, 0x6f, 0x74, 0x74, 0x6f,
]);
const version3 = Uint8Array.from([0xa0, 0x03, 0x02, 0x01, 0x02]);

/** Makes a P-256 key and a certificate for it that is valid for less than an hour (RFC 5280 Section 4.1). */
export function createSessionCertificate(nowMs: number, random: Random): SessionCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = copyBytes(publicKey.export({ type: "spki", format: "der" }));
  const serial = random(8);
  serial[0] = (serial[0] ?? 0) & 0x7f;
  if (serial[0] === 0) serial[0] = 1;
  const tbs = element(
    0x30,
    version3,
    element(0x02, serial),
    ecdsaSha256,
    name,
    element(0x30, time(nowMs - clockSkewMs), time(nowMs - clockSkewMs + certificateLifetimeMs)),
    name,
    spki,
  );
  const signature = sign("sha256", tbs, privateKey);
  const der = element(0x30, tbs, ecdsaSha256, element(0x03, new Uint8Array(1), signature));
  return { key: privateKey, certificate: serializePem("CERTIFICATE", der), spkiDigest: sha256(spki) };
}

/** Judges a peer's certificate and returns SHA-256 of its SPKI; throws `bad-certificate`. */
export function verifySessionCertificate(raw: Uint8Array | undefined, nowMs: number): Bytes {
  const refuse = (why: string, cause?: unknown): never => {
    throw new RatlsError("bad-certificate", `session certificate: ${why}`, { cause });
  };
  if (raw === undefined) return refuse("missing");
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(raw);
  } catch (cause) {
    return refuse("unreadable", cause);
  }
  const { publicKey } = certificate;
  if (publicKey.asymmetricKeyType !== "ec" || publicKey.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    refuse("key is not on p-256");
  }
  if (!certificate.verify(publicKey)) refuse("not signed by itself");
  const from = certificate.validFromDate.getTime();
  const to = certificate.validToDate.getTime();
  if (to - from > maxCertificateLifetimeMs) refuse("valid for more than an hour");
  if (nowMs < from - clockSkewMs || nowMs > to + clockSkewMs) refuse("not valid now");
  return sha256(copyBytes(publicKey.export({ type: "spki", format: "der" })));
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
