// Evidence on its way through a session: made for one end of the channel, and verified at the other
// (spec/attested-session.md).
import {
  type EvidenceBundle,
  type PeerEvidence,
  parseEvidenceBundle,
  type SessionBinding,
  serializePeers,
  type TrustPolicy,
  type VerifiedNode,
  verifyNode,
} from "@sotto/attestation";
import { type Bytes, equalBytes } from "@sotto/base";
import { RatlsError } from "./ratls-error.ts";

/** Makes evidence for one channel; must never give one channel's evidence to another. */
export type SessionAttester = { readonly attest: (binding: SessionBinding) => Promise<EvidenceBundle> };

/** Evidence that passed, and the node that it is of. */
export type VerifiedEvidence = { readonly evidence: PeerEvidence; readonly node: VerifiedNode };

/** What evidence is held against: the channel as this end sees it, and what this end wants. */
export type EvidenceExpectation = {
  readonly binding: SessionBinding;
  readonly policy: TrustPolicy;
  readonly nowMs: number;
  /** Whether the node may rely on others; between nodes neither does. */
  readonly mayHavePeers: boolean;
};

/** Verifies an evidence bundle as it came; throws `AttestationError`, or `malformed` where there are peers. */
export async function verifyEvidence(
  content: Bytes,
  { binding, policy, nowMs, mayHavePeers }: EvidenceExpectation,
): Promise<VerifiedEvidence> {
  const bundle = parseEvidenceBundle(content);
  if (!mayHavePeers && bundle.peers.length > 0)
    throw new RatlsError("malformed", "attest response: has peers that it may not have");
  const evidence = { binding, bundle };
  return { evidence, node: await verifyNode({ ...evidence, policy, nowMs }) };
}

/** Checks that later evidence is of the node that was there before; throws `reattestation-mismatch`. */
export function requireSameNode(before: VerifiedEvidence, after: VerifiedEvidence): void {
  const [old, fresh] = [before.evidence.bundle, after.evidence.bundle];
  const isSame =
    before.node.role === after.node.role &&
    before.node.claims.report.measurement === after.node.claims.report.measurement &&
    equalBytes(old.statement, fresh.statement) &&
    equalBytes(serializePeers(old.peers), serializePeers(fresh.peers));
  if (!isSame) throw new RatlsError("reattestation-mismatch", "peer attested as another node than before");
}
