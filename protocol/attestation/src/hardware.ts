// The checks of a node's hardware: from report and certificates to claims, and claims against policy and session.
import type { Appraisal } from "./appraisal.ts";
import { AttestationError } from "./attestation-error.ts";
import { boundParts } from "./evidence-bundle.ts";
import type { NodeClaim } from "./node-claim.ts";
import {
  checkChipAllowed,
  checkGenerationAllowed,
  checkGuestPolicy,
  checkPlatform,
  checkTcbFloor,
  checkVmpl,
} from "./platform-policy.ts";
import { rootOrigin } from "./roots.ts";
import { sessionLeaf, verifyBinding } from "./session-binding.ts";
import { type Endorsement, verifyEndorsement } from "./snp/endorsement.ts";
import { checkChip, decodeTcbs, describeTcb, type SnpClaims, verifyReportSignature } from "./snp/evidence.ts";
import { parseSnpReport, type SnpReport } from "./snp/report.ts";

/** Makes every check of hardware and binding; claims only when the report is genuine. */
export async function appraiseHardware(
  claim: NodeClaim,
  isPeer: boolean,
  appraisal: Appraisal,
): Promise<SnpClaims | undefined> {
  const { bundle, policy, nowMs, binding } = claim;
  const report = await appraisal.check("evidence.format", () => {
    // Nobody would judge them.
    if (isPeer && bundle.peers.length > 0)
      throw new AttestationError("malformed", "evidence: a peer with peers of its own");
    const value = parseSnpReport(bundle.snp.report);
    return { detail: `report of version ${value.version}`, value };
  });
  const endorsement = await appraisal.check("snp.chain", async () => {
    const root = requireRoots(claim) === "amd" ? "AMD's root" : "a SIMULATED root, not AMD's";
    const value = await verifyEndorsement(bundle.snp.certificates, policy.roots, nowMs);
    return { detail: `certificates lead to ${root}`, value };
  });
  if (report === undefined || endorsement === undefined) return undefined;
  const claims = await appraiseReport(claim, report, endorsement, appraisal);
  if (claims === undefined) return undefined;

  await appraisal.confirm("snp.chip", () => {
    checkChip(report, endorsement);
    return checkChipAllowed(claims, policy.platform);
  });
  await appraisal.confirm("snp.policy", () => checkGuestPolicy(claims, policy.platform));
  await appraisal.confirm("snp.vmpl", () => checkVmpl(claims, policy.platform));
  await appraisal.confirm("snp.platform", () => checkPlatform(claims, policy.platform));
  await appraisal.confirm("snp.generation", () => checkGenerationAllowed(claims, policy.platform));
  await appraisal.confirm("snp.tcb-floor", () => checkTcbFloor(claims, policy.platform));
  await appraisal.confirm("binding.report-data", () => {
    verifyBinding(sessionLeaf(binding, boundParts(bundle)), bundle.batch, report.reportData);
    const others = bundle.batch.size - 1;
    const shared = others === 0 ? "" : others === 1 ? ", and one other" : `, and ${others} others`;
    return `report is about this very session${shared}`;
  });
  return claims;
}

async function appraiseReport(
  { policy }: NodeClaim,
  report: SnpReport,
  endorsement: Endorsement,
  appraisal: Appraisal,
): Promise<SnpClaims | undefined> {
  const { generation, kind: signedBy, cspId } = endorsement;
  const signed = await appraisal.confirm("snp.signature", async () => {
    await verifyReportSignature(report, endorsement);
    return `report is signed by ${signedBy === "vcek" ? "the chip's key" : "a cloud's loaded key"}`;
  });
  // What nobody signed is not worth judging.
  if (!signed) return undefined;
  const tcb = await appraisal.check("snp.tcb", () => {
    const value = decodeTcbs(report, endorsement);
    return { detail: `patch levels are those of the key: ${describeTcb(value.reported, generation)}`, value };
  });
  if (tcb === undefined) return undefined;
  return { origin: rootOrigin(policy.roots), generation, signedBy, cspId, report, tcb };
}

// The types keep profile and roots together; this is for callers that cast.
function requireRoots({ policy }: NodeClaim): "amd" | "simulated" {
  const origin = rootOrigin(policy.roots);
  if (origin !== (policy.profile === "production" ? "amd" : "simulated"))
    throw new AttestationError("untrusted-root", "the policy's roots are not those of its profile");
  return origin;
}
