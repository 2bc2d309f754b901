// What the issuer is told: keys, accounts and quota in files, the rest in the environment.
import { readFileSync } from "node:fs";
import { ConfigError, readConfig } from "@sotto/kit";
import { z } from "zod";

const environment = z.strictObject({
  SOTTO_PORT: z.string().regex(/^\d{1,5}$/),
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

export type IssuerConfig = {
  readonly port: number;
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
    port: Number(env.SOTTO_PORT),
    name: env.SOTTO_NAME,
    dataFile: env.SOTTO_DATA,
    quotaPerDay: Number(env.SOTTO_QUOTA ?? 2000),
    keys: readFile(env.SOTTO_KEYS, keys),
    accounts: readFile(env.SOTTO_ACCOUNTS, accounts),
  };
}

function readFile<Schema extends z.ZodType>(path: string, schema: Schema): z.infer<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new ConfigError("unreadable", "issuer: a configuration file is unreadable", { cause });
  }
  const checked = schema.safeParse(value);
  if (!checked.success)
    throw new ConfigError("malformed", "issuer: a configuration file does not fit its schema");
  return checked.data;
}
