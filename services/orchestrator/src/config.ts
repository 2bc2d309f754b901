// What the orchestrator is told: the measured files decide, the environment only says where things are.
import { fileURLToPath } from "node:url";
import { classifierUrl, openGuard, policyUrl } from "@sotto/guard";
import { ConfigError, readConfig, readMeasuredConfig } from "@sotto/kit";
import { readMeasuredFile } from "@sotto/sealed";
import { z } from "zod";
import { type MeasuredConfig, measuredConfigSchema } from "./measured-config.ts";

/** Host and port of a node: a hint for routing that nothing trusts. */
export type NodeAddress = { readonly host: string; readonly port: number };

const addresses = z.string().regex(/^[0-9a-z.-]+:\d{1,5}(,[0-9a-z.-]+:\d{1,5})*$/);
const environment = z.strictObject({
  SOTTO_PORT: z.string().regex(/^\d{1,5}$/),
  SOTTO_TSM: z.string().min(1),
  SOTTO_CONFIG: z.string().min(1),
  SOTTO_RELEASE: z.string().min(1),
  SOTTO_SEALED: z.string().min(1),
  SOTTO_SWITCH: z.string().min(1).optional(),
  SOTTO_PREDICTORS: addresses,
  SOTTO_GUARDS: addresses.optional(),
});

export type OrchestratorConfig = {
  readonly port: number;
  readonly tsmRoot: string;
  readonly releaseFile: string;
  readonly switchFile: string | undefined;
  readonly predictors: readonly NodeAddress[];
  /** Undefined where no guard model is asked. */
  readonly guards: readonly NodeAddress[] | undefined;
  readonly measured: MeasuredConfig;
  /** Paths of what a sealed process reads, each checked against the measured configuration. */
  readonly files: {
    readonly code: string;
    readonly config: string;
    readonly policy: string;
    readonly classifier: string;
  };
};

/** Reads and checks everything; throws `ConfigError`, `MeasuredFileError` or `GuardError`, which stop the boot. */
export function loadConfig(
  given: Readonly<Record<string, string | undefined>> = process.env,
): OrchestratorConfig {
  const env = readConfig(environment, given, { confidential: true });
  const measured = readMeasuredConfig("SOTTO_CONFIG", env.SOTTO_CONFIG, measuredConfigSchema);
  if ((env.SOTTO_GUARDS === undefined) !== (measured.guard.model === undefined)) {
    throw new ConfigError("malformed", "environment: guards are not what the measured file says", {
      variables: ["SOTTO_GUARDS"],
    });
  }
  const files = {
    code: env.SOTTO_SEALED,
    config: env.SOTTO_CONFIG,
    policy: fileURLToPath(policyUrl),
    classifier: fileURLToPath(classifierUrl),
  };
  readMeasuredFile(files.code, measured.sealed);
  openGuard({
    policy: readMeasuredFile(files.policy, measured.guard.policy),
    classifier: readMeasuredFile(files.classifier, measured.guard.classifier),
  });
  return {
    port: Number(env.SOTTO_PORT),
    tsmRoot: env.SOTTO_TSM,
    releaseFile: env.SOTTO_RELEASE,
    switchFile: env.SOTTO_SWITCH,
    predictors: parseAddresses(env.SOTTO_PREDICTORS),
    guards: env.SOTTO_GUARDS === undefined ? undefined : parseAddresses(env.SOTTO_GUARDS),
    measured,
    files,
  };
}

function parseAddresses(list: string): NodeAddress[] {
  return list.split(",").map((pair) => {
    const [host = "", port = ""] = pair.split(":");
    return { host, port: Number(port) };
  });
}
