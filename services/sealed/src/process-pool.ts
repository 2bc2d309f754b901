// Sealed processes made ahead, so that a request waits for none. Each is taken once. How many wait follows how many
// were taken of late; how many live at all has a cap, and beyond it the answer is "busy".
import type { Clock } from "@sotto/base";
import { SealedError } from "./sealed-process.ts";

/** What the pool needs to know of a process. */
export type Pooled = {
  readonly isAlive: () => boolean;
  readonly ended: Promise<unknown>;
  readonly kill: () => void;
  /** Whether it can do what it is for; one that cannot is handed out only when there is no other, and soon replaced. */
  readonly isFit: boolean;
};

export type PoolOptions<Process extends Pooled> = {
  /** Starts one; resolves when it is ready. */
  readonly start: () => Promise<Process>;
  /** One that is ready already. */
  readonly first?: Process;
  readonly clock: Clock;
  /** Ready ones that are kept even when nobody asks. */
  readonly minimumReady: number;
  /** All that live, in use or not. */
  readonly maximum: number;
  /** How long one may wait to be taken, milliseconds. */
  readonly maxAgeMs: number;
  /** How long somebody may wait for one, milliseconds. */
  readonly maxWaitMs: number;
  readonly onStartFailure: () => void;
};

export type ProcessPool<Process extends Pooled> = {
  /** A process for the caller alone. Rejects with `SealedError` `busy`. */
  readonly take: () => Promise<Process>;
  readonly counts: () => { readonly ready: number; readonly live: number; readonly waiting: number };
  /** Ends every process, in use or not. */
  readonly close: () => void;
};

type Ready<Process> = { readonly process: Process; readonly since: number };
type Waiter<Process> = {
  readonly resolve: (process: Process) => void;
  readonly reject: () => void;
  readonly timer: NodeJS.Timeout;
};

const demandMs = 2000; // as many are kept ready as were taken in this time
const maxStarting = 16; // each takes its share of the processors
const maxWaiters = 1024;
const unfitMs = 1000;
const checkMs = 500;
const firstDelayMs = 100;
const maxDelayMs = 5000;

/** Wires a pool and begins to fill it. */
export function createProcessPool<Process extends Pooled>(
  options: PoolOptions<Process>,
): ProcessPool<Process> {
  const { clock } = options;
  const ready: Ready<Process>[] = [];
  const live = new Set<Process>();
  const waiters: Waiter<Process>[] = [];
  let taken: number[] = [];
  let starting = 0;
  let delayMs = 0;
  let retryAt = 0;
  let closed = false;

  const wanted = (): number => {
    const now = clock();
    taken = taken.filter((at) => now - at < demandMs);
    return Math.max(options.minimumReady, taken.length) + waiters.length;
  };

  const fill = (): void => {
    if (closed || clock() < retryAt) return;
    while (
      starting < maxStarting &&
      live.size + starting < options.maximum &&
      ready.length + starting < wanted()
    ) {
      starting += 1;
      options.start().then(admit, failed);
    }
  };

  const admit = (process: Process): void => {
    starting -= 1;
    delayMs = 0;
    if (closed) {
      process.kill();
      return;
    }
    live.add(process);
    process.ended.finally(() => {
      live.delete(process);
      const index = ready.findIndex((entry) => entry.process === process);
      if (index >= 0) ready.splice(index, 1);
      fill();
    });
    ready.push({ process, since: clock() });
    serveWaiters();
    fill();
  };

  const failed = (): void => {
    starting -= 1;
    if (closed) return;
    options.onStartFailure();
    // Those that were started together fail together, and count once.
    if (clock() < retryAt) return;
    delayMs = Math.min(Math.max(delayMs * 2, firstDelayMs), maxDelayMs);
    retryAt = clock() + delayMs;
  };

  const pick = (): Process | undefined => {
    const index = Math.max(
      0,
      ready.findIndex(({ process }) => process.isFit),
    );
    return ready.splice(index, 1)[0]?.process;
  };

  const serveWaiters = (): void => {
    while (waiters.length > 0 && ready.length > 0) {
      const process = pick();
      if (process?.isAlive() !== true) continue;
      const waiter = waiters.shift();
      if (waiter === undefined) return;
      clearTimeout(waiter.timer);
      waiter.resolve(process);
    }
  };

  // Those that have waited for too long go, one at a time, so that there are others meanwhile.
  const retire = (): void => {
    const now = clock();
    let index = ready.findIndex(({ process, since }) =>
      process.isFit ? now - since >= options.maxAgeMs : now - since >= unfitMs,
    );
    if (index < 0 && ready.length > wanted()) index = 0;
    // Nobody takes one that is about to go.
    if (index >= 0) ready.splice(index, 1)[0]?.process.kill();
    fill();
  };
  const timer = setInterval(retire, checkMs);
  timer.unref();
  if (options.first !== undefined) {
    starting += 1;
    admit(options.first);
  } else fill();

  return {
    take: () =>
      new Promise((resolve, reject) => {
        const busy = (): void => reject(new SealedError("busy", "sealed processes: all are in use"));
        taken.push(clock());
        for (let process = pick(); process !== undefined; process = pick()) {
          if (!process.isAlive()) continue;
          resolve(process);
          setImmediate(fill);
          return;
        }
        const isFull = live.size + starting >= options.maximum && starting <= waiters.length;
        if (closed || isFull || waiters.length >= maxWaiters) return busy();
        const waiter: Waiter<Process> = {
          resolve,
          reject: busy,
          timer: setTimeout(() => {
            waiters.splice(waiters.indexOf(waiter), 1);
            busy();
          }, options.maxWaitMs),
        };
        waiters.push(waiter);
        fill();
      }),
    counts: () => ({ ready: ready.length, live: live.size, waiting: waiters.length }),
    close: () => {
      closed = true;
      clearInterval(timer);
      for (const process of live) process.kill();
      for (const waiter of waiters.splice(0)) {
        clearTimeout(waiter.timer);
        waiter.reject();
      }
    },
  };
}
