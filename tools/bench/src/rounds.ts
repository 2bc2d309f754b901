// Measures works against each other in alternating rounds of one process, so that a noisy neighbour, heat
// and garbage hit all of them alike. Ratios mean something; absolute numbers belong to one machine.

/** One thing to repeat; a promise it returns is awaited before the next. */
export type Work = { readonly name: string; readonly run: () => unknown };

/** Cost of one work: microseconds a call, one entry a round. */
export type Measurement = {
  readonly name: string;
  readonly wallUs: readonly number[];
  /** User and system time of the whole process, its threads included. */
  readonly cpuUs: readonly number[];
};

export type RoundOptions = { readonly rounds: number; readonly roundMs: number };

/** Median and ends of a series. */
export type Spread = { readonly median: number; readonly low: number; readonly high: number };

const callsBetweenClocks = 16;

/** Repeats every work for `roundMs` in each round; who goes first changes from round to round. */
export async function measureRounds(
  works: readonly Work[],
  { rounds, roundMs }: RoundOptions,
): Promise<Measurement[]> {
  const series = works.map(({ name }) => ({ name, wallUs: [] as number[], cpuUs: [] as number[] }));
  for (const work of works) await repeat(work, roundMs); // warm-up, not counted
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < works.length; turn += 1) {
      const index = (turn + round) % works.length;
      const work = works[index];
      if (work === undefined) continue;
      const { wallUs, cpuUs } = await repeat(work, roundMs);
      series[index]?.wallUs.push(wallUs);
      series[index]?.cpuUs.push(cpuUs);
    }
  }
  return series;
}

async function repeat(work: Work, roundMs: number): Promise<{ wallUs: number; cpuUs: number }> {
  let calls = 0;
  const cpu = process.cpuUsage();
  const start = performance.now();
  const end = start + roundMs;
  do {
    for (let call = 0; call < callsBetweenClocks; call += 1) {
      const result = work.run();
      if (result instanceof Promise) await result;
    }
    calls += callsBetweenClocks;
  } while (performance.now() < end);
  const wallUs = ((performance.now() - start) * 1000) / calls;
  const used = process.cpuUsage(cpu);
  return { wallUs, cpuUs: (used.user + used.system) / calls };
}

/** How many times as often `fast` runs as `slow` would for the same cost, round by round. */
export function ratioOf(slow: readonly number[], fast: readonly number[]): Spread {
  return spreadOf(slow.map((cost, round) => cost / (fast[round] ?? Number.NaN)));
}

/** Median and ends of a series that is not empty. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const lower = sorted[sorted.length % 2 === 0 ? middle - 1 : middle] ?? Number.NaN;
  return {
    median: (lower + upper) / 2,
    low: sorted[0] ?? Number.NaN,
    high: sorted.at(-1) ?? Number.NaN,
  };
}
