// The one place where a node comes to be trusted: evidence and this end's own view of the channel go in,
// a VerifiedNode or a refusal comes out.
import {
  type LoggedEntry,
  parseStatement,
  type ReleaseStatement,
  type Role,
  verifyLoggedEntry,
} from "@sotto/log";
import { Appraisal } from "./appraisal.ts";
import { AttestationError } from "./attestation-error.ts";
import { boundParts, type EvidenceBundle } from "./evidence-bundle.ts";
import {
  checkChipAllowed,
  checkGenerationAllowed,
  checkGuestPolicy,
  checkPlatform,
  checkTcbFloor,
  checkVmpl,
} from "./platform-policy.ts";
import { rootOrigin } from "./roots.ts";
import { type SessionBinding, sessionLeaf, verifyBinding } from "./session-binding.ts";
import { verifyEndorsement } from "./snp/endorsement.ts";
import {
  checkGeneration,
  checkTcb,
  describeTcb,
  type SnpClaims,
  verifyReportSignature,
} from "./snp/evidence.ts";
import { parseSnpReport } from "./snp/report.ts";
import type { TrustPolicy } from "./trust-policy.ts";
import { concludeVerdict, type Verdict } from "./verdict.ts";

const key: unique symbol = Symbol("verified");

/** A node that passed every check, at the other end of one channel. Nothing else can make one. */
export class VerifiedNode {
  readonly role: Role;
  readonly claims: SnpClaims;
  readonly release: ReleaseStatement;
  readonly logged: LoggedEntry;
  readonly peers: readonly VerifiedNode[];
  readonly verdict: Verdict;

  constructor(proof: typeof key, parts: Omit<VerifiedNode, never>) {
    if (proof !== key) throw new TypeError("a verified node is made by verifying");
    this.role = parts.role;
    this.claims = parts.claims;
    this.release = parts.release;
    this.logged = parts.logged;
    this.peers = parts.peers;
    this.verdict = parts.verdict;
  }
}

export type NodeClaim = {
  readonly bundle: EvidenceBundle;
  /** As this end computed it from its own channel; never a value that the peer sent. */
  readonly binding: SessionBinding;
  readonly policy: TrustPolicy;
  readonly nowMs: number;
};

/** The verdict on a node; `node` only when it is acceptable, else `error` with the first failure. */
export type NodeAppraisal = {
  readonly verdict: Verdict;
  readonly node?: VerifiedNode;
  readonly error?: AttestationError;
};

/** Verifies a node; throws `AttestationError` with the code of the first failed check and the whole verdict. */
export async function verifyNode(claim: NodeClaim): Promise<VerifiedNode> {
  const { node, error, verdict } = await appraiseNode(claim);
  if (node !== undefined) return node;
  const code = error?.code ?? "malformed";
  throw new AttestationError(code, error?.message ?? "evidence refused", { cause: error, verdict });
}

/** Judges a node and tells every check. A refusal is data; only a bug is thrown. */
export async function appraiseNode(claim: NodeClaim): Promise<NodeAppraisal> {
  const appraisal = new Appraisal();
  const parts = await appraise(claim, appraisal);
  const peers: VerifiedNode[] = [];
  for (const [index, peer] of claim.bundle.peers.entries()) {
    const inner = new Appraisal(`peers.${index}.`);
    const peerClaim = { ...claim, bundle: peer.bundle, binding: peer.binding };
    const peerParts = await appraise(peerClaim, inner);
    appraisal.checks.push(...inner.checks);
    const verdict = concludeVerdict(inner.checks, peerParts?.claims.origin);
    if (inner.failure !== undefined || peerParts === undefined) {
      appraisal.failure ??= new AttestationError(
        "peer-refused",
        `peer: ${inner.failure?.message ?? "refused"}`,
      );
    } else peers.push(new VerifiedNode(key, { ...peerParts, peers: [], verdict }));
  }
  const verdict = concludeVerdict(appraisal.checks, parts?.claims.origin);
  if (parts === undefined || appraisal.failure !== undefined || verdict.overall === "refused") {
    const error = appraisal.failure ?? new AttestationError("malformed", "evidence refused");
    return { verdict: { ...verdict, overall: "refused" }, error };
  }
  return { verdict, node: new VerifiedNode(key, { ...parts, peers, verdict }) };
}

type Parts = Pick<VerifiedNode, "role" | "claims" | "release" | "logged">;

async function appraise(claim: NodeClaim, appraisal: Appraisal): Promise<Parts | undefined> {
  const claims = await appraiseHardware(claim, appraisal);
  const release = await appraiseRelease(claim, claims, appraisal);
  appraiseGpus(claim, appraisal);
  if (claims === undefined || release === undefined || appraisal.failure !== undefined) return undefined;
  return { role: claim.binding.role, claims, ...release };
}

const platformChecks = [
  ["snp.generation", "SNP ABI 1.58 Table 23", checkGenerationAllowed],
  ["snp.chip", "AMD 57230", checkChipAllowed],
  ["snp.policy", "SNP ABI 1.58 Table 9", checkGuestPolicy],
  ["snp.vmpl", "SNP ABI 1.58 Table 23", checkVmpl],
  ["snp.platform", "SNP ABI 1.58 Table 24", checkPlatform],
  ["snp.tcb-floor", "SNP ABI 1.58 Table 3", checkTcbFloor],
] as const;
const notReached = "not checked, because an earlier check failed";

