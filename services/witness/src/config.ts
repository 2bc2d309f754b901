// What the witness is told: its key, its folder, the logs it watches.
import {
  readConfig,
  readConfigFile,
  readConfigJson,
  type ServerConfig,
  serverConfig,
  serverSettings,
} from "@sotto/kit";
import { parseSigner, parseVerifier, type Signer, type Verifier } from "@sotto/log";
import { z } from "zod";

const environment = z.strictObject({
  ...serverSettings,
  SOTTO_DATA: z.string().min(1),
  SOTTO_KEY: z.string().min(1),
  SOTTO_LOGS: z.string().min(1),
});

const logs = z.array(z.string()).min(1);

export type WitnessConfig = ServerConfig & {
  readonly dataFile: string;
  readonly signer: Signer;
  readonly logs: readonly Verifier[];
};

/** Reads and checks everything; throws `ConfigError` or `LogError`. */
export function loadConfig(): WitnessConfig {
  const env = readConfig(environment);
  return {
    ...serverConfig(env),
    dataFile: env.SOTTO_DATA,
    signer: parseSigner(readConfigFile("SOTTO_KEY", env.SOTTO_KEY)),
    logs: readConfigJson("SOTTO_LOGS", env.SOTTO_LOGS, logs).map(parseVerifier),
  };
}
