// Reports of simulated hardware: version 5, in the layout that a Turin chip uses (SNP ABI 1.58 Table 23).
import { type Bytes, ByteWriter, decodeHex, sha256 } from "@sotto/base";
import {
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

/** Signs reports of one simulated chip for one guest; `measurement` is hexadecimal. */
export type ReportSigner = {
  readonly sign: (reportData: Bytes, overrides?: ReportOverrides) => Promise<Bytes>;
};

const abiVersion = 58n | (1n << 8n);
const guestPolicy = abiVersion | (1n << policyBit.reservedOne) | (1n << policyBit.smt);
const platformInfo =
  (1n << platformBit.smt) | (1n << platformBit.ecc) | (1n << platformBit.aliasCheckComplete);

/** Wires the signer. */
export async function createReportSigner(chip: SimulatedChip, measurement: string): Promise<ReportSigner> {
  const algorithm = { name: "ECDSA", namedCurve: "P-384" };
  const key = await crypto.subtle.importKey("pkcs8", chip.signingKey, algorithm, false, ["sign"]);
  // A guest has one report id for its life.
  const reportId = sha256(decodeHex(measurement), chip.hardwareId);
  return {
    sign: async (reportData, overrides = {}) => {
      const report = new Uint8Array(reportSize);
      const tcb = rawTcb(chip.tcb);
      const fields: ReportOverrides = {
        version: new ByteWriter().u32le(5).finish(),
        policy: new ByteWriter().u64le(guestPolicy).finish(),
        signatureAlgorithm: new ByteWriter().u32le(1).finish(),
        currentTcb: tcb,
        platformInfo: new ByteWriter().u64le(platformInfo).finish(),
        reportData,
        measurement: decodeHex(measurement),
        reportId,
        reportIdMa: new Uint8Array(32).fill(0xff),
        reportedTcb: tcb,
        cpuFamily: new Uint8Array([0x1a]),
        cpuModel: new Uint8Array([0x02]),
        cpuStepping: new Uint8Array([0x01]),
        chipId: chip.hardwareId,
        committedTcb: tcb,
        currentVersion: new Uint8Array([58, 1, 1]),
        committedVersion: new Uint8Array([58, 1, 1]),
        launchTcb: tcb,
        ...overrides,
      };
      for (const [name, { offset }] of Object.entries(reportField)) {
        const value = Object.entries(fields).find(([field]) => field === name)?.[1];
        if (value !== undefined) report.set(value, offset);
      }
      const signed = report.slice(0, signedSize);
      const signature = new Uint8Array(
        await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-384" }, key, signed),
      );
      report.set(signature.slice(0, 48).reverse(), reportField.signatureR.offset);
      report.set(signature.slice(48).reverse(), reportField.signatureS.offset);
      return report;
    },
  };
}

function rawTcb(tcb: Tcb): Bytes {
  const raw = new Uint8Array(8);
  for (const [name, offset] of Object.entries(tcbLayout.turin)) {
    const level = Object.entries(tcb).find(([field]) => field === name)?.[1];
    raw[offset] = level ?? 0;
  }
  return raw;
}
