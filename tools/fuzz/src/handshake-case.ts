// One case of the differential fuzzer: a server made by chance, and whether both clients agree on it.
import type { Attack, Outcome } from "../../../protocol/tls/test/attack.ts";
import { suites } from "../../../protocol/tls/test/hostile-keys.ts";
import type { Script } from "../../../protocol/tls/test/hostile-script.ts";
import { Dice } from "./dice.ts";
import { fieldMutations } from "./field-mutations.ts";
import { messageMutations } from "./message-mutations.ts";
import { type Mutation, type Setting, scriptOf } from "./mutation.ts";
import { recordMutations } from "./record-mutations.ts";

export type Case = {
  readonly index: number;
  readonly setting: Setting;
  readonly attack: Attack;
  readonly mutations: readonly Mutation[];
};

/** Lets a client meet a server. */
export type Contestant = (script: Script, attack: Attack) => Promise<Outcome>;
export type Contestants = { readonly sotto: Contestant; readonly openssl: Contestant };

/** What came of a case; `failure` says what must not be. */
export type Result = {
  readonly sotto: string;
  readonly openssl: string;
  readonly failure: string | undefined;
};

const patienceMs = 15_000;

/** The case of this number, the same each time. */
export function createCase(seed: number, index: number): Case {
  const dice = new Dice(seed, index);
  const setting: Setting = {
    suite: dice.chance(25) ? suites.aes256 : suites.aes128,
    transcript: dice.chance(80) ? "sent" : "honest",
    changeCipherSpec: dice.chance(50),
  };
  const groups = dice.chance(12)
    ? dice.pick([["X25519MLKEM768"], ["X25519MLKEM768", "X25519"]] as const)
    : (["X25519"] as const);
  const count = dice.chance(3) ? 0 : dice.chance(75) ? 1 : 2 + dice.below(3);
  const mutations = Array.from({ length: count }, () =>
    dice.pick(dice.pick([messageMutations, fieldMutations, recordMutations]))(dice),
  );
  // Neither judges what is in a certificate: what OpenSSL leaves to its caller is not compared.
  return { index, setting, attack: { groups, isJudged: false }, mutations };
}

/** The words of a case, for who has to find out what went wrong. */
export function describeCase({ setting, attack, mutations }: Case): string[] {
  const { suite, transcript, changeCipherSpec } = setting;
  const frame = `${suite?.cipher}, ${attack.groups?.join("+")}, keys over ${transcript}${changeCipherSpec ? ", with change cipher spec" : ""}`;
  return [frame, ...mutations.map(({ words }) => words)];
}

/** Lets both clients meet the case's server. */
export async function runCase(
  { setting, attack, mutations }: Case,
  contestants: Contestants,
): Promise<Result> {
  const script = scriptOf(setting, mutations);
  try {
    const sotto = await timely(contestants.sotto(script, attack));
    const openssl = await timely(contestants.openssl(script, attack));
    return { sotto: wordFor(sotto), openssl: wordFor(openssl), failure: compare(sotto, openssl) };
  } catch (error) {
    const failure = error instanceof Error ? `${error.name}: ${error.message}` : "something was thrown";
    return { sotto: "broken", openssl: "broken", failure };
  }
}

function wordFor({ code }: Outcome): string {
  return code ?? "accepted";
}

function compare(sotto: Outcome, openssl: Outcome): string | undefined {
  if (sotto.isSecured && !openssl.isSecured) return "ours takes a handshake that OpenSSL refuses";
  if (sotto.code === undefined && openssl.code !== undefined)
    return "ours takes a stream that OpenSSL refuses";
  const data = Buffer.from(sotto.data);
  if (!data.equals(openssl.data.subarray(0, data.length))) return "ours hands on data that OpenSSL does not";
  if (sotto.code === undefined && data.length !== openssl.data.length)
    return "ours hands on less than OpenSSL";
  if (sotto.code === undefined && !(sotto.heard.isFinished && !sotto.heard.isOdd))
    return "the server does not understand what ours says";
  return undefined;
}

async function timely<T>(promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("a client hangs")), patienceMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Leaves out every mutation that the failure does without. */
export async function minimise(found: Case, contestants: Contestants): Promise<Case> {
  let smallest = found;
  for (const mutation of found.mutations) {
    const without = { ...smallest, mutations: smallest.mutations.filter((it) => it !== mutation) };
    const { failure } = await runCase(without, contestants);
    if (failure !== undefined) smallest = without;
  }
  return smallest;
}
