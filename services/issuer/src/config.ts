// What the issuer is told: keys, accounts and quota in files, the rest in the environment.
import { readConfig, readConfigJson, type ServerConfig, serverConfig, serverSettings } from "@sotto/kit";
import { z } from "zod";

const environment = z.strictObject({
  ...serverSettings,
  SOTTO_KEYS: z.string().min(1),
  SOTTO_ACCOUNTS: z.string().min(1),
  SOTTO_DATA: z.string().min(1),
  SOTTO_NAME: z.string().min(1).max(255),
  SOTTO_QUOTA: z
    .string()
    .regex(/^\d{1,7}$/)
    .optional(),
});
const keys = z.array(
  z.strictObject({ privateKeyPem: z.string(), notBefore: z.number().int(), notAfter: z.number().int() }),
);
const accounts = z.array(
  z.strictObject({ id: z.string().min(1), secretSha256: z.string().regex(/^[0-9a-f]{64}$/) }),
);

export type IssuerConfig = ServerConfig & {
  readonly name: string;
  readonly dataFile: string;
  readonly quotaPerDay: number;
  readonly keys: z.infer<typeof keys>;
  readonly accounts: z.infer<typeof accounts>;
};

/** Reads and checks everything; throws `ConfigError`. */
export function loadConfig(): IssuerConfig {
  const env = readConfig(environment);
  return {
    ...serverConfig(env),
    name: env.SOTTO_NAME,
    dataFile: env.SOTTO_DATA,
    quotaPerDay: Number(env.SOTTO_QUOTA ?? 2000),
    keys: readConfigJson("SOTTO_KEYS", env.SOTTO_KEYS, keys),
    accounts: readConfigJson("SOTTO_ACCOUNTS", env.SOTTO_ACCOUNTS, accounts),
  };
}
