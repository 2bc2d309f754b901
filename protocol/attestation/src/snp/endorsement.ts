// From certificates to the key that signs reports: ARK to ASK to VCEK or VLEK, and what the last one says
// of its chip (AMD 57230).
import { type Bytes, DerReader, decodeUtf8, derTag, encodeHex, sha256 } from "@sotto/base";
import { AttestationError, strictly } from "../attestation-error.ts";
import { type Certificate, parseCertificate, verifyIssuedBy } from "../certificate.ts";
import { type AmdRoots, rootGeneration, type SimulatedRoots } from "../roots.ts";
import { type CertificateTable, parseCertificateTable } from "./certificate-table.ts";
import { type Generation, type Tcb, vekOid } from "./layout.ts";

/** A verified endorsement key and what its certificate says. */
export type Endorsement = {
  readonly generation: Generation;
  readonly kind: "vcek" | "vlek";
  readonly key: CryptoKey;
  readonly tcb: Tcb;
  readonly hardwareId: string | undefined;
  readonly cspId: string | undefined;
};

type VerifiedChain = {
  readonly table: CertificateTable;
  readonly certificates: readonly Certificate[];
  readonly key: CryptoKey;
};

// Signatures over the same bytes stay valid; roots and dates are judged anew each time.
const verifiedChains = new Map<string, VerifiedChain>();
const maxVerifiedChains = 64;

/** Verifies a certificate table up to one of the roots; throws `AttestationError`. */
export async function verifyEndorsement(
  certificates: Bytes,
  roots: AmdRoots | SimulatedRoots,
  nowMs: number,
): Promise<Endorsement> {
  const id = encodeHex(sha256(certificates));
  let chain = verifiedChains.get(id);
  if (chain === undefined) {
    const table = parseCertificateTable(certificates);
    // Before any work on certificates that anybody could have made.
    requireRoot(roots, table.ark);
    chain = await verifyChain(table);
    if (verifiedChains.size >= maxVerifiedChains) verifiedChains.clear();
    verifiedChains.set(id, chain);
  }
  const generation = requireRoot(roots, chain.table.ark);
  for (const { notBefore, notAfter } of chain.certificates) {
    if (nowMs < notBefore || nowMs > notAfter) {
      throw new AttestationError(
        "certificate-not-valid-now",
        "a certificate of the hardware is not valid now",
      );
    }
  }
  const [vek] = chain.certificates;
  if (vek === undefined) throw new AttestationError("bad-chain", "certificate: chain is empty");
  return {
    generation,
    kind: chain.table.kind,
    key: chain.key,
    ...readVek(vek, generation, chain.table.kind),
  };
}

function requireRoot(roots: AmdRoots | SimulatedRoots, ark: Bytes): Generation {
  const generation = rootGeneration(roots, ark);
  if (generation === undefined) {
    throw new AttestationError(
      "untrusted-root",
      "the root of the hardware's certificates is not one that is trusted",
    );
  }
  return generation;
}

async function verifyChain(table: CertificateTable): Promise<VerifiedChain> {
  const ark = parseCertificate(table.ark);
  const ask = parseCertificate(table.ask);
  const vek = parseCertificate(table.vek);
  await verifyIssuedBy(ark, ark);
  await verifyIssuedBy(ask, ark);
  await verifyIssuedBy(vek, ask);
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey("spki", vek.spki, { name: "ECDSA", namedCurve: "P-384" }, false, [
      "verify",
    ]);
  } catch (cause) {
    throw new AttestationError("bad-certificate", "certificate: endorsement key is not on p-384", { cause });
  }
  return { table, certificates: [vek, ask, ark], key };
}

function readVek(vek: Certificate, generation: Generation, kind: "vcek" | "vlek") {
  return strictly("endorsement key certificate", () => {
    const product = vek.extensions.get(vekOid.productName);
    const name =
      product === undefined ? "" : decodeUtf8(new DerReader(product).element(derTag.ia5String).content);
    // "Milan-B0" names a stepping behind the generation.
    if (name.split("-")[0]?.toLowerCase() !== generation) {
      throw new AttestationError("generation-mismatch", "endorsement key is of another processor generation");
    }
    const hardwareId = vek.extensions.get(vekOid.hardwareId);
    const csp = vek.extensions.get(vekOid.cspId);
    if ((kind === "vcek") !== (hardwareId !== undefined) || (kind === "vlek") !== (csp !== undefined)) {
      throw new AttestationError("bad-certificate", "endorsement key certificate is of the other kind");
    }
    // The identifier of a chip is raw, without a tag: 64 bytes, from Turin on 8.
    if (hardwareId !== undefined && hardwareId.length !== (generation === "turin" ? 8 : 64)) {
      throw new AttestationError(
        "bad-certificate",
        "endorsement key certificate: chip identifier has a wrong length",
      );
    }
    const level = (id: string): number => readLevel(vek.extensions.get(id));
    const tcb: Tcb = {
      fmc: generation === "turin" ? level(vekOid.fmc) : 0,
      bootLoader: level(vekOid.bootLoader),
      tee: level(vekOid.tee),
      snp: level(vekOid.snp),
      microcode: level(vekOid.microcode),
    };
    return {
      tcb,
      hardwareId: hardwareId === undefined ? undefined : encodeHex(hardwareId).padEnd(128, "0"),
      cspId: csp === undefined ? undefined : decodeUtf8(new DerReader(csp).element().content),
    };
  });
}

function readLevel(extension: Bytes | undefined): number {
  if (extension === undefined) {
    throw new AttestationError("bad-certificate", "endorsement key certificate: a patch level is missing");
  }
  const reader = new DerReader(extension);
  const { content } = reader.element(derTag.integer);
  reader.end();
  const [first = 0, second] = content;
  if (content.length === 1 && first < 0x80) return first;
  if (content.length === 2 && first === 0 && second !== undefined && second >= 0x80) return second;
  throw new AttestationError("bad-certificate", "endorsement key certificate: a patch level is out of range");
}
