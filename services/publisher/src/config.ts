// What the publisher is told: its key and folder, whom it lets in, who must have seen a tree before it is published.
import {
  readConfig,
  readConfigFile,
  readConfigJson,
  type ServerConfig,
  serverConfig,
  serverSettings,
} from "@sotto/kit";
import { type LogPolicy, parsePolicy, parseSigner, parseVerifier, type Signer } from "@sotto/log";
import { z } from "zod";
import type { Authorities } from "./authorities.ts";
import type { WitnessAddress } from "./cosigner.ts";

const environment = z.strictObject({
  ...serverSettings,
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

export type PublisherConfig = ServerConfig & {
  readonly folder: string;
  readonly signer: Signer;
  readonly witnesses: readonly WitnessAddress[];
  readonly policy: LogPolicy;
  readonly authorities: Authorities;
};

/** Reads and checks everything; throws `ConfigError` or `LogError`. */
export function loadConfig(): PublisherConfig {
  const env = readConfig(environment);
  const allowed = readConfigJson("SOTTO_AUTHORITIES", env.SOTTO_AUTHORITIES, authorities);
  return {
    ...serverConfig(env),
    folder: env.SOTTO_DATA,
    signer: parseSigner(readConfigFile("SOTTO_KEY", env.SOTTO_KEY)),
    witnesses: readConfigJson("SOTTO_WITNESSES", env.SOTTO_WITNESSES, witnesses).map(({ url, vkey }) => ({
      url,
      verifier: parseVerifier(vkey),
    })),
    policy: parsePolicy(readConfigFile("SOTTO_POLICY", env.SOTTO_POLICY)),
    authorities: Object.fromEntries(
      Object.entries(allowed).map(([kind, { keys, threshold }]) => [
        kind,
        { keys: keys.map(parseVerifier), threshold },
      ]),
    ),
  };
}
