// Keys and secrets of a stack, made once for its state folder.
import {
  createSimulatedChip,
  parseSimulatedChip,
  type SimulatedChip,
  serializeSimulatedChip,
} from "@sotto/attestation/software";
import {
  type Bytes,
  decodeBase64,
  encodeBase64,
  encodeBase64Url,
  encodeHex,
  encodeUtf8,
  sha256,
  systemRandom,
} from "@sotto/base";
import { generateIssuerKey } from "@sotto/credentials/issuer";
import { generateSigner, noteKeyType, parseSigner, type Signer, serializeSigner } from "@sotto/log";
import { kemId, serializeKeyConfigList } from "@sotto/wire";
import { generateKeyPair } from "@sotto/wire/gateway";
import type { StateFolder } from "./state-folder.ts";

export type StackSecrets = {
  readonly chip: SimulatedChip;
  readonly log: Signer;
  readonly witnesses: readonly Signer[];
  /** Signs statements. */
  readonly authority: Signer;
  readonly directory: Signer;
  readonly keyConfigs: Bytes;
  readonly issuerKeys: readonly IssuerKey[];
  readonly accountSecret: string;
};

export type IssuerKey = { readonly spki: string; readonly notBefore: number; readonly notAfter: number };

const dayS = 86_400;

/** Makes what is not there yet and reads the rest; the simulated chip's keys take the longest. */
export async function openSecrets(state: StateFolder): Promise<StackSecrets> {
  const [chip, log, witness1, witness2, authority, directory, keyConfigs] = await Promise.all([
    openChip(state),
    openSigner(state, "log", "log.sotto.invalid/development", noteKeyType.ed25519),
    openSigner(state, "witness-1", "witness-1.sotto.invalid", noteKeyType.cosignature),
    openSigner(state, "witness-2", "witness-2.sotto.invalid", noteKeyType.cosignature),
    openSigner(state, "authority", "releases.sotto.invalid", noteKeyType.ed25519),
    openSigner(state, "directory", "directory.sotto.invalid", noteKeyType.ed25519),
    openGatewayKeys(state),
  ]);
  return {
    chip,
    log,
    witnesses: [witness1, witness2],
    authority,
    directory,
    keyConfigs,
    issuerKeys: openIssuerKeys(state),
    accountSecret: openAccount(state),
  };
}

async function openChip(state: StateFolder): Promise<SimulatedChip> {
  if (!state.has("keys", "chip.json")) {
    const chip = await createSimulatedChip(Date.now(), systemRandom);
    state.write(serializeSimulatedChip(chip), "keys", "chip.json");
  }
  return parseSimulatedChip(state.read("keys", "chip.json"));
}

async function openSigner(
  state: StateFolder,
  file: string,
  name: string,
  type: (typeof noteKeyType)[keyof typeof noteKeyType],
): Promise<Signer> {
  if (!state.has("keys", file)) state.write(serializeSigner(await generateSigner(name, type)), "keys", file);
  return parseSigner(state.read("keys", file));
}

type GatewayKeyFile = { keyId: number; kemId: number; publicKey: string; privateKey: string }[];

async function openGatewayKeys(state: StateFolder): Promise<Bytes> {
  const suites = [{ kdfId: 1, aeadId: 1 }];
  if (!state.has("keys", "gateway.json")) {
    const pairs = await Promise.all([
      generateKeyPair(1, kemId.x25519),
      generateKeyPair(2, kemId.mlkem768X25519),
    ]);
    const file = pairs.map(({ config, privateKey }) => ({
      keyId: config.keyId,
      kemId: config.kemId,
      publicKey: encodeBase64(config.publicKey),
      privateKey: encodeBase64(privateKey),
    }));
    state.writeJson(file, "keys", "gateway.json");
  }
  const pairs = state.readJson("keys", "gateway.json") as GatewayKeyFile; // written just above
  return serializeKeyConfigList(
    pairs.map(({ publicKey, ...ids }) => ({
      keyId: ids.keyId,
      kemId: ids.kemId,
      publicKey: decodeBase64(publicKey),
      suites,
    })),
  );
}

function openIssuerKeys(state: StateFolder): IssuerKey[] {
  const now = Math.floor(Date.now() / 1000);
  if (!state.has("keys", "issuer.json")) {
    // Today's key and the next one; a development stack keeps them for a month.
    const times = [
      { notBefore: now - 3600, notAfter: now + 30 * dayS },
      { notBefore: now + 29 * dayS, notAfter: now + 60 * dayS },
    ];
    const keys = times.map((validity) => ({ ...generateIssuerKey(), ...validity }));
    state.writeJson(
      keys.map(({ privateKeyPem, notBefore, notAfter }) => ({ privateKeyPem, notBefore, notAfter })),
      "keys",
      "issuer.json",
    );
    state.writeJson(
      keys.map(({ spki, notBefore, notAfter }) => ({ spki: encodeBase64(spki), notBefore, notAfter })),
      "keys",
      "issuer-public.json",
    );
  }
  return state.readJson("keys", "issuer-public.json") as IssuerKey[]; // written just above
}

function openAccount(state: StateFolder): string {
  if (!state.has("keys", "account")) {
    const secret = encodeBase64Url(systemRandom(24));
    state.write(secret, "keys", "account");
    const secretSha256 = encodeHex(sha256(encodeUtf8(secret)));
    state.writeJson([{ id: "local", secretSha256 }], "keys", "accounts.json");
  }
  return state.read("keys", "account");
}
