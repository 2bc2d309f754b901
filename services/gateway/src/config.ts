// What the gateway is told: its keys, the issuers it honours, where nodes are.
import { readConfig, readConfigJson, type ServerConfig, serverConfig, serverSettings } from "@sotto/kit";
import { z } from "zod";

const environment = z.strictObject({
  ...serverSettings,
  SOTTO_KEYS: z.string().min(1),
  SOTTO_ISSUERS: z.string().min(1),
  SOTTO_DATA: z.string().min(1),
  SOTTO_NODES: z.string().min(1),
});
const keys = z.array(
  z.strictObject({
    keyId: z.number().int().min(0).max(255),
    kemId: z.number().int(),
    publicKey: z.base64(),
    privateKey: z.base64(),
  }),
);
const issuers = z.strictObject({
  name: z.string().min(1),
  originInfo: z.string().min(1),
  keys: z
    .array(z.strictObject({ spki: z.base64(), notBefore: z.number().int(), notAfter: z.number().int() }))
    .min(1),
});
const nodes = z.record(z.string().regex(/^[a-z0-9-]{1,63}$/), z.url({ protocol: /^https?$/ }));

export type GatewayConfig = ServerConfig & {
  readonly dataFile: string;
  readonly keys: z.infer<typeof keys>;
  readonly issuers: z.infer<typeof issuers>;
  readonly nodes: z.infer<typeof nodes>;
};

/** Reads and checks everything; throws `ConfigError`. */
export function loadConfig(): GatewayConfig {
  const env = readConfig(environment);
  return {
    ...serverConfig(env),
    dataFile: env.SOTTO_DATA,
    keys: readConfigJson("SOTTO_KEYS", env.SOTTO_KEYS, keys),
    issuers: readConfigJson("SOTTO_ISSUERS", env.SOTTO_ISSUERS, issuers),
    nodes: readConfigJson("SOTTO_NODES", env.SOTTO_NODES, nodes),
  };
}
