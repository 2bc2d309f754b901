// X.509 certificates as far as AMD's chains need them (RFC 5280), read strictly and signed bytes kept raw.
import {
  type Bytes,
  DerReader,
  derTag,
  encodeHex,
  equalBytes,
  parseDerTime,
  parseObjectIdentifier,
} from "@sotto/base";
import { AttestationError, strictly } from "./attestation-error.ts";
import { checkRsassaPss, saltLength } from "./rsassa-pss.ts";

/** A parsed certificate; nothing about it has been verified. Times in milliseconds. */
export type Certificate = {
  readonly tbs: Bytes;
  /** Lowercase hexadecimal, as encoded; 00 in AMD's endorsement key certificates. */
  readonly serial: string;
  readonly issuer: Bytes;
  readonly subject: Bytes;
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo as DER. */
  readonly spki: Bytes;
  /** Whether it may issue others: basic constraints and key usage both say so. */
  readonly isAuthority: boolean;
  /** Contents of the extensions by object identifier. */
  readonly extensions: ReadonlyMap<string, Bytes>;
  readonly signature: Bytes;
};

const maxCertificateBytes = 8 * 1024;
const rsaBytes = 512; // RSA-4096
const versionThree = "02";
const oid = { keyUsage: "2.5.29.15", basicConstraints: "2.5.29.19" } as const;
const keyCertSign = 0x04; // bit 5, counted from the left

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
    checkRsassaPss(algorithm.content);

    const body = new DerReader(tbs.content);
    if (encodeHex(explicit(body, 0xa0, derTag.integer)) !== versionThree)
      throw new AttestationError("malformed", "certificate: not version 3");
    const serial = encodeHex(body.element(derTag.integer).content);
    if (!equalBytes(body.element(derTag.sequence).raw, algorithm.raw)) {
      throw new AttestationError("malformed", "certificate: two signature algorithms");
    }
    const issuer = body.element(derTag.sequence).raw;
    const validity = body.nested();
    const notBefore = parseDerTime(validity);
    const notAfter = parseDerTime(validity);
    validity.end();
    const subject = body.element(derTag.sequence).raw;
    const spki = body.element(derTag.sequence).raw;
    const extensions = body.peek() === 0xa3 ? parseExtensions(body.nested(0xa3)) : new Map<string, Bytes>();
    body.end();
    const isAuthority = mayIssue(extensions);
    return {
      ...{ tbs: tbs.raw, serial, issuer, subject, notBefore, notAfter, spki },
      ...{ isAuthority, extensions, signature },
    };
  });
}

/** Imports the RSA key of a certificate that may issue others; throws `bad-certificate`. */
export async function importIssuerKey(certificate: Certificate): Promise<CryptoKey> {
  if (!certificate.isAuthority)
    throw new AttestationError("bad-certificate", "certificate: may not issue others");
  const algorithm = { name: "RSA-PSS", hash: "SHA-384" };
  try {
    return await crypto.subtle.importKey("spki", certificate.spki, algorithm, false, ["verify"]);
  } catch (cause) {
    throw new AttestationError("bad-certificate", "certificate: issuer's key is not rsa", { cause });
  }
}

/** Checks the RSA-4096 PSS signature of an issuer on a certificate; throws `bad-chain`. */
export async function verifyIssuedBy(
  certificate: Certificate,
  issuer: Certificate,
  issuerKey: CryptoKey,
): Promise<void> {
  const { signature, tbs } = certificate;
  const valid =
    equalBytes(certificate.issuer, issuer.subject) &&
    signature.length === rsaBytes &&
    (await crypto.subtle.verify({ name: "RSA-PSS", saltLength }, issuerKey, signature, tbs));
  if (!valid) throw new AttestationError("bad-chain", "certificate: not issued by the one above it");
}

function parseExtensions(wrapper: DerReader): Map<string, Bytes> {
  const list = wrapper.nested();
  wrapper.end();
  const extensions = new Map<string, Bytes>();
  while (list.remaining > 0) {
    const extension = list.nested();
    const id = parseObjectIdentifier(extension.element(derTag.objectIdentifier).content);
    const critical = extension.peek() === derTag.boolean && isTrue(extension);
    const content = extension.element(derTag.octetString).content;
    extension.end();
    if (critical && id !== oid.keyUsage && id !== oid.basicConstraints)
      throw new AttestationError("bad-certificate", "certificate: unknown critical extension");
    if (extensions.has(id))
      throw new AttestationError("extension-repeated", "certificate: extension is repeated");
    extensions.set(id, content);
  }
  return extensions;
}

function mayIssue(extensions: ReadonlyMap<string, Bytes>): boolean {
  const constraints = extensions.get(oid.basicConstraints);
  const usage = extensions.get(oid.keyUsage);
  if (constraints === undefined || usage === undefined) return false;
  const reader = new DerReader(constraints);
  const sequence = reader.nested();
  reader.end();
  const isAuthority = sequence.peek() === derTag.boolean && isTrue(sequence);
  if (sequence.remaining > 0) sequence.element(derTag.integer); // path length: chains here have a fixed one
  sequence.end();
  const bits = new DerReader(usage);
  const { content } = bits.element(derTag.bitString);
  bits.end();
  return isAuthority && ((content[1] ?? 0) & keyCertSign) !== 0;
}

/** The content of one element inside an explicit tag. */
function explicit(reader: DerReader, wrapper: number, tag: number): Bytes {
  const inner = reader.nested(wrapper);
  const { content } = inner.element(tag);
  inner.end();
  return content;
}

// The default FALSE is never written out (X.690 Section 11.5).
function isTrue(reader: DerReader): true {
  if (encodeHex(reader.element(derTag.boolean).content) === "ff") return true;
  throw new AttestationError("malformed", "certificate: boolean not in its form");
}

function bitString(content: Bytes): Bytes {
  if (content[0] !== 0) throw new AttestationError("malformed", "certificate: bit string with unused bits");
  return content.slice(1);
}
