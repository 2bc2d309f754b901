// What the relay is told: where the one gateway and the directory are.
import { readConfig } from "@sotto/kit";
import { z } from "zod";

const environment = z.strictObject({
  SOTTO_PORT: z.string().regex(/^\d{1,5}$/),
  SOTTO_GATEWAY: z.url({ protocol: /^https?$/ }),
  SOTTO_DIRECTORY: z.url({ protocol: /^https?$/ }),
});

export type RelayConfig = {
  readonly port: number;
  readonly gatewayUrl: string;
  readonly directoryUrl: string;
};

/** Reads and checks the environment; throws `ConfigError`. */
export function loadConfig(): RelayConfig {
  const env = readConfig(environment);
  return { port: Number(env.SOTTO_PORT), gatewayUrl: env.SOTTO_GATEWAY, directoryUrl: env.SOTTO_DIRECTORY };
}
