// Certificates that servers show: good ones of any kind, and those that no client may take.
import { generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { serializePem, systemRandom } from "@sotto/base";
import { serializeSpki, signCertificate } from "../src/certificate.node.ts";

export const hourMs = 3_600_000;
const minuteMs = 60_000;

/** A certificate and the key that a server uses with it, as PEM. */
export type CertificatePair = { readonly cert: string; readonly key: string };

/** A certificate for `subject`, signed with `key`, which is the server's as well. */
export function selfSigned(
  subject: KeyObject,
  key: KeyObject,
  from: number = Date.now(),
  to: number = from + hourMs / 2,
): CertificatePair {
  const isP256 = subject.asymmetricKeyDetails?.namedCurve === "prime256v1";
  const spki = isP256 ? serializeSpki(subject) : subject.export({ type: "spki", format: "der" });
  const cert = serializePem("CERTIFICATE", signCertificate({ spki, key, from, to, random: systemRandom }));
  return { cert, key: key.export({ type: "pkcs8", format: "pem" }).toString() };
}

/** Those whose form is right and whose content is not, with what is said to that. */
export function badCertificates(): { readonly why: string; readonly pair: CertificatePair }[] {
  const now = Date.now();
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const good = selfSigned(publicKey, privateKey);
  const make = (from: number, to: number): CertificatePair => selfSigned(publicKey, privateKey, from, to);
  return [
    { why: "valid for more than an hour", pair: make(now, now + hourMs + 1000) },
    { why: "not valid now", pair: make(now - hourMs - minuteMs, now - 6 * minuteMs) },
    { why: "not valid now", pair: make(now + 6 * minuteMs, now + hourMs) },
    { why: "not signed by itself", pair: { ...selfSigned(publicKey, other.privateKey), key: good.key } },
    { why: "not signed by itself", pair: { cert: flipLastByte(good.cert), key: good.key } },
  ];
}

function flipLastByte(pem: string): string {
  const der = new Uint8Array(new X509Certificate(pem).raw);
  der[der.length - 1] = (der[der.length - 1] ?? 0) ^ 1;
  return serializePem("CERTIFICATE", der);
}
