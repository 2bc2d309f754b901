// What the gateway is told: its keys, the issuers it honours, where nodes are.
import { readFileSync } from "node:fs";
import { ConfigError, readConfig } from "@sotto/kit";
import { z } from "zod";

const environment = z.strictObject({
  SOTTO_PORT: z.string().regex(/^\d{1,5}$/),
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

export type GatewayConfig = {
  readonly port: number;
  readonly dataFile: string;
  readonly keys: z.infer<typeof keys>;
  readonly issuers: z.infer<typeof issuers>;
  readonly nodes: z.infer<typeof nodes>;
};

/** Reads and checks everything; throws `ConfigError`. */
export function loadConfig(): GatewayConfig {
  const env = readConfig(environment);
  return {
    port: Number(env.SOTTO_PORT),
    dataFile: env.SOTTO_DATA,
    keys: readFile(env.SOTTO_KEYS, keys),
    issuers: readFile(env.SOTTO_ISSUERS, issuers),
    nodes: readFile(env.SOTTO_NODES, nodes),
  };
}

function readFile<Schema extends z.ZodType>(path: string, schema: Schema): z.infer<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new ConfigError("unreadable", "gateway: a configuration file is unreadable", { cause });
  }
  const checked = schema.safeParse(value);
  if (!checked.success)
    throw new ConfigError("malformed", "gateway: a configuration file does not fit its schema");
  return checked.data;
}
