// What a person or a program is told about a verification: every check, and the raw evidence to check again.
import {
  AttestationError,
  serializeEvidenceBundle,
  type TrustPolicy,
  type Verdict,
} from "@sotto/attestation";
import { type Clock, encodeBase64, encodeHex } from "@sotto/base";
import type { PrivateSession } from "./private-session.ts";
import { SottoError } from "./sotto-error.ts";

/** One verification, ready to be printed or stored; times are ISO 8601. */
export type Verification = {
  readonly overall: Verdict["overall"];
  readonly summary: string;
  readonly profile: TrustPolicy["profile"];
  readonly verifiedAt: string;
  readonly checks: Verdict["checks"];
  readonly code?: string;
  readonly node?: {
    readonly handle: string;
    readonly role: string;
    readonly version: string;
    readonly measurement: string;
    /** Whom it relies on. */
    readonly peers: readonly {
      readonly role: string;
      readonly version: string;
      readonly measurement: string;
    }[];
    readonly models: readonly string[];
  };
  readonly session?: { readonly nonce: string; readonly evidence: string };
  readonly log?: { readonly origin: string; readonly size: number; readonly witnesses: readonly string[] };
};

const summaries = {
  verified: "Verified: the hardware, the software in the public log and this session were all checked.",
  simulated:
    "SIMULATED hardware: everything else was checked, but this machine protects nothing from its owner.",
  refused: "REFUSED: nothing was sent.",
} as const satisfies Record<Verdict["overall"], string>;

// Under a development policy a layer that is missing refuses nothing; then at least it is said before all else.
const incomplete = "Layers of the sandbox are MISSING: see sandbox.layers.";

/** Opens a session only to verify it; a refusal is an answer, trouble on the way is thrown as `SottoError`. */
export async function describeVerification(
  open: () => Promise<PrivateSession>,
  clock: Clock,
  policy: TrustPolicy,
): Promise<Verification> {
  let opened: PrivateSession;
  try {
    opened = await open();
  } catch (error) {
    if (!(error instanceof SottoError) || error.advice !== "stop") throw error;
    const { cause } = error;
    const verdict = cause instanceof AttestationError ? cause.verdict : undefined;
    return {
      overall: "refused",
      summary: summaries.refused,
      profile: policy.profile,
      verifiedAt: new Date(clock()).toISOString(),
      code: cause instanceof Error && "code" in cause ? String(cause.code) : error.code,
      checks: verdict?.checks ?? [],
    };
  }
  const { node, session, directory, handle } = opened;
  session.close();
  const { overall, checks } = node.verdict;
  return {
    overall,
    summary: isSandboxComplete(checks) ? summaries[overall] : `${summaries[overall]} ${incomplete}`,
    profile: policy.profile,
    verifiedAt: new Date(clock()).toISOString(),
    checks,
    node: {
      handle,
      role: node.role,
      version: node.release.version,
      measurement: node.claims.report.measurement,
      peers: node.peers.map(({ role, release, claims }) => ({
        role,
        version: release.version,
        measurement: claims.report.measurement,
      })),
      models: directory.models.map(({ id }) => id),
    },
    session: {
      nonce: encodeHex(session.evidence.binding.nonce),
      evidence: encodeBase64(serializeEvidenceBundle(session.evidence.bundle)),
    },
    log: {
      origin: directory.logged.origin,
      size: directory.logged.size,
      witnesses: directory.logged.witnesses.map(({ name }) => name),
    },
  };
}

function isSandboxComplete(checks: Verdict["checks"]): boolean {
  return checks.every(({ id, status }) => status === "pass" || !id.endsWith("sandbox.layers"));
}
