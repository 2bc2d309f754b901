// X.509 certificates as far as AMD's chains need them (RFC 5280), read strictly and signed bytes kept raw.
import {
  type Bytes,
  DerReader,
  decodeUtf8,
  derTag,
  encodeHex,
  equalBytes,
  parseObjectIdentifier,
} from "@sotto/base";
import { AttestationError, strictly } from "./attestation-error.ts";

/** A parsed certificate; nothing about it has been verified. Times in milliseconds. */
export type Certificate = {
  readonly tbs: Bytes;
  readonly issuer: Bytes;
  readonly subject: Bytes;
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo as DER. */
  readonly spki: Bytes;
  /** Contents of the extensions by object identifier. */
  readonly extensions: ReadonlyMap<string, Bytes>;
  readonly signature: Bytes;
};

const maxCertificateBytes = 8 * 1024;
const oid = {
  rsassaPss: "1.2.840.113549.1.1.10",
  sha384: "2.16.840.1.101.3.4.2.2",
  mgf1: "1.2.840.113549.1.1.8",
} as const;

/** Reads a certificate signed with RSASSA-PSS, SHA-384, MGF1 with SHA-384, salt of 48 bytes; throws `AttestationError`. */
export function parseCertificate(der: Uint8Array): Certificate {
  if (der.length > maxCertificateBytes)
    throw new AttestationError("too-large", "certificate: over its limit");
  return strictly("certificate", () => {
    const outer = new DerReader(der);
    const certificate = outer.nested();
    outer.end();
    const tbs = certificate.element(derTag.sequence);
    const algorithm = certificate.element(derTag.sequence);
    const signature = bitString(certificate.element(derTag.bitString).content);
    certificate.end();
    checkPss(algorithm.content);

    const body = new DerReader(tbs.content);
    const version = body.nested(0xa0).element(derTag.integer).content;
    if (version.length !== 1 || version[0] !== 2)
      throw new AttestationError("malformed", "certificate: not version 3");
    body.element(derTag.integer); // serial number: 0 in AMD's endorsement key certificates
    if (!equalBytes(body.element(derTag.sequence).raw, algorithm.raw)) {
      throw new AttestationError("malformed", "certificate: two signature algorithms");
    }
    const issuer = body.element(derTag.sequence).raw;
    const validity = body.nested();
    const notBefore = parseTime(validity);
    const notAfter = parseTime(validity);
    validity.end();
    const subject = body.element(derTag.sequence).raw;
    const spki = body.element(derTag.sequence).raw;
    const extensions = body.peek() === 0xa3 ? parseExtensions(body.nested(0xa3)) : new Map<string, Bytes>();
    body.end();
    return { tbs: tbs.raw, issuer, subject, notBefore, notAfter, spki, extensions, signature };
  });
}

/** Checks an RSA-4096 PSS signature of an issuer on a certificate; throws `bad-chain`. */
export async function verifyIssuedBy(certificate: Certificate, issuer: Certificate): Promise<void> {
  const refuse = (cause?: unknown): never => {
    throw new AttestationError("bad-chain", "certificate: not issued by the one above it", { cause });
  };
  if (!equalBytes(certificate.issuer, issuer.subject)) refuse();
  const algorithm = { name: "RSA-PSS", hash: "SHA-384" };
  let valid = false;
  try {
    const key = await crypto.subtle.importKey("spki", issuer.spki, algorithm, false, ["verify"]);
    valid = await crypto.subtle.verify(
      { name: "RSA-PSS", saltLength: 48 },
      key,
      certificate.signature,
      certificate.tbs,
    );
  } catch (cause) {
    refuse(cause);
  }
  if (!valid) refuse();
}

function parseExtensions(wrapper: DerReader): Map<string, Bytes> {
  const list = wrapper.nested();
  wrapper.end();
  const extensions = new Map<string, Bytes>();
  while (list.remaining > 0) {
    const extension = list.nested();
    const id = parseObjectIdentifier(extension.element(derTag.objectIdentifier).content);
    if (extension.peek() === derTag.boolean) extension.element(derTag.boolean);
    const content = extension.element(derTag.octetString).content;
    extension.end();
    if (extensions.has(id))
      throw new AttestationError("bad-certificate", "certificate: extension is repeated");
    extensions.set(id, content);
  }
  return extensions;
}

function bitString(content: Bytes): Bytes {
  if (content[0] !== 0) throw new AttestationError("malformed", "certificate: bit string with unused bits");
  return content.slice(1);
}

/** `RSASSA-PSS-params`; the trailer field may be written out although it is the default (RFC 4055 Section 3.1). */
function checkPss(algorithm: Bytes): void {
  const refuse = (): never => {
    throw new AttestationError("unsupported", "certificate: signature algorithm is not the expected one");
  };
  const reader = new DerReader(algorithm);
  if (parseObjectIdentifier(reader.element(derTag.objectIdentifier).content) !== oid.rsassaPss) refuse();
  const params = reader.nested();
  reader.end();
  const hash = params.nested(0xa0).nested();
  if (!isAlgorithm(hash, oid.sha384)) refuse();
  const mask = params.nested(0xa1).nested();
  if (parseObjectIdentifier(mask.element(derTag.objectIdentifier).content) !== oid.mgf1) refuse();
  if (!isAlgorithm(mask.nested(), oid.sha384)) refuse();
  const salt = params.nested(0xa2).element(derTag.integer).content;
  if (encodeHex(salt) !== "30") refuse();
  if (params.remaining > 0 && encodeHex(params.nested(0xa3).element(derTag.integer).content) !== "01")
    refuse();
  params.end();
}

function isAlgorithm(reader: DerReader, id: string): boolean {
  if (parseObjectIdentifier(reader.element(derTag.objectIdentifier).content) !== id) return false;
  if (reader.remaining > 0) reader.element(derTag.null);
  reader.end();
  return true;
}

/** UTCTime or GeneralizedTime in the forms of RFC 5280 Section 4.1.2.5. */
function parseTime(reader: DerReader): number {
  const { tag, content } = reader.element();
  const text = decodeUtf8(content);
  const match =
    tag === derTag.utcTime
      ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)
      : tag === derTag.generalizedTime
        ? /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)
        : null;
  if (match === null) throw new AttestationError("malformed", "certificate: time not in its form");
  const [year = 0, month = 0, ...rest] = match.slice(1).map(Number);
  const fullYear = tag === derTag.generalizedTime ? year : year < 50 ? 2000 + year : 1900 + year;
  const [day = 0, hour = 0, minute = 0, second = 0] = rest;
  return Date.UTC(fullYear, month - 1, day, hour, minute, second);
}
