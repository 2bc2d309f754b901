export { AttestationError, type AttestationErrorCode } from "./attestation-error.ts";
export * from "./evidence-bundle.ts";
export type { NodeClaim } from "./node-claim.ts";
export { defaultGenerations, type PlatformPolicy } from "./platform-policy.ts";
export { type AmdRoots, amdRoots, type SimulatedRoots } from "./roots.ts";
export {
  missingLayers,
  parseSandboxLayers,
  type SandboxLayer,
  sandboxLayers,
  sandboxWords,
  serializeSandboxLayers,
} from "./sandbox.ts";
export * from "./session-binding.ts";
export * from "./snp/certificate-table.ts";
export { forgetEndorsements } from "./snp/endorsement.ts";
export {
  type GenuineClaims,
  type SimulatedClaims,
  type SnpClaims,
  type SnpEvidence,
  verifySimulatedEvidence,
  verifySnpEvidence,
} from "./snp/evidence.ts";
export * from "./snp/layout.ts";
export { parseSnpReport, type SnpReport } from "./snp/report.ts";
export {
  type DevelopmentPolicy,
  type ProductionPolicy,
  productionPolicy,
  type TrustPolicy,
} from "./trust-policy.ts";
export { type TrustSettings, trustSettingsSchema } from "./trust-settings.ts";
export {
  type Check,
  type CheckId,
  type CheckStatus,
  checkIds,
  concludeVerdict,
  type Verdict,
} from "./verdict.ts";
export { appraiseNode, type NodeAppraisal, VerifiedNode, verifyNode } from "./verify-node.ts";
