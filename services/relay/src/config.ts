// What the relay is told: where the one gateway and the directory are.
import { readConfig, type ServerConfig, serverConfig, serverSettings } from "@sotto/kit";
import { z } from "zod";

const environment = z.strictObject({
  ...serverSettings,
  SOTTO_GATEWAY: z.url({ protocol: /^https?$/ }),
  SOTTO_DIRECTORY: z.url({ protocol: /^https?$/ }),
});

export type RelayConfig = ServerConfig & {
  readonly gatewayUrl: string;
  readonly directoryUrl: string;
};

/** Reads and checks the environment; throws `ConfigError`. */
export function loadConfig(): RelayConfig {
  const env = readConfig(environment);
  return { ...serverConfig(env), gatewayUrl: env.SOTTO_GATEWAY, directoryUrl: env.SOTTO_DIRECTORY };
}
