// Requests in a row, many at once, while sealed processes are killed at random; then, what is left of them.
import { Agent } from "node:http";
import { systemRandom } from "@sotto/base";
import { developmentPolicy } from "@sotto/sdk/development";
import { openModelServer } from "../canary/model-server.ts";
import { openStage, type Stage } from "../canary/stage.ts";
import { ask, type Ending, scriptOf } from "./client.ts";
import { findSealed, readVitals, type Vitals } from "./vitals.ts";

export type SoakOptions = {
  readonly requests: number;
  readonly atOnce: number;
  /** A sealed process is killed so often, milliseconds on average. */
  readonly killEveryMs: number;
  readonly onStep: (text: string) => void;
};

export type Role = "orchestrator" | "predictor";

export type SoakReport = {
  readonly outcomes: ReadonlyMap<string, number>;
  readonly killed: number;
  readonly slowestMs: number;
  readonly seconds: number;
  /** Of each service: before the first request, after a fifth of them, with the last, and once it is quiet again. */
  readonly vitals: Readonly<Record<Role, readonly Vitals[]>>;
  readonly faults: readonly string[];
};

const limitMs = 60_000;
const quietMs = 60_000; // the pools let spare processes go one by one
const roles: readonly Role[] = ["orchestrator", "predictor"];
const spareDescriptors = 4;
// Between two collections V8 lets garbage pile up. Measured over 2,600 requests: memory goes up and down by this much,
// and comes down to the same floor, which only a long run shows.
const spareMib = 64;
const spareFloorMib = 24;
const longRun = 2000;

/** Starts a stack and soaks its two confidential services. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const server = await openModelServer(scriptOf);
  let stage: Stage | undefined;
  try {
    options.onStep("starts a stack");
    stage = await openStage(server.url);
    return await soak(stage, options);
  } finally {
    await stage?.close();
    server.close();
  }
}

async function soak(
  stage: Stage,
  { requests, atOnce, killEveryMs, onStep }: SoakOptions,
): Promise<SoakReport> {
  const pids = { orchestrator: pidOf(stage, "orchestrator"), predictor: pidOf(stage, "predictor") };
  const before = await settle(pids, undefined);
  const samples: Readonly<Record<Role, Vitals[]>> = { orchestrator: [], predictor: [] };
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
  const client = {
    ...{ orchestrator: pathOf(stage), agent, limitMs },
    policy: developmentPolicy(stage.settings),
  };
  const killer = startKiller(Object.values(pids), killEveryMs);
  const endings: Ending[] = [];
  const startedAt = performance.now();
  const sampleEvery = Math.max(1, Math.floor(requests / 20));
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < requests) {
      const number = next;
      next += 1;
      endings.push(await ask(number, client));
      if (endings.length % sampleEvery !== 0) continue;
      for (const role of roles) samples[role].push(readVitals(pids[role]));
      const [orchestrator, predictor] = roles.map((role) => samples[role].at(-1)?.residentMib.toFixed(0));
      onStep(`${endings.length} ended, ${killer.killed()} killed, ${orchestrator} and ${predictor} MiB`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  killer.stop();
  agent.destroy();
  const seconds = (performance.now() - startedAt) / 1000;
  onStep("waits for quiet");
  const after = await settle(pids, before);
  const vitals = {
    orchestrator: story(before.orchestrator, samples.orchestrator, after.orchestrator),
    predictor: story(before.predictor, samples.predictor, after.predictor),
  };
  const outcomes = new Map<string, number>();
  for (const { outcome } of endings) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  const faults = [
    ...endings.filter(({ isFault }) => isFault).map(({ outcome }) => `a client's end: ${outcome}`),
    ...(endings.length === requests ? [] : [`${endings.length} of ${requests} clients came to an end`]),
    ...((outcomes.get("answered") ?? 0) > requests / 4 ? [] : ["few answers"]),
    ...(killer.killed() > 0 ? [] : ["no process was killed"]),
    ...roles.flatMap((role) => judge(role, vitals[role])),
    ...(requests < longRun ? [] : roles.flatMap((role) => judgeFloor(role, samples[role]))),
  ];
  const slowestMs = Math.max(...endings.map(({ tookMs }) => tookMs));
  return { outcomes, killed: killer.killed(), slowestMs, seconds, vitals, faults };
}

function pidOf({ parts }: Stage, role: Role): number {
  const pid = parts.find(({ name }) => name === role)?.pid;
  if (pid === undefined) throw new Error(`stack without ${role}`);
  return pid;
}

function pathOf({ parts }: Stage): string {
  return parts.find(({ name }) => name === "orchestrator")?.address ?? "";
}

/** Kills sealed processes of these services, one at a time, at random times. */
function startKiller(pids: readonly number[], everyMs: number) {
  let killed = 0;
  let timer: NodeJS.Timeout | undefined;
  const draw = (): number => new DataView(systemRandom(4).buffer).getUint32(0) / 2 ** 32;
  const kill = (): void => {
    const sealed = pids.flatMap(findSealed);
    const victim = sealed[Math.floor(draw() * sealed.length)];
    try {
      if (victim !== undefined) process.kill(victim, "SIGKILL");
      killed += victim === undefined ? 0 : 1;
    } catch {
      // It has ended by itself meanwhile.
    }
    schedule();
  };
  const schedule = (): void => {
    timer = setTimeout(kill, 2 * everyMs * draw());
  };
  schedule();
  return { killed: () => killed, stop: () => clearTimeout(timer) };
}

