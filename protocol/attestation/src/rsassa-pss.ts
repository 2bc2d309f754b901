// The one signature algorithm of AMD's certificates, and nothing near it (RFC 4055 Section 3.1).
import { type Bytes, DerReader, derTag, encodeHex, parseObjectIdentifier } from "@sotto/base";
import { AttestationError } from "./attestation-error.ts";

/** Bytes of salt. */
export const saltLength = 48;

const oid = {
  rsassaPss: "1.2.840.113549.1.1.10",
  sha384: "2.16.840.1.101.3.4.2.2",
  mgf1: "1.2.840.113549.1.1.8",
} as const;

/**
 * Checks the content of an AlgorithmIdentifier: RSASSA-PSS, SHA-384, MGF1 with SHA-384, salt of 48 bytes.
 *
 * The trailer field may be written out although 1 is its default: older certificates of AMD's do. Throws
 * `AttestationError` with `unsupported-algorithm` for another algorithm, `EncodingError` for broken DER.
 */
export function checkRsassaPss(algorithm: Bytes): void {
  const reader = new DerReader(algorithm);
  requireOid(reader, oid.rsassaPss);
  const params = reader.nested();
  reader.end();
  within(params, 0xa0, (hash) => within(hash, derTag.sequence, requireSha384));
  within(params, 0xa1, (mask) =>
    within(mask, derTag.sequence, (fields) => {
      requireOid(fields, oid.mgf1);
      within(fields, derTag.sequence, requireSha384);
    }),
  );
  within(params, 0xa2, (salt) => requireInteger(salt, saltLength));
  if (params.remaining > 0) within(params, 0xa3, (trailer) => requireInteger(trailer, 1));
  params.end();
}

function within(reader: DerReader, tag: number, read: (inner: DerReader) => void): void {
  const inner = reader.peek() === tag ? reader.nested(tag) : refuse();
  read(inner);
  inner.end();
}

function requireSha384(reader: DerReader): void {
  requireOid(reader, oid.sha384);
  if (reader.remaining > 0 && reader.element(derTag.null).content.length > 0) refuse();
}

function requireOid(reader: DerReader, id: string): void {
  if (parseObjectIdentifier(reader.element(derTag.objectIdentifier).content) !== id) refuse();
}

function requireInteger(reader: DerReader, value: number): void {
  if (encodeHex(reader.element(derTag.integer).content) !== encodeHex(Uint8Array.of(value))) refuse();
}

function refuse(): never {
  throw new AttestationError(
    "unsupported-algorithm",
    "certificate: signature algorithm is not the expected one",
  );
}
