// Trust in simulated hardware: reachable from here only.
import { decodeBase64 } from "@sotto/base";
import { AttestationError, strictly } from "../attestation-error.ts";
import { createSimulatedRoots, type SimulatedRoots } from "../roots.ts";
import { type DevelopmentPolicy, parseExpectations } from "../trust-policy.ts";
import type { TrustSettings } from "../trust-settings.ts";

/** Accepts the root certificate (DER) of one simulated installation. */
export function parseSimulatedRoot(ark: Uint8Array): SimulatedRoots {
  return createSimulatedRoots(ark);
}

/** Holds nodes to everything but genuine hardware; throws `AttestationError` when the settings name no root. */
export function developmentPolicy(settings: TrustSettings): DevelopmentPolicy {
  const { simulatedRoot } = settings;
  if (simulatedRoot === undefined) {
    throw new AttestationError("untrusted-root", "trust settings: no simulated root");
  }
  const roots = parseSimulatedRoot(strictly("trust settings", () => decodeBase64(simulatedRoot)));
  return { profile: "development", roots, ...parseExpectations(settings) };
}
