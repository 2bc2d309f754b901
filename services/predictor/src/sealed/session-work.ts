// What a sealed process of the predictor does: one attested session with an orchestrator, one question, one answer.
import { readFileSync } from "node:fs";
import type { TrustPolicy } from "@sotto/attestation";
import { systemRandom } from "@sotto/base";
import { serveRequest } from "@sotto/exchange";
import { acceptServerSession, type ServerSession } from "@sotto/ratls/server";
import { type Channel, requestEvidence, runSealed, type SealedWork } from "@sotto/sealed/child";
import type { EngineSettings, MeasuredConfig } from "../measured-config.ts";
import { readArguments } from "./arguments.ts";
import { takeTurns } from "./engine-turn.ts";
import type { Engine } from "./engines/engine.ts";
import { createPredictor } from "./predictor.ts";

export type Loaded = {
  readonly role: MeasuredConfig["role"];
  /** What whoever asks is held to. */
  readonly policy: TrustPolicy;
  readonly engine: Engine;
  readonly takesTurns: boolean;
};

/** Opens the engine for what the machine is: a guard's model is asked in another way. */
export type OpenEngine = (settings: EngineSettings, role: MeasuredConfig["role"]) => Promise<Engine>;

/** Turns the measured settings into what orchestrators are held to. */
export type CreatePolicy = (config: MeasuredConfig) => TrustPolicy;

// For the client to show evidence, which its hardware may have to make first.
const acceptMs = 60_000;

/** Runs this process, with the engine that `openEngine` opens. */
export function runSession(openEngine: OpenEngine, createPolicy: CreatePolicy): void {
  runSealed(createSessionWork(openEngine, createPolicy, readArguments().config));
}

/** The work of one session; `configFile` is the measured configuration. */
export function createSessionWork(
  openEngine: OpenEngine,
  createPolicy: CreatePolicy,
  configFile: string,
): SealedWork<Loaded> {
  return {
    load: async () => {
      // Checked against its schema by the process that started this one, before it started any.
      const config: MeasuredConfig = JSON.parse(readFileSync(configFile, "utf8"));
      const { role, parallelAnswers, maximumProcesses } = config;
      // Where there is a turn for every process, nobody has to ask for one.
      const takesTurns = parallelAnswers < maximumProcesses;
      return {
        role,
        policy: createPolicy(config),
        engine: await openEngine(config.engine, role),
        takesTurns,
      };
    },
    prepare: async () => "none",
    serve: async (loaded, channel) => {
      try {
        const session = await accept(loaded, channel);
        const { engine, takesTurns } = loaded;
        const handler = createPredictor({
          engine: takesTurns ? takeTurns(engine, channel) : engine,
          clock: Date.now,
          random: systemRandom,
        });
        await serveRequest(session, handler);
        session.close();
        return "answered";
      } catch {
        return "failed"; // who asked has been told, inside the session, as far as there was one
      }
    },
  };
}

/** Resolves once an orchestrator that passed is at the other end. */
async function accept({ role, policy }: Loaded, channel: Channel): Promise<ServerSession> {
  // A timer of its own rather than AbortSignal.timeout, which would end the session when it is open.
  const accepting = new AbortController();
  const timer = setTimeout(() => accepting.abort(), acceptMs).unref();
  try {
    return await acceptServerSession({
      stream: channel.open("client"),
      role,
      attester: { attest: (binding) => requestEvidence(channel, "client", binding) },
      clientPolicy: policy,
      random: systemRandom,
      signal: accepting.signal,
    });
  } finally {
    clearTimeout(timer);
  }
}
