// Certificates in the form of AMD's (AMD 57230, RFC 5280), signed with RSASSA-PSS; every name says what they are.
import type { Bytes } from "@sotto/base";
import { type Tcb, vekOid } from "../snp/layout.ts";
import { der } from "./der-writer.ts";

/** An extension: its object identifier and the content of its octet string. */
export type CertificateExtension = {
  readonly id: string;
  readonly content: Bytes;
  readonly critical?: boolean;
};

/** What a certificate says; names are common names, times in milliseconds. */
export type CertificateFields = {
  readonly serial: bigint;
  readonly issuer: string;
  readonly subject: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo as DER. */
  readonly spki: Bytes;
  readonly extensions: readonly CertificateExtension[];
};

/** How it is signed; other values than AMD's make certificates that must be refused. */
export type CertificateSigning = { readonly hash?: "SHA-256" | "SHA-384"; readonly saltLength?: number };

const hashOid = { "SHA-256": "2.16.840.1.101.3.4.2.1", "SHA-384": "2.16.840.1.101.3.4.2.2" } as const;
const organization = "Sotto development PKI";

/** Signs a certificate with an RSA key (PKCS #8): DER. */
export async function signCertificate(
  fields: CertificateFields,
  issuerKey: Bytes,
  signing: CertificateSigning = {},
): Promise<Bytes> {
  const { hash = "SHA-384", saltLength = 48 } = signing;
  const algorithm = pssAlgorithm(hash, saltLength);
  const tbs = der.sequence(
    der.explicit(0, der.integer(2n)), // version 3
    der.integer(fields.serial),
    algorithm,
    distinguishedName(fields.issuer),
    der.sequence(der.time(fields.notBefore), der.time(fields.notAfter)),
    distinguishedName(fields.subject),
    fields.spki,
    der.explicit(3, der.sequence(...fields.extensions.map(extension))),
  );
  const key = await crypto.subtle.importKey("pkcs8", issuerKey, { name: "RSA-PSS", hash }, false, ["sign"]);
  const signature = await crypto.subtle.sign({ name: "RSA-PSS", saltLength }, key, tbs);
  return der.sequence(tbs, algorithm, der.bitString(new Uint8Array(signature)));
}

/** Extensions of a certificate that issues others (RFC 5280 Section 4.2.1). */
export function authorityExtensions(pathLength: bigint): CertificateExtension[] {
  const keyCertSign = der.bitString(Uint8Array.of(0x04), 2);
  return [
    { id: "2.5.29.19", critical: true, content: der.sequence(der.boolean(true), der.integer(pathLength)) },
    { id: "2.5.29.15", critical: true, content: keyCertSign },
  ];
}

/** Extensions of a Turin chip's VCEK, in AMD's order; the chip's identifier has no tag (AMD 57230). */
export function vcekExtensions(tcb: Tcb, hardwareId: Bytes): CertificateExtension[] {
  const level = (id: string, value: number): CertificateExtension => ({
    id,
    content: der.integer(BigInt(value)),
  });
  return [
    level(vekOid.structVersion, 1),
    { id: vekOid.productName, content: der.ia5String("Turin") },
    level(vekOid.fmc, tcb.fmc),
    level(vekOid.bootLoader, tcb.bootLoader),
    level(vekOid.tee, tcb.tee),
    level(vekOid.snp, tcb.snp),
    level(vekOid.spl5, 0),
    level(vekOid.spl6, 0),
    level(vekOid.spl7, 0),
    level(vekOid.microcode, tcb.microcode),
    { id: vekOid.hardwareId, content: hardwareId },
  ];
}

function extension({ id, content, critical }: CertificateExtension): Bytes {
  const flag = critical === true ? [der.boolean(true)] : [];
  return der.sequence(der.objectIdentifier(id), ...flag, der.octetString(content));
}

function distinguishedName(commonName: string): Bytes {
  const attribute = (id: string, value: string): Bytes =>
    der.set(der.sequence(der.objectIdentifier(id), der.utf8String(value)));
  return der.sequence(attribute("2.5.4.10", organization), attribute("2.5.4.3", commonName));
}

/** RSASSA-PSS with MGF1 of the same hash, the default trailer left out (RFC 4055 Section 3.1). */
function pssAlgorithm(hash: keyof typeof hashOid, saltLength: number): Bytes {
  const hashAlgorithm = der.sequence(der.objectIdentifier(hashOid[hash]), der.null());
  const mask = der.sequence(der.objectIdentifier("1.2.840.113549.1.1.8"), hashAlgorithm);
  return der.sequence(
    der.objectIdentifier("1.2.840.113549.1.1.10"),
    der.sequence(
      der.explicit(0, hashAlgorithm),
      der.explicit(1, mask),
      der.explicit(2, der.integer(BigInt(saltLength))),
    ),
  );
}
