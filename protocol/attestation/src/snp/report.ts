// The attestation report, parsed strictly: what it claims, before any signature is checked (SNP ABI 1.58 Table 23).
import { ByteReader, type Bytes, encodeHex, isAllZero } from "@sotto/base";
import { AttestationError } from "../attestation-error.ts";
import {
  ecdsaP384Sha384,
  type Generation,
  generationOf,
  policyBit,
  reportField,
  reportSize,
  signedSize,
  signingKey,
  type Tcb,
  tcbLayout,
} from "./layout.ts";

/** Fields of a report. Byte strings that identify something are lowercase hexadecimal; TCBs are raw. */
export type SnpReport = {
  readonly version: 2 | 3 | 4 | 5;
  readonly guestSvn: number;
  readonly policy: bigint;
  readonly familyId: string;
  readonly imageId: string;
  readonly vmpl: number;
  readonly currentTcb: Bytes;
  readonly platformInfo: bigint;
  readonly authorKeyEnabled: boolean;
  readonly chipKeyMasked: boolean;
  readonly signedBy: "vcek" | "vlek" | "none";
  readonly reportData: Bytes;
  readonly measurement: string;
  readonly hostData: string;
  readonly idKeyDigest: string;
  readonly authorKeyDigest: string;
  readonly reportId: string;
  readonly reportIdMa: string;
  readonly reportedTcb: Bytes;
  /** From CPUID; version 2 does not say. */
  readonly generation: Generation | undefined;
  readonly chipId: string;
  readonly committedTcb: Bytes;
  readonly currentVersion: string;
  readonly committedVersion: string;
  readonly launchTcb: Bytes;
  readonly launchMitigations: bigint;
  readonly currentMitigations: bigint;
  /** What the signature covers. */
  readonly signed: Bytes;
  /** R || S, big-endian, 48 bytes each. */
  readonly signature: Bytes;
};

type FieldName = keyof typeof reportField;

const knownPolicyBits = (1n << 26n) - 1n;
const p384Order = BigInt(
  "0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
);

/** Reads a report of 1184 bytes, whatever it is worth; throws `AttestationError`. */
export function parseSnpReport(bytes: Uint8Array): SnpReport {
  if (bytes.length !== reportSize) throw new AttestationError("malformed", "snp report: not 1184 bytes");
  const field = (name: FieldName): Bytes => {
    const { offset, length } = reportField[name];
    return new Uint8Array(bytes.subarray(offset, offset + length));
  };
  const u32 = (name: FieldName): number => new ByteReader(field(name)).u32le();
  const u64 = (name: FieldName): bigint => new ByteReader(field(name)).u64le();
  const zero = (name: FieldName): void => {
    if (!isAllZero(field(name)))
      throw new AttestationError("reserved-not-zero", "snp report: reserved bytes are not zero");
  };

  const version = u32("version");
  if (version !== 2 && version !== 3 && version !== 4 && version !== 5) {
    throw new AttestationError("unsupported-version", "snp report: version is not 2 to 5");
  }
  if (u32("signatureAlgorithm") !== ecdsaP384Sha384) {
    throw new AttestationError("unsupported-algorithm", "snp report: signature algorithm is not ecdsa p-384");
  }
  for (const name of [
    "reserved1",
    "reserved2",
    "reserved3",
    "reserved4",
    "reserved5",
    "reserved6",
  ] as const) {
    zero(name);
  }
  if (version === 2) for (const name of ["cpuFamily", "cpuModel", "cpuStepping"] as const) zero(name);
  if (version < 5) for (const name of ["launchMitigations", "currentMitigations"] as const) zero(name);

  const policy = u64("policy");
  if (((policy >> policyBit.reservedOne) & 1n) !== 1n || policy & ~knownPolicyBits) {
    throw new AttestationError("unknown-policy-bits", "snp report: guest policy holds unknown bits");
  }
  const keyInfo = u32("keyInfo");
  const kind = (keyInfo >> 2) & 7;
  const signedBy =
    kind === signingKey.vcek
      ? "vcek"
      : kind === signingKey.vlek
        ? "vlek"
        : kind === signingKey.none
          ? "none"
          : undefined;
  if (signedBy === undefined || keyInfo >> 5 !== 0) {
    throw new AttestationError("unknown-signing-key", "snp report: unknown signing key");
  }
  const generation =
    version === 2 ? undefined : generationOf(field("cpuFamily")[0] ?? 0, field("cpuModel")[0] ?? 0);
  if (version > 2 && generation === undefined) {
    throw new AttestationError("unknown-processor", "snp report: unknown processor generation");
  }
  return {
    version,
    guestSvn: u32("guestSvn"),
    policy,
    familyId: encodeHex(field("familyId")),
    imageId: encodeHex(field("imageId")),
    vmpl: u32("vmpl"),
    currentTcb: field("currentTcb"),
    platformInfo: u64("platformInfo"),
    authorKeyEnabled: (keyInfo & 1) === 1,
    chipKeyMasked: (keyInfo & 2) === 2,
    signedBy,
    reportData: field("reportData"),
    measurement: encodeHex(field("measurement")),
    hostData: encodeHex(field("hostData")),
    idKeyDigest: encodeHex(field("idKeyDigest")),
    authorKeyDigest: encodeHex(field("authorKeyDigest")),
    reportId: encodeHex(field("reportId")),
    reportIdMa: encodeHex(field("reportIdMa")),
    reportedTcb: field("reportedTcb"),
    generation,
    chipId: encodeHex(field("chipId")),
    committedTcb: field("committedTcb"),
    currentVersion: firmwareVersion(field("currentVersion")),
    committedVersion: firmwareVersion(field("committedVersion")),
    launchTcb: field("launchTcb"),
    launchMitigations: u64("launchMitigations"),
    currentMitigations: u64("currentMitigations"),
    signed: new Uint8Array(bytes.subarray(0, signedSize)),
    signature: parseSignature(field("signatureR"), field("signatureS")),
  };
}

/** Levels of a raw TCB in the layout of its generation; bytes that have no meaning there must be zero. */
export function parseTcb(raw: Bytes, generation: Generation): Tcb {
  const layout = tcbLayout[generation];
  const used = new Set(Object.values(layout));
  if (raw.some((byte, index) => byte !== 0 && !used.has(index))) {
    throw new AttestationError("reserved-not-zero", "snp report: tcb holds bytes without a meaning");
  }
  const level = (name: keyof Tcb): number => {
    const offset = layout[name];
    return offset === undefined ? 0 : (raw[offset] ?? 0);
  };
  return {
    fmc: level("fmc"),
    bootLoader: level("bootLoader"),
    tee: level("tee"),
    snp: level("snp"),
    microcode: level("microcode"),
  };
}

/** R and S come little-endian in 72 bytes each; WebCrypto wants 48 bytes each, big-endian. */
function parseSignature(r: Bytes, s: Bytes): Bytes {
  const signature = new Uint8Array(96);
  for (const [index, part] of [r, s].entries()) {
    if (!isAllZero(part.subarray(48)))
      throw new AttestationError("signature-out-of-range", "snp report: signature is too long");
    const number = part.slice(0, 48).reverse();
    const value = BigInt(`0x${encodeHex(number)}`);
    if (value === 0n || value >= p384Order) {
      throw new AttestationError("signature-out-of-range", "snp report: signature is out of range");
    }
    signature.set(number, index * 48);
  }
  return signature;
}

/** Build, minor, major in the report; written as people do. */
function firmwareVersion(bytes: Bytes): string {
  return `${bytes[2]}.${bytes[1]}.${bytes[0]}`;
}
