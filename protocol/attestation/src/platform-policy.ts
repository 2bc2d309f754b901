// What hardware and guest settings are acceptable. Debugging and migration are not settings: they are refused.
import { AttestationError } from "./attestation-error.ts";
import { describeChip, describeTcb, isChipMasked, type SnpClaims } from "./snp/evidence.ts";
import { type Generation, platformBit, policyBit, type Tcb } from "./snp/layout.ts";

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
};

const levels = ["fmc", "bootLoader", "tee", "snp", "microcode"] as const;
const noMigrationAgent = "f".repeat(64);

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
    return "signed with a loaded key, which is accepted";
  }
  if (isChipMasked(claims.report)) {
    throw new AttestationError("chip-mismatch", "the chip's identifier is masked");
  }
  if (policy.chips !== undefined && !policy.chips.includes(claims.report.chipId)) {
    throw new AttestationError("chip-not-allowed", "this chip is not on the list");
  }
  const known = policy.chips === undefined ? "any genuine chip is accepted" : "on the list";
  return `chip ${describeChip(claims.report)}, ${known}`;
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
    throw new AttestationError("guest-policy", "the guest may share a core with another one");
  }
  if (isSet(report.policy, policyBit.cxl)) {
    throw new AttestationError("guest-policy", "the guest may lie in memory outside the package");
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

/** Properties of the machine. */
export function checkPlatform(claims: SnpClaims, policy: PlatformPolicy): string {
  const complete = isSet(claims.report.platformInfo, platformBit.aliasCheckComplete);
  if (policy.requireAliasCheck && !complete) {
    throw new AttestationError("alias-check-missing", "the memory was not checked for aliases at boot");
  }
  return complete
    ? "memory checked for aliases at boot"
    : "memory not checked for aliases, which is accepted";
}

/** Floors, each level by itself, on what is reported, committed, and was there at launch. */
export function checkTcbFloor(claims: SnpClaims, policy: PlatformPolicy): string {
  const floor = policy.minimumTcb[claims.generation] ?? {};
  for (const name of ["reported", "committed", "launch"] as const) {
    for (const level of levels) {
      if (claims.tcb[name][level] < (floor[level] ?? 0)) {
        throw new AttestationError("tcb-too-low", `${name} ${level} is below the floor`);
      }
    }
  }
  return describeTcb(claims.tcb.reported, claims.generation);
}
