// Starts the parts in the order in which they need each other, and keeps proofs and directory fresh.
import { simulatedTcb } from "@sotto/attestation/software";
import { decodeBase64, encodeBase64, encodeHex } from "@sotto/base";
import { serializeVerifier } from "@sotto/log";
import { measureService } from "@sotto/tee";
import { type Images, machineNames, prepareImages } from "./images.ts";
import { startMachines } from "./machines.ts";
import { type Model, openModel } from "./model.ts";
import { defaultGuardTimeoutMs, type UpOptions, UsageError } from "./options.ts";
import type { Part } from "./part.ts";
import {
  issuerName,
  type MeasuredServices,
  makeStatements,
  nodeHandle,
  originInfo,
  proveStatement,
  publishDirectory,
  type StackModels,
  type StackStatements,
  submitStatements,
} from "./release.ts";
import type { Screen } from "./screen.ts";
import { openSecrets, type StackSecrets } from "./secrets.ts";
import { type Link, type StackContext, start } from "./stack-context.ts";
import type { StateFolder } from "./state-folder.ts";

const refreshMs = 60_000;
const dayMs = 86_400_000;

export type Stack = {
  readonly endpoint: string;
  readonly model: Model;
  /** Undefined where no guard model is asked. */
  readonly guard: Model | undefined;
  readonly parts: readonly Part[];
  readonly close: () => void;
};

/** Starts everything; parts are handed to `onPart` as they come up, so that a failure can end them. */
export async function startStack(
  options: UpOptions,
  state: StateFolder,
  screen: Screen,
  onPart: (part: Part) => void,
  link: Link = async (_name, address) => address,
): Promise<Stack> {
  const context: StackContext = { options, state, screen, parts: [], onPart, link };
  screen.step("keys");
  const [secrets, model, guard] = await Promise.all([
    openSecrets(state),
    openModel(state, options.model),
    options.guardModel === undefined ? undefined : openModel(state, options.guardModel, "--guard-model"),
  ]);
  const models: StackModels = { model, guard };
  screen.done("keys", "a simulated chip, a log, its witnesses, an issuer");
  const logUrl = await startLog(context, secrets);
  const trust = { ...trustSettings(secrets), log: state.read("log-policy") };
  const images = await prepareImages({
    ...{ state, trust, model },
    guard: guard && { model: guard, timeoutMs: options.guardTimeoutMs ?? defaultGuardTimeoutMs },
  });
  const statements = await release(context, secrets, models, images, logUrl);
  const relayUrl = await startPath(context, images, logUrl);
  await publishDirectory(logUrl, secrets, statements, model);
  const issuerUrl = context.parts.find(({ name }) => name === "issuer")?.address;
  state.writeJson(
    {
      relay: await link("client-relay", relayUrl),
      issuer: await link("client-issuer", issuerUrl ?? ""),
      account: { secret: secrets.accountSecret },
      directoryKey: serializeVerifier(secrets.directory),
      trust,
    },
    "client.json",
  );
  const endpoint = await start(context, "proxy", "clients/cli/src/main.ts", {}, [
    ...["proxy", "--stack", state.path, "--port", String(options.port), "--json"],
  ]);
  const parts = context.parts.map(({ name, pid, address }) => ({ role: name, pid, address }));
  state.writeJson({ state: "ready", model: model.id, guard: guard?.id, parts }, "stack.json");
  const timer = setInterval(() => {
    refresh(context, secrets, statements, model, logUrl).catch(() =>
      screen.note("proofs could not be renewed"),
    );
  }, refreshMs);
  return { endpoint, model, guard, parts: context.parts, close: () => clearInterval(timer) };
}

async function startLog(context: StackContext, secrets: StackSecrets): Promise<string> {
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

/** Measures and publishes; a kept state keeps its release, whatever has become of the files since. */
async function release(
  context: StackContext,
  secrets: StackSecrets,
  models: StackModels,
  images: Images,
  logUrl: string,
): Promise<StackStatements> {
  const { state, screen, options } = context;
  screen.step("release");
  const { orchestrator, predictor, guard } = images;
  const measured: MeasuredServices = {
    orchestrator: await measureService(orchestrator),
    predictor: await measureService(predictor),
    guard: guard && (await measureService(guard)),
  };
  const kept = state.has("release.json") && !options.release;
  let statements: StackStatements;
  if (kept) {
    const file = state.readJson("release.json") as Record<keyof StackStatements, string>; // written below
    const decoded = Object.entries(file).map(([name, text]) => [name, decodeBase64(text)]);
    statements = Object.fromEntries(decoded);
    if (guard !== undefined && statements.guard === undefined) {
      throw new UsageError("--guard-model: not in the release of this folder (--release publishes it)");
    }
  } else statements = makeStatements(secrets, measured, models);
  await submitStatements(logUrl, secrets, statements);
  state.writeJson(
    Object.fromEntries(Object.entries(statements).map(([name, bytes]) => [name, encodeBase64(bytes)])),
    "release.json",
  );
  await staple(context, statements, logUrl);
  const files = Object.values(measured).reduce((sum, service) => sum + (service?.files.length ?? 0), 0);
  screen.done("release", `${files} files measured, in the log`);
  for (const name of machineNames) {
    const released = new TextDecoder().decode(statements[name]);
    if (measured[name] !== undefined && !released.includes(measured[name].measurement)) {
      screen.note(`${name} is not what was released: clients will refuse it (--release publishes it)`);
    }
  }
  return statements;
}

/** Puts fresh proofs where the confidential parts read them. */
async function staple(context: StackContext, statements: StackStatements, logUrl: string): Promise<void> {
  for (const name of machineNames) {
    const statement = statements[name];
    if (statement === undefined) continue;
    context.state.writeJson(await proveStatement(logUrl, statement), `${name}-release.json`);
  }
}

async function refresh(
  context: StackContext,
  secrets: StackSecrets,
  statements: StackStatements,
  model: Model,
  logUrl: string,
): Promise<void> {
  await staple(context, statements, logUrl);
  await publishDirectory(logUrl, secrets, statements, model);
}

async function startPath(context: StackContext, images: Images, logUrl: string): Promise<string> {
  const { state } = context;
  await start(context, "issuer", "services/issuer/src/main.ts", {
    SOTTO_PORT: "0",
    SOTTO_NAME: issuerName,
    SOTTO_KEYS: state.file("keys", "issuer.json"),
    SOTTO_ACCOUNTS: state.file("keys", "accounts.json"),
    SOTTO_DATA: state.file("data", "issuer.sqlite"),
  });
  const orchestrator = await startMachines(context, images);
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
