// Reports of simulated hardware: version 5, in the layout that a Turin chip uses (SNP ABI 1.58 Table 23).
import { type Bytes, ByteWriter, decodeHex, type Random, systemRandom } from "@sotto/base";
import { AttestationError } from "../attestation-error.ts";
import {
  ecdsaP384Sha384,
  type Generation,
  platformBit,
  policyBit,
  reportField,
  reportSize,
  signedSize,
  type Tcb,
  tcbLayout,
} from "../snp/layout.ts";
import type { SimulatedChip } from "./development-pki.ts";

/** Fields that tests change to make reports that must be refused; everything else is as on good hardware. */
export type ReportOverrides = Partial<Record<keyof typeof reportField, Bytes>>;

/** Signs reports of one simulated chip about one guest. */
export type ReportSigner = {
  /** A report of 1184 bytes over 64; what is overridden behind the signed part does not spoil the signature. */
  readonly sign: (reportData: Bytes, overrides?: ReportOverrides) => Promise<Bytes>;
};

const abiVersion = 58n | (1n << 8n);
const guestPolicy = abiVersion | (1n << policyBit.reservedOne) | (1n << policyBit.smt);
const platformInfo =
  (1n << platformBit.smt) | (1n << platformBit.ecc) | (1n << platformBit.aliasCheckComplete);
const cpu = { family: 0x1a, model: 0x02, stepping: 0x01 };
const firmware = new Uint8Array([40, 58, 1]); // build, minor, major

/** Wires the signer for one guest, which keeps one report id for its life; `measurement` is hexadecimal. */
export async function createReportSigner(
  chip: SimulatedChip,
  measurement: string,
  random: Random = systemRandom,
): Promise<ReportSigner> {
  const algorithm = { name: "ECDSA", namedCurve: "P-384" };
  const key = await crypto.subtle.importKey("pkcs8", chip.signingKey, algorithm, false, ["sign"]);
  const tcb = serializeTcb(chip.tcb, "turin");
  const guest: ReportOverrides = {
    version: new ByteWriter().u32le(5).finish(),
    policy: new ByteWriter().u64le(guestPolicy).finish(),
    signatureAlgorithm: new ByteWriter().u32le(ecdsaP384Sha384).finish(),
    currentTcb: tcb,
    platformInfo: new ByteWriter().u64le(platformInfo).finish(),
    measurement: decodeHex(measurement),
    reportId: random(32),
    reportIdMa: new Uint8Array(32).fill(0xff),
    reportedTcb: tcb,
    cpuFamily: Uint8Array.of(cpu.family),
    cpuModel: Uint8Array.of(cpu.model),
    cpuStepping: Uint8Array.of(cpu.stepping),
    chipId: chip.hardwareId,
    committedTcb: tcb,
    currentVersion: firmware,
    committedVersion: firmware,
    launchTcb: tcb,
  };
  return {
    sign: async (reportData, overrides = {}) => {
      const report = new Uint8Array(reportSize);
      place(report, { ...guest, reportData, ...overrides });
      const signature = new Uint8Array(
        await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-384" }, key, report.slice(0, signedSize)),
      );
      place(report, {
        signatureR: signature.slice(0, 48).reverse(),
        signatureS: signature.slice(48).reverse(),
        ...overrides,
      });
      return report;
    },
  };
}

/** A TCB as 8 bytes in the layout of a generation; the inverse of reading one. */
export function serializeTcb(tcb: Tcb, generation: Generation): Bytes {
  const raw = new Uint8Array(8);
  const levels = new Map<string, number>(Object.entries(tcb));
  for (const [name, offset] of Object.entries(tcbLayout[generation])) raw[offset] = levels.get(name) ?? 0;
  return raw;
}

// A value shorter than its field leaves zeros behind it.
function place(report: Bytes, fields: ReportOverrides): void {
  const values = new Map<string, Bytes>(Object.entries(fields));
  for (const [name, { offset, length }] of Object.entries(reportField)) {
    const value = values.get(name);
    if (value === undefined) continue;
    if (value.length > length) throw new AttestationError("malformed", "simulated report: value is too long");
    report.fill(0, offset, offset + length).set(value, offset);
  }
}
