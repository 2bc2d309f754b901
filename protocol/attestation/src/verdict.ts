// What was checked and how it went. A skipped check is never a passed one.

export type CheckStatus = "pass" | "fail" | "skip";

/** One check: its stable id, what it follows, how it went, and why, in words for a person. */
export type Check = {
  readonly id: string;
  readonly source: string;
  readonly status: CheckStatus;
  readonly detail: string;
  readonly code?: string;
};

/** `simulated` is the best that simulated hardware can get; `refused` is anything with a failed check. */
export type Verdict = {
  readonly overall: "verified" | "simulated" | "refused";
  readonly checks: readonly Check[];
};

/** Every check of one node, in order; a node with peers has these again for each, behind `peers.<n>.`. */
export const checkIds = [
  "evidence.format",
  "snp.chain",
  "snp.signature",
  "snp.tcb",
  "snp.chip",
  "snp.policy",
  "snp.vmpl",
  "snp.platform",
  "snp.generation",
  "snp.tcb-floor",
  "binding.report-data",
  "release.logged",
  "release.role",
  "release.expiry",
  "release.security-version",
  "release.measurement",
  "sandbox.layers",
  "gpu.evidence",
] as const;

export type CheckId = (typeof checkIds)[number];

// What a machine need not have, and what simulated hardware may lack besides: there a skipped check is a warning.
const optional: ReadonlySet<string> = new Set<CheckId>(["gpu.evidence"]);
const optionalWhenSimulated: ReadonlySet<string> = new Set<CheckId>(["gpu.evidence", "sandbox.layers"]);
const peerPrefix = /^peers\.\d+\./;

/**
 * Adds up checks; nothing else sets a verdict's word.
 *
 * Anything but `refused` needs every check of the node to be there once and to have passed, and of each peer
 * that has any; only a check of what the machine does not have may be skipped, and, where the hardware is simulated,
 * that of the sandbox.
 */
export function concludeVerdict(checks: readonly Check[], origin: "amd" | "simulated" | undefined): Verdict {
  const statuses = new Map<string, CheckStatus>();
  const prefixes = new Set([""]);
  for (const { id, status } of checks) {
    statuses.set(id, statuses.has(id) ? "fail" : status);
    prefixes.add(peerPrefix.exec(id)?.[0] ?? "");
  }
  const isGood = (id: string, name: string): boolean => {
    const status = statuses.get(id);
    const skippable = origin === "simulated" ? optionalWhenSimulated : optional;
    return status === "pass" || (status === "skip" && skippable.has(name));
  };
  const complete = [...prefixes].every((prefix) =>
    checkIds.every((name) => isGood(`${prefix}${name}`, name)),
  );
  const known = statuses.size === prefixes.size * checkIds.length;
  const good = complete && known && origin !== undefined;
  return { overall: !good ? "refused" : origin === "amd" ? "verified" : "simulated", checks };
}
