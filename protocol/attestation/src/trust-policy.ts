// Everything a verifier holds a node to. A production policy has no place for simulated roots.
import type { LogPolicy } from "@sotto/log";
import { parsePolicy } from "@sotto/log";
import { AttestationError } from "./attestation-error.ts";
import type { PlatformPolicy } from "./platform-policy.ts";
import { type AmdRoots, amdRoots, type SimulatedRoots } from "./roots.ts";
import type { TrustSettings } from "./trust-settings.ts";

type Expectations = {
  readonly platform: PlatformPolicy;
  readonly log: LogPolicy;
  /** How old the witnesses' view in a proof may be. */
  readonly maxProofAgeMs: number;
  readonly minimumSecurityVersion: number;
  /** Accept sessions whose key exchange is X25519 without its post-quantum half; refused unless said otherwise. */
  readonly allowClassical?: boolean;
};

export type ProductionPolicy = Expectations & { readonly profile: "production"; readonly roots: AmdRoots };
export type DevelopmentPolicy = Expectations & {
  readonly profile: "development";
  readonly roots: SimulatedRoots;
};
export type TrustPolicy = ProductionPolicy | DevelopmentPolicy;

/** Settings without their roots; throws `LogError` for a log policy that is malformed. */
export function parseExpectations(settings: TrustSettings): Expectations {
  const { minimumTcb, ...platform } = settings.platform;
  return {
    platform: { ...platform, minimumTcb: minimumTcb as PlatformPolicy["minimumTcb"] }, // zod writes absent as undefined
    log: parsePolicy(settings.log),
    maxProofAgeMs: settings.maxProofAgeMs,
    minimumSecurityVersion: settings.minimumSecurityVersion,
    allowClassical: settings.allowClassical === true,
  };
}

/** Holds nodes to AMD's hardware; throws `AttestationError` when an accepted generation has no floor, or the log no witness. */
export function productionPolicy(settings: TrustSettings): ProductionPolicy {
  const expectations = parseExpectations(settings);
  const { generations, minimumTcb } = expectations.platform;
  if (generations.some((generation) => minimumTcb[generation] === undefined))
    throw new AttestationError(
      "floor-missing",
      "trust settings: a generation without a floor of patch levels",
    );
  if (expectations.log.quorum === undefined)
    throw new AttestationError("quorum-missing", "trust settings: a log without witnesses");
  return { profile: "production", roots: amdRoots, ...expectations };
}
