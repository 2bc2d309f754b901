// Starts the parts in the order in which they need each other, and keeps proofs and directory fresh.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { simulatedTcb } from "@sotto/attestation/software";
import { decodeBase64, encodeBase64, encodeHex, sha256 } from "@sotto/base";
import { bundleSealed } from "@sotto/bundle";
import { classifierUrl, policyUrl } from "@sotto/guard";
import { serializeVerifier } from "@sotto/log";
import { measureService, type ServiceImage } from "@sotto/tee";
import { type Model, openModel } from "./model.ts";
import type { UpOptions } from "./options.ts";
import { type Part, startPart } from "./part.ts";
import {
  issuerName,
  type MeasuredServices,
  makeStatements,
  nodeHandle,
  originInfo,
  proveStatement,
  publishDirectory,
  type StackStatements,
  submitStatements,
} from "./release.ts";
import type { Screen } from "./screen.ts";
import { openSecrets, type StackSecrets } from "./secrets.ts";
import type { StateFolder } from "./state-folder.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const refreshMs = 60_000;
const dayMs = 86_400_000;
// Measured with the image: no tickets (see the file), and no notes of Node about experimental interfaces.
const nodeFlags = [
  "--openssl-config=protocol/ratls/openssl.cnf",
  "--disable-warning=ExperimentalWarning",
  "--disable-sigusr1", // a signal by which anybody of the same user opens the debugger
];

export type Stack = {
  readonly endpoint: string;
  readonly model: Model;
  readonly parts: readonly Part[];
  readonly close: () => void;
};

/** Stands between two parts: takes the address of one and gives the address that the other is told. */
export type Link = (name: string, address: string) => Promise<string>;

type Context = {
  readonly link: Link;
  readonly options: UpOptions;
  readonly state: StateFolder;
  readonly screen: Screen;
  readonly parts: Part[];
  readonly onPart: (part: Part) => void;
};

/** Starts everything; parts are handed to `onPart` as they come up, so that a failure can end them. */
export async function startStack(
  options: UpOptions,
  state: StateFolder,
  screen: Screen,
  onPart: (part: Part) => void,
  link: Link = async (_name, address) => address,
): Promise<Stack> {
  const context: Context = { options, state, screen, parts: [], onPart, link };
  screen.step("keys");
  const [secrets, model] = await Promise.all([openSecrets(state), openModel(state, options.model)]);
  screen.done("keys", "a simulated chip, a log, its witnesses, an issuer");
  const logUrl = await startLog(context, secrets);
  const images = await prepareImages(context, secrets, model);
  const statements = await release(context, secrets, model, images, logUrl);
  const relayUrl = await startPath(context, images, logUrl);
  await publishDirectory(logUrl, secrets, statements, model);
  const issuerUrl = context.parts.find(({ name }) => name === "issuer")?.address;
  state.writeJson(
    {
      relay: await link("client-relay", relayUrl),
      issuer: await link("client-issuer", issuerUrl ?? ""),
      account: { secret: secrets.accountSecret },
      directoryKey: serializeVerifier(secrets.directory),
      trust: { ...trustSettings(secrets), log: state.read("log-policy") },
    },
    "client.json",
  );
  const endpoint = await start(context, "proxy", "clients/cli/src/main.ts", {}, [
    ...["proxy", "--stack", state.path, "--port", String(options.port), "--json"],
  ]);
  const parts = context.parts.map(({ name, pid, address }) => ({ role: name, pid, address }));
  state.writeJson({ state: "ready", model: model.id, parts }, "stack.json");
  const timer = setInterval(() => {
    refresh(context, secrets, statements, model, logUrl).catch(() =>
      screen.note("proofs could not be renewed"),
    );
  }, refreshMs);
  return { endpoint, model, parts: context.parts, close: () => clearInterval(timer) };
}

