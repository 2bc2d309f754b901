// What the witness is told: its key, its folder, the logs it watches.
import { readFileSync } from "node:fs";
import { ConfigError, readConfig } from "@sotto/kit";
import { parseSigner, parseVerifier, type Signer, type Verifier } from "@sotto/log";
import { z } from "zod";

const environment = z.strictObject({
  SOTTO_PORT: z.string().regex(/^\d{1,5}$/),
  SOTTO_DATA: z.string().min(1),
  SOTTO_KEY: z.string().min(1),
  SOTTO_LOGS: z.string().min(1),
});

export type WitnessConfig = {
  readonly port: number;
  readonly dataFile: string;
  readonly signer: Signer;
  readonly logs: readonly Verifier[];
};

/** Reads and checks everything; throws `ConfigError` or `LogError`. */
export function loadConfig(): WitnessConfig {
  const env = readConfig(environment);
  const logs = z
    .array(z.string())
    .min(1)
    .safeParse(JSON.parse(readFileSync(env.SOTTO_LOGS, "utf8")));
  if (!logs.success) throw new ConfigError("malformed", "witness: the list of logs does not fit its schema");
  return {
    port: Number(env.SOTTO_PORT),
    dataFile: env.SOTTO_DATA,
    signer: parseSigner(readFileSync(env.SOTTO_KEY, "utf8")),
    logs: logs.data.map(parseVerifier),
  };
}
