// What the orchestrator is told: the measured file decides, the environment only says where things are.
import { readFileSync } from "node:fs";
import { trustSettingsSchema } from "@sotto/attestation";
import { ConfigError, readConfig } from "@sotto/kit";
import { z } from "zod";
import type { PredictorAddress } from "./predictor-pool.ts";

const environment = z.strictObject({
  SOTTO_PORT: z.string().regex(/^\d{1,5}$/),
  SOTTO_TSM: z.string().min(1),
  SOTTO_CONFIG: z.string().min(1),
  SOTTO_RELEASE: z.string().min(1),
  SOTTO_PREDICTORS: z.string().regex(/^[0-9a-z.-]+:\d{1,5}(,[0-9a-z.-]+:\d{1,5})*$/),
});

const measured = z.strictObject({
  role: z.literal("orchestrator"),
  trust: trustSettingsSchema,
  maxSessions: z.number().int().min(1).max(100_000),
  predictorSessions: z.number().int().min(1).max(64),
});

export type OrchestratorConfig = {
  readonly port: number;
  readonly tsmRoot: string;
  readonly releaseFile: string;
  readonly predictors: readonly PredictorAddress[];
  readonly measured: z.infer<typeof measured>;
};

/** Reads and checks everything; throws `ConfigError`, which stops the boot. */
export function loadConfig(): OrchestratorConfig {
  const env = readConfig(environment);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(env.SOTTO_CONFIG, "utf8"));
  } catch (cause) {
    throw new ConfigError("malformed", "measured configuration: unreadable", { cause });
  }
  const checked = measured.safeParse(value);
  if (!checked.success) throw new ConfigError("malformed", "measured configuration: does not fit its schema");
  return {
    port: Number(env.SOTTO_PORT),
    tsmRoot: env.SOTTO_TSM,
    releaseFile: env.SOTTO_RELEASE,
    predictors: env.SOTTO_PREDICTORS.split(",").map((pair) => {
      const [host = "", port = ""] = pair.split(":");
      return { host, port: Number(port) };
    }),
    measured: checked.data,
  };
}
