// Accepts simulated hardware. A production build has no reason to import this, and a test sees to it.
import type { TrustPolicy } from "@sotto/attestation";
import { developmentPolicy as policyOf } from "@sotto/attestation/software";
import type { ClientSettings } from "./client-settings.ts";

/** What a development stack is held to: everything, except that its hardware may be simulated. */
export function developmentPolicy(settings: ClientSettings): TrustPolicy {
  return policyOf(settings.trust);
}
