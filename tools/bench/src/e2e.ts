// The whole path against the same engine over plain HTTP: time to the first token with the session made ahead, and
// tokens per second. Every part is a process of its own; questions alternate between the two ways.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createPrivateFetch, MemoryTokenStore, parseClientSettings, SseParser } from "@sotto/sdk";
import { developmentPolicy } from "@sotto/sdk/development";
import type { BenchReport } from "./report.ts";
import { type RoundOptions, spreadOf } from "./rounds.ts";

const paceMs = 2;
const tokens = 250;
const questionsPerRound = 4;
const source = join(import.meta.dirname, "..", "..");

type Sample = { readonly firstMs: number; readonly tokensPerSecond: number };

/** Runs the benchmark; the hardware's pace of one report a second makes it take about two minutes. */
export async function benchE2e({ rounds }: RoundOptions): Promise<BenchReport> {
  const engine = spawn(process.execPath, [join(import.meta.dirname, "paced-engine.ts"), String(paceMs)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const folder = mkdtempSync(join(tmpdir(), "sotto-bench-"));
  let stack: ChildProcess | undefined;
  try {
    const url = await firstLine(engine);
    stack = spawn(
      process.execPath,
      [join(source, "up/src/main.ts"), "--json", "--port", "0", "--state", folder, "--model", url],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    await readyLine(stack);
    const settings = parseClientSettings(readFileSync(join(folder, "client.json"), "utf8"));
    const privateFetch = createPrivateFetch({
      relayUrl: settings.relay,
      issuerUrl: settings.issuer,
      account: settings.account,
      directoryKey: settings.directoryKey,
      policy: developmentPolicy(settings),
      tokens: new MemoryTokenStore(),
      prepareAhead: false,
    });
    // The person types, and the report device breathes; both ways begin from processes that have slept.
    const think = (): Promise<void> => pause(1100);
    const direct = async (): Promise<Sample> => {
      await think();
      return ask(fetch, `${url}/chat/completions`);
    };
    const sealed = async (): Promise<Sample> => {
      await privateFetch.prepare();
      await think();
      return ask(privateFetch, `${privateFetch.baseUrl}/chat/completions`);
    };
    for (let warm = 0; warm < 3; warm += 1) {
      await direct();
      await sealed();
    }
    const added: number[] = [];
    const ratio: number[] = [];
    const firsts = { direct: [] as number[], sealed: [] as number[] };
    for (let round = 0; round < rounds; round += 1) {
      const samples = { direct: [] as Sample[], sealed: [] as Sample[] };
      for (let question = 0; question < questionsPerRound; question += 1) {
        samples.direct.push(await direct());
        samples.sealed.push(await sealed());
      }
      const median = (way: "direct" | "sealed", value: (sample: Sample) => number): number =>
        spreadOf(samples[way].map(value)).median;
      firsts.direct.push(median("direct", ({ firstMs }) => firstMs));
      firsts.sealed.push(median("sealed", ({ firstMs }) => firstMs));
      added.push((firsts.sealed.at(-1) ?? 0) - (firsts.direct.at(-1) ?? 0));
      const speed = ({ tokensPerSecond }: Sample): number => tokensPerSecond;
      ratio.push(median("sealed", speed) / median("direct", speed));
    }
    privateFetch.close();
    return {
      bench: "e2e",
      rounds,
      rows: [
        { name: "first token, direct", unit: "ms", value: spreadOf(firsts.direct) },
        { name: "first token, private", unit: "ms", value: spreadOf(firsts.sealed) },
      ],
      goals: [
        { name: "added time to first token, ms", value: spreadOf(added), atMost: 2.5, stretch: 1.2 },
        { name: "throughput at 500 tokens/s, ratio", value: spreadOf(ratio), atLeast: 0.97, stretch: 0.99 },
      ],
    };
  } finally {
    engine.kill();
    if (stack !== undefined) {
      const ended = new Promise((resolve) => stack?.once("exit", resolve));
      stack.kill("SIGINT");
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

async function ask(send: typeof fetch, url: string): Promise<Sample> {
  const body = JSON.stringify({
    model: "paced",
    stream: true,
    max_tokens: tokens,
    messages: [{ role: "user", content: "How fast?" }],
  });
  const startedAt = performance.now();
  const response = await send(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  const parser = new SseParser();
  let firstAt = 0;
  let lastAt = 0;
  let count = 0;
  for await (const bytes of response.body ?? []) {
    for (const data of parser.push(bytes)) {
      if (!data.includes('"token ')) continue;
      count += 1;
      lastAt = performance.now();
      if (count === 1) firstAt = lastAt;
    }
  }
  if (count !== tokens) throw new Error(`answer held ${count} tokens instead of ${tokens}`);
  return { firstMs: firstAt - startedAt, tokensPerSecond: ((count - 1) * 1000) / (lastAt - firstAt) };
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error("a part of the benchmark has ended")));
    if (child.stdout !== null) createInterface({ input: child.stdout }).once("line", resolve);
  });
}

function readyLine(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error("the stack has ended")));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.includes('"event":"ready"')) resolve();
    });
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
