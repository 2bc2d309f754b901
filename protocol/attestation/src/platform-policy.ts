// What hardware and guest settings are acceptable. Debugging and migration are not settings: they are refused.
import { AttestationError, type AttestationErrorCode } from "./attestation-error.ts";
import { describeDigest, describeTcb, type SnpClaims } from "./snp/evidence.ts";
import { type Generation, platformBit, policyBit, type Tcb, tcbLevels } from "./snp/layout.ts";

export type PlatformPolicy = {
  readonly generations: readonly Generation[];
  /** Floors for the reported, committed and launch TCB, each level by itself. */
  readonly minimumTcb: Readonly<Partial<Record<Generation, Readonly<Partial<Tcb>>>>>;
  readonly vmpl: number;
  readonly allowVlek: boolean;
  readonly allowSmt: boolean;
  readonly requireAliasCheck: boolean;
  /** Identifiers of the chips that are accepted, as in the report; undefined accepts any genuine chip. */
  readonly chips?: readonly string[] | undefined;
  /** Identifiers of chips that are not trusted any more. */
  readonly refusedChips?: readonly string[] | undefined;
  /** Bits of CURRENT_MIT_VECTOR that must be set; only reports of version 5 have one. */
  readonly requiredMitigations?: number | undefined;
};

/** Processors whose root of trust is not known to be broken: not Milan (arXiv 2605.12990). */
export const defaultGenerations: readonly Generation[] = ["genoa", "turin"];

const noMigrationAgent = "f".repeat(64);
const knownPlatformBits = Object.values(platformBit).reduce<bigint>((bits, bit) => bits | (1n << bit), 0n);
const tooLow: Readonly<Record<"reported" | "committed" | "launch", AttestationErrorCode>> = {
  reported: "reported-tcb-too-low",
  committed: "committed-tcb-too-low",
  launch: "launch-tcb-too-low",
};

const isSet = (value: bigint, bit: bigint): boolean => ((value >> bit) & 1n) === 1n;

/** The processor generation. Returns words for the verdict, throws `AttestationError`. */
export function checkGenerationAllowed(claims: SnpClaims, policy: PlatformPolicy): string {
  if (!policy.generations.includes(claims.generation)) {
    throw new AttestationError("generation-not-allowed", `${claims.generation} processors are not accepted`);
  }
  return `${claims.generation}, which is accepted`;
}

/** Which chip, and who endorsed it. */
export function checkChipAllowed(claims: SnpClaims, policy: PlatformPolicy): string {
  if (claims.signedBy === "vlek") {
    if (!policy.allowVlek) {
      throw new AttestationError(
        "vlek-not-allowed",
        "the report is signed with a cloud's loaded key, not the chip's own",
      );
    }
    // Such a key says nothing of the chip, so a list of chips cannot be kept with it.
    if (policy.chips !== undefined)
      throw new AttestationError("chip-not-allowed", "a loaded key does not say which chip this is");
    return "signed with a loaded key, which is accepted";
  }
  const { chipId } = claims.report;
  if (policy.refusedChips?.includes(chipId))
    throw new AttestationError("chip-refused", "this chip is not trusted any more");
  if (policy.chips !== undefined && !policy.chips.includes(chipId)) {
    throw new AttestationError("chip-not-allowed", "this chip is not on the list");
  }
  const known = policy.chips === undefined ? "any genuine chip is accepted" : "on the list";
  return `chip ${describeDigest(chipId)}, ${known}`;
}

/** The guest's policy bits. */
export function checkGuestPolicy(claims: SnpClaims, policy: PlatformPolicy): string {
  const { report } = claims;
  if (isSet(report.policy, policyBit.debug)) {
    throw new AttestationError("debug-allowed", "the host may debug this guest");
  }
  if (isSet(report.policy, policyBit.migrateMa) || report.reportIdMa !== noMigrationAgent) {
    throw new AttestationError("migration-allowed", "the guest may be migrated by an agent");
  }
  if (isSet(report.policy, policyBit.smt) && !policy.allowSmt) {
    throw new AttestationError("smt-allowed", "the guest may share a core with another one");
  }
  if (isSet(report.policy, policyBit.cxl)) {
    throw new AttestationError("cxl-allowed", "the guest may lie in memory outside the package");
  }
  return "no debugging, no migration";
}

/** The privilege level that asked for the report. */
export function checkVmpl(claims: SnpClaims, policy: PlatformPolicy): string {
  if (claims.report.vmpl !== policy.vmpl) {
    throw new AttestationError("wrong-vmpl", "the report was asked for at another privilege level");
  }
  return `privilege level ${claims.report.vmpl}`;
}

/** Properties of the machine; bits that nobody here knows are told, not refused: real chips have them. */
export function checkPlatform(claims: SnpClaims, policy: PlatformPolicy): string {
  const { platformInfo, currentMitigations } = claims.report;
  const complete = isSet(platformInfo, platformBit.aliasCheckComplete);
  if (policy.requireAliasCheck && !complete) {
    throw new AttestationError("alias-check-missing", "the memory was not checked for aliases at boot");
  }
  const required = BigInt(policy.requiredMitigations ?? 0);
  // Reports before version 5 have none: the vector is zero there.
  if ((currentMitigations & required) !== required)
    throw new AttestationError("mitigation-missing", "the firmware lacks a mitigation that is required");
  const unknown = platformInfo & ~knownPlatformBits;
  const aliases = complete
    ? "memory checked for aliases at boot"
    : "memory not checked for aliases, which is accepted";
  return unknown === 0n
    ? aliases
    : `${aliases}; also says 0x${unknown.toString(16)}, whose meaning is not known`;
}

/** Floors, each level by itself, on what is reported, committed, and was there at launch. */
export function checkTcbFloor(claims: SnpClaims, policy: PlatformPolicy): string {
  const floor = policy.minimumTcb[claims.generation] ?? {};
  for (const name of ["reported", "committed", "launch"] as const) {
    for (const level of tcbLevels) {
      if (claims.tcb[name][level] < (floor[level] ?? 0)) {
        throw new AttestationError(tooLow[name], `${name} ${level} is below the floor`);
      }
    }
  }
  return describeTcb(claims.tcb.reported, claims.generation);
}
