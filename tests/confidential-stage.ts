// The two confidential services as real processes, each alone: on a simulated machine with evidence that verifies, or
// merely booted; and a model server that does what a test says.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import {
  boundParts,
  createBatch,
  type EvidenceBundle,
  type SessionBinding,
  sandboxLayers,
  sessionLeaf,
} from "@sotto/attestation";
import {
  createReportSigner,
  createSimulatedChip,
  developmentPolicy,
  simulatedTcb,
} from "@sotto/attestation/software";
import {
  type Bytes,
  decodeUtf8,
  encodeBase64,
  encodeHex,
  encodeUtf8,
  sha256,
  systemRandom,
} from "@sotto/base";
import { bundleSealed } from "@sotto/bundle";
import { doneEvent, SseParser, serializeChunk, serializeUsageChunk } from "@sotto/chat";
import { type ExchangeAnswer, sendRequest } from "@sotto/exchange";
import { classifierUrl, policyUrl } from "@sotto/guard";
import { type Digest, generateSigner, noteKeyType, serializeStatement, serializeVerifier } from "@sotto/log";
import { type ClientSession, openClientSession } from "@sotto/ratls";
import { launchMachine, measureService, type ServiceImage, type ServiceMeasurement } from "@sotto/tee";
import { proveStatements } from "../protocol/log/test/witnessed-log.ts";
import { FlightStream } from "../tools/bench/src/flight-stream.ts";

export type ConfidentialRole = "orchestrator" | "predictor";
export type Env = Readonly<Record<string, string>>;

export const root: string = join(import.meta.dirname, "..");
export const nodeFlags: readonly string[] = [
  "--openssl-config=protocol/ratls/openssl.cnf",
  "--disable-warning=ExperimentalWarning",
  "--disable-sigusr1",
];
export const folder: string = mkdtempSync(join(tmpdir(), "sotto-confidential-"));
const running = new Set<ChildProcess>();
const models = new Set<ModelServer>();
after(async () => {
  await Promise.all([...[...running].map(stop), ...[...models].map(({ close }) => close())]);
  rmSync(folder, { recursive: true, force: true });
});

export function put(name: string, content: string | Uint8Array | object): string {
  const path = join(folder, name);
  const isPlain = typeof content === "string" || content instanceof Uint8Array;
  writeFileSync(path, isPlain ? content : JSON.stringify(content));
  return path;
}

export const digestOf = (path: string): Digest => `sha256:${encodeHex(sha256(readFileSync(path)))}`;

const entries = {
  orchestrator: "services/orchestrator/src/sealed/main.development.ts",
  predictor: "services/predictor/src/sealed/openai-main.development.ts",
} as const;
const sealed = new Map<ConfidentialRole, Promise<string>>();

/** The joined code of a role's sealed processes, made once. */
export function sealedOf(role: ConfidentialRole): Promise<string> {
  const made =
    sealed.get(role) ??
    bundleSealed({ root, entry: entries[role] }).then((code) => put(`${role}-sealed.cjs`, code));
  sealed.set(role, made);
  return made;
}

const now = Math.floor(Date.now() / 1000);
const [chip, log, witness] = await Promise.all([
  createSimulatedChip(Date.now(), systemRandom),
  generateSigner("log.example", noteKeyType.ed25519),
  generateSigner("witness.example", noteKeyType.cosignature),
]);

/** Trust as it stands in a measured configuration. */
export const trust = {
  platform: {
    generations: ["turin" as const],
    minimumTcb: { turin: simulatedTcb },
    vmpl: 0,
    allowVlek: false,
    allowSmt: true,
    requireAliasCheck: true,
  },
  log: `log ${serializeVerifier(log)}\nwitness w ${serializeVerifier(witness)}\nquorum w\n`,
  maxProofAgeMs: 3_600_000,
  minimumSecurityVersion: 1,
  simulatedRoot: encodeBase64(chip.ark),
};
export const policy = developmentPolicy(trust);

/** A measured configuration; `given` replaces members of it. */
export async function configOf(role: ConfidentialRole, given: object = {}): Promise<object> {
  const common = { role, sealed: digestOf(await sealedOf(role)), minimumReady: 1, inference: "on" };
  if (role === "orchestrator") {
    const guard = {
      policy: digestOf(fileURLToPath(policyUrl)),
      classifier: digestOf(fileURLToPath(classifierUrl)),
    };
    return { ...common, trust, guard, maximumProcesses: 16, ...given };
  }
  return { ...common, trust, maximumProcesses: 16, parallelAnswers: 8, memoryMib: 1024, ...given };
}

