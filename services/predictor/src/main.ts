// The predictor's process.
import { createAttester } from "@sotto/attester";
import { systemRandom } from "@sotto/base";
import { createLog, runService } from "@sotto/kit";
import { type EngineSettings, loadConfig } from "./config.ts";
import type { Engine } from "./engines/engine.ts";
import { openLlamaEngine } from "./engines/llama.ts";
import { openOpenAiEngine } from "./engines/openai.ts";
import { verifyModelFile } from "./model-file.ts";
import { createPredictor } from "./predictor.ts";
import { serveSessions } from "./session-server.ts";

const attestMs = 60_000;
const lifetimeMs = 600_000;

async function openEngine(settings: EngineSettings): Promise<Engine> {
  if (settings.kind === "openai") return openOpenAiEngine(settings);
  await verifyModelFile(settings.path, settings.digest);
  return openLlamaEngine(settings);
}

runService("predictor", async () => {
  const config = loadConfig();
  const log = createLog({ "session-ended": { outcome: ["answered", "failed"] } });
  const engine = await openEngine(config.measured.engine);
  const attester = createAttester({
    tsmRoot: config.tsmRoot,
    release: config.releaseFile,
    role: "predictor",
    clock: Date.now,
  });
  const server = await serveSessions({
    port: config.port,
    attester,
    handler: createPredictor({ engine, clock: Date.now, random: systemRandom }),
    random: systemRandom,
    maxSessions: config.measured.maxSessions,
    attestMs,
    lifetimeMs,
    onEnd: (outcome) => log("session-ended", { outcome }),
  });
  return {
    address: server.address,
    close: async () => {
      await server.close();
      await engine.close();
    },
  };
});
