// What the predictor is told: the measured files decide, the environment only says where things are.
import { readConfig, readMeasuredConfig } from "@sotto/kit";
import { readMeasuredFile } from "@sotto/sealed";
import { z } from "zod";
import { type MeasuredConfig, measuredConfigSchema } from "./measured-config.ts";

const environment = z.strictObject({
  SOTTO_PORT: z.string().regex(/^\d{1,5}$/),
  SOTTO_TSM: z.string().min(1),
  SOTTO_CONFIG: z.string().min(1),
  SOTTO_RELEASE: z.string().min(1),
  SOTTO_SEALED: z.string().min(1),
  SOTTO_SWITCH: z.string().min(1).optional(),
});

export type PredictorConfig = {
  readonly port: number;
  readonly tsmRoot: string;
  readonly configFile: string;
  readonly releaseFile: string;
  /** The code of sealed processes, as it was measured. */
  readonly sealedFile: string;
  readonly switchFile: string | undefined;
  readonly measured: MeasuredConfig;
};

/** Reads and checks everything but the model; throws `ConfigError` or `MeasuredFileError`, which stop the boot. */
export function loadConfig(
  given: Readonly<Record<string, string | undefined>> = process.env,
): PredictorConfig {
  const env = readConfig(environment, given, { confidential: true });
  const measured = readMeasuredConfig("SOTTO_CONFIG", env.SOTTO_CONFIG, measuredConfigSchema);
  readMeasuredFile(env.SOTTO_SEALED, measured.sealed);
  return {
    port: Number(env.SOTTO_PORT),
    tsmRoot: env.SOTTO_TSM,
    configFile: env.SOTTO_CONFIG,
    releaseFile: env.SOTTO_RELEASE,
    sealedFile: env.SOTTO_SEALED,
    switchFile: env.SOTTO_SWITCH,
    measured,
  };
}