/** How a service ended that did not become ready. */
export type Ended = { readonly code: number | null; readonly output: string };

export type Running = {
  readonly address: string;
  readonly process: ChildProcess;
  readonly output: () => string;
  readonly stop: () => Promise<number | null>;
};

function stop(child: ChildProcess): Promise<number | null> {
  running.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  child.kill("SIGTERM");
  return ended;
}

function follow(child: ChildProcess): Promise<Running | Ended> {
  running.add(child);
  let output = "";
  const ended = new Promise<Ended>((resolve) => {
    child.once("close", (code) => {
      running.delete(child);
      resolve({ code, output });
    });
  });
  const ready = new Promise<Running>((resolve) => {
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const line = /^\{"event":"ready",.*\n$/.test(text) ? JSON.parse(text) : undefined;
      if (line === undefined) output += text;
      else resolve({ address: line.address, process: child, output: () => output, stop: () => stop(child) });
    });
  });
  return Promise.race([ready, ended]);
}

/** The environment of a service that is merely booted: no report device, and a release of something else. */
export async function environmentOf(role: ConfidentialRole, config: object, given: Env = {}): Promise<Env> {
  return {
    SOTTO_PORT: "0",
    SOTTO_TSM: folder,
    SOTTO_CONFIG: put(`${role}-${systemRandom(6).toHex()}.json`, config),
    SOTTO_RELEASE: given.SOTTO_RELEASE ?? (await putRelease(role, unmeasured)),
    SOTTO_SEALED: await sealedOf(role),
    ...(role === "orchestrator" ? { SOTTO_PREDICTORS: "127.0.0.1:9" } : {}),
    ...given,
  };
}

/** Starts a service with exactly this environment; resolves once it is ready, or has ended without. */
export function boot(
  role: ConfidentialRole,
  env: Env,
  { entry = "src/main.development.ts", at = root } = {},
): Promise<Running | Ended> {
  const args = [...nodeFlags, join(at, "services", role, entry)];
  return follow(spawn(process.execPath, args, { cwd: at, env, stdio: ["pipe", "pipe", "pipe"] }));
}

/** Launches a service on a simulated machine, with its release in the log; fails where it does not become ready. */
export async function launch(role: ConfidentialRole, config: object, hints: Env = {}): Promise<Running> {
  const image: ServiceImage = {
    root,
    role,
    entry: "src/main.development.ts",
    nodeFlags,
    config: put(`${role}-${systemRandom(6).toHex()}.json`, config),
    sealed: await sealedOf(role),
  };
  const release = await putRelease(role, await measureService(image));
  const { service } = await launchMachine({ image, chip, release, hints: { SOTTO_PORT: "0", ...hints } });
  const started = await follow(service);
  if (!("address" in started)) throw new Error(`${role} ended with ${started.code}: ${started.output}`);
  return started;
}

type Measured = Pick<ServiceMeasurement, "measurement" | "code" | "config">;
const unmeasured: Measured = {
  measurement: "00".repeat(48),
  code: `sha256:${"00".repeat(32)}`,
  config: `sha256:${"11".repeat(32)}`,
};

/** A release file: the statement about an image, and the proof that it is in the log. */
async function putRelease(role: ConfidentialRole, measured: Measured): Promise<string> {
  const { statement, proof } = await release(role, measured);
  const file = { statement: encodeBase64(statement), proof: decodeUtf8(proof) };
  return put(`${role}-${systemRandom(6).toHex()}-release.json`, file);
}

async function release(
  role: ConfidentialRole,
  measured: Measured,
): Promise<{ statement: Bytes; proof: Bytes }> {
  const statement = serializeStatement({
    kind: "release",
    role,
    version: "1.0.0",
    measurements: [measured.measurement],
    code: measured.code as Digest, // hex after its prefix, as the measurement writes it
    config: measured.config as Digest,
    weights: [],
    policies: [],
    securityVersion: 1,
    issuedAt: now - 60,
    expiresAt: now + 3600,
  });
  const [proof] = await proveStatements([statement], { log, witness, seenAt: now });
  if (proof === undefined) throw new Error("not proved");
  return { statement, proof };
}

