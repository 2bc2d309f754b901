// The hardware's pace: ten reports in any ten seconds, then it stalls. While there is plenty, a report is to be had at
// once; from then on what is left is spread out, so that nobody waits for a whole window: who waits shares the next.
import type { Clock } from "@sotto/base";

/** Keeps reports within what the hardware gives. */
export type ReportBudget = {
  /** Milliseconds until the next report may be asked for, 0 for at once. */
  readonly delay: () => number;
  /** Notes that a report is asked for now. */
  readonly take: () => void;
  /** Notes that it has come, or has failed: the hardware counts it at some time before that. */
  readonly finish: () => void;
};

export const windowMs = 10_000;
export const reportsPerWindow = 10;
const atOnce = 2;
const spacingMs = 1000;

/** Wires a budget of which some was spent `recent` milliseconds ago; a clock that goes back costs one window at most. */
export function createReportBudget(clock: Clock, recent: readonly number[] = []): ReportBudget {
  const start = clock();
  let taken = recent.map((ageMs) => start - ageMs).sort((left, right) => left - right);

  const forget = (now: number): void => {
    taken = taken.map((at) => Math.min(at, now)).filter((at) => now - at < windowMs);
  };

  return {
    delay: () => {
      const now = clock();
      forget(now);
      const [oldest, latest] = [taken[0], taken.at(-1)];
      if (oldest === undefined || latest === undefined || taken.length < atOnce) return 0;
      const left = reportsPerWindow - taken.length;
      const share = (oldest + windowMs - latest) / (left + 1);
      return Math.max(0, Math.ceil(latest + Math.max(spacingMs, share) - now));
    },
    take: () => {
      const now = clock();
      forget(now);
      taken.push(now);
    },
    finish: () => {
      taken.pop();
      taken.push(clock());
    },
  };
}
