// Everything a verifier holds a node to. A production policy has no place for simulated roots.
import type { LogPolicy } from "@sotto/log";
import { parsePolicy } from "@sotto/log";
import { z } from "zod";
import { AttestationError } from "./attestation-error.ts";
import { defaultGenerations, type PlatformPolicy } from "./platform-policy.ts";
import { type AmdRoots, amdRoots, type SimulatedRoots } from "./roots.ts";

type Expectations = {
  readonly platform: PlatformPolicy;
  readonly log: LogPolicy;
  /** How old the witnesses' view in a proof may be. */
  readonly maxProofAgeMs: number;
  readonly minimumSecurityVersion: number;
};

export type ProductionPolicy = Expectations & { readonly profile: "production"; readonly roots: AmdRoots };
export type DevelopmentPolicy = Expectations & {
  readonly profile: "development";
  readonly roots: SimulatedRoots;
};
export type TrustPolicy = ProductionPolicy | DevelopmentPolicy;

const chipIds = z.array(z.string().regex(/^[0-9a-f]{128}$/));
const level = z.number().int().min(0).max(255);
const tcb = z
  .strictObject({ fmc: level, bootLoader: level, tee: level, snp: level, microcode: level })
  .partial();

/** Trust as a configuration file holds it; `simulatedRoot` is ignored by production. */
export const trustSettingsSchema = z.strictObject({
  platform: z.strictObject({
    generations: z
      .array(z.enum(["milan", "genoa", "turin"]))
      .min(1)
      .default([...defaultGenerations]),
    minimumTcb: z.strictObject({ milan: tcb, genoa: tcb, turin: tcb }).partial(),
    vmpl: z.number().int().min(0).max(3),
    allowVlek: z.boolean(),
    allowSmt: z.boolean(),
    requireAliasCheck: z.boolean(),
    chips: chipIds.optional(),
    refusedChips: chipIds.optional(),
    requiredMitigations: z.number().int().min(0).optional(),
  }),
  log: z
    .string()
    .min(1)
    .max(32 * 1024),
  maxProofAgeMs: z.number().int().min(1),
  minimumSecurityVersion: z.number().int().min(0),
  simulatedRoot: z
    .base64()
    .max(16 * 1024)
    .optional(),
});

export type TrustSettings = z.infer<typeof trustSettingsSchema>;

/** Settings without their roots; throws `LogError` for a log policy that is malformed. */
export function parseExpectations(settings: TrustSettings): Expectations {
  const { minimumTcb, ...platform } = settings.platform;
  return {
    platform: { ...platform, minimumTcb: minimumTcb as PlatformPolicy["minimumTcb"] }, // zod writes absent as undefined
    log: parsePolicy(settings.log),
    maxProofAgeMs: settings.maxProofAgeMs,
    minimumSecurityVersion: settings.minimumSecurityVersion,
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