/** Attests as an orchestrator that was released, and that runs nowhere. */
async function attestAsOrchestrator(binding: SessionBinding): Promise<EvidenceBundle> {
  const released = await release("orchestrator", unmeasured);
  const parts = { ...released, layers: sandboxLayers, gpus: [], peers: [] };
  const { reportData, pathFor } = createBatch([sessionLeaf(binding, boundParts(parts))]);
  const signer = await createReportSigner(chip, unmeasured.measurement);
  const snp = { report: await signer.sign(reportData), certificates: chip.certificates };
  return { ...parts, snp, batch: pathFor(0) };
}

/** Opens a verified session with a predictor, as an orchestrator does. */
export function openPredictor(address: string): Promise<ClientSession> {
  const { hostname, port } = new URL(address);
  const stream = connect({ host: hostname, port: Number(port), noDelay: true });
  stream.on("error", () => {});
  const own = { attester: { attest: attestAsOrchestrator }, clock: Date.now, random: systemRandom };
  return openClientSession({ stream, policy, role: "predictor", ...own });
}

/** Opens a verified session with an orchestrator, in flights, as the gateway carries them. */
export function openOrchestrator(address: string): Promise<ClientSession> {
  const stream = new FlightStream(address);
  stream.on("error", () => {});
  const onFlight = (): void => stream.endFlight();
  const own = { clock: Date.now, random: systemRandom, onFlight };
  return openClientSession({ stream, policy, role: "orchestrator", ...own });
}

/** Sends the one question of a session. */
export function ask(session: ClientSession, content: string, given: object = {}): Promise<ExchangeAnswer> {
  const question = { stream: true, messages: [{ role: "user", content }], ...given };
  return sendRequest(session, {
    method: "POST",
    authority: "node.sotto.invalid",
    path: "/v1/chat/completions",
    contentType: "application/json",
    content: encodeUtf8(JSON.stringify(question)),
  });
}

/** Reads a streamed answer to its end, piece by piece. */
export async function* textOf(answer: ExchangeAnswer): AsyncGenerator<string, void, undefined> {
  const parser = new SseParser();
  for await (const bytes of answer.body) {
    for (const data of parser.push(bytes)) {
      if (data === "[DONE]") return;
      const text = JSON.parse(data).choices?.[0]?.delta?.content;
      if (typeof text === "string" && text !== "") yield text;
    }
  }
  throw new Error("answer has no end");
}

/** The whole text of a streamed answer. */
export async function readText(answer: ExchangeAnswer): Promise<string> {
  let text = "";
  for await (const piece of textOf(answer)) text += piece;
  return text;
}

const head = { id: "x", model: "toy", created: 1 };
export const events = {
  text: (content: string): Bytes => serializeChunk(head, { content }),
  finish: (): Bytes => serializeChunk(head, {}, "stop"),
  usage: serializeUsageChunk(head, { promptTokens: 1, completionTokens: 2 }),
  done: doneEvent,
};

export type Asked = { readonly body: string; readonly request: IncomingMessage };
export type ModelServer = {
  readonly url: string;
  readonly port: number;
  readonly asked: Asked[];
  /** What to answer from now on. */
  play: (response: ServerResponse, asked: Asked) => void | Promise<void>;
  readonly close: () => Promise<void>;
};

/** Answers with the last message, upper case, unless told otherwise. */
export async function startModelServer(port = 0): Promise<ModelServer> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const one = { body, request };
    asked.push(one);
    response.writeHead(200, { "content-type": "text/event-stream" });
    await model.play(response, one);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : 0;
  const close = async (): Promise<void> => {
    models.delete(model);
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  const model: ModelServer = {
    url: `http://127.0.0.1:${bound}/v1`,
    port: bound,
    asked,
    play: (response, { body }) => {
      const { messages } = JSON.parse(body);
      for (const word of String(messages.at(-1).content)
        .toUpperCase()
        .split(/(?<= )/)) {
        response.write(events.text(word));
      }
      response.end(Buffer.concat([events.finish(), events.usage, events.done]));
    },
    close,
  };
  models.add(model);
  return model;
}
