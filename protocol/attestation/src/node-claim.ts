// What is judged: evidence, this end's own view of the channel, and what a verifier wants.
import type { EvidenceBundle } from "./evidence-bundle.ts";
import type { SessionBinding } from "./session-binding.ts";
import type { TrustPolicy } from "./trust-policy.ts";

export type NodeClaim = {
  readonly bundle: EvidenceBundle;
  /** As this end computed it from its own channel; never a value that the peer sent. */
  readonly binding: SessionBinding;
  readonly policy: TrustPolicy;
  readonly nowMs: number;
};