async function start(
  context: Context,
  name: string,
  entry: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Promise<string> {
  context.screen.step(name);
  const logFile = context.state.file("logs", `${name}.log`);
  const part = await startPart({ name, entry: join(root, entry), args, env, logFile });
  context.parts.push(part);
  context.onPart(part);
  context.screen.done(name, part.address);
  return part.address;
}

async function startLog(context: Context, secrets: StackSecrets): Promise<string> {
  const { state } = context;
  const logKey = serializeVerifier(secrets.log);
  const logs = state.writeJson([logKey], "logs.json");
  const witnesses: { url: string; vkey: string }[] = [];
  for (const [index, witness] of secrets.witnesses.entries()) {
    const name = `witness-${index + 1}`;
    const url = await start(context, name, "services/witness/src/main.ts", {
      SOTTO_PORT: "0",
      SOTTO_DATA: state.file("data", `${name}.sqlite`),
      SOTTO_KEY: state.file("keys", name),
      SOTTO_LOGS: logs,
    });
    witnesses.push({ url, vkey: serializeVerifier(witness) });
  }
  const policy = [
    `log ${logKey}`,
    ...witnesses.map(({ vkey }, index) => `witness w${index + 1} ${vkey}`),
    "group both all w1 w2",
    "quorum both",
    "",
  ].join("\n");
  const authority = { keys: [serializeVerifier(secrets.authority)], threshold: 1 };
  const directory = { keys: [serializeVerifier(secrets.directory)], threshold: 1 };
  return start(context, "log", "services/publisher/src/main.ts", {
    SOTTO_PORT: "0",
    SOTTO_DATA: state.file("data", "log"),
    SOTTO_KEY: state.file("keys", "log"),
    SOTTO_WITNESSES: state.writeJson(witnesses, "witnesses.json"),
    SOTTO_POLICY: state.write(policy, "log-policy"),
    SOTTO_AUTHORITIES: state.writeJson(
      { release: authority, weights: authority, keys: authority, directory },
      "authorities.json",
    ),
  });
}

function trustSettings(secrets: StackSecrets): object {
  return {
    platform: {
      generations: ["turin"],
      minimumTcb: { turin: simulatedTcb },
      vmpl: 0,
      allowVlek: false,
      allowSmt: true,
      requireAliasCheck: true,
      chips: [encodeHex(secrets.chip.hardwareId).padEnd(128, "0")],
    },
    maxProofAgeMs: dayMs,
    minimumSecurityVersion: 1,
    simulatedRoot: encodeBase64(secrets.chip.ark),
  };
}

type Images = { readonly orchestrator: ServiceImage; readonly predictor: ServiceImage };

async function prepareImages(context: Context, secrets: StackSecrets, model: Model): Promise<Images> {
  const { state } = context;
  const trust = { ...trustSettings(secrets), log: state.read("log-policy") };
  const [sealedOrchestrator, sealedPredictor] = await Promise.all([
    bundle(state, "orchestrator", "main.development.ts"),
    bundle(state, "predictor", model.file === undefined ? "openai-main.ts" : "llama-main.ts"),
  ]);
  const orchestrator = {
    role: "orchestrator",
    trust,
    sealed: digestOf(sealedOrchestrator),
    guard: { policy: digestOf(fileURLToPath(policyUrl)), classifier: digestOf(fileURLToPath(classifierUrl)) },
    minimumReady: 3,
    maximumProcesses: 128,
    inference: "on",
  };
  const predictor = {
    role: "predictor",
    engine: model.engine,
    sealed: digestOf(sealedPredictor),
    minimumReady: 2,
    maximumProcesses: 160,
    parallelAnswers: model.file === undefined ? 160 : 1,
    memoryMib: 4096,
    inference: "on",
  };
  return {
    orchestrator: {
      root,
      role: "orchestrator",
      entry: "src/main.development.ts",
      nodeFlags,
      config: state.writeJson(orchestrator, "orchestrator.json"),
      sealed: sealedOrchestrator,
    },
    predictor: {
      root,
      role: "predictor",
      entry: "src/main.development.ts",
      nodeFlags,
      config: state.writeJson(predictor, "predictor.json"),
      sealed: sealedPredictor,
      weights: model.file === undefined ? [] : [model.file.path],
    },
  };
}

/** Joins the code of a service's sealed processes into one file, and returns where it is. */
async function bundle(state: StateFolder, role: string, entry: string): Promise<string> {
  const code = await bundleSealed({ root, entry: `services/${role}/src/sealed/${entry}` });
  return state.write(code, `${role}-sealed.cjs`);
}

function digestOf(path: string): string {
  return `sha256:${encodeHex(sha256(readFileSync(path)))}`;
}

/** Measures and publishes; a kept state keeps its release, whatever has become of the files since. */
async function release(
  context: Context,
  secrets: StackSecrets,
  model: Model,
  images: Images,
  logUrl: string,
): Promise<StackStatements> {
  const { state, screen, options } = context;
  screen.step("release");
  const measured: MeasuredServices = {
    orchestrator: await measureService(images.orchestrator),
    predictor: await measureService(images.predictor),
  };
  const kept = state.has("release.json") && !options.release;
  let statements: StackStatements;
  if (kept) {
    const file = state.readJson("release.json") as Record<keyof StackStatements, string>; // written below
    const decoded = Object.entries(file).map(([name, text]) => [name, decodeBase64(text)]);
    statements = Object.fromEntries(decoded);
  } else statements = makeStatements(secrets, measured, model);
  await submitStatements(logUrl, secrets, statements);
  state.writeJson(
    Object.fromEntries(Object.entries(statements).map(([name, bytes]) => [name, encodeBase64(bytes)])),
    "release.json",
  );
  await staple(context, statements, logUrl);
  screen.done(
    "release",
    `${measured.orchestrator.files.length + measured.predictor.files.length} files measured, in the log`,
  );
  for (const role of ["orchestrator", "predictor"] as const) {
    const released = new TextDecoder().decode(statements[role]);
    if (!released.includes(measured[role].measurement)) {
      screen.note(`${role} is not what was released: clients will refuse it (--release publishes it)`);
    }
  }
  return statements;
}

/** Puts fresh proofs where the confidential parts read them. */
async function staple(context: Context, statements: StackStatements, logUrl: string): Promise<void> {
  for (const role of ["orchestrator", "predictor"] as const) {
    context.state.writeJson(await proveStatement(logUrl, statements[role]), `${role}-release.json`);
  }
}

async function refresh(
  context: Context,
  secrets: StackSecrets,
  statements: StackStatements,
  model: Model,
  logUrl: string,
): Promise<void> {
  await staple(context, statements, logUrl);
  await publishDirectory(logUrl, secrets, statements, model);
}

async function startPath(context: Context, images: Images, logUrl: string): Promise<string> {
  const { state } = context;
  await start(context, "issuer", "services/issuer/src/main.ts", {
    SOTTO_PORT: "0",
    SOTTO_NAME: issuerName,
    SOTTO_KEYS: state.file("keys", "issuer.json"),
    SOTTO_ACCOUNTS: state.file("keys", "accounts.json"),
    SOTTO_DATA: state.file("data", "issuer.sqlite"),
  });
  const machine = (role: "orchestrator" | "predictor", hints: Record<string, string>): Promise<string> => {
    const launch = state.writeJson(
      {
        image: images[role],
        chip: state.file("keys", "chip.json"),
        release: state.file(`${role}-release.json`),
        hints: { SOTTO_PORT: "0", ...hints },
      },
      `${role}-launch.json`,
    );
    return start(context, role, "tools/tee/src/main.ts", {}, [launch]);
  };
  const predictor = new URL(await context.link("orchestrator-predictor", await machine("predictor", {})));
  const orchestrator = await machine("orchestrator", { SOTTO_PREDICTORS: predictor.host });
  const issuers = { name: issuerName, originInfo, keys: state.readJson("keys", "issuer-public.json") };
  const gateway = await start(context, "gateway", "services/gateway/src/main.ts", {
    SOTTO_PORT: "0",
    SOTTO_KEYS: state.file("keys", "gateway.json"),
    SOTTO_ISSUERS: state.writeJson(issuers, "issuers.json"),
    SOTTO_DATA: state.file("data", "gateway.sqlite"),
    SOTTO_NODES: state.writeJson(
      { [nodeHandle]: await context.link("gateway-orchestrator", orchestrator) },
      "nodes.json",
    ),
  });
  return start(context, "relay", "services/relay/src/main.ts", {
    SOTTO_PORT: "0",
    SOTTO_GATEWAY: new URL("/gateway", await context.link("relay-gateway", gateway)).href,
    SOTTO_DIRECTORY: new URL("/directory", logUrl).href,
  });
}
