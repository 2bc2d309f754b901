// What a sealed process of the predictor does: one attested session, one question, one answer.
import { readFileSync } from "node:fs";
import { systemRandom } from "@sotto/base";
import { serveRequest } from "@sotto/exchange";
import { acceptServerSession } from "@sotto/ratls";
import { requestEvidence, runSealed, type SealedWork } from "@sotto/sealed/child";
import type { EngineSettings, MeasuredConfig } from "../measured-config.ts";
import { readArguments } from "./arguments.ts";
import { takeTurns } from "./engine-turn.ts";
import type { Engine } from "./engines/engine.ts";
import { createPredictor } from "./predictor.ts";

export type Loaded = {
  readonly role: MeasuredConfig["role"];
  readonly engine: Engine;
  readonly takesTurns: boolean;
};

/** Opens the engine for what the machine is: a guard's model is asked in another way. */
export type OpenEngine = (settings: EngineSettings, role: MeasuredConfig["role"]) => Promise<Engine>;

/** Runs this process, with the engine that `openEngine` opens. */
export function runSession(openEngine: OpenEngine): void {
  runSealed(createSessionWork(openEngine, readArguments().config));
}

/** The work of one session; `configFile` is the measured configuration. */
export function createSessionWork(openEngine: OpenEngine, configFile: string): SealedWork<Loaded> {
  return {
    load: async () => {
      // Checked against its schema by the process that started this one, before it started any.
      const config: MeasuredConfig = JSON.parse(readFileSync(configFile, "utf8"));
      const { role, parallelAnswers, maximumProcesses } = config;
      // Where there is a turn for every process, nobody has to ask for one.
      const takesTurns = parallelAnswers < maximumProcesses;
      return { role, engine: await openEngine(config.engine, role), takesTurns };
    },
    prepare: async () => "none",
    serve: async ({ role, engine, takesTurns }, channel) => {
      try {
        const session = await acceptServerSession({
          stream: channel.open("client"),
          role,
          attester: { attest: (binding) => requestEvidence(channel, binding, []) },
          random: systemRandom,
        });
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
