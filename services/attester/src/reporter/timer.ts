// Waiting, as a parameter: a test has time of its own.

/** Runs something after a while; what it returns calls that off. */
export type Timer = (delayMs: number, run: () => void) => () => void;

/** The timer of the platform. */
export const systemTimer: Timer = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};
