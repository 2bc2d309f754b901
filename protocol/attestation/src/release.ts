// The checks of what runs: its release stands in a log that witnesses watch, is the right one, and is valid now.
import {
  LogError,
  type LogErrorCode,
  type LoggedEntry,
  parseStatement,
  type ReleaseStatement,
  verifyLoggedEntry,
} from "@sotto/log";
import type { Appraisal } from "./appraisal.ts";
import { AttestationError, type AttestationErrorCode } from "./attestation-error.ts";
import type { NodeClaim } from "./node-claim.ts";
import { describeDigest, type SnpClaims } from "./snp/evidence.ts";

/** A release, and where it was found. */
export type LoggedRelease = { readonly release: ReleaseStatement; readonly logged: LoggedEntry };

// Clocks of publishers and clients differ a little.
const maxFutureSeconds = 300;
const secondsPerDay = 86_400;

const refusal: Readonly<Record<LogErrorCode, AttestationErrorCode>> = {
  malformed: "malformed-proof",
  "too-large": "malformed-proof",
  "bad-signature": "unknown-log",
  "unknown-log": "unknown-log",
  "not-included": "not-logged",
  inconsistent: "not-logged",
  "quorum-not-met": "unwitnessed",
  "stale-checkpoint": "stale-proof",
  expired: "stale-proof",
};

/** Makes every check of a node's release; `claims` are missing when its hardware was refused. */
export async function appraiseRelease(
  claim: NodeClaim,
  isPeer: boolean,
  claims: SnpClaims | undefined,
  appraisal: Appraisal,
): Promise<LoggedRelease | undefined> {
  const { policy, nowMs } = claim;
  const found = await appraisal.check("release.logged", async () => {
    const value = await findRelease(claim);
    const names = value.logged.witnesses.map(({ name }) => name).join(" and ");
    return { detail: `entry ${value.logged.index} of ${value.logged.origin}, seen by ${names}`, value };
  });
  if (found === undefined) return undefined;
  const { release } = found;
  await appraisal.confirm("release.role", () => checkRole(release, isPeer, claim));
  await appraisal.confirm("release.expiry", () => checkValidity(release, nowMs / 1000));
  await appraisal.confirm("release.security-version", () => {
    if (release.securityVersion < policy.minimumSecurityVersion) {
      throw new AttestationError(
        "security-version-too-low",
        "the release's security version is below the floor",
      );
    }
    return `security version ${release.securityVersion}`;
  });
  if (claims === undefined) return undefined;
  await appraisal.confirm("release.measurement", () => {
    const { measurement } = claims.report;
    if (!release.measurements.includes(measurement)) {
      throw new AttestationError("measurement-mismatch", "what runs there is not what was released");
    }
    return `what runs is what was released: measurement ${describeDigest(measurement)}`;
  });
  return found;
}

async function findRelease({ bundle, policy, nowMs }: NodeClaim): Promise<LoggedRelease> {
  const { statement: entry, proof } = bundle;
  try {
    const logged = await verifyLoggedEntry({
      ...{ entry, proof, nowMs },
      policy: policy.log,
      maxAgeMs: policy.maxProofAgeMs,
    });
    const release = parseStatement(entry);
    if (release.kind === "release") return { release, logged };
  } catch (cause) {
    if (!(cause instanceof LogError)) throw cause;
    throw new AttestationError(refusal[cause.code], cause.message, { cause });
  }
  throw new AttestationError("wrong-statement", "what was logged is not a release");
}

function checkRole(release: ReleaseStatement, isPeer: boolean, { binding, policy }: NodeClaim): string {
  // An orchestrator relies on predictors and guards, never on another orchestrator.
  if (release.role !== binding.role || (isPeer && release.role === "orchestrator"))
    throw new AttestationError("wrong-role", "the release is for another role");
  // A guard is a predictor whose model judges.
  const isUnnamed = release.role !== "orchestrator" && release.weights.length === 0;
  if (isUnnamed && policy.profile === "production")
    throw new AttestationError("weights-not-named", "the release does not say which model runs");
  // The orchestrator is where questions are refused; a predictor sees only what was let through.
  const isUnguarded = release.role === "orchestrator" && release.policies.length === 0;
  if (isUnguarded && policy.profile === "production")
    throw new AttestationError(
      "policy-not-named",
      "the release does not say which safety policy it enforces",
    );
  const unsaid = isUnnamed ? "model runs" : isUnguarded ? "safety policy it enforces" : undefined;
  return `released as ${release.role}${unsaid === undefined ? "" : `; which ${unsaid} is NOT stated`}`;
}

function checkValidity({ issuedAt, expiresAt }: ReleaseStatement, now: number): string {
  if (issuedAt > now + maxFutureSeconds)
    throw new AttestationError("release-not-yet-valid", "the release is from the future");
  // Not `now >= expiresAt`, which no time that is not a number would ever be.
  if (!(now < expiresAt)) throw new AttestationError("release-expired", "the release has expired");
  return `valid for another ${Math.floor((expiresAt - now) / secondsPerDay)} days`;
}
