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

/** Adds up checks; nothing else sets a verdict's word. */
export function concludeVerdict(checks: readonly Check[], origin: "amd" | "simulated" | undefined): Verdict {
  const failed =
    checks.length === 0 || checks.some(({ status }) => status === "fail") || origin === undefined;
  return { overall: failed ? "refused" : origin === "amd" ? "verified" : "simulated", checks };
}
