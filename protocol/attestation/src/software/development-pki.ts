// The keys of one simulated installation: an ARK and an ASK in AMD's form, and chips that do not exist.
// Every subject says so. There is no secret worth keeping here: who owns the machine owns the keys.
import { ByteReader, type Bytes, decodeBase64, encodeBase64, type Random } from "@sotto/base";
import { AttestationError, strictly } from "../attestation-error.ts";
import { serializeCertificateTable } from "../snp/certificate-table.ts";
import type { Tcb } from "../snp/layout.ts";
import {
  authorityExtensions,
  type CertificateExtension,
  type CertificateSigning,
  signCertificate,
  vcekExtensions,
} from "./simulated-certificate.ts";

/** ARK and ASK: certificates as DER, keys as PKCS #8. */
export type SimulatedAuthority = {
  readonly ark: Bytes;
  readonly arkKey: Bytes;
  readonly ask: Bytes;
  readonly askKey: Bytes;
};

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

/** What a chip is like; without any, a good one. */
export type ChipOptions = {
  readonly tcb?: Tcb;
  readonly hardwareId?: Bytes;
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** Changes the certificate's extensions, to make chips that must be refused. */
  readonly extensions?: (standard: readonly CertificateExtension[]) => readonly CertificateExtension[];
  /** Under which name the table carries it. */
  readonly kind?: "vcek" | "vlek";
  readonly signing?: CertificateSigning;
};

/** Patch levels of a chip that is up to date. */
export const simulatedTcb: Tcb = { fmc: 1, bootLoader: 1, tee: 1, snp: 4, microcode: 80 };

const dayMs = 86_400_000;
const authorityValidityMs = 20 * 365 * dayMs;
const chipValidityMs = 7 * 365 * dayMs;
const arkName = "ARK-Turin SIMULATED - NOT AMD";
const askName = "SEV-Turin SIMULATED - NOT AMD";
const vcekName = "SEV-VCEK SIMULATED - NOT AMD";
const rsaPss = {
  name: "RSA-PSS",
  hash: "SHA-384",
  modulusLength: 4096,
  publicExponent: new Uint8Array([1, 0, 1]),
};
const ecdsa = { name: "ECDSA", namedCurve: "P-384" };

/** Makes the two authorities of an installation, their keys at the same time: half a second, rarely two. */
export async function createSimulatedAuthority(nowMs: number, random: Random): Promise<SimulatedAuthority> {
  const [ark, ask] = await Promise.all([createKey(rsaPss), createKey(rsaPss)]);
  const serial = new ByteReader(random(8)).u64() >> 1n;
  const fields = { issuer: arkName, notBefore: nowMs - dayMs, notAfter: nowMs + authorityValidityMs };
  const [arkCertificate, askCertificate] = await Promise.all([
    signCertificate(
      { ...fields, serial, subject: arkName, spki: ark.spki, extensions: authorityExtensions(1n) },
      ark.pkcs8,
    ),
    signCertificate(
      {
        ...fields,
        serial: serial + 1n,
        subject: askName,
        spki: ask.spki,
        extensions: authorityExtensions(0n),
      },
      ark.pkcs8,
    ),
  ]);
  return { ark: arkCertificate, arkKey: ark.pkcs8, ask: askCertificate, askKey: ask.pkcs8 };
}

/** Makes a chip with a new key; `nowMs` is when its certificate begins to be valid. */
export async function issueSimulatedChip(
  authority: SimulatedAuthority,
  nowMs: number,
  random: Random,
  options: ChipOptions = {},
): Promise<SimulatedChip> {
  const { tcb = simulatedTcb, hardwareId = random(8), kind = "vcek" } = options;
  const { pkcs8, spki } = await createKey(ecdsa);
  const standard = vcekExtensions(tcb, hardwareId);
  const vek = await signCertificate(
    {
      serial: 0n, // as AMD's are
      issuer: askName,
      subject: vcekName,
      notBefore: options.notBefore ?? nowMs - dayMs,
      notAfter: options.notAfter ?? nowMs + chipValidityMs,
      spki,
      extensions: options.extensions?.(standard) ?? standard,
    },
    authority.askKey,
    options.signing,
  );
  const { ark, ask } = authority;
  const certificates = serializeCertificateTable({ kind, vek, ask, ark });
  return { ark, certificates, signingKey: pkcs8, tcb, hardwareId };
}

/** Makes an installation of one chip and forgets the keys of its authorities. */
export async function createSimulatedChip(
  nowMs: number,
  random: Random,
  options: ChipOptions = {},
): Promise<SimulatedChip> {
  return issueSimulatedChip(await createSimulatedAuthority(nowMs, random), nowMs, random, options);
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

/** Reads what `serializeSimulatedChip` wrote; throws `AttestationError`. */
export function parseSimulatedChip(text: string): SimulatedChip {
  const chip = parseRecord(text);
  const bytes = (name: string): Bytes => {
    const value = chip.get(name);
    if (typeof value !== "string") throw malformedChip();
    return strictly("simulated chip", () => decodeBase64(value));
  };
  const levels = new Map<string, unknown>(Object.entries(chip.get("tcb") ?? {}));
  const level = (name: string): number => {
    const value = levels.get(name);
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 255)
      throw malformedChip();
    return value;
  };
  return {
    ark: bytes("ark"),
    certificates: bytes("certificates"),
    signingKey: bytes("signingKey"),
    hardwareId: bytes("hardwareId"),
    tcb: {
      fmc: level("fmc"),
      bootLoader: level("bootLoader"),
      tee: level("tee"),
      snp: level("snp"),
      microcode: level("microcode"),
    },
  };
}

function parseRecord(text: string): Map<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return new Map(Object.entries(value));
  } catch {
    // refused below
  }
  throw malformedChip();
}

function malformedChip(): AttestationError {
  return new AttestationError("malformed", "simulated chip: a field is missing or of another type");
}

async function createKey(algorithm: RsaHashedKeyGenParams | EcKeyGenParams) {
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const [pkcs8, spki] = await Promise.all([
    crypto.subtle.exportKey("pkcs8", pair.privateKey),
    crypto.subtle.exportKey("spki", pair.publicKey),
  ]);
  return { pkcs8: new Uint8Array(pkcs8), spki: new Uint8Array(spki) };
}
