// What sealing costs: the path from an orchestrator's port to the model server and back, with a sealed process for
// each request on both sides, and with the same work done in the services' own processes. Questions alternate.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { encodeUtf8, systemRandom } from "@sotto/base";
import { SseParser } from "@sotto/chat";
import { sendRequest } from "@sotto/exchange";
import { type ClientSession, openClientSession } from "@sotto/ratls";
import { parseClientSettings } from "@sotto/sdk";
import { developmentPolicy } from "@sotto/sdk/development";
import { FlightStream } from "./flight-stream.ts";
import { childrenCpuMs, ownCpuMs } from "./process-cpu.ts";
import type { BenchReport } from "./report.ts";
import { type RoundOptions, spreadOf } from "./rounds.ts";

const paceMs = 2;
const tokens = 20;
const questionsPerRound = 4;
const thinkMs = 1100; // a person types, the report device breathes, and the pools fill again
const settleMs = 600; // processes that have ended are counted by those that started them
const folder = import.meta.dirname;
const root = join(folder, "..", "..", "..");
const nodeFlags = [
  `--openssl-config=${join(root, "protocol/ratls/openssl.cnf")}`,
  "--disable-warning=ExperimentalWarning",
];

type Mode = "sealed" | "open";
type Way = { readonly orchestrator: string; readonly pids: readonly number[] };

/** Runs the benchmark; takes about two minutes. */
export async function benchSealed({ rounds }: RoundOptions): Promise<BenchReport> {
  const children: ChildProcess[] = [];
  const state = mkdtempSync(join(tmpdir(), "sotto-bench-"));
  const start = (entry: string, ...args: string[]): ChildProcess => {
    const child = spawn(process.execPath, [...nodeFlags, join(folder, entry), ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    children.push(child);
    return child;
  };
  try {
    const engine = await firstLine(start("paced-engine.ts", String(paceMs)));
    const stack = start("../../up/src/main.ts", "--json", "--port", "0", "--state", state, "--model", engine);
    await firstLine(stack, '"event":"ready"');
    const settings = parseClientSettings(readFileSync(join(state, "client.json"), "utf8"));
    const policy = developmentPolicy(settings);
    const launch = async (mode: Mode): Promise<Way> => {
      const node = (role: string, predictor?: string) =>
        start("sealed-node.ts", JSON.stringify({ role, mode, state, predictor }));
      const predictor = node("predictor");
      const orchestrator = node("orchestrator", await firstLine(predictor));
      return {
        orchestrator: await firstLine(orchestrator),
        pids: [predictor.pid ?? 0, orchestrator.pid ?? 0],
      };
    };
    const ways = { sealed: await launch("sealed"), open: await launch("open") };
    const ask = async (mode: Mode): Promise<number> => {
      const session = await open(ways[mode].orchestrator, policy);
      await pause(thinkMs);
      return firstTokenMs(session);
    };
    for (let warm = 0; warm < 4; warm += 1) for (const mode of ["sealed", "open"] as const) await ask(mode);
    const firsts: Record<Mode, number[]> = { sealed: [], open: [] };
    const sealedCpu = [] as number[];
    const own: Record<Mode, number[]> = { sealed: [], open: [] };
    for (let round = 0; round < rounds; round += 1) {
      const samples: Record<Mode, number[]> = { sealed: [], open: [] };
      const before = { children: childrenCpuMs(ways.sealed.pids), own: ownCpuOf(ways) };
      for (let question = 0; question < questionsPerRound; question += 1) {
        const order: Mode[] = question % 2 === 0 ? ["sealed", "open"] : ["open", "sealed"];
        for (const mode of order) samples[mode].push(await ask(mode));
      }
      await pause(settleMs);
      const after = ownCpuOf(ways);
      sealedCpu.push((childrenCpuMs(ways.sealed.pids) - before.children) / questionsPerRound);
      for (const mode of ["sealed", "open"] as const) {
        own[mode].push((after[mode] - before.own[mode]) / questionsPerRound);
        firsts[mode].push(spreadOf(samples[mode]).median);
      }
    }
    const added = firsts.sealed.map((value, round) => value - (firsts.open[round] ?? Number.NaN));
    return {
      bench: "sealed",
      rounds,
      rows: [
        { name: "first token, sealed", unit: "ms", value: spreadOf(firsts.sealed) },
        { name: "first token, not sealed", unit: "ms", value: spreadOf(firsts.open) },
        { name: "services themselves, sealed", unit: "ms of CPU a request", value: spreadOf(own.sealed) },
        { name: "services themselves, not sealed", unit: "ms of CPU a request", value: spreadOf(own.open) },
      ],
      goals: [
        { name: "CPU of both sealed processes, ms a request", value: spreadOf(sealedCpu), atMost: 60 },
        { name: "added time to first token, ms", value: spreadOf(added), atMost: 2 },
      ],
    };
  } finally {
    for (const child of children.toReversed()) child.kill("SIGTERM");
    await pause(1000);
    rmSync(state, { recursive: true, force: true });
  }
}

function ownCpuOf(ways: Readonly<Record<Mode, Way>>): Record<Mode, number> {
  return { sealed: ownCpuMs(ways.sealed.pids), open: ownCpuMs(ways.open.pids) };
}

function open(orchestrator: string, policy: ReturnType<typeof developmentPolicy>): Promise<ClientSession> {
  const stream = new FlightStream(orchestrator);
  return openClientSession({
    ...{ stream, policy, role: "orchestrator", clock: Date.now, random: systemRandom },
    onFlight: () => stream.endFlight(),
  });
}

async function firstTokenMs(session: ClientSession): Promise<number> {
  const question = { stream: true, max_tokens: tokens, messages: [{ role: "user", content: "How fast?" }] };
  const startedAt = performance.now();
  const response = await sendRequest(session, {
    method: "POST",
    authority: "orchestrator.sotto.invalid",
    path: "/v1/chat/completions",
    contentType: "application/json",
    content: encodeUtf8(JSON.stringify(question)),
  });
  const parser = new SseParser();
  let firstMs = 0;
  let count = 0;
  for await (const bytes of response.body) {
    for (const data of parser.push(bytes)) {
      if (!data.includes('"token ')) continue;
      count += 1;
      if (count === 1) firstMs = performance.now() - startedAt;
    }
  }
  if (count !== tokens) throw new Error(`answer held ${count} tokens instead of ${tokens}`);
  return firstMs;
}

function firstLine(child: ChildProcess, wanted = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error("a part of the benchmark has ended")));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.includes(wanted)) resolve(line);
    });
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
