// Many cases in a row, and what came of them.
import {
  type Case,
  type Contestants,
  createCase,
  describeCase,
  minimise,
  type Result,
  runCase,
} from "./handshake-case.ts";

export type Failure = {
  readonly index: number;
  readonly what: string;
  readonly sotto: string;
  readonly openssl: string;
  /** The case without what it fails without. */
  readonly words: readonly string[];
};

export type Campaign = {
  readonly seed: number;
  readonly cases: number;
  readonly seconds: number;
  readonly both: number;
  readonly neither: number;
  /** Taken by OpenSSL, refused by ours. */
  readonly stricter: number;
  /** How often each client said what, by code. */
  readonly codes: { readonly sotto: Record<string, number>; readonly openssl: Record<string, number> };
  readonly failures: readonly Failure[];
};

const maxFailures = 20;

/** Runs the cases `from` to `to`; stops early when there is more wrong than anybody reads. */
export async function runCampaign(
  options: { readonly seed: number; readonly from: number; readonly to: number },
  contestants: Contestants,
  onProgress: (done: number, failures: readonly Failure[]) => void = () => {},
): Promise<Campaign> {
  const started = performance.now();
  const codes: Campaign["codes"] = { sotto: {}, openssl: {} };
  const failures: Failure[] = [];
  const tally = { both: 0, neither: 0, stricter: 0 };
  let cases = 0;
  for (let index = options.from; index < options.to && failures.length < maxFailures; index += 1) {
    const made = createCase(options.seed, index);
    const result = await runCase(made, contestants);
    cases += 1;
    count(codes.sotto, result.sotto);
    count(codes.openssl, result.openssl);
    if (result.failure !== undefined) failures.push(await explain(made, result, contestants));
    else if (result.openssl !== "accepted") tally.neither += 1;
    else if (result.sotto === "accepted") tally.both += 1;
    else tally.stricter += 1;
    onProgress(cases, failures);
  }
  return {
    seed: options.seed,
    cases,
    seconds: (performance.now() - started) / 1000,
    ...tally,
    codes,
    failures,
  };
}

async function explain(made: Case, result: Result, contestants: Contestants): Promise<Failure> {
  const { sotto, openssl, failure = "" } = result;
  const words = describeCase(await minimise(made, contestants));
  return { index: made.index, what: failure, sotto, openssl, words };
}

function count(counts: Record<string, number>, word: string): void {
  counts[word] = (counts[word] ?? 0) + 1;
}
