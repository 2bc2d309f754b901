// The one place where a node comes to be trusted: evidence and this end's own view of the channel go in,
// a VerifiedNode or a refusal comes out.
import type { LoggedEntry, ReleaseStatement, Role } from "@sotto/log";
import { Appraisal } from "./appraisal.ts";
import { AttestationError } from "./attestation-error.ts";
import { appraiseHardware } from "./hardware.ts";
import type { NodeClaim } from "./node-claim.ts";
import { appraiseRelease } from "./release.ts";
import { missingLayers, sandboxLayers, sandboxWords } from "./sandbox.ts";
import type { SnpClaims } from "./snp/evidence.ts";
import { concludeVerdict, type Verdict } from "./verdict.ts";

const key: unique symbol = Symbol("verified");

type NodeParts = {
  readonly role: Role;
  readonly claims: SnpClaims;
  readonly release: ReleaseStatement;
  readonly logged: LoggedEntry;
};

/** A node that passed every check, at the other end of one channel. Nothing else can make one. */
export class VerifiedNode {
  // Keeps the compiler from taking an object of the same shape for one.
  readonly #verified = true;
  readonly role: Role;
  readonly claims: SnpClaims;
  readonly release: ReleaseStatement;
  readonly logged: LoggedEntry;
  readonly peers: readonly VerifiedNode[];
  readonly verdict: Verdict;

  constructor(proof: typeof key, parts: NodeParts, peers: readonly VerifiedNode[], verdict: Verdict) {
    if (proof !== key) throw new TypeError("a verified node is made by verifying");
    this.role = parts.role;
    this.claims = parts.claims;
    this.release = parts.release;
    this.logged = parts.logged;
    this.peers = peers;
    this.verdict = verdict;
  }

  /** Whether something is a node that was verified here, and not made to look like one. */
  static isVerified(value: object): value is VerifiedNode {
    return #verified in value && value.#verified;
  }
}

/** The verdict on a node: `node` when it is acceptable, else `error` with what the first failed check failed with. */
export type NodeAppraisal =
  | { readonly verdict: Verdict; readonly node: VerifiedNode; readonly error?: never }
  | { readonly verdict: Verdict; readonly error: AttestationError; readonly node?: never };

/** Verifies a node; throws `AttestationError` with the code of the first failed check and the whole verdict. */
export async function verifyNode(claim: NodeClaim): Promise<VerifiedNode> {
  const { node, error, verdict } = await appraiseNode(claim);
  if (node !== undefined) return node;
  throw new AttestationError(error.code, error.message, { cause: error, verdict });
}

/** Judges a node and its peers, and tells every check. A refusal is data; only a bug is thrown. */
export async function appraiseNode(claim: NodeClaim): Promise<NodeAppraisal> {
  const { parts, appraisal } = await appraise(claim, false);
  const checks = [...appraisal.checks];
  let failure = appraisal.failure;
  const peers: VerifiedNode[] = [];
  for (const [index, { bundle, binding }] of claim.bundle.peers.entries()) {
    const peer = await appraise({ ...claim, bundle, binding }, true);
    const own = peer.appraisal.checks;
    checks.push(...own.map((check) => ({ ...check, id: `peers.${index}.${check.id}` })));
    const verdict = concludeVerdict(own, peer.parts?.claims.origin);
    if (peer.parts !== undefined && verdict.overall !== "refused")
      peers.push(new VerifiedNode(key, peer.parts, [], verdict));
    else
      failure ??= new AttestationError(
        "peer-refused",
        `peer: ${peer.appraisal.failure?.message ?? "refused"}`,
      );
  }
  const verdict = concludeVerdict(checks, parts?.claims.origin);
  if (parts !== undefined && failure === undefined && verdict.overall !== "refused")
    return { verdict, node: new VerifiedNode(key, parts, peers, verdict) };
  return { verdict, error: failure ?? new AttestationError("malformed", "evidence refused") };
}

async function appraise(
  claim: NodeClaim,
  isPeer: boolean,
): Promise<{ parts: NodeParts | undefined; appraisal: Appraisal }> {
  const appraisal = new Appraisal();
  const claims = await appraiseHardware(claim, isPeer, appraisal);
  const release = await appraiseRelease(claim, isPeer, claims, appraisal);
  await appraiseSandbox(claim, appraisal);
  await appraiseGpus(claim, appraisal);
  const parts = claims && release && { role: claim.binding.role, claims, ...release };
  return { parts, appraisal };
}

async function appraiseSandbox({ bundle, policy }: NodeClaim, appraisal: Appraisal): Promise<void> {
  const all = sandboxLayers.length;
  const missing = missingLayers(bundle.layers);
  const words = missing.map((layer) => sandboxWords[layer].missing).join("; ");
  // A developer's machine need not be able to make every layer; nothing else may lack one.
  if (missing.length > 0 && policy.profile === "development") {
    appraisal.skip("sandbox.layers", `MISSING: ${words}; ${all - missing.length} of ${all} layers hold`);
  } else {
    await appraisal.confirm("sandbox.layers", () => {
      if (missing.length === 0) return `all ${all} layers of the sandbox hold`;
      throw new AttestationError("sandbox-incomplete", `the sandbox lacks: ${words}`);
    });
  }
}

async function appraiseGpus({ bundle, binding }: NodeClaim, appraisal: Appraisal): Promise<void> {
  if (bundle.gpus.length === 0) {
    const none = binding.role === "orchestrator" ? "this role uses no GPU" : "no GPU in this machine";
    appraisal.skip("gpu.evidence", none);
  } else {
    // Evidence that nobody here can judge must not pass for judged.
    await appraisal.confirm("gpu.evidence", () => {
      throw new AttestationError("gpu-refused", "GPU evidence cannot be judged yet");
    });
  }
}