async function appraiseHardware(claim: NodeClaim, appraisal: Appraisal): Promise<SnpClaims | undefined> {
  const { bundle, policy, nowMs, binding } = claim;
  const report = await appraisal.check("evidence.format", "SNP ABI 1.58 Table 23", async () => {
    const value = parseSnpReport(bundle.snp.report);
    return { detail: `report of version ${value.version}`, value };
  });
  const endorsement = await appraisal.check("snp.chain", "AMD 57230", async () => {
    const value = await verifyEndorsement(bundle.snp.certificates, policy.roots, nowMs);
    const root = rootOrigin(policy.roots) === "amd" ? "AMD's root" : "a SIMULATED root, not AMD's";
    return { detail: `certificates lead to ${root}`, value };
  });
  let claims: SnpClaims | undefined;
  if (report !== undefined && endorsement !== undefined) {
    const signed = await appraisal.confirm("snp.signature", "SNP ABI 1.58 Table 23", async () => {
      await verifyReportSignature(report, endorsement);
      return "report is signed by the chip's key";
    });
    const tcb = await appraisal.check("snp.tcb", "AMD 57230", async () => {
      checkGeneration(report, endorsement);
      const value = checkTcb(report, endorsement);
      return {
        detail: `patch levels are those of the key: ${describeTcb(value.reported, endorsement.generation)}`,
        value,
      };
    });
    if (signed && tcb !== undefined) {
      const { generation, kind: signedBy, cspId } = endorsement;
      const origin = rootOrigin(policy.roots);
      claims = { origin, generation, signedBy, cspId, report, tcb };
    }
  } else {
    appraisal.skip("snp.signature", "SNP ABI 1.58 Table 23", notReached);
    appraisal.skip("snp.tcb", "AMD 57230", notReached);
  }
  const proven = claims;
  for (const [id, source, check] of platformChecks) {
    if (proven === undefined) appraisal.skip(id, source, notReached);
    else await appraisal.confirm(id, source, () => check(proven, policy.platform));
  }
  if (proven === undefined) appraisal.skip("binding.report-data", "spec/attested-session.md", notReached);
  else {
    await appraisal.confirm("binding.report-data", "spec/attested-session.md", () => {
      verifyBinding(sessionLeaf(binding, boundParts(bundle)), bundle.batch, proven.report.reportData);
      const others = bundle.batch.size - 1;
      return `report is about this very session${others > 0 ? `, and ${others} others` : ""}`;
    });
  }
  return claims;
}

async function appraiseRelease(
  claim: NodeClaim,
  claims: SnpClaims | undefined,
  appraisal: Appraisal,
): Promise<{ release: ReleaseStatement; logged: LoggedEntry } | undefined> {
  const { bundle, policy, nowMs, binding } = claim;
  const source = "spec/transparency.md";
  const found = await appraisal.check("release.logged", "C2SP tlog-proof", async () => {
    const logged = await verifyLoggedEntry({
      entry: bundle.statement,
      proof: bundle.proof,
      policy: policy.log,
      nowMs,
      maxAgeMs: policy.maxProofAgeMs,
    });
    const release = parseStatement(bundle.statement);
    if (release.kind !== "release")
      throw new AttestationError("wrong-role", "the logged statement is not a release");
    const names = logged.witnesses.map(({ name }) => name).join(" and ");
    return {
      detail: `entry ${logged.index} of ${logged.origin}, seen by ${names}`,
      value: { release, logged },
    };
  });
  if (found === undefined) {
    for (const id of ["role", "expiry", "security-version", "measurement"]) {
      appraisal.skip(`release.${id}`, source, notReached);
    }
    return undefined;
  }
  const { release } = found;
  await appraisal.confirm("release.role", source, () => {
    if (release.role !== binding.role)
      throw new AttestationError("wrong-role", "the release is for another role");
    return `released as ${release.role}`;
  });
  await appraisal.confirm("release.expiry", source, () => {
    const now = nowMs / 1000;
    if (now >= release.expiresAt || now < release.issuedAt - 300) {
      throw new AttestationError("release-expired", "the release is not valid now");
    }
    return `valid until ${new Date(release.expiresAt * 1000).toISOString()}`;
  });
  await appraisal.confirm("release.security-version", source, () => {
    if (release.securityVersion < policy.minimumSecurityVersion) {
      throw new AttestationError(
        "security-version-too-low",
        "the release's security version is below the floor",
      );
    }
    return `security version ${release.securityVersion}`;
  });
  if (claims === undefined) appraisal.skip("release.measurement", source, notReached);
  else {
    await appraisal.confirm("release.measurement", source, () => {
      if (!release.measurements.includes(claims.report.measurement)) {
        throw new AttestationError("measurement-mismatch", "what runs there is not what was released");
      }
      return `what runs is release ${release.version}`;
    });
  }
  return found;
}

function appraiseGpus(claim: NodeClaim, appraisal: Appraisal): void {
  const source = "spec/attested-session.md";
  if (claim.bundle.gpus.length === 0) {
    const none = claim.binding.role === "orchestrator" ? "this role uses no GPU" : "no GPU in this machine";
    appraisal.skip("gpu.evidence", source, none);
  } else {
    // Evidence that nobody here can judge must not pass for judged.
    appraisal.fail(
      "gpu.evidence",
      source,
      new AttestationError("gpu-refused", "GPU evidence cannot be judged yet"),
    );
  }
}
