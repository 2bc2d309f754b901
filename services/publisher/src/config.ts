// What the publisher is told: its key and folder, whom it lets in, who must have seen a tree before it is published.
import { readFileSync } from "node:fs";
import { ConfigError, readConfig } from "@sotto/kit";
import { type LogPolicy, parsePolicy, parseSigner, parseVerifier, type Signer } from "@sotto/log";
import { z } from "zod";
import type { Authorities } from "./authorities.ts";
import type { WitnessAddress } from "./cosigner.ts";

const environment = z.strictObject({
  SOTTO_PORT: z.string().regex(/^\d{1,5}$/),
  SOTTO_DATA: z.string().min(1),
  SOTTO_KEY: z.string().min(1),
  SOTTO_WITNESSES: z.string().min(1),
  SOTTO_POLICY: z.string().min(1),
  SOTTO_AUTHORITIES: z.string().min(1),
});
const witnesses = z.array(z.strictObject({ url: z.url(), vkey: z.string() }));
const authorities = z.record(
  z.enum(["release", "weights", "keys", "directory"]),
  z.strictObject({ keys: z.array(z.string()).min(1), threshold: z.number().int().min(1) }),
);

export type PublisherConfig = {
  readonly port: number;
  readonly folder: string;
  readonly signer: Signer;
  readonly witnesses: readonly WitnessAddress[];
  readonly policy: LogPolicy;
  readonly authorities: Authorities;
};

/** Reads and checks everything; throws `ConfigError` or `LogError`. */
export function loadConfig(): PublisherConfig {
  const env = readConfig(environment);
  const allowed = readFile(env.SOTTO_AUTHORITIES, authorities);
  return {
    port: Number(env.SOTTO_PORT),
    folder: env.SOTTO_DATA,
    signer: parseSigner(readFileSync(env.SOTTO_KEY, "utf8")),
    witnesses: readFile(env.SOTTO_WITNESSES, witnesses).map(({ url, vkey }) => ({
      url,
      verifier: parseVerifier(vkey),
    })),
    policy: parsePolicy(readFileSync(env.SOTTO_POLICY, "utf8")),
    authorities: Object.fromEntries(
      Object.entries(allowed).map(([kind, { keys, threshold }]) => [
        kind,
        { keys: keys.map(parseVerifier), threshold },
      ]),
    ),
  };
}

function readFile<Schema extends z.ZodType>(path: string, schema: Schema): z.infer<Schema> {
  const checked = schema.safeParse(JSON.parse(readFileSync(path, "utf8")));
  if (!checked.success)
    throw new ConfigError("malformed", "publisher: a configuration file does not fit its schema");
  return checked.data;
}
