// How often a host lets a guest ask its secure processor: ten reports in any ten seconds, then it stalls.

/** Gives each report its time, in the order of asking. */
export type ReportBudget = {
  /** Takes the next place; returns the milliseconds until it is due, 0 for at once. */
  readonly reserve: (nowMs: number) => number;
};

const reportsPerWindow = 10;
const windowMs = 10_000;

/** Wires a budget; time must not go backwards. */
export function createReportBudget(): ReportBudget {
  const granted: number[] = [];
  return {
    reserve: (nowMs) => {
      const [oldest] = granted.length < reportsPerWindow ? [] : granted;
      const dueMs = Math.max(nowMs, (oldest ?? Number.NEGATIVE_INFINITY) + windowMs);
      granted.push(dueMs);
      if (granted.length > reportsPerWindow) granted.shift();
      return dueMs - nowMs;
    },
  };
}
