// The hardware's pace: ten reports in any ten seconds, then it stalls. The second half of them is spread out,
// so that nobody waits for a whole window: who waits meanwhile shares the next report.
import type { Clock } from "@sotto/base";

/** Keeps reports within what the hardware gives. */
export type ReportBudget = {
  /** Milliseconds until the next report may be asked for, 0 for at once. */
  readonly delay: () => number;
  /** Notes that a report is asked for now. */
  readonly take: () => void;
};

const windowMs = 10_000;
const reportsPerWindow = 10;
const atOnce = 5;
const spacingMs = 1000;

/** Wires a budget; a clock that goes back costs one window at most. */
export function createReportBudget(clock: Clock): ReportBudget {
  let taken: number[] = [];

  const recent = (): number[] => {
    const now = clock();
    taken = taken.map((at) => Math.min(at, now)).filter((at) => now - at < windowMs);
    return taken;
  };

  return {
    delay: () => {
      const now = clock();
      const [oldest = now, ...rest] = recent();
      if (taken.length < atOnce) return 0;
      const spaced = (rest.at(-1) ?? oldest) + spacingMs - now;
      const free = taken.length < reportsPerWindow ? 0 : oldest + windowMs - now;
      return Math.max(0, spaced, free);
    },
    take: () => {
      recent().push(clock());
    },
  };
}
