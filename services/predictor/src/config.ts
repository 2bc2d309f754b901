// What the predictor is told: the measured file decides, the environment only says where things are.
import { readFileSync } from "node:fs";
import { ConfigError, readConfig } from "@sotto/kit";
import { z } from "zod";

const environment = z.strictObject({
  SOTTO_PORT: z.string().regex(/^\d{1,5}$/),
  SOTTO_TSM: z.string().min(1),
  SOTTO_CONFIG: z.string().min(1),
  SOTTO_RELEASE: z.string().min(1),
});

// Who holds text has no network: a model server runs in the same machine, or the predictor does not start.
const loopback = /^(127(\.\d{1,3}){3}|localhost|\[::1\])$/;

const engine = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("llama"),
    path: z.string().min(1),
    name: z.string().min(1),
    digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
    threads: z.number().int().min(1).max(256).default(1),
  }),
  z.strictObject({
    kind: z.literal("openai"),
    url: z.url({ protocol: /^https?$/, hostname: loopback }).refine((url) => new URL(url).username === ""),
    model: z.string().min(1).max(256),
  }),
]);
const measured = z.strictObject({
  role: z.literal("predictor"),
  engine,
  maxSessions: z.number().int().min(1).max(100_000),
});

export type EngineSettings = z.infer<typeof engine>;
export type PredictorConfig = {
  readonly port: number;
  readonly tsmRoot: string;
  readonly releaseFile: string;
  readonly measured: z.infer<typeof measured>;
};

/** Reads and checks everything; throws `ConfigError`, which stops the boot. */
export function loadConfig(
  given: Readonly<Record<string, string | undefined>> = process.env,
): PredictorConfig {
  const env = readConfig(environment, given);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(env.SOTTO_CONFIG, "utf8"));
  } catch (cause) {
    throw new ConfigError("malformed", "measured configuration: unreadable", { cause });
  }
  const checked = measured.safeParse(value);
  if (!checked.success) throw new ConfigError("malformed", "measured configuration: does not fit its schema");
  return {
    port: Number(env.SOTTO_PORT),
    tsmRoot: env.SOTTO_TSM,
    releaseFile: env.SOTTO_RELEASE,
    measured: checked.data,
  };
}
