// Puts the orchestrator together; what to trust comes from the entry that is measured.
import type { TrustPolicy } from "@sotto/attestation";
import { createAttester } from "@sotto/attester";
import { systemRandom } from "@sotto/base";
import { createLog, runService, serve } from "@sotto/kit";
import { loadConfig, type OrchestratorConfig } from "./config.ts";
import { createPredictorPool } from "./predictor-pool.ts";
import { createSealedSession } from "./sealed-session.ts";
import { createSwitchboard, defaultSwitchboardLimits } from "./switchboard.ts";

const maxPredictorSessionAgeMs = 120_000;
const predictorTimeoutMs = 20_000;

const events = {
  "session-ended": { outcome: ["answered", "failed"] },
  "predictor-refused": {},
} as const;

/** Runs the service; `createPolicy` turns the measured settings into what predictors are held to. */
export function runOrchestrator(createPolicy: (config: OrchestratorConfig) => TrustPolicy): void {
  runService("orchestrator", async () => {
    const config = loadConfig();
    const log = createLog(events);
    const attester = createAttester({
      tsmRoot: config.tsmRoot,
      release: config.releaseFile,
      role: "orchestrator",
      clock: Date.now,
    });
    const predictors = createPredictorPool({
      addresses: config.predictors,
      policy: createPolicy(config),
      clock: Date.now,
      random: systemRandom,
      size: config.measured.predictorSessions,
      maxAgeMs: maxPredictorSessionAgeMs,
      timeoutMs: predictorTimeoutMs,
      onRefusal: () => log("predictor-refused", {}),
    });
    const limits = { ...defaultSwitchboardLimits, maxSessions: config.measured.maxSessions };
    const switchboard = createSwitchboard({
      serveSession: createSealedSession({
        attester,
        predictors,
        random: systemRandom,
        onEnd: (outcome) => log("session-ended", { outcome }),
      }),
      clock: Date.now,
      random: systemRandom,
      limits,
    });
    const server = await serve({ handler: switchboard.handle, port: config.port });
    return {
      address: server.address,
      close: async () => {
        switchboard.close();
        predictors.close();
        await server.close();
      },
    };
  });
}
