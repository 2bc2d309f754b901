// From certificates to the key that signs reports: ARK to ASK to VCEK, or ARK to ASVK to VLEK (AMD 57230).
import { type Bytes, encodeHex, sha256 } from "@sotto/base";
import { AttestationError } from "../attestation-error.ts";
import { type Certificate, importIssuerKey, parseCertificate, verifyIssuedBy } from "../certificate.ts";
import { type AmdRoots, requireRoot, revokedAuthorities, type SimulatedRoots } from "../roots.ts";
import { type CertificateTable, parseCertificateTable } from "./certificate-table.ts";
import { parseVek, type VekClaims } from "./endorsement-key.ts";
import type { Generation } from "./layout.ts";

/** A verified endorsement key and what its certificate says. */
export type Endorsement = VekClaims & {
  readonly generation: Generation;
  readonly kind: "vcek" | "vlek";
  readonly key: CryptoKey;
  /** The endorsement key's certificate, then those above it. */
  readonly certificates: readonly Certificate[];
};

type Authority = { readonly ark: Certificate; readonly ask: Certificate; readonly key: CryptoKey };

// Keyed by what was verified. A signature over the same bytes stays valid; roots and dates are judged anew.
const authorities = new Map<string, Authority>();
const endorsements = new Map<string, Endorsement>();
const maxAuthorities = 16;
const maxEndorsements = 64;

/** Verifies a certificate table up to one of the roots; throws `AttestationError`. */
export async function verifyEndorsement(
  certificates: Bytes,
  roots: AmdRoots | SimulatedRoots,
  nowMs: number,
): Promise<Endorsement> {
  const table = parseCertificateTable(certificates);
  const root = fingerprint(table.ark);
  // Before any work on certificates that anybody could have made.
  const generation = requireRoot(roots, root);
  const authorityId = `${generation} ${root} ${fingerprint(table.ask)}`;
  const id = `${authorityId} ${table.kind} ${fingerprint(table.vek)}`;
  const endorsement =
    recall(endorsements, id) ??
    remember(endorsements, maxEndorsements, id, await verifyKey(table, generation, authorityId));
  for (const certificate of endorsement.certificates) checkValidity(certificate, nowMs);
  return endorsement;
}

/** Forgets which certificates have been verified, so that the next node is judged from the root on. */
export function forgetEndorsements(): void {
  authorities.clear();
  endorsements.clear();
}

/** Whether AMD has revoked an ASK or ASVK, by its serial number. */
export function isRevoked(generation: Generation, serial: string): boolean {
  return revokedAuthorities[generation].includes(serial);
}

async function verifyKey(table: CertificateTable, generation: Generation, id: string): Promise<Endorsement> {
  const {
    ark,
    ask,
    key: askKey,
  } = recall(authorities, id) ?? remember(authorities, maxAuthorities, id, await verifyAuthority(table));
  if (isRevoked(generation, ask.serial))
    throw new AttestationError("authority-revoked", "AMD has revoked the authority above the hardware's key");
  const vek = parseCertificate(table.vek);
  await verifyIssuedBy(vek, ask, askKey);
  const claims = parseVek(vek, generation, table.kind);
  return {
    ...claims,
    generation,
    kind: table.kind,
    key: await importVek(vek),
    certificates: [vek, ask, ark],
  };
}

async function verifyAuthority(table: CertificateTable): Promise<Authority> {
  const ark = parseCertificate(table.ark);
  const ask = parseCertificate(table.ask);
  const arkKey = await importIssuerKey(ark);
  await verifyIssuedBy(ark, ark, arkKey);
  await verifyIssuedBy(ask, ark, arkKey);
  return { ark, ask, key: await importIssuerKey(ask) };
}

async function importVek({ spki }: Certificate): Promise<CryptoKey> {
  const algorithm = { name: "ECDSA", namedCurve: "P-384" };
  try {
    return await crypto.subtle.importKey("spki", spki, algorithm, false, ["verify"]);
  } catch (cause) {
    throw new AttestationError("bad-certificate", "certificate: endorsement key is not on p-384", { cause });
  }
}

function checkValidity({ notBefore, notAfter }: Certificate, nowMs: number): void {
  if (nowMs < notBefore)
    throw new AttestationError("certificate-not-yet-valid", "a certificate of the hardware is not valid yet");
  // Not `now > notAfter`, which no time that is not a number would ever be.
  if (!(nowMs <= notAfter))
    throw new AttestationError("certificate-expired", "a certificate of the hardware has expired");
}

function fingerprint(der: Uint8Array): string {
  return encodeHex(sha256(der));
}

function recall<Value>(cache: Map<string, Value>, id: string): Value | undefined {
  const value = cache.get(id);
  if (value === undefined) return undefined;
  cache.delete(id);
  cache.set(id, value);
  return value;
}

// A Map keeps its order: what was used least recently comes first.
function remember<Value>(cache: Map<string, Value>, max: number, id: string, value: Value): Value {
  const [oldest] = cache.keys();
  if (cache.size >= max && oldest !== undefined) cache.delete(oldest);
  cache.set(id, value);
  return value;
}
