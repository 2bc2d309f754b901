// Publishes what a stack runs and which keys it uses, and the directory that tells clients.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Bytes, decodeUtf8, encodeBase64, encodeHex, encodeUtf8, sha256 } from "@sotto/base";
import {
  type Directory,
  leafHash,
  type ProvedStatement,
  type Role,
  type Statement,
  serializeNote,
  serializeStatement,
  signDirectory,
  signNote,
} from "@sotto/log";
import type { ServiceMeasurement } from "@sotto/tee";
import type { Model } from "./model.ts";
import type { StackSecrets } from "./secrets.ts";

const version = "0.1.0";
const root = join(import.meta.dirname, "..", "..", "..");
const policyPath = "protocol/guard/policy/policy.json";
const yearS = 365 * 86_400;
const directoryLifetimeS = 600;

/** Statements of one stack, as they stand in the log. */
export type StackStatements = {
  readonly orchestrator: Bytes;
  readonly predictor: Bytes;
  readonly guard?: Bytes;
  readonly ohttp: Bytes;
  readonly issuer: Bytes;
  readonly weights?: Bytes;
  readonly guardWeights?: Bytes;
  readonly policy?: Bytes;
};

export type MeasuredServices = {
  readonly orchestrator: ServiceMeasurement;
  readonly predictor: ServiceMeasurement;
  readonly guard?: ServiceMeasurement | undefined;
};

/** What answers, and what judges questions where anything does. */
export type StackModels = { readonly model: Model; readonly guard?: Model | undefined };

/** What is to be said about a stack. */
export function makeStatements(
  secrets: Pick<StackSecrets, "keyConfigs" | "issuerKeys">,
  measured: MeasuredServices,
  { model, guard }: StackModels,
): StackStatements {
  const issuedAt = Math.floor(Date.now() / 1000);
  const times = { issuedAt, expiresAt: issuedAt + yearS };
  // Nothing but what is in the measured image is enforced, so nothing else is published.
  const policy = measured.orchestrator.files.find(({ path }) => path === policyPath);
  const release = (role: Role, { measurement, code, config, weights }: ServiceMeasurement): Bytes => {
    return serialize({
      kind: "release",
      role,
      version,
      measurements: [measurement],
      code: asDigest(code),
      config: asDigest(config),
      weights: weights.map(asDigest),
      policies: role === "orchestrator" && policy !== undefined ? [policy.digest] : [],
      securityVersion: 1,
      ...times,
    });
  };
  const keys = (purpose: "ohttp" | "issuer", digests: readonly Bytes[]): Bytes => {
    const notBefore = issuedAt - 3600;
    return serialize({
      kind: "keys",
      purpose,
      keys: digests.map((bytes) => asDigest(`sha256:${encodeHex(sha256(bytes))}`)),
      notBefore,
      notAfter: issuedAt + 60 * 86_400,
      ...times,
    });
  };
  const spkis = secrets.issuerKeys.map(({ spki }) => new Uint8Array(Buffer.from(spki, "base64")));
  const weights = ({ id, file }: Model): Bytes | undefined => {
    if (file === undefined) return undefined;
    const files = [{ path: `${id}.gguf`, size: file.size, digest: file.digest }];
    return serialize({ kind: "weights", name: id, files, ...times });
  };
  const given = {
    guard: measured.guard && release("guard", measured.guard),
    weights: weights(model),
    guardWeights: guard && weights(guard),
  };
  return {
    orchestrator: release("orchestrator", measured.orchestrator),
    predictor: release("predictor", measured.predictor),
    ohttp: keys("ohttp", [secrets.keyConfigs]),
    issuer: keys("issuer", spkis),
    ...(given.guard && { guard: given.guard }),
    ...(given.weights && { weights: given.weights }),
    ...(given.guardWeights && { guardWeights: given.guardWeights }),
    ...(policy === undefined
      ? {}
      : {
          policy: serialize({
            kind: "policy",
            purpose: "safety",
            version: readPolicyVersion(),
            files: [{ path: policy.path, size: policy.size, digest: policy.digest }],
            ...times,
          }),
        }),
  };
}

/** Puts statements into the log, signed by the authority. */
export async function submitStatements(
  logUrl: string,
  secrets: StackSecrets,
  statements: StackStatements,
): Promise<void> {
  await Promise.all(
    Object.values(statements).map(async (statement: Bytes) => {
      const note = await signNote(`${decodeUtf8(statement)}\n`, [secrets.authority]);
      const response = await fetch(new URL("/add", logUrl), { method: "POST", body: serializeNote(note) });
      if (!response.ok) throw new Error(`log refused a statement (${response.status})`);
    }),
  );
}

/** A statement with its proof against the newest checkpoint. */
export async function proveStatement(logUrl: string, statement: Bytes): Promise<ProvedStatement> {
  const response = await fetch(new URL(`/proof/${encodeHex(leafHash(statement))}`, logUrl));
  if (!response.ok) throw new Error("log has no proof of a statement");
  return { statement: encodeBase64(statement), proof: await response.text() };
}

/** Signs and publishes the directory. */
export async function publishDirectory(
  logUrl: string,
  secrets: StackSecrets,
  statements: StackStatements,
  model: Model,
): Promise<void> {
  const { guard } = statements;
  const prove = (statement: Bytes): Promise<ProvedStatement> => proveStatement(logUrl, statement);
  const nodes = [statements.orchestrator, statements.predictor, ...(guard === undefined ? [] : [guard])];
  const [ohttp, issuer, ...releases] = await Promise.all([
    prove(statements.ohttp),
    prove(statements.issuer),
    ...nodes.map(prove),
  ]);
  const issuedAt = Math.floor(Date.now() / 1000);
  const directory: Directory = {
    kind: "directory",
    issuedAt,
    expiresAt: issuedAt + directoryLifetimeS,
    ohttp: { ...ohttp, configs: encodeBase64(secrets.keyConfigs) },
    issuer: { ...issuer, name: issuerName, keys: secrets.issuerKeys },
    nodes: [{ handle: nodeHandle, role: "orchestrator" }],
    releases,
    models: [{ id: model.id }],
  };
  const text = await signDirectory(directory, secrets.directory);
  const response = await fetch(new URL("/directory", logUrl), { method: "PUT", body: encodeUtf8(text) });
  if (!response.ok) throw new Error("log refused the directory");
}

export const issuerName = "issuer.sotto.invalid";
export const originInfo = "gateway.sotto.invalid";
export const nodeHandle = "node-1";

function readPolicyVersion(): string {
  const policy: unknown = JSON.parse(readFileSync(join(root, policyPath), "utf8"));
  const found =
    typeof policy === "object" && policy !== null && "version" in policy ? policy.version : undefined;
  if (typeof found !== "number" && typeof found !== "string") throw new Error("safety policy has no version");
  return String(found);
}

function serialize(statement: Statement): Bytes {
  return serializeStatement(statement);
}

function asDigest(text: string): `sha256:${string}` {
  return `sha256:${text.replace(/^sha256:/, "")}`;
}
