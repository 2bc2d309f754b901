// From evidence to claims: a report whose signature leads to a root, and agrees with its certificates.
import type { Bytes } from "@sotto/base";
import { AttestationError } from "../attestation-error.ts";
import { type AmdRoots, rootOrigin, type SimulatedRoots } from "../roots.ts";
import { type Endorsement, verifyEndorsement } from "./endorsement.ts";
import { type Generation, type Tcb, tcbLevels } from "./layout.ts";
import { parseSnpReport, parseTcb, type SnpReport } from "./report.ts";

/** As it travels: the report, and AMD's certificate table. Nothing in it is verified. */
export type SnpEvidence = { readonly report: Bytes; readonly certificates: Bytes };

/** What a genuine report says, with its TCBs decoded for its generation. */
export type SnpClaims<Origin extends "amd" | "simulated" = "amd" | "simulated"> = {
  readonly origin: Origin;
  readonly generation: Generation;
  readonly signedBy: "vcek" | "vlek";
  readonly cspId: string | undefined;
  readonly report: SnpReport;
  readonly tcb: Readonly<Record<"reported" | "committed" | "current" | "launch", Tcb>>;
};

export type GenuineClaims = SnpClaims<"amd">;
export type SimulatedClaims = SnpClaims<"simulated">;

/** Verifies evidence up to AMD; throws `AttestationError`. Whether the claims are acceptable is for policy. */
export async function verifySnpEvidence(
  evidence: SnpEvidence,
  roots: AmdRoots,
  nowMs: number,
): Promise<GenuineClaims> {
  requireOrigin(roots, "amd");
  return { origin: "amd", ...(await verifyEvidence(evidence, roots, nowMs)) };
}

/** Verifies evidence up to a simulated root; throws `AttestationError`. */
export async function verifySimulatedEvidence(
  evidence: SnpEvidence,
  roots: SimulatedRoots,
  nowMs: number,
): Promise<SimulatedClaims> {
  requireOrigin(roots, "simulated");
  return { origin: "simulated", ...(await verifyEvidence(evidence, roots, nowMs)) };
}

// The compiler says so too; a cast must not turn one kind of claim into the other.
function requireOrigin(roots: AmdRoots | SimulatedRoots, origin: "amd" | "simulated"): void {
  if (rootOrigin(roots) !== origin)
    throw new AttestationError("untrusted-root", "these are roots of the other kind");
}

async function verifyEvidence(evidence: SnpEvidence, roots: AmdRoots | SimulatedRoots, nowMs: number) {
  const report = parseSnpReport(evidence.report);
  const endorsement = await verifyEndorsement(evidence.certificates, roots, nowMs);
  await verifyReportSignature(report, endorsement);
  const tcb = decodeTcbs(report, endorsement);
  checkChip(report, endorsement);
  const { generation, kind: signedBy, cspId } = endorsement;
  return { generation, signedBy, cspId, report, tcb };
}

/** The report's signature by the endorsement key (SNP ABI 1.58 Table 140). */
export async function verifyReportSignature(report: SnpReport, endorsement: Endorsement): Promise<void> {
  if (report.signedBy !== endorsement.kind) {
    throw new AttestationError("signing-key-mismatch", "the report names another kind of signing key");
  }
  const algorithm = { name: "ECDSA", hash: "SHA-384" };
  if (!(await crypto.subtle.verify(algorithm, endorsement.key, report.signature, report.signed))) {
    throw new AttestationError("bad-signature", "the report is not signed by the chip's key");
  }
}

/** The generation that CPUID names against the one whose root signed: TCBs are read in its layout. */
export function checkGeneration(report: SnpReport, endorsement: Endorsement): void {
  if (report.generation !== undefined && report.generation !== endorsement.generation) {
    throw new AttestationError(
      "generation-mismatch",
      "the report is from another processor generation than its key",
    );
  }
}

/** Reads the report's TCBs; every level of the reported one must be what the key was made for. */
export function decodeTcbs(report: SnpReport, endorsement: Endorsement): SnpClaims["tcb"] {
  checkGeneration(report, endorsement);
  const { generation } = endorsement;
  const tcb = {
    reported: parseTcb(report.reportedTcb, generation),
    committed: parseTcb(report.committedTcb, generation),
    current: parseTcb(report.currentTcb, generation),
    launch: parseTcb(report.launchTcb, generation),
  };
  if (tcbLevels.some((level) => tcb.reported[level] !== endorsement.tcb[level])) {
    throw new AttestationError(
      "tcb-mismatch",
      "the report's patch levels are not those that its key was made for",
    );
  }
  // What was committed cannot be rolled back, so no firmware that runs is older.
  if (tcbLevels.some((level) => tcb.current[level] < tcb.committed[level]))
    throw new AttestationError("tcb-inconsistent", "the firmware that runs is older than what was committed");
  return tcb;
}

/** The chip's identifier against the one in the key's certificate; a cloud's loaded key names no chip. */
export function checkChip(report: SnpReport, endorsement: Endorsement): void {
  if (endorsement.kind === "vlek") return;
  if (report.chipKeyMasked || /^0+$/.test(report.chipId))
    throw new AttestationError("chip-masked", "the host hides which chip this is");
  if (report.chipId !== endorsement.hardwareId)
    throw new AttestationError("chip-mismatch", "the report is from another chip than its key");
}

/** Patch levels in one line, for people. */
export function describeTcb(tcb: Tcb, generation: Generation): string {
  const fmc = generation === "turin" ? `fmc ${tcb.fmc}, ` : "";
  return `${fmc}boot loader ${tcb.bootLoader}, tee ${tcb.tee}, snp ${tcb.snp}, microcode ${tcb.microcode}`;
}

/** A hexadecimal identifier, shortened for people. */
export function describeDigest(hex: string): string {
  return `${hex.slice(0, 16)}…`;
}