type AllVitals = Readonly<Record<Role, Vitals>>;

/** Waits until the pools are as they were, or, for a first time, until they do not change any more. */
async function settle(
  pids: Readonly<Record<Role, number>>,
  wanted: AllVitals | undefined,
): Promise<AllVitals> {
  const read = (): AllVitals => ({
    orchestrator: readVitals(pids.orchestrator),
    predictor: readVitals(pids.predictor),
  });
  const until = Date.now() + quietMs;
  let last = read();
  for (let same = 0; same < 4 && Date.now() < until; ) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = read();
    const goal = wanted ?? last;
    const isGoal = roles.every(
      (role) =>
        now[role].sealed === goal[role].sealed &&
        now[role].descriptors <= goal[role].descriptors + spareDescriptors,
    );
    same = isGoal ? same + 1 : 0;
    last = now;
  }
  return last;
}

function story(before: Vitals, samples: readonly Vitals[], after: Vitals): Vitals[] {
  const fifth = Math.floor(samples.length / 5);
  return [before, highest(samples.slice(fifth, 2 * fifth)), highest(samples.slice(-fifth)), after];
}

function highest(samples: readonly Vitals[]): Vitals {
  const most = (pick: (vitals: Vitals) => number): number => Math.max(0, ...samples.map(pick));
  return {
    residentMib: most(({ residentMib }) => residentMib),
    descriptors: most(({ descriptors }) => descriptors),
    sealed: most(({ sealed }) => sealed),
  };
}

function judge(role: Role, [before, warm, last, after]: readonly Vitals[]): string[] {
  if (before === undefined || warm === undefined || last === undefined || after === undefined) return [];
  const faults: string[] = [];
  if (after.sealed !== before.sealed)
    faults.push(`${role}: ${after.sealed} sealed processes, ${before.sealed} before`);
  if (after.descriptors > before.descriptors + spareDescriptors)
    faults.push(`${role}: ${after.descriptors} descriptors, ${before.descriptors} before`);
  for (const { residentMib } of [last, after]) {
    if (residentMib > warm.residentMib + spareMib)
      faults.push(`${role}: ${residentMib.toFixed(0)} MiB, ${warm.residentMib.toFixed(0)} after a warm-up`);
  }
  return faults;
}

function judgeFloor(role: Role, samples: readonly Vitals[]): string[] {
  const warm = samples.slice(Math.floor(samples.length / 5));
  const middle = Math.floor(warm.length / 2);
  const floor = (given: readonly Vitals[]): number =>
    Math.min(...given.map(({ residentMib }) => residentMib));
  const [first, second] = [floor(warm.slice(0, middle)), floor(warm.slice(middle))];
  return second <= first + spareFloorMib
    ? []
    : [`${role}: never under ${second.toFixed(0)} MiB in the second half, ${first.toFixed(0)} in the first`];
}
