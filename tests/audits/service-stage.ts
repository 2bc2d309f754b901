// The five services that hold no text, as real processes with real keys, for findings about how a process is run.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeBase64, encodeHex, encodeUtf8, sha256 } from "@sotto/base";
import { generateIssuerKey } from "@sotto/credentials/issuer";
import { generateSigner, noteKeyType, serializeSigner, serializeVerifier } from "@sotto/log";
import { kemId } from "@sotto/wire";
import { generateKeyPair } from "@sotto/wire/gateway";

const root = join(import.meta.dirname, "..", "..");

export const serviceNames = ["witness", "publisher", "issuer", "gateway", "relay"] as const;
export type ServiceName = (typeof serviceNames)[number];
export type Env = Readonly<Record<string, string>>;

export const accountSecret = "canary-account-secret";
export const issuerKey = generateIssuerKey();

/** How a process ended that did not become ready. */
export type Ended = { readonly code: number | null; readonly output: string };

export type RunningService = {
  readonly address: string;
  /** What it has printed since it was ready. */
  readonly output: () => string;
  readonly stop: () => Promise<void>;
};

/** Keys and configuration files in a folder of their own, and the environment of each service. */
export async function prepareServices(): Promise<{
  readonly folder: string;
  readonly env: Readonly<Record<ServiceName, Env>>;
}> {
  const folder = mkdtempSync(join(tmpdir(), "sotto-audit-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const put = (name: string, content: string | object): string => {
    const path = join(folder, name);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  };
  const [log, witness, authority, { config, privateKey }] = await Promise.all([
    generateSigner("log.example", noteKeyType.ed25519),
    generateSigner("witness.example", noteKeyType.cosignature),
    generateSigner("authority.example", noteKeyType.ed25519),
    generateKeyPair(1, kemId.x25519),
  ]);
  const [logKey, witnessKey] = [serializeVerifier(log), serializeVerifier(witness)];
  const authorities = { keys: [serializeVerifier(authority)], threshold: 1 };
  const validity = { notBefore: 0, notAfter: 4_000_000_000 };
  const { keyId } = config;
  const pair = { publicKey: encodeBase64(config.publicKey), privateKey: encodeBase64(privateKey) };
  const secretSha256 = encodeHex(sha256(encodeUtf8(accountSecret)));
  const spki = encodeBase64(issuerKey.spki);
  const env: Readonly<Record<ServiceName, Env>> = {
    witness: {
      SOTTO_DATA: join(folder, "witness.sqlite"),
      SOTTO_KEY: put("witness.key", serializeSigner(witness)),
      SOTTO_LOGS: put("logs.json", [logKey]),
    },
    publisher: {
      SOTTO_DATA: join(folder, "log"),
      SOTTO_KEY: put("log.key", serializeSigner(log)),
      SOTTO_WITNESSES: put("witnesses.json", []),
      SOTTO_POLICY: put("policy", `log ${logKey}\nwitness w ${witnessKey}\nquorum w\n`),
      SOTTO_AUTHORITIES: put("authorities.json", {
        release: authorities,
        weights: authorities,
        keys: authorities,
        directory: authorities,
      }),
    },
    issuer: {
      SOTTO_DATA: join(folder, "issuer.sqlite"),
      SOTTO_NAME: "issuer.example",
      SOTTO_KEYS: put("issuer.json", [{ privateKeyPem: issuerKey.privateKeyPem, ...validity }]),
      SOTTO_ACCOUNTS: put("accounts.json", [{ id: "canary-account", secretSha256 }]),
    },
    gateway: {
      SOTTO_DATA: join(folder, "gateway.sqlite"),
      SOTTO_KEYS: put("gateway.json", [{ keyId, kemId: kemId.x25519, ...pair }]),
      SOTTO_ISSUERS: put("issuers.json", {
        name: "issuer.example",
        originInfo: "gateway.sotto.invalid",
        keys: [{ spki, ...validity }],
      }),
      SOTTO_NODES: put("nodes.json", { alpha: "http://127.0.0.1:9" }),
    },
    relay: {
      SOTTO_GATEWAY: "http://127.0.0.1:9/gateway",
      SOTTO_DIRECTORY: "http://127.0.0.1:9/directory",
    },
  };
  return { folder, env };
}

function spawnService(name: ServiceName, env: Env): ChildProcess {
  const entry = join(root, "services", name, "src/main.ts");
  return spawn(process.execPath, [entry], { env: { SOTTO_PORT: "0", ...env }, stdio: "pipe" });
}

/** Starts a service and resolves once it is ready, or has ended without. */
export function startService(name: ServiceName, env: Env): Promise<RunningService | Ended> {
  const child = spawnService(name, env);
  let output = "";
  const ended = new Promise<Ended>((resolve) => child.once("close", (code) => resolve({ code, output })));
  const stop = async (): Promise<void> => {
    child.kill();
    await ended;
  };
  const ready = new Promise<RunningService>((resolve) => {
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const line = /^\{"event":"ready",.*\n$/.test(text) ? JSON.parse(text) : undefined;
      if (line === undefined) output += text;
      else resolve({ address: line.address, output: () => output, stop });
    });
  });
  return Promise.race([ready, ended]);
}

/** A port that is free now. */
export function findFreePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === "object" && bound !== null ? bound.port : 0));
    });
  });
}
