// One confidential service of the benchmark, sealed or not: `node sealed-node.ts '{"role","mode","state","predictor"}'`.
// Prints its address. The simulated chip signs here, without the launcher in between.
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createReportSigner, developmentPolicy, parseSimulatedChip } from "@sotto/attestation/software";
import { createAttester } from "@sotto/attester";
import { systemRandom } from "@sotto/base";
import { serve } from "@sotto/kit";
import { parseStatement } from "@sotto/log";
import { createProcessPool, type SealedProcess } from "@sotto/sealed";
import { loadConfig as loadOrchestrator } from "../../../services/orchestrator/src/config.ts";
import { createSessionWork as orchestratorWork } from "../../../services/orchestrator/src/sealed/session-work.ts";
import { sessionSandbox, startSession } from "../../../services/orchestrator/src/session-process.ts";
import { createSwitchboard } from "../../../services/orchestrator/src/switchboard.ts";
import { loadConfig as loadPredictor } from "../../../services/predictor/src/config.ts";
import { openOpenAiEngine } from "../../../services/predictor/src/sealed/engines/openai.ts";
import { createSessionWork as predictorWork } from "../../../services/predictor/src/sealed/session-work.ts";
import * as predictorProcess from "../../../services/predictor/src/session-process.ts";
import { serveSessions } from "../../../services/predictor/src/session-server.ts";
import { createTurnQueue } from "../../../services/predictor/src/turn-queue.ts";
import { startOpen } from "./open-process.ts";

type Settings = {
  readonly role: "orchestrator" | "predictor";
  readonly mode: "sealed" | "open";
  readonly state: string;
  readonly predictor?: string;
};

const { role, mode, state, predictor }: Settings = JSON.parse(process.argv[2] ?? "");
const file = (name: string): string => join(state, name);
const env = {
  SOTTO_PORT: "0",
  SOTTO_TSM: state,
  SOTTO_CONFIG: file(`${role}.json`),
  SOTTO_RELEASE: file(`${role}-release.json`),
  SOTTO_SEALED: file(`${role}-sealed.cjs`),
};
const pool = {
  clock: Date.now,
  maxAgeMs: 100_000,
  maxWaitMs: 10_000,
  onStartFailure: () => console.error("sealed-node: a process did not start"),
};

async function openAttester() {
  const chip = parseSimulatedChip(readFileSync(file("keys/chip.json"), "utf8"));
  const release: { statement: string } = JSON.parse(readFileSync(env.SOTTO_RELEASE, "utf8"));
  const statement = parseStatement(Buffer.from(release.statement, "base64"));
  if (statement.kind !== "release") throw new Error("not a release");
  const signer = await createReportSigner(chip, statement.measurements[0] ?? "");
  const report = async (data: Uint8Array<ArrayBuffer>) => ({
    report: await signer.sign(data),
    certificates: chip.certificates,
  });
  return createAttester({ tsmRoot: state, release: env.SOTTO_RELEASE, role, clock: Date.now, report });
}

async function runPredictor(): Promise<string> {
  const config = loadPredictor(env);
  const { engine } = config.measured;
  if (engine.kind !== "openai") throw new Error("the benchmark needs a model server");
  const sandbox = predictorProcess.sessionSandbox(config, undefined);
  const open = async (): Promise<SealedProcess> => {
    const connection = await connectTo(new URL(engine.url));
    const work = predictorWork(
      async () => openOpenAiEngine({ ...engine, connection, random: systemRandom }),
      ({ trust }) => developmentPolicy(trust),
      env.SOTTO_CONFIG,
    );
    return startOpen(work)({});
  };
  const start = async () =>
    mode === "sealed"
      ? predictorProcess.startSession({ sandbox, engine })
      : { ...(await open()), isFit: true };
  const server = await serveSessions({
    port: 0,
    role: "predictor",
    processes: createProcessPool({ ...pool, start, minimumReady: 3, maximum: 64 }),
    attest: (await openAttester()).attest,
    clock: Date.now,
    turns: createTurnQueue(64),
    isOpen: () => true,
    maxConnections: 256,
    attestMs: 60_000,
    lifetimeMs: 600_000,
    onEnd: () => {},
  });
  return server.address;
}

async function runOrchestrator(): Promise<string> {
  const config = loadOrchestrator({ ...env, SOTTO_PREDICTORS: new URL(predictor ?? "").host });
  const sandbox = sessionSandbox(config);
  const work = orchestratorWork(({ trust }) => developmentPolicy(trust), sandbox.args[0]);
  const { attest } = await openAttester();
  const start = () =>
    startSession({
      sandbox,
      attest,
      predictors: config.predictors,
      random: systemRandom,
      ...(mode === "open" ? { start: startOpen(work) } : {}),
    });
  const switchboard = createSwitchboard({
    processes: createProcessPool({ ...pool, start, minimumReady: 2, maximum: 64 }),
    attest,
    isOpen: () => true,
    onEnd: () => {},
    clock: Date.now,
    random: systemRandom,
  });
  return (await serve({ handler: switchboard.handle, port: 0 })).address;
}

function connectTo(url: URL): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
    socket.once("connect", () => resolve(socket)).once("error", reject);
  });
}

console.log(await (role === "predictor" ? runPredictor() : runOrchestrator()));
process.stdin.on("end", () => process.exit()).resume();
