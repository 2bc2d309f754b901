// What runs in the confidential machines: code, measured configuration and weights of each.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { encodeHex, sha256 } from "@sotto/base";
import { bundleSealed } from "@sotto/bundle";
import { classifierUrl, policyUrl } from "@sotto/guard";
import type { ServiceImage } from "@sotto/tee";
import type { Model } from "./model.ts";
import { root } from "./stack-context.ts";
import type { StateFolder } from "./state-folder.ts";

// Measured with the image: no tickets (see the file), and no notes of Node about experimental interfaces.
const nodeFlags = [
  "--openssl-config=protocol/ratls/openssl.cnf",
  "--disable-warning=ExperimentalWarning",
  "--disable-sigusr1", // a signal by which anybody of the same user opens the debugger
];

/** Machines of a stack, in the order in which they are shown. */
export const machineNames = ["orchestrator", "predictor", "guard"] as const;
export type MachineName = (typeof machineNames)[number];

/** There is a guard's only where a guard model is asked. */
export type Images = {
  readonly orchestrator: ServiceImage;
  readonly predictor: ServiceImage;
  readonly guard?: ServiceImage;
};

export type ImageOptions = {
  readonly state: StateFolder;
  readonly trust: object;
  readonly model: Model;
  /** Judges questions before `model` is asked, which may take so long. */
  readonly guard?: { readonly model: Model; readonly timeoutMs: number } | undefined;
};

/** Writes code and configuration of every machine into the state folder. */
export async function prepareImages({ state, trust, model, guard }: ImageOptions): Promise<Images> {
  const predictor = await preparePredictor(state, "predictor", model, trust);
  const judge = guard && (await preparePredictor(state, "guard", guard.model, trust));
  const sealed = await bundle(state, "orchestrator", "orchestrator", "main.development.ts");
  const config = {
    role: "orchestrator",
    trust,
    sealed: digestOf(sealed),
    guard: {
      policy: digestOf(fileURLToPath(policyUrl)),
      classifier: digestOf(fileURLToPath(classifierUrl)),
      ...(guard === undefined ? {} : { model: { timeoutMs: guard.timeoutMs } }),
    },
    minimumReady: 3,
    maximumProcesses: 128,
    inference: "on",
  };
  const orchestrator = {
    ...imageOf("orchestrator"),
    config: state.writeJson(config, "orchestrator.json"),
    sealed,
  };
  return judge === undefined ? { orchestrator, predictor } : { orchestrator, predictor, guard: judge };
}

/** A predictor, or a guard: the same service, whose model answers or judges. */
async function preparePredictor(
  state: StateFolder,
  role: "predictor" | "guard",
  model: Model,
  trust: object,
): Promise<ServiceImage> {
  const entry = model.file === undefined ? "openai-main.development.ts" : "llama-main.development.ts";
  const sealed = await bundle(state, role, "predictor", entry);
  const config = {
    role,
    trust,
    engine: model.engine,
    sealed: digestOf(sealed),
    minimumReady: 2,
    maximumProcesses: 160,
    parallelAnswers: model.file === undefined ? 160 : 1,
    memoryMib: 4096,
    inference: "on",
  };
  return {
    ...imageOf("predictor"),
    config: state.writeJson(config, `${role}.json`),
    sealed,
    weights: model.file === undefined ? [] : [model.file.path],
  };
}

function imageOf(service: string) {
  return { root, role: service, entry: "src/main.development.ts", nodeFlags };
}

/** Joins the code of a service's sealed processes into one file, and returns where it is. */
async function bundle(
  state: StateFolder,
  name: MachineName,
  service: string,
  entry: string,
): Promise<string> {
  const code = await bundleSealed({ root, entry: `services/${service}/src/sealed/${entry}` });
  return state.write(code, `${name}-sealed.cjs`);
}

function digestOf(path: string): string {
  return `sha256:${encodeHex(sha256(readFileSync(path)))}`;
}
