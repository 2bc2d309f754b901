// What the certificate of an endorsement key says of its chip: extensions of VCEK and VLEK (AMD 57230).
import { type Bytes, DerReader, decodeUtf8, derTag, encodeHex } from "@sotto/base";
import { AttestationError, strictly } from "../attestation-error.ts";
import type { Certificate } from "../certificate.ts";
import { type Generation, type Tcb, vekOid } from "./layout.ts";

/** A VCEK names a chip, a VLEK a cloud provider. */
export type VekClaims = {
  readonly tcb: Tcb;
  /** In the form of CHIP_ID: 128 hexadecimal digits. */
  readonly hardwareId: string | undefined;
  readonly cspId: string | undefined;
};

const maxStructVersion = 1;
const maxCspIdLength = 255;

/** Reads the extensions of an endorsement key of a generation; throws `AttestationError`. */
export function parseVek(vek: Certificate, generation: Generation, kind: "vcek" | "vlek"): VekClaims {
  return strictly("endorsement key certificate", () => {
    if (vek.isAuthority)
      throw new AttestationError("bad-certificate", "endorsement key certificate: may issue others");
    const hardwareId = vek.extensions.get(vekOid.hardwareId);
    const cspId = vek.extensions.get(vekOid.cspId);
    if (kind === "vcek" ? cspId !== undefined : hardwareId !== undefined)
      throw new AttestationError(
        "certificate-kind-mismatch",
        "endorsement key certificate is of the other kind",
      );
    if (kind === "vcek" ? hardwareId === undefined : cspId === undefined)
      throw missing("names neither chip nor provider");
    checkProduct(vek, generation);
    return {
      tcb: parseLevels(vek, generation),
      hardwareId: hardwareId === undefined ? undefined : parseHardwareId(hardwareId, generation),
      cspId: cspId === undefined ? undefined : parseCspId(cspId),
    };
  });
}

function checkProduct({ extensions }: Certificate, generation: Generation): void {
  if (level(extensions, vekOid.structVersion) > maxStructVersion)
    throw new AttestationError("unsupported-version", "endorsement key certificate: unknown structure");
  const name = decodeUtf8(content(extensions, vekOid.productName, derTag.ia5String));
  // "Milan-B0" names a stepping behind the generation.
  if (name.split("-")[0]?.toLowerCase() !== generation)
    throw new AttestationError("generation-mismatch", "endorsement key is of another processor generation");
}

function parseLevels({ extensions }: Certificate, generation: Generation): Tcb {
  const turin = generation === "turin";
  // Levels without a meaning are there, and 0, as their bytes of a TCB are; Turin has FMC in the place of the fourth.
  const unused = [...(turin ? [] : [vekOid.spl4]), vekOid.spl5, vekOid.spl6, vekOid.spl7];
  if (unused.some((id) => level(extensions, id) !== 0))
    throw new AttestationError("bad-certificate", "endorsement key certificate: a level without a meaning");
  if (extensions.has(turin ? vekOid.spl4 : vekOid.fmc))
    throw new AttestationError(
      "generation-mismatch",
      "endorsement key certificate: a level of another generation",
    );
  return {
    fmc: turin ? level(extensions, vekOid.fmc) : 0,
    bootLoader: level(extensions, vekOid.bootLoader),
    tee: level(extensions, vekOid.tee),
    snp: level(extensions, vekOid.snp),
    microcode: level(extensions, vekOid.microcode),
  };
}

/** The identifier of a chip is raw, without a tag: 64 bytes, on Turin 8. */
function parseHardwareId(extension: Bytes, generation: Generation): string {
  if (extension.length !== (generation === "turin" ? 8 : 64))
    throw new AttestationError(
      "hardware-id-malformed",
      "endorsement key certificate: chip identifier has a wrong length",
    );
  return encodeHex(extension).padEnd(128, "0");
}

function parseCspId(extension: Bytes): string {
  const reader = new DerReader(extension);
  const text = decodeUtf8(reader.element().content);
  reader.end();
  if (text.length === 0 || text.length > maxCspIdLength || /[^\x20-\x7e]/.test(text))
    throw new AttestationError("bad-certificate", "endorsement key certificate: provider not in its form");
  return text;
}

function level(extensions: ReadonlyMap<string, Bytes>, id: string): number {
  const number = content(extensions, id, derTag.integer);
  const [first = 0, second] = number;
  if (number.length === 1 && first < 0x80) return first;
  if (number.length === 2 && first === 0 && second !== undefined && second >= 0x80) return second;
  throw new AttestationError("bad-certificate", "endorsement key certificate: a patch level is out of range");
}

function content(extensions: ReadonlyMap<string, Bytes>, id: string, tag: number): Bytes {
  const extension = extensions.get(id);
  if (extension === undefined) throw missing("an extension is missing");
  const reader = new DerReader(extension);
  const element = reader.element(tag);
  reader.end();
  return element.content;
}

function missing(what: string): AttestationError {
  return new AttestationError("extension-missing", `endorsement key certificate: ${what}`);
}
