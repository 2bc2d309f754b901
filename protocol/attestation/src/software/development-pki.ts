// The certificates of one simulated installation: an ARK, an ASK and a VCEK in AMD's form, for a chip that does
// not exist. Every subject says so.
import { type Bytes, decodeBase64, encodeBase64, type Random } from "@sotto/base";
import { serializeCertificateTable } from "../snp/certificate-table.ts";
import { type Tcb, vekOid } from "../snp/layout.ts";
import { der } from "./der-writer.ts";

/** A simulated chip: its certificate table, its signing key, what its certificate says of it. */
export type SimulatedChip = {
  readonly ark: Bytes;
  readonly certificates: Bytes;
  /** PKCS #8 of the P-384 key that signs reports. */
  readonly signingKey: Bytes;
  readonly tcb: Tcb;
  /** 8 bytes, as from Turin on. */
  readonly hardwareId: Bytes;
};

export const simulatedTcb: Tcb = { fmc: 1, bootLoader: 1, tee: 1, snp: 4, microcode: 80 };

const validityMs = 7 * 365 * 86_400_000;
const rsaPss = {
  name: "RSA-PSS",
  hash: "SHA-384",
  modulusLength: 4096,
  publicExponent: new Uint8Array([1, 0, 1]),
};

/** Makes the certificates of an installation; `nowMs` is when they begin to be valid. */
export async function createSimulatedChip(
  nowMs: number,
  random: Random,
  options: { readonly tcb?: Tcb } = {},
): Promise<SimulatedChip> {
  const tcb = options.tcb ?? simulatedTcb;
  const hardwareId = random(8);
  const [arkPair, askPair, vekPair] = await Promise.all([
    crypto.subtle.generateKey(rsaPss, true, ["sign", "verify"]),
    crypto.subtle.generateKey(rsaPss, true, ["sign", "verify"]),
    crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-384" }, true, ["sign", "verify"]),
  ]);
  const arkName = subject("ARK-Turin SIMULATED - NOT AMD");
  const askName = subject("SEV-Turin SIMULATED - NOT AMD");
  const vekName = subject("SEV-VCEK SIMULATED - NOT AMD");
  const issue = async (
    issuer: Bytes,
    name: Bytes,
    key: CryptoKey,
    signer: CryptoKey,
    extensions: readonly Bytes[],
  ) => {
    const spki = new Uint8Array(await crypto.subtle.exportKey("spki", key));
    const tbs = der.sequence(
      der.explicit(0, der.integer(2n)),
      der.integer(0n),
      pssAlgorithm,
      issuer,
      der.sequence(der.time(nowMs - 86_400_000), der.time(nowMs + validityMs)),
      name,
      spki,
      ...(extensions.length === 0 ? [] : [der.explicit(3, der.sequence(...extensions))]),
    );
    const signature = await crypto.subtle.sign({ name: "RSA-PSS", saltLength: 48 }, signer, tbs);
    return der.sequence(tbs, pssAlgorithm, der.bitString(new Uint8Array(signature)));
  };
  const ark = await issue(arkName, arkName, arkPair.publicKey, arkPair.privateKey, []);
  const ask = await issue(arkName, askName, askPair.publicKey, arkPair.privateKey, []);
  const vekExtensions = vcekExtensions(tcb, hardwareId);
  const vek = await issue(askName, vekName, vekPair.publicKey, askPair.privateKey, vekExtensions);
  return {
    ark,
    certificates: serializeCertificateTable({ kind: "vcek", vek, ask, ark }),
    signingKey: new Uint8Array(await crypto.subtle.exportKey("pkcs8", vekPair.privateKey)),
    tcb,
    hardwareId,
  };
}

/** A chip as JSON, for the state folder of an installation. */
export function serializeSimulatedChip(chip: SimulatedChip): string {
  const { ark, certificates, signingKey, hardwareId } = chip;
  return JSON.stringify({
    ark: encodeBase64(ark),
    certificates: encodeBase64(certificates),
    signingKey: encodeBase64(signingKey),
    hardwareId: encodeBase64(hardwareId),
    tcb: chip.tcb,
  });
}

/** Reads what `serializeSimulatedChip` wrote; it comes from a folder of one's own. */
export function parseSimulatedChip(text: string): SimulatedChip {
  const value: Record<"ark" | "certificates" | "signingKey" | "hardwareId", string> & { tcb: Tcb } =
    JSON.parse(text);
  return {
    ark: decodeBase64(value.ark),
    certificates: decodeBase64(value.certificates),
    signingKey: decodeBase64(value.signingKey),
    hardwareId: decodeBase64(value.hardwareId),
    tcb: value.tcb,
  };
}

const sha384Algorithm = der.sequence(der.objectIdentifier("2.16.840.1.101.3.4.2.2"));

/** RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes (RFC 4055 Section 3.1). */
const pssAlgorithm = der.sequence(
  der.objectIdentifier("1.2.840.113549.1.1.10"),
  der.sequence(
    der.explicit(0, sha384Algorithm),
    der.explicit(1, der.sequence(der.objectIdentifier("1.2.840.113549.1.1.8"), sha384Algorithm)),
    der.explicit(2, der.integer(48n)),
  ),
);

function subject(commonName: string): Bytes {
  const attribute = der.sequence(der.objectIdentifier("2.5.4.3"), der.utf8String(commonName));
  return der.sequence(der.set(attribute));
}

function vcekExtensions(tcb: Tcb, hardwareId: Bytes): Bytes[] {
  const extension = (id: string, content: Bytes): Bytes =>
    der.sequence(der.objectIdentifier(id), der.octetString(content));
  const level = (id: string, value: number): Bytes => extension(id, der.integer(BigInt(value)));
  return [
    level(vekOid.structVersion, 1),
    extension(vekOid.productName, der.ia5String("Turin")),
    level(vekOid.bootLoader, tcb.bootLoader),
    level(vekOid.tee, tcb.tee),
    level(vekOid.snp, tcb.snp),
    level(vekOid.spl5, 0),
    level(vekOid.spl6, 0),
    level(vekOid.spl7, 0),
    level(vekOid.microcode, tcb.microcode),
    level(vekOid.fmc, tcb.fmc),
    extension(vekOid.hardwareId, hardwareId),
  ];
}
